//! The integer grid: width, scheme, rounding, and the scale and zero-point that a range of weights gets on it.

use serde::{Deserialize, Serialize};

use super::AffineError;

/// How a range of weights is laid over the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Absmax over the restricted range: `s = max|x| / Q`, signed codes `−Q ..= Q` with `Q = 2^(b−1) − 1`.
    Symmetric,
    /// Absmax over all `2^b` codes, as the GPTQ family does: `s = 2·max|x| / (2^b − 1)`, signed codes
    /// `−2^(b−1) ..= 2^(b−1) − 1`; the largest positive value `(2^b − 1)/2 · s` is clipped by half a step.
    FullSymmetric,
    /// Zero-point: `s = (max − min) / (2^b − 1)`, `z = round(−min / s)`; the range is widened to contain 0.
    Asymmetric,
}

/// What happens to a value half-way between two codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// To the even neighbour: numpy, PyTorch, ggml's `nearest_int`.
    TiesEven,
    /// Away from zero: C's `roundf`.
    TiesAway,
}

/// A grid: how many bits, which scheme, which rounding, how exact the stored scale is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Bits of a code, `b`; 1 to 16, 2 to 16 for [`Scheme::Symmetric`]; codes are stored up to 8.
    pub bits: u32,
    /// How a range lies over the codes.
    pub scheme: Scheme,
    /// What happens half-way.
    pub rounding: Rounding,
    /// Whether scales are rounded to 16-bit floats before any code is computed, so that the stored and the used grid
    /// are the same.
    pub half_scales: bool,
}

/// Scale and zero-point of one block of weights: `x̂ = s · (q − z)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// Step `s` between neighbouring codes; finite and positive.
    pub scale: f32,
    /// Code `z` that decodes to 0.
    pub zero_point: u16,
}

/// Parameters with the clamp bounds, all as floats: what the loops need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) scale: f32,
    pub(crate) zero: f32,
    pub(crate) lowest: f32,
    pub(crate) highest: f32,
}

/// A code up to 255 as a byte. Adding 2²³ leaves it in the low bits, which vectorises where a checked cast does not.
#[inline(always)]
pub(crate) fn byte(code: f32) -> u8 {
    (code + 8_388_608.0).to_bits() as u8
}

impl Line {
    /// Code of `x`, a whole number as a float.
    #[inline(always)]
    pub(crate) fn code<const EVEN: bool>(&self, x: f32) -> f32 {
        let steps = x / self.scale;
        let rounded = if EVEN { steps.round_ties_even() } else { steps.round() };
        (rounded + self.zero).max(self.lowest).min(self.highest)
    }

    /// Value of a code.
    #[inline(always)]
    pub(crate) fn value(&self, code: f32) -> f32 {
        self.scale * (code - self.zero)
    }
}

impl Grid {
    /// Absmax grid with codes `−Q ..= Q`, ties to even, scales in 32 bits.
    pub const fn absmax(bits: u32) -> Self {
        Self { bits, scheme: Scheme::Symmetric, rounding: Rounding::TiesEven, half_scales: false }
    }

    /// Symmetric grid of the GPTQ family over all `2^b` codes, ties to even, scales in 32 bits.
    pub const fn full_symmetric(bits: u32) -> Self {
        Self { scheme: Scheme::FullSymmetric, ..Self::absmax(bits) }
    }

    /// Zero-point grid, ties to even, scales in 32 bits: the grid of the GPTQ paper's main tables.
    pub const fn asymmetric(bits: u32) -> Self {
        Self { scheme: Scheme::Asymmetric, ..Self::absmax(bits) }
    }

    /// The same grid with scales rounded to 16-bit floats.
    pub const fn with_half_scales(self) -> Self {
        Self { half_scales: true, ..self }
    }

    /// The same grid with another rounding.
    pub const fn with_rounding(self, rounding: Rounding) -> Self {
        Self { rounding, ..self }
    }

    /// Least code: 1 on the restricted grid, 0 on the others.
    pub fn lowest_code(&self) -> u16 {
        u16::from(self.scheme == Scheme::Symmetric)
    }

    /// Greatest code, `2^b − 1`.
    pub fn highest_code(&self) -> u16 {
        ((1u32 << self.bits) - 1) as u16
    }

    /// Nothing, or the error that says which widths the grid can have when at most `highest` bits can be stored.
    ///
    /// # Errors
    /// [`AffineError::Bits`].
    pub fn check(&self, highest: u32) -> Result<(), AffineError> {
        let lowest = if self.scheme == Scheme::Symmetric { 2 } else { 1 };
        if (lowest..=highest).contains(&self.bits) {
            Ok(())
        } else {
            Err(AffineError::Bits { bits: self.bits, lowest, highest })
        }
    }

    /// Scale and zero-point for weights between `low` and `high`.
    ///
    /// The range is widened to contain 0; `[0, 0]` is replaced by `[−1, 1]`, as GPTQ's quantizer does with an all-zero
    /// row. A scale below the smallest normal float (with [`half_scales`](Self::half_scales): below the smallest
    /// 16-bit float, `2^−24`) is raised to it, so that no scale is 0.
    ///
    /// ```
    /// use quantization::affine::Grid;
    /// let parameters = Grid::asymmetric(4).parameters(-1.0, 2.0)?;
    /// assert_eq!((parameters.scale, parameters.zero_point), (0.2, 5));
    /// let parameters = Grid::absmax(8).parameters(-1.0, 12.7)?;
    /// assert_eq!((parameters.scale, parameters.zero_point), (0.1, 128));
    /// # Ok::<(), quantization::affine::AffineError>(())
    /// ```
    ///
    /// # Errors
    /// [`AffineError::HalfOverflow`] when the scale must fit into 16 bits and does not.
    pub fn parameters(&self, low: f32, high: f32) -> Result<Parameters, AffineError> {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let (low, high) = if low == high { (-1.0, 1.0) } else { (low, high) };
        let highest = f32::from(self.highest_code());
        let alpha = high.max(-low);
        let middle = 1u16 << (self.bits - 1);
        let scale = match self.scheme {
            Scheme::Symmetric => alpha / f32::from(middle - 1),
            Scheme::FullSymmetric => span(-alpha, alpha, highest),
            Scheme::Asymmetric => span(low, high, highest),
        };
        let scale = if self.half_scales { half(scale)? } else { scale.max(f32::MIN_POSITIVE) };
        let zero_point = match self.scheme {
            Scheme::Asymmetric => (self.round(-low / scale)).clamp(0.0, highest) as u16,
            Scheme::Symmetric | Scheme::FullSymmetric => middle,
        };
        Ok(Parameters { scale, zero_point })
    }

    /// Code of one value.
    pub fn code(&self, parameters: Parameters, x: f32) -> u16 {
        let line = self.line(parameters);
        let code = match self.rounding {
            Rounding::TiesEven => line.code::<true>(x),
            Rounding::TiesAway => line.code::<false>(x),
        };
        code as u16
    }

    pub(crate) fn line(&self, parameters: Parameters) -> Line {
        Line {
            scale: parameters.scale,
            zero: f32::from(parameters.zero_point),
            lowest: f32::from(self.lowest_code()),
            highest: f32::from(self.highest_code()),
        }
    }

    fn round(&self, x: f32) -> f32 {
        match self.rounding {
            Rounding::TiesEven => x.round_ties_even(),
            Rounding::TiesAway => x.round(),
        }
    }
}

impl Parameters {
    /// Value of a code, `s · (q − z)`.
    pub fn value(&self, code: u16) -> f32 {
        self.scale * (f32::from(code) - f32::from(self.zero_point))
    }
}

/// `(high − low) / steps`, also where the difference overflows.
fn span(low: f32, high: f32, steps: f32) -> f32 {
    let scale = (high - low) / steps;
    if scale.is_finite() { scale } else { high / steps - low / steps }
}

/// A positive scale rounded to the nearest 16-bit float, ties to even, at least the smallest one.
fn half(scale: f32) -> Result<f32, AffineError> {
    let exponent = ((scale.to_bits() >> 23) as i32 - 127).max(-14);
    let unit = 2f64.powi(exponent - 10); // 10 bits of mantissa
    let rounded = ((f64::from(scale) / unit).round_ties_even() * unit).max(2f64.powi(-24));
    if rounded > 65504.0 { Err(AffineError::HalfOverflow { scale }) } else { Ok(rounded as f32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_rounds_to_sixteen_bit_floats() {
        assert_eq!(half(1.0).unwrap(), 1.0);
        assert_eq!(half(0.1).unwrap(), 0.099_975_586);
        assert_eq!(half(1.0 + 2f32.powi(-11)).unwrap(), 1.0, "a tie goes to the even mantissa");
        assert_eq!(half(1.0 + 3.0 * 2f32.powi(-11)).unwrap(), 1.0 + 2f32.powi(-9));
        assert_eq!(half(3e-8).unwrap(), 2f32.powi(-24));
        assert_eq!(half(1e-30).unwrap(), 2f32.powi(-24), "never 0");
        assert_eq!(half(3.1e-5).unwrap(), (3.1e-5f64 * 2f64.powi(24)).round() as f32 * 2f32.powi(-24));
        assert_eq!(half(65504.0).unwrap(), 65504.0);
        assert!(half(65520.0).is_err());
    }
}
