//! The Hessian of a layer's error, collected from calibration inputs batch by batch.

use rayon::prelude::*;

use super::GptqError;
use super::outer::{FACTORS, LANES, outer};
use crate::affine::first_non_finite;

/// Rows of `XᵀX` that one task sums.
const TILE: usize = 96;
/// Rows whose products are summed in 32 bits before they join the 64-bit sum.
const RUN: usize = 256;

/// `H = (2/n) Σ x xᵀ` over `n` calibration inputs `x`, one per token.
///
/// Products are summed in 32 bits over 256 inputs and in 64 bits beyond; the result does not depend on the number of
/// threads, and on the cut into batches only in the last bits. Inputs below 10⁻²² have products that 32 bits hold as 0.
///
/// ```
/// use quantization::gptq::Hessian;
/// let mut hessian = Hessian::new(2);
/// hessian.add(&[1.0, 2.0, 3.0, 0.0])?; // two inputs
/// assert_eq!(hessian.matrix(), [10.0, 2.0, 2.0, 4.0]);
/// # Ok::<(), quantization::gptq::GptqError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Hessian {
    width: usize,
    samples: u64,
    /// `Σ x xᵀ`, `[width, width]`; only tiles on and above the diagonal are kept.
    sums: Vec<f64>,
}

impl Hessian {
    /// Hessian of a layer with `width` input columns, without inputs yet.
    pub fn new(width: usize) -> Self {
        Self { width, samples: 0, sums: vec![0.0; width * width] }
    }

    /// Input columns of the layer.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Inputs seen, `n`.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Adds a batch `[rows, width]`, row after row.
    ///
    /// # Errors
    /// A batch that is no whole number of rows, or holds a value that is not finite; nothing is added then.
    pub fn add(&mut self, inputs: &[f32]) -> Result<(), GptqError> {
        let width = self.width;
        if inputs.is_empty() {
            return Ok(());
        }
        if width == 0 || !inputs.len().is_multiple_of(width) {
            return Err(GptqError::Batch { inputs: inputs.len(), width });
        }
        if let Some((place, value)) = first_non_finite(inputs) {
            return Err(GptqError::NonFinite { row: place / width, column: place % width, value });
        }
        rayon::scope(|_| inputs.chunks(RUN * width).for_each(|run| self.add_run(run)));
        self.samples += (inputs.len() / width) as u64;
        Ok(())
    }

    fn add_run(&mut self, run: &[f32]) {
        let width = self.width;
        self.sums.par_chunks_mut(TILE * width).enumerate().for_each(|(band, sums)| {
            let first = band * TILE;
            let mut packed = vec![[0f32; LANES]; run.len() / width];
            for column in (first..width).step_by(LANES) {
                pack(run, width, column, &mut packed);
                products(run, width, first, &packed, sums, column);
            }
        });
    }

    /// The Hessian, `[width, width]`, symmetric; all 0 before the first input.
    pub fn matrix(&self) -> Vec<f64> {
        let factor = 2.0 / (self.samples.max(1) as f64);
        let width = self.width;
        let mut matrix = vec![0.0; width * width];
        matrix.par_chunks_mut(width.max(1)).enumerate().for_each(|(row, out)| {
            for (column, out) in out.iter_mut().enumerate() {
                *out = factor * self.sums[row.min(column) * width + row.max(column)];
            }
        });
        matrix
    }

    /// Diagonal of the Hessian.
    pub(super) fn diagonal(&self) -> Vec<f64> {
        let factor = 2.0 / (self.samples.max(1) as f64);
        self.sums.iter().step_by(self.width + 1).map(|sum| factor * sum).collect()
    }

    /// Lower triangle of the Hessian with columns in this order, read backwards, except for its diagonal.
    pub(super) fn backwards(&self, order: &[usize]) -> Vec<f64> {
        let factor = 2.0 / (self.samples.max(1) as f64);
        let width = self.width;
        let mut matrix = vec![0.0; width * width];
        // Rows lie side by side, columns do not: out of order, each row is read from a symmetric copy.
        let symmetric = if order.is_sorted() { None } else { Some(self.symmetric()) };
        let rows = symmetric.as_deref().unwrap_or(&self.sums);
        matrix.par_chunks_mut(width).zip(order.par_iter().rev()).enumerate().for_each(|(row, (out, i))| {
            let from = &rows[i * width..][..width];
            for (out, j) in out[..row].iter_mut().zip(order.iter().rev()) {
                *out = factor * from[*j];
            }
        });
        matrix
    }

    /// The sums with the lower triangle filled in, square by square.
    fn symmetric(&self) -> Vec<f64> {
        let width = self.width;
        let mut all = self.sums.clone();
        all.par_chunks_mut(TILE * width).enumerate().for_each(|(band, rows)| {
            let first = band * TILE;
            for start in (0..first + TILE).step_by(TILE) {
                for (row, out) in rows.chunks_mut(width).enumerate() {
                    let end = (start + TILE).min(first + row).max(start);
                    for (out, column) in out[start..end].iter_mut().zip(start..) {
                        *out = self.sums[column * width + first + row];
                    }
                }
            }
        });
        all
    }

    /// Error of a layer's output per input, `(1/n) ‖W X − Ŵ X‖² = ½ Σ δ H δᵀ` with the rows `δ` of `W − Ŵ`.
    ///
    /// ```
    /// use quantization::gptq::Hessian;
    /// let mut hessian = Hessian::new(2);
    /// hessian.add(&[1.0, 2.0])?;
    /// // (0.5·1 + 1·2)² = 6.25
    /// assert_eq!(hessian.layer_error(&[1.0, 1.0], &[0.5, 0.0])?, 6.25);
    /// # Ok::<(), quantization::gptq::GptqError>(())
    /// ```
    ///
    /// # Errors
    /// Weights that do not fill rows of the Hessian's width, or tensors of different size.
    pub fn layer_error(&self, original: &[f32], restored: &[f32]) -> Result<f64, GptqError> {
        let width = self.width;
        if width == 0 || !original.len().is_multiple_of(width) || original.len() != restored.len() {
            return Err(GptqError::Shape { weights: restored.len(), width });
        }
        let matrix = self.matrix();
        let rows: Vec<f64> = original
            .par_chunks(width)
            .zip(restored.par_chunks(width))
            .map(|(original, restored)| {
                let delta: Vec<f64> =
                    original.iter().zip(restored).map(|(x, y)| f64::from(*x) - f64::from(*y)).collect();
                let dot = |row: &[f64]| row.iter().zip(&delta).map(|(h, d)| h * d).sum::<f64>();
                delta.iter().zip(matrix.chunks(width)).map(|(d, row)| d * dot(row)).sum::<f64>() / 2.0
            })
            .collect();
        Ok(rows.iter().sum())
    }
}

/// Columns `first..first + LANES` of all inputs, padded with 0.
fn pack(inputs: &[f32], width: usize, first: usize, packed: &mut [[f32; LANES]]) {
    let count = LANES.min(width - first);
    for (input, lane) in inputs.chunks(width).zip(packed) {
        lane[..count].copy_from_slice(&input[first..first + count]);
        lane[count..].fill(0.0);
    }
}

/// Adds `Σ x[first + i] · x[column + l]` to row `i` of the band, lane `l`, where that is not below the diagonal.
fn products(
    inputs: &[f32],
    width: usize,
    first: usize,
    packed: &[[f32; LANES]],
    band: &mut [f64],
    column: usize,
) {
    let rows = (band.len() / width).min(column + LANES - first);
    let lanes = LANES.min(width - column);
    let mut add = |row: usize, sums: &[f32; LANES]| {
        let out = &mut band[row * width + column..][..lanes];
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out += f64::from(*sum));
    };
    let whole = rows / FACTORS * FACTORS;
    for row in (0..whole).step_by(FACTORS) {
        let sums = outer(&inputs[first + row..], width, packed);
        sums.iter().enumerate().for_each(|(i, sums)| add(row + i, sums));
    }
    for row in whole..rows {
        let mut sums = [0f32; LANES];
        for (input, lanes) in inputs.chunks_exact(width).zip(packed) {
            let factor = input[first + row];
            sums.iter_mut().zip(lanes).for_each(|(sum, x)| *sum += factor * x);
        }
        add(row, &sums);
    }
}
