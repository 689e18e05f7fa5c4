//! Checked operands, the choice of a tier, the split among threads.

use super::activations::Form;
use super::layout::group_bytes;
#[cfg(target_arch = "x86_64")]
use super::x86;
use super::{Activations, Capability, GROUP, KernelError, capability, plain, portable};
use crate::ggml::GgmlType;

/// Rows that one thread takes are a multiple of this, the height of a panel.
const ROW_STEP: usize = 16;

/// Rows that are copied at a time to fill their last group up.
const COPIED_ROWS: usize = 512;

/// A weight matrix in ggml's layout, its size checked.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    kind: GgmlType,
    weights: &'a [u8],
    rows: usize,
    columns: usize,
}

impl<'a> Matrix<'a> {
    /// The matrix `[rows, columns]` in `weights`.
    ///
    /// # Errors
    /// [`KernelError`] when `columns` does not fill blocks, the bytes are too many or too few, or nothing is computed with `kind`.
    pub fn new(kind: GgmlType, weights: &'a [u8], rows: usize, columns: usize) -> Result<Self, KernelError> {
        Form::of(kind).ok_or(KernelError::Unsupported { kind })?;
        if columns == 0 || !columns.is_multiple_of(kind.block_len()) {
            return Err(KernelError::Columns { kind, columns });
        }
        let expected = kind.bytes(columns).and_then(|bytes| bytes.checked_mul(rows)).unwrap_or(usize::MAX);
        if weights.len() != expected {
            return Err(KernelError::Weights { found: weights.len(), expected, rows, columns });
        }
        Ok(Self { kind, weights, rows, columns })
    }

    /// Bytes of a row.
    fn row_bytes(&self) -> usize {
        self.columns / self.kind.block_len() * self.kind.block_bytes()
    }

    /// `n_rows` rows from `first` on.
    fn part(&self, first: usize, n_rows: usize) -> Self {
        let bytes = self.row_bytes();
        Self { weights: &self.weights[first * bytes..][..n_rows * bytes], rows: n_rows, ..*self }
    }
}

/// Products by the kernels of one tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    capability: Capability,
}

/// The kernels of tier `capability`, for tests and benches.
///
/// # Errors
/// [`KernelError::Unavailable`] when this processor lacks the instructions.
pub fn with_capability(capability: Capability) -> Result<Kernel, KernelError> {
    let best = super::capability();
    if capability > best {
        return Err(KernelError::Unavailable { found: capability, best });
    }
    Ok(Kernel { capability })
}

impl Kernel {
    /// The kernels of the best tier that this processor can run.
    pub fn best() -> Self {
        Self { capability: capability() }
    }

    /// The tier.
    pub fn capability(self) -> Capability {
        self.capability
    }

    /// Fills `y` (`[tokens, rows]`) with the products of every row of `matrix` and every row of `activations`.
    ///
    /// The rows are split among at most `threads` tasks of rayon's pool; the result does not depend on their number.
    ///
    /// # Errors
    /// [`KernelError`] when sizes or forms disagree, or `threads` is 0.
    pub fn multiply(
        self,
        matrix: &Matrix,
        activations: &Activations,
        y: &mut [f32],
        threads: usize,
    ) -> Result<(), KernelError> {
        let (rows, tokens) = (matrix.rows, activations.rows());
        let expected = Form::of(matrix.kind).ok_or(KernelError::Unsupported { kind: matrix.kind })?;
        if activations.form() != expected {
            return Err(KernelError::Form { found: activations.form(), expected });
        }
        if activations.columns() != matrix.columns {
            return Err(KernelError::Activations { found: activations.columns(), columns: matrix.columns });
        }
        if tokens.checked_mul(rows) != Some(y.len()) {
            return Err(KernelError::Output { found: y.len(), tokens, rows });
        }
        if threads == 0 {
            return Err(KernelError::Threads);
        }
        if !y.is_empty() {
            self.split(matrix, activations, y, threads);
        }
        Ok(())
    }

    fn split(self, matrix: &Matrix, activations: &Activations, y: &mut [f32], threads: usize) {
        let per_task = matrix.rows.div_ceil(threads).next_multiple_of(ROW_STEP);
        if per_task >= matrix.rows {
            return self.rows(matrix, activations, y);
        }
        let tasks = (0..matrix.rows).step_by(per_task);
        let parts = tasks.map(|first| matrix.part(first, per_task.min(matrix.rows - first)));
        if activations.rows() == 1 {
            rayon::scope(|scope| {
                for (part, y) in parts.zip(y.chunks_mut(per_task)) {
                    scope.spawn(move |_| self.rows(&part, activations, y));
                }
            });
            return;
        }
        let mut results: Vec<_> =
            parts.map(|part| (vec![0.0; activations.rows() * part.rows], part)).collect();
        rayon::scope(|scope| {
            for (y, part) in &mut results {
                scope.spawn(|_| self.rows(part, activations, y));
            }
        });
        for (token, y) in y.chunks_exact_mut(matrix.rows).enumerate() {
            for ((result, part), y) in results.iter().zip(y.chunks_mut(per_task)) {
                y.copy_from_slice(&result[token * part.rows..][..part.rows]);
            }
        }
    }

    /// One thread's share.
    fn rows(self, matrix: &Matrix, activations: &Activations, y: &mut [f32]) {
        let Matrix { kind, weights, columns, .. } = *matrix;
        if activations.form() == Form::Plain {
            match self.capability {
                #[cfg(target_arch = "x86_64")]
                Capability::Avx512Vnni | Capability::Avx2 => x86::plain(kind, weights, activations, y),
                _ => plain::rows(kind, weights, activations, y),
            }
        } else if columns.is_multiple_of(GROUP) {
            self.whole_groups(kind, weights, matrix.row_bytes(), activations, y);
        } else {
            self.ragged(matrix, activations, y);
        }
    }

    /// Rows that end inside a group: copies of some at a time are filled up with zero bytes, which are zero scales in every type.
    fn ragged(self, matrix: &Matrix, activations: &Activations, y: &mut [f32]) {
        let padded_bytes = matrix.columns.div_ceil(GROUP) * group_bytes(matrix.kind);
        let mut padded = vec![0; COPIED_ROWS.min(matrix.rows) * padded_bytes];
        let mut products = vec![0.0; COPIED_ROWS.min(matrix.rows) * activations.rows()];
        for (at, rows) in matrix.weights.chunks(COPIED_ROWS * matrix.row_bytes()).enumerate() {
            let n_rows = rows.len() / matrix.row_bytes();
            for (padded, row) in
                padded.chunks_exact_mut(padded_bytes).zip(rows.chunks_exact(matrix.row_bytes()))
            {
                padded[..row.len()].copy_from_slice(row);
            }
            let products = &mut products[..n_rows * activations.rows()];
            self.whole_groups(
                matrix.kind,
                &padded[..n_rows * padded_bytes],
                padded_bytes,
                activations,
                products,
            );
            for (y, products) in y.chunks_exact_mut(matrix.rows).zip(products.chunks_exact(n_rows)) {
                y[at * COPIED_ROWS..][..n_rows].copy_from_slice(products);
            }
        }
    }

    fn whole_groups(
        self,
        kind: GgmlType,
        weights: &[u8],
        row_bytes: usize,
        activations: &Activations,
        y: &mut [f32],
    ) {
        match self.capability {
            #[cfg(target_arch = "x86_64")]
            Capability::Avx512Vnni => x86::avx512(kind, weights, row_bytes, activations, y),
            #[cfg(target_arch = "x86_64")]
            Capability::Avx2 => x86::avx2(kind, weights, row_bytes, activations, y),
            _ => portable::rows(kind, weights, row_bytes, activations, y),
        }
    }
}
