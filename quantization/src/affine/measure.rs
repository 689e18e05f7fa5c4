//! How far the restored weights are from the original ones.

use serde::{Deserialize, Serialize};

use super::{AffineError, multiversion};

const LANES: usize = 16;

/// Distance between a tensor and its restored form.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorMeasures {
    /// `(1/n) Σ (x − x̂)²`; 0 for no values.
    pub mse: f64,
    /// `‖x − x̂‖ / ‖x‖`; none when all `x` are 0.
    pub relative_rmse: Option<f64>,
    /// `10·log10(Σ x² / Σ (x − x̂)²)` in dB; none when either sum is 0.
    pub sqnr_db: Option<f64>,
    /// `max |x − x̂|`.
    pub max_error: f64,
    /// `x · x̂ / (‖x‖ ‖x̂‖)`; none when either is all 0.
    pub cosine: Option<f64>,
}

/// Error measures of `restored` against `original`, summed in 64 bits.
///
/// ```
/// use quantization::affine::measure;
/// let errors = measure(&[3.0, 4.0], &[3.0, 3.0]);
/// assert_eq!((errors.mse, errors.relative_rmse, errors.max_error), (0.5, Some(0.2), 1.0));
/// assert_eq!(measure(&[1.0], &[1.0]).sqnr_db, None);
/// ```
///
/// # Panics
/// When the lengths differ.
pub fn measure(original: &[f32], restored: &[f32]) -> ErrorMeasures {
    assert_eq!(original.len(), restored.len(), "as many restored values as original ones");
    let sums = sums(original, restored);
    let Sums { squares, restored_squares, products, errors, max_error } = sums;
    let positive = |x: f64| (x > 0.0).then_some(x);
    ErrorMeasures {
        mse: errors / original.len().max(1) as f64,
        relative_rmse: positive(squares).map(|squares| (errors / squares).sqrt()),
        sqnr_db: positive(squares).zip(positive(errors)).map(|(x, e)| 10.0 * (x / e).log10()),
        max_error,
        cosine: positive(squares).zip(positive(restored_squares)).map(|(x, y)| products / (x * y).sqrt()),
    }
}

struct Sums {
    squares: f64,
    restored_squares: f64,
    products: f64,
    errors: f64,
    max_error: f64,
}

multiversion! {
    fn sums(original: &[f32], restored: &[f32]) -> Sums {
        let mut lanes = [[0f64; LANES]; 5];
        for (x, y) in original.chunks(LANES).zip(restored.chunks(LANES)) {
            for (lane, (x, y)) in x.iter().zip(y).enumerate() {
                let (x, y) = (f64::from(*x), f64::from(*y));
                let error = x - y;
                lanes[0][lane] += x * x;
                lanes[1][lane] += y * y;
                lanes[2][lane] += x * y;
                lanes[3][lane] += error * error;
                lanes[4][lane] = lanes[4][lane].max(error.abs());
            }
        }
        let sum = |lane: &[f64; LANES]| lane.iter().sum::<f64>();
        Sums {
            squares: sum(&lanes[0]),
            restored_squares: sum(&lanes[1]),
            products: sum(&lanes[2]),
            errors: sum(&lanes[3]),
            max_error: lanes[4].iter().copied().fold(0.0, f64::max),
        }
    }
}

/// Least and greatest value; 0 and 0 of nothing.
pub(crate) fn extremes(values: &[f32]) -> Result<(f32, f32), AffineError> {
    let Some(first) = values.first() else { return Ok((0.0, 0.0)) };
    let (low, high, finite) = bounds(values, *first);
    if finite {
        return Ok((low, high));
    }
    let (index, value) = first_non_finite(values).unwrap_or((0, f32::NAN));
    Err(AffineError::NonFinite { index, value })
}

multiversion! {
    fn bounds(values: &[f32], first: f32) -> (f32, f32, bool) {
        let (mut low, mut high, mut waste) = ([first; LANES], [first; LANES], [0f32; LANES]);
        let mut chunks = values.chunks_exact(LANES);
        for chunk in &mut chunks {
            for lane in 0..LANES {
                let x = chunk[lane];
                low[lane] = if x < low[lane] { x } else { low[lane] };
                high[lane] = if x > high[lane] { x } else { high[lane] };
                waste[lane] += x * 0.0; // not a number as soon as one x is not finite
            }
        }
        for x in chunks.remainder() {
            low[0] = if *x < low[0] { *x } else { low[0] };
            high[0] = if *x > high[0] { *x } else { high[0] };
            waste[0] += x * 0.0;
        }
        let low = low.iter().copied().fold(first, f32::min);
        let high = high.iter().copied().fold(first, f32::max);
        (low, high, waste.iter().all(|x| *x == 0.0))
    }
}

/// The first value that is infinite or not a number, with its place.
pub(crate) fn first_non_finite(values: &[f32]) -> Option<(usize, f32)> {
    let start = values.chunks(4096).position(|chunk| !bounds(chunk, 0.0).2)? * 4096;
    let place = values[start..].iter().position(|x| !x.is_finite())?;
    Some((start + place, values[start + place]))
}
