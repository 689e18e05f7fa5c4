//! Choosing the range of a block of weights: all of it, or the shrunken one with the least error.

use serde::{Deserialize, Serialize};

use super::{AffineError, Grid, Line, Parameters, Rounding, extremes, multiversion};

/// Floats that the error sums keep apart, so that they vectorise in one fixed order.
const LANES: usize = 16;

/// Rule that turns a block of weights into a scale and a zero-point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// From the least to the greatest weight.
    MinMax,
    /// The shrunken range with the least error.
    Mse(Shrink),
}

/// Search over shrunken ranges `p·[min, max]`, `p = 1, 1 − 1/n, …`, for the least `Σ |x − x̂|^norm`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shrink {
    /// Exponent of the error: 2.4 in the GPTQ family, 2 for the mean squared error.
    pub norm: f32,
    /// Steps `n` between 1 and 0.
    pub resolution: u32,
    /// Ranges tried, starting with the full one.
    pub candidates: u32,
}

impl Shrink {
    /// 80 ranges 1.00, 0.99, …, 0.21 with norm 2.4 (`quant.py` of the GPTQ code).
    pub const fn gptq() -> Self {
        Self { norm: 2.4, resolution: 100, candidates: 80 }
    }

    /// The same ranges with the squared error.
    pub const fn squared() -> Self {
        Self { norm: 2.0, ..Self::gptq() }
    }
}

impl Fit {
    /// Scale and zero-point of one block of weights on `grid`.
    ///
    /// ```
    /// use quantization::affine::{Fit, Grid, Shrink};
    /// // one outlier: a smaller range serves the other weights better at 2 bits
    /// let mut weights = vec![1.0_f32; 100];
    /// weights[0] = 2.0;
    /// let full = Fit::MinMax.parameters(&weights, &Grid::absmax(2))?;
    /// let best = Fit::Mse(Shrink::squared()).parameters(&weights, &Grid::absmax(2))?;
    /// assert_eq!(full.scale, 2.0);
    /// assert!((best.scale - 1.01).abs() < 0.011);
    /// # Ok::<(), quantization::affine::AffineError>(())
    /// ```
    ///
    /// # Errors
    /// A weight that is not finite; a scale that does not fit into 16 bits where the grid asks for that.
    pub fn parameters(&self, weights: &[f32], grid: &Grid) -> Result<Parameters, AffineError> {
        let (low, high) = extremes(weights)?;
        match self {
            Self::MinMax => grid.parameters(low, high),
            Self::Mse(shrink) => shrink.parameters(weights, grid, low, high),
        }
    }
}

impl Shrink {
    fn parameters(
        &self,
        weights: &[f32],
        grid: &Grid,
        low: f32,
        high: f32,
    ) -> Result<Parameters, AffineError> {
        let (low, high) = if low == 0.0 && high == 0.0 { (-1.0, 1.0) } else { (low.min(0.0), high.max(0.0)) };
        let full = grid.parameters(low, high)?;
        let mut best = (f64::INFINITY, full);
        for step in 0..self.candidates.min(self.resolution) {
            let share = (1.0 - f64::from(step) / f64::from(self.resolution)) as f32;
            let parameters = grid.parameters(share * low, share * high)?;
            let line = grid.line(parameters);
            let error = match grid.rounding {
                Rounding::TiesEven => block_error::<true>(weights, line, full.scale, self.norm),
                Rounding::TiesAway => block_error::<false>(weights, line, full.scale, self.norm),
            };
            if error < best.0 {
                best = (error, parameters);
            }
        }
        Ok(best.1)
    }
}

/// `Σ (x − x̂)²` of values on a grid with given parameters.
pub(super) fn squared_error(values: &[f32], grid: &Grid, parameters: Parameters) -> f64 {
    let (line, unit) = (grid.line(parameters), f64::from(parameters.scale));
    let steps = match grid.rounding {
        Rounding::TiesEven => block_error::<true>(values, line, parameters.scale, 2.0),
        Rounding::TiesAway => block_error::<false>(values, line, parameters.scale, 2.0),
    };
    steps * unit * unit
}

multiversion! {
    /// `Σ (|x − x̂| / unit)^norm`.
    fn block_error<const EVEN: bool>(weights: &[f32], line: Line, unit: f32, norm: f32) -> f64 {
        let inverse = if (1.0 / unit).is_finite() { 1.0 / unit } else { f32::MAX };
        let mut total = 0.0;
        for piece in weights.chunks(64 * LANES) {
            let mut sums = [0f32; LANES];
            let mut lanes = piece.chunks_exact(LANES);
            for chunk in &mut lanes {
                let chunk: &[f32; LANES] = chunk.try_into().expect("chunks have 16 weights");
                for (sum, x) in sums.iter_mut().zip(chunk) {
                    let steps = (x - line.value(line.code::<EVEN>(*x))).abs() * inverse;
                    *sum += if norm == 2.0 { steps * steps } else { power(steps, norm) };
                }
            }
            for (sum, x) in sums.iter_mut().zip(lanes.remainder()) {
                let steps = (x - line.value(line.code::<EVEN>(*x))).abs() * inverse;
                *sum += if norm == 2.0 { steps * steps } else { power(steps, norm) };
            }
            total += sums.iter().map(|sum| f64::from(*sum)).sum::<f64>();
        }
        total
    }
}

/// `x^exponent` for `x ≥ 0` with a relative error below 3·10⁻⁶, without branches; values below 10⁻⁹ count as 10⁻⁹.
/// The integer operations wrap because a check for overflow would keep the loop from being vectorised.
#[inline(always)]
fn power(x: f32, exponent: f32) -> f32 {
    let x = x.max(1e-9);
    let bits = x.to_bits() as i32;
    let shifted = bits.wrapping_sub(0x3f35_04f3); // √½, so that the mantissa lies in [√½, √2)
    let whole = shifted >> 23;
    let mantissa = f32::from_bits(bits.wrapping_sub(whole << 23) as u32);
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let t2 = t * t;
    let series = 1.0 + t2 * (1.0 / 3.0 + t2 * (0.2 + t2 * (1.0 / 7.0 + t2 * (1.0 / 9.0))));
    let log2 = whole as f32 + 2.0 * std::f32::consts::LOG2_E * t * series;
    exp2((exponent * log2).clamp(-126.0, 126.0))
}

#[inline(always)]
fn exp2(y: f32) -> f32 {
    // adding 1.5·2²³ rounds to a whole number and leaves it in the low bits
    let shifted = y + 12_582_912.0;
    let whole = shifted - 12_582_912.0;
    let f = (y - whole) * std::f32::consts::LN_2;
    let series = 1.0 / 6.0 + f * (1.0 / 24.0 + f * (1.0 / 120.0 + f * (1.0 / 720.0)));
    let fraction = 1.0 + f * (1.0 + f * (0.5 + f * series));
    f32::from_bits(shifted.to_bits().wrapping_add(127).wrapping_shl(23)) * fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_agrees_with_the_standard_library() {
        for i in 1..20_000 {
            let x = i as f32 * 0.013;
            let exact = f64::from(x).powf(2.4);
            assert!((f64::from(power(x, 2.4)) / exact - 1.0).abs() < 3e-6, "{x}");
        }
        assert!(power(0.0, 2.4) < 1e-20);
    }
}
