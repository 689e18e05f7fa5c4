//! The best clip of a tensor: least squared error over shrunken ranges.

use serde::{Deserialize, Serialize};

use super::{AffineError, Grid, extremes, fit::squared_error};

/// A range of a tensor and the error that it gives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clip {
    /// Share of the full range that is kept, in (0, 1].
    pub ratio: f32,
    /// Lower end after shrinking; 0 when no value is negative.
    pub low: f32,
    /// Upper end after shrinking; 0 when no value is positive.
    pub high: f32,
    /// Mean squared error on this range.
    pub mse: f64,
}

/// Mean squared error for `steps` equal shrinkages of the full range, the full range first, the smallest last.
///
/// The least element is the best clip; [`best_clip`] returns it.
///
/// # Errors
/// As [`best_clip`].
pub fn clip_curve(values: &[f32], grid: &Grid, steps: u32) -> Result<Vec<Clip>, AffineError> {
    grid.check(16)?;
    let (low, high) = extremes(values)?;
    let (low, high) = (low.min(0.0), high.max(0.0));
    (0..steps)
        .map(|step| {
            let ratio = 1.0 - step as f32 / steps as f32;
            let (low, high) = (ratio * low, ratio * high);
            let mse = squared_error(values, grid, grid.parameters(low, high)?) / values.len().max(1) as f64;
            Ok(Clip { ratio, low, high, mse })
        })
        .collect()
}

/// The shrinkage `p·[min, max]`, `p = 1, 1 − 1/steps, …`, with the least mean squared error; the largest of equals.
///
/// ```
/// use quantization::affine::{Grid, best_clip};
/// let mut values: Vec<f32> = (0..1000).map(|i| (i as f32 / 500.0) - 1.0).collect();
/// values.push(10.0); // an outlier
/// assert_eq!(best_clip(&values, &Grid::absmax(16), 100)?.ratio, 1.0);
/// assert!(best_clip(&values, &Grid::absmax(2), 100)?.ratio < 0.2);
/// # Ok::<(), quantization::affine::AffineError>(())
/// ```
///
/// # Errors
/// A width outside 1..=16, a value that is not finite, a scale that does not fit.
pub fn best_clip(values: &[f32], grid: &Grid, steps: u32) -> Result<Clip, AffineError> {
    let curve = clip_curve(values, grid, steps.max(1))?;
    let mut best = curve[0];
    for clip in curve {
        if clip.mse < best.mse {
            best = clip;
        }
    }
    Ok(best)
}
