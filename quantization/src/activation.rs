//! Quantized activations, dynamic or static, and the integer linear layer that multiplies them with quantized weights.
//!
//! ```text
//! Y = X Wᵀ        Yᵢⱼ = s_x,i · s_w,j · Σₖ (qx_ik − z_x,i)(qw_jk − z_w,j)
//!                     = s_x,i · s_w,j · (Σ qx qw − z_x Σ qw − z_w Σ qx + K z_x z_w)
//! ```
//!
//! Codes are signed bytes here: `2^(b−1)` is subtracted from codes and zero-points, so a symmetric grid has `z = 0`.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::affine::{
    AffineError, Fit, Granularity, Grid, Parameters, Quantized, multiversion, quantize, quantize_fixed,
};
use crate::calibration::Range;

/// Which activations share a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All of a batch.
    Tensor,
    /// Those of one token, i.e. of one row.
    Token,
}

/// Why an integer layer cannot be built or applied.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ActivationError {
    /// Values, shape or width are no input of a quantizer.
    #[error(transparent)]
    Affine(#[from] AffineError),
    /// The activations are not as wide as the layer.
    #[error("activations of width {found} meet a layer of {expected} columns; pass the inputs of this layer")]
    Width {
        /// Width of the activations.
        found: usize,
        /// Columns of the layer.
        expected: usize,
    },
    /// The sum of products could leave 32 bits.
    #[error(
        "a row of {columns} columns could overflow 32-bit sums, safe up to {safe}; split the layer's columns"
    )]
    Overflow {
        /// Columns of the layer.
        columns: usize,
        /// Most columns whose sum is safe.
        safe: usize,
    },
}

/// Signed codes with the scale and zero-point of each row.
#[derive(Clone, Debug, PartialEq)]
pub struct Signed {
    /// Codes, `[rows, width]`.
    pub codes: Vec<i8>,
    /// Step of each row.
    pub scales: Vec<f32>,
    /// Signed zero-point of each row.
    pub zero_points: Vec<i32>,
    /// Sum of each row's codes.
    pub sums: Vec<i64>,
    /// Values of a row.
    pub width: usize,
    /// Grid of the codes.
    pub grid: Grid,
}

/// Activations `[tokens, width]` on a grid fitted to themselves, from the least to the greatest value.
///
/// ```
/// use quantization::activation::{Scope, dynamic};
/// use quantization::affine::Grid;
/// let tokens = [1.0, -0.5, 10.0, 5.0]; // two tokens
/// let per_token = dynamic(&tokens, 2, &Grid::absmax(8), Scope::Token)?;
/// assert_eq!(per_token.codes, [127, -64, 127, 64]);
/// let per_tensor = dynamic(&tokens, 2, &Grid::absmax(8), Scope::Tensor)?;
/// assert_eq!(per_tensor.codes, [13, -6, 127, 64]);
/// # Ok::<(), quantization::activation::ActivationError>(())
/// ```
///
/// # Errors
/// A value that is not finite, a shape that does not fit, more than 8 bits.
pub fn dynamic(
    activations: &[f32],
    width: usize,
    grid: &Grid,
    scope: Scope,
) -> Result<Signed, ActivationError> {
    let granularity = match scope {
        Scope::Tensor => Granularity::Tensor,
        Scope::Token => Granularity::Channel,
    };
    Ok(Signed::new(quantize(activations, width, grid, granularity, &Fit::MinMax)?))
}

/// Activations `[tokens, width]` on a grid for a range found by calibration; values outside clip.
///
/// # Errors
/// As [`dynamic`].
pub fn fixed(
    activations: &[f32],
    width: usize,
    grid: &Grid,
    range: Range,
) -> Result<Signed, ActivationError> {
    grid.check(8)?;
    let parameters = grid.parameters(range.low, range.high)?;
    Ok(Signed::new(quantize_fixed(activations, width, grid, parameters)?))
}

impl Signed {
    /// Signed form of a matrix whose rows, or whole tensor, share a scale.
    fn new(quantized: Quantized) -> Self {
        let Quantized { codes, parameters, rows, columns, grid, .. } = quantized;
        let middle = 1i32 << (grid.bits - 1);
        let codes: Vec<i8> = codes.iter().map(|code| (i32::from(*code) - middle) as i8).collect();
        let row = |row: usize| -> Parameters { parameters[row.min(parameters.len() - 1)] };
        Self {
            scales: (0..rows).map(|i| row(i).scale).collect(),
            zero_points: (0..rows).map(|i| i32::from(row(i).zero_point) - middle).collect(),
            sums: codes
                .chunks(columns.max(1))
                .map(|row| row.iter().map(|code| i64::from(*code)).sum())
                .collect(),
            codes,
            width: columns,
            grid,
        }
    }

    /// Values `s · (q − z)`, `[rows, width]`.
    pub fn dequantize(&self) -> Vec<f32> {
        let rows = self.codes.chunks(self.width.max(1)).zip(&self.scales).zip(&self.zero_points);
        rows.flat_map(|((codes, scale), zero)| {
            codes.iter().map(move |code| scale * (i32::from(*code) - zero) as f32)
        })
        .collect()
    }
}

/// Most products of two grids' signed codes whose sum is safe in 32 bits.
///
/// ```
/// use quantization::activation::safe_columns;
/// use quantization::affine::Grid;
/// assert_eq!(safe_columns(&Grid::absmax(8), &Grid::absmax(8)), 133_144); // 2³¹ / 127²
/// assert_eq!(safe_columns(&Grid::asymmetric(8), &Grid::asymmetric(8)), 131_071); // 2³¹ / 128², less one
/// ```
///
/// # Panics
/// When a grid has more than 8 bits or none.
pub fn safe_columns(activations: &Grid, weights: &Grid) -> usize {
    let largest = |grid: &Grid| {
        assert!((1..=8).contains(&grid.bits), "codes of at most 8 bits");
        (1i64 << (grid.bits - 1)) - i64::from(grid.lowest_code())
    };
    (i64::from(i32::MAX) / (largest(activations) * largest(weights))) as usize
}

/// A linear layer without bias whose weights are signed codes with one scale and zero-point per output.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerLinear {
    weights: Signed,
}

impl IntegerLinear {
    /// Layer with the weights `[outputs, columns]` on a grid of at most 8 bits, a range per output.
    ///
    /// # Errors
    /// A weight that is not finite, a shape that does not fit, more than 8 bits.
    pub fn new(weights: &[f32], columns: usize, grid: &Grid, fit: &Fit) -> Result<Self, ActivationError> {
        let quantized = quantize(weights, columns, grid, Granularity::Channel, fit)?;
        Ok(Self { weights: Signed::new(quantized) })
    }

    /// The layer's codes, scales and zero-points.
    pub fn weights(&self) -> &Signed {
        &self.weights
    }

    /// Outputs `X̂ Ŵᵀ`, `[tokens, outputs]`: products summed in 32-bit integers, corrected for zero-points in 64 bits,
    /// scaled and rounded once.
    ///
    /// ```
    /// use quantization::activation::{IntegerLinear, Scope, dynamic};
    /// use quantization::affine::{Fit, Grid};
    /// let layer = IntegerLinear::new(&[1.27, -0.64, 0.0, 1.27], 2, &Grid::absmax(8), &Fit::MinMax)?;
    /// let inputs = dynamic(&[1.0, 0.0], 2, &Grid::absmax(8), Scope::Token)?;
    /// let outputs = layer.forward(&inputs)?;
    /// assert!((outputs[0] - 1.27).abs() < 1e-6 && outputs[1] == 0.0);
    /// # Ok::<(), quantization::activation::ActivationError>(())
    /// ```
    ///
    /// # Errors
    /// Activations of another width; more columns than [`safe_columns`].
    pub fn forward(&self, activations: &Signed) -> Result<Vec<f32>, ActivationError> {
        let Self { weights } = self;
        let (found, expected) = (activations.width, weights.width);
        if found != expected && !activations.codes.is_empty() {
            return Err(ActivationError::Width { found, expected });
        }
        let safe = safe_columns(&activations.grid, &weights.grid);
        if expected > safe {
            return Err(ActivationError::Overflow { columns: expected, safe });
        }
        let outputs = weights.scales.len();
        let mut result = vec![0.0; activations.scales.len() * outputs];
        if result.is_empty() {
            return Ok(result);
        }
        let tokens = activations.codes.par_chunks(expected).enumerate();
        result.par_chunks_mut(outputs).zip(tokens).for_each(|(out, (i, token))| {
            let (scale, zero) = (f64::from(activations.scales[i]), i64::from(activations.zero_points[i]));
            for ((j, out), row) in out.iter_mut().enumerate().zip(weights.codes.chunks(expected)) {
                let weight_zero = i64::from(weights.zero_points[j]);
                let sum =
                    i64::from(dot(token, row)) - zero * weights.sums[j] - weight_zero * activations.sums[i]
                        + expected as i64 * zero * weight_zero;
                *out = (scale * f64::from(weights.scales[j]) * sum as f64) as f32;
            }
        });
        Ok(result)
    }
}

multiversion! {
    /// `Σ a b`; the caller keeps the number of products below the safe one.
    fn dot(a: &[i8], b: &[i8]) -> i32 {
        let mut sum = 0i32;
        for (a, b) in a.iter().zip(b) {
            sum = sum.wrapping_add(i32::from(*a).wrapping_mul(i32::from(*b)));
        }
        sum
    }
}
