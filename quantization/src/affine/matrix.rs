//! A matrix on a grid: codes, scales and zero-points for a tensor, its rows, or groups of columns.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::grid::byte;
use super::{AffineError, Fit, Grid, Line, Parameters, Rounding, first_non_finite, multiversion};

/// Which weights share a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// All of them.
    Tensor,
    /// Those of one row, i.e. of one output channel.
    Channel,
    /// This many neighbours in a row; the last group of a row may be shorter.
    Group(usize),
}

impl Granularity {
    /// Weights of a block and blocks of a row (1 for a tensor, whose single block spans all rows).
    fn block(self, rows: usize, columns: usize) -> (usize, usize) {
        match self {
            Self::Tensor => (rows * columns, 1),
            Self::Channel => (columns, 1),
            Self::Group(size) => (size.min(columns), columns.div_ceil(size)),
        }
    }
}

/// A quantized matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// Codes `q`, `[rows, columns]`.
    pub codes: Vec<u8>,
    /// Scale and zero-point of each block: one, `[rows]`, or `[rows, groups]`.
    pub parameters: Vec<Parameters>,
    /// Rows of the matrix.
    pub rows: usize,
    /// Columns of the matrix.
    pub columns: usize,
    /// Which weights share parameters.
    pub granularity: Granularity,
    /// The grid of the codes.
    pub grid: Grid,
}

/// Codes, scales and zero-points of a matrix `[rows, columns]`: round to nearest.
///
/// ```
/// use quantization::affine::{Fit, Granularity, Grid, quantize};
/// let weights = [-1.0, 0.0, 0.4, 2.0];
/// let quantized = quantize(&weights, 4, &Grid::asymmetric(4), Granularity::Channel, &Fit::MinMax)?;
/// assert_eq!(quantized.codes, [0, 5, 7, 15]);
/// assert_eq!(quantized.dequantize(), [-1.0, 0.0, 0.4, 2.0]);
/// # Ok::<(), quantization::affine::AffineError>(())
/// ```
///
/// # Errors
/// More than 8 bits, a weight that is not finite, a shape that does not fit, a scale that does not fit.
pub fn quantize(
    weights: &[f32],
    columns: usize,
    grid: &Grid,
    granularity: Granularity,
    fit: &Fit,
) -> Result<Quantized, AffineError> {
    grid.check(8)?;
    let parameters = parameters(weights, columns, grid, granularity, fit)?;
    Ok(encode_all(weights, columns, grid, granularity, parameters))
}

/// Codes of a matrix `[rows, columns]` on a grid whose scale and zero-point are fixed beforehand; values outside clip.
///
/// # Errors
/// As [`quantize`].
pub fn quantize_fixed(
    weights: &[f32],
    columns: usize,
    grid: &Grid,
    parameters: Parameters,
) -> Result<Quantized, AffineError> {
    grid.check(8)?;
    check_matrix(weights, columns)?;
    Ok(encode_all(weights, columns, grid, Granularity::Tensor, vec![parameters]))
}

fn encode_all(
    weights: &[f32],
    columns: usize,
    grid: &Grid,
    granularity: Granularity,
    parameters: Vec<Parameters>,
) -> Quantized {
    let rows = weights.len().checked_div(columns).unwrap_or(0);
    let mut codes = vec![0; weights.len()];
    for_each_block(weights, &mut codes, &parameters, granularity, columns, |block, codes, parameters| {
        let line = grid.line(parameters);
        match grid.rounding {
            Rounding::TiesEven => encode::<true>(block, codes, line),
            Rounding::TiesAway => encode::<false>(block, codes, line),
        }
    });
    Quantized { codes, parameters, rows, columns, granularity, grid: *grid }
}

/// Nothing, or what keeps the weights from being a matrix of finite numbers.
fn check_matrix(weights: &[f32], columns: usize) -> Result<(), AffineError> {
    if !weights.is_empty() && (columns == 0 || !weights.len().is_multiple_of(columns)) {
        return Err(AffineError::Shape { weights: weights.len(), columns });
    }
    match first_non_finite(weights) {
        Some((index, value)) => Err(AffineError::NonFinite { index, value }),
        None => Ok(()),
    }
}

/// The matrix after quantization and back, without keeping codes; 1 to 16 bits.
///
/// ```
/// use quantization::affine::{Fit, Granularity, Grid, fake_quantize};
/// let restored = fake_quantize(&[0.1, -0.26, 0.7], 3, &Grid::absmax(4), Granularity::Tensor, &Fit::MinMax)?;
/// assert_eq!(restored, [0.1, -0.3, 0.7]);
/// # Ok::<(), quantization::affine::AffineError>(())
/// ```
///
/// # Errors
/// As [`quantize`], with up to 16 bits allowed.
pub fn fake_quantize(
    weights: &[f32],
    columns: usize,
    grid: &Grid,
    granularity: Granularity,
    fit: &Fit,
) -> Result<Vec<f32>, AffineError> {
    grid.check(16)?;
    let parameters = parameters(weights, columns, grid, granularity, fit)?;
    let mut restored = vec![0.0; weights.len()];
    for_each_block(weights, &mut restored, &parameters, granularity, columns, |block, out, parameters| {
        let line = grid.line(parameters);
        match grid.rounding {
            Rounding::TiesEven => restore::<true>(block, out, line),
            Rounding::TiesAway => restore::<false>(block, out, line),
        }
    });
    Ok(restored)
}

impl Quantized {
    /// Weights `x̂ = s · (q − z)`, `[rows, columns]`.
    pub fn dequantize(&self) -> Vec<f32> {
        let mut restored = vec![0.0; self.codes.len()];
        let blocks = (&self.codes, &self.parameters);
        for_each_block(blocks.0, &mut restored, blocks.1, self.granularity, self.columns, |codes, out, p| {
            decode(codes, out, self.grid.line(p));
        });
        restored
    }

    /// Share of the original weights that lie more than half a step outside the grid, so that the clamp moved them.
    ///
    /// # Panics
    /// When `weights` are not as many as the codes.
    pub fn clipped_fraction(&self, weights: &[f32]) -> f64 {
        assert_eq!(weights.len(), self.codes.len(), "one weight for each code");
        let (block, per_row) = self.granularity.block(self.rows, self.columns);
        let row = if self.granularity == Granularity::Tensor { block } else { self.columns };
        let mut clipped = 0usize;
        for (weights, parameters) in weights.chunks(row.max(1)).zip(self.parameters.chunks(per_row.max(1))) {
            for (weights, parameters) in weights.chunks(block.max(1)).zip(parameters) {
                let zero = f32::from(parameters.zero_point);
                let low = f32::from(self.grid.lowest_code()) - zero - 0.5;
                let high = f32::from(self.grid.highest_code()) - zero + 0.5;
                let outside = |x: &&f32| !(low..=high).contains(&(**x / parameters.scale));
                clipped += weights.iter().filter(outside).count();
            }
        }
        clipped as f64 / weights.len().max(1) as f64
    }
}

/// Parameters of all blocks, in the order of the matrix.
fn parameters(
    weights: &[f32],
    columns: usize,
    grid: &Grid,
    granularity: Granularity,
    fit: &Fit,
) -> Result<Vec<Parameters>, AffineError> {
    if granularity == Granularity::Group(0) {
        return Err(AffineError::EmptyGroup);
    }
    if weights.is_empty() {
        return Ok(Vec::new());
    }
    check_matrix(weights, columns)?;
    let (block, _) = granularity.block(weights.len() / columns, columns);
    let row = if granularity == Granularity::Tensor { weights.len() } else { columns };
    let rows = weights.par_chunks(row).with_min_len((1 << 14) / row.min(1 << 14) + 1);
    let parameters: Result<Vec<Vec<Parameters>>, _> =
        rows.map(|row| row.chunks(block).map(|block| fit.parameters(block, grid)).collect()).collect();
    Ok(parameters?.concat())
}

/// Calls `action` with each block of `from`, the same block of `to`, and its parameters.
fn for_each_block<From: Sync, To: Send>(
    from: &[From],
    to: &mut [To],
    parameters: &[Parameters],
    granularity: Granularity,
    columns: usize,
    action: impl Fn(&[From], &mut [To], Parameters) + Sync,
) {
    if from.is_empty() {
        return;
    }
    let (block, per_row) = granularity.block(from.len() / columns, columns);
    let rows = (1 << 14) / columns.min(1 << 14) + 1;
    from.par_chunks(columns).zip(to.par_chunks_mut(columns)).enumerate().with_min_len(rows).for_each(
        |(row, (from, to))| {
            let own = match granularity {
                Granularity::Tensor => parameters,
                _ => &parameters[row * per_row..(row + 1) * per_row],
            };
            for ((from, to), parameters) in from.chunks(block).zip(to.chunks_mut(block)).zip(own) {
                action(from, to, *parameters);
            }
        },
    );
}

multiversion! {
    fn encode<const EVEN: bool>(weights: &[f32], codes: &mut [u8], line: Line) {
        for (code, x) in codes.iter_mut().zip(weights) {
            *code = byte(line.code::<EVEN>(*x));
        }
    }
}

multiversion! {
    fn restore<const EVEN: bool>(weights: &[f32], restored: &mut [f32], line: Line) {
        for (out, x) in restored.iter_mut().zip(weights) {
            *out = line.value(line.code::<EVEN>(*x));
        }
    }
}

multiversion! {
    fn decode(codes: &[u8], restored: &mut [f32], line: Line) {
        for (out, code) in restored.iter_mut().zip(codes) {
            *out = line.value(f32::from(*code));
        }
    }
}
