//! A weight matrix, as floats or as quantized bytes, and its product with inputs.

use std::sync::Arc;

use super::error::{BoxError, LlamaError, expect_length};
use super::simd::{Brain, Half, Rows, Weight, products};
use super::threads::Threads;
use crate::ggml::GgmlType;

/// How to compute with quantized bytes.
pub trait Kernels: Send + Sync {
    /// Fills `out` with the decoded weights.
    ///
    /// # Errors
    /// Whatever keeps the decoder from it.
    fn decode(&self, kind: GgmlType, bytes: &[u8], out: &mut [f32]) -> Result<(), BoxError>;

    /// `y[n, rows] = x[n, columns]·Wᵀ`, on the calling thread.
    ///
    /// # Errors
    /// Whatever keeps the kernel from it.
    fn matmul(
        &self,
        kind: GgmlType,
        weights: &[u8],
        rows: usize,
        columns: usize,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<(), BoxError>;
}

/// A weight matrix of `rows` outputs and `columns` inputs.
#[derive(Clone)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    values: Values,
}

#[derive(Clone)]
enum Values {
    Full(Vec<f32>),
    Half(Vec<Half>),
    Brain(Vec<Brain>),
    Blocks { kind: GgmlType, bytes: Vec<u8>, kernels: Arc<dyn Kernels> },
}

impl std::fmt::Debug for Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Matrix({}×{} {})", self.rows, self.columns, self.kind())
    }
}

impl Matrix {
    /// A matrix of floats, row after row.
    ///
    /// # Errors
    /// [`LlamaError::Length`] unless there are `rows·columns` values.
    pub fn from_f32(values: Vec<f32>, rows: usize, columns: usize) -> Result<Self, LlamaError> {
        expect_length("the matrix", values.len(), rows * columns)?;
        Ok(Self { rows, columns, values: Values::Full(values) })
    }

    /// A matrix kept as it lies in a file: F32, F16 and BF16 as such, other types as blocks for `kernels`.
    ///
    /// # Errors
    /// [`LlamaError::Bytes`] for a wrong number of bytes, [`LlamaError::NoKernels`] for blocks without kernels.
    pub fn from_bytes(
        name: &str,
        kind: GgmlType,
        bytes: &[u8],
        rows: usize,
        columns: usize,
        kernels: Option<&Arc<dyn Kernels>>,
    ) -> Result<Self, LlamaError> {
        check_bytes(name, kind, bytes, rows, columns)?;
        let halves = || bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        let values = match (kind, kernels) {
            (GgmlType::F32, _) => Values::Full(floats(bytes)),
            (GgmlType::F16, _) => Values::Half(halves().map(Half).collect()),
            (GgmlType::BF16, _) => Values::Brain(halves().map(Brain).collect()),
            (_, Some(kernels)) => Values::Blocks { kind, bytes: bytes.to_vec(), kernels: kernels.clone() },
            (_, None) => return Err(LlamaError::NoKernels { name: name.to_owned(), kind }),
        };
        Ok(Self { rows, columns, values })
    }

    /// Outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Type in which the weights are kept.
    pub fn kind(&self) -> GgmlType {
        match &self.values {
            Values::Full(_) => GgmlType::F32,
            Values::Half(_) => GgmlType::F16,
            Values::Brain(_) => GgmlType::BF16,
            Values::Blocks { kind, .. } => *kind,
        }
    }

    /// Bytes of the weights in memory.
    pub fn bytes(&self) -> usize {
        self.rows * (self.columns / self.kind().block_len()) * self.kind().block_bytes()
    }

    /// Fills `out` with row `row` as floats.
    ///
    /// # Errors
    /// [`LlamaError::Length`] unless `out` has one value per column and the row exists; [`LlamaError::Kernel`].
    pub fn row(&self, row: usize, out: &mut [f32]) -> Result<(), LlamaError> {
        expect_length("the row", out.len(), self.columns)?;
        if row >= self.rows {
            return Err(LlamaError::Length {
                what: "the matrix's rows",
                found: self.rows,
                expected: row + 1,
            });
        }
        let start = row * self.columns;
        match &self.values {
            Values::Full(values) => out.copy_from_slice(&values[start..][..self.columns]),
            Values::Half(values) => widen(&values[start..], out),
            Values::Brain(values) => widen(&values[start..], out),
            Values::Blocks { kind, bytes, kernels } => {
                let row_bytes = bytes.len() / self.rows;
                let bytes = &bytes[row * row_bytes..][..row_bytes];
                kernels.decode(*kind, bytes, out).map_err(|error| self.failed(error))?;
            }
        }
        Ok(())
    }

    /// All weights as floats, row after row.
    ///
    /// # Errors
    /// [`LlamaError::Kernel`] when the decoder fails.
    pub fn to_f32(&self) -> Result<Vec<f32>, LlamaError> {
        let mut all = vec![0.0; self.rows * self.columns];
        all.chunks_exact_mut(self.columns).enumerate().try_for_each(|(row, out)| self.row(row, out))?;
        Ok(all)
    }

    /// `y[n, rows] = x[n, columns]·Wᵀ`. Inputs are not rounded, unless by the kernels of a quantized type; each output
    /// of a float matrix has the same bits whatever `n` and the threads are.
    ///
    /// # Errors
    /// [`LlamaError::Length`] when the slices do not fit, [`LlamaError::Kernel`] when a kernel fails.
    pub fn apply(&self, x: &[f32], y: &mut [f32], threads: &Threads) -> Result<(), LlamaError> {
        let n = x.len() / self.columns;
        expect_length("the input", x.len(), n * self.columns)?;
        expect_length("the output", y.len(), n * self.rows)?;
        let work = n * self.rows * self.columns;
        if n == 1 {
            threads.split(y, 1, work, |start, y| self.part(start, start + y.len(), x, y))
        } else {
            threads.split(y, self.rows, work, |start, y| {
                let x = &x[start * self.columns..][..y.len() / self.rows * self.columns];
                self.part(0, self.rows, x, y)
            })
        }
    }

    /// [`Self::apply`] for the rows from `start` to `end`, on this thread.
    fn part(&self, start: usize, end: usize, x: &[f32], y: &mut [f32]) -> Result<(), LlamaError> {
        match &self.values {
            Values::Full(values) => self.float_part(&values[start * self.columns..], end - start, x, y),
            Values::Half(values) => self.float_part(&values[start * self.columns..], end - start, x, y),
            Values::Brain(values) => self.float_part(&values[start * self.columns..], end - start, x, y),
            Values::Blocks { kind, bytes, kernels } => {
                let row_bytes = bytes.len() / self.rows;
                let bytes = &bytes[start * row_bytes..end * row_bytes];
                let result = kernels.matmul(*kind, bytes, end - start, self.columns, x, y);
                return result.map_err(|error| self.failed(error));
            }
        }
        Ok(())
    }

    fn float_part<W: Weight>(&self, values: &[W], rows: usize, x: &[f32], y: &mut [f32]) {
        let weights = Rows { values, count: rows, stride: self.columns };
        let inputs = Rows { values: x, count: x.len() / self.columns, stride: self.columns };
        products(weights, inputs, self.columns, y, rows);
    }

    fn failed(&self, error: BoxError) -> LlamaError {
        LlamaError::Kernel { kind: self.kind(), rows: self.rows, columns: self.columns, error }
    }
}

/// Checks that `rows` rows of `columns` weights have that many bytes.
pub(super) fn check_bytes(
    name: &str,
    kind: GgmlType,
    bytes: &[u8],
    rows: usize,
    columns: usize,
) -> Result<(), LlamaError> {
    let expected = kind.bytes(columns).and_then(|row| row.checked_mul(rows)).unwrap_or(0);
    if bytes.len() != expected || expected == 0 {
        return Err(LlamaError::Bytes { name: name.to_owned(), kind, found: bytes.len(), expected });
    }
    Ok(())
}

/// Little-endian floats.
pub(super) fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

fn widen<W: Weight>(values: &[W], out: &mut [f32]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = value.widen();
    }
}
