//! IEEE half precision (FP16).

#![expect(unsafe_code, reason = "the conversion instructions of x86 need their run-time check")]

/// Largest finite half, 65504.
pub const F16_MAX: f32 = 65504.0;

/// The half nearest to `x`, ties to even, as its 16 bits.
///
/// Values below 2⁻¹⁴ become subnormal, values from 65520 on infinite; every NaN becomes `0x7E00` with its sign.
///
/// ```
/// use quantization::float::f32_to_f16;
/// assert_eq!([1.0, -2.0, 65504.0, 65520.0].map(f32_to_f16), [0x3C00, 0xC000, 0x7BFF, 0x7C00]);
/// ```
#[inline]
pub fn f32_to_f16(x: f32) -> u16 {
    let bits = x.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7FFF_FFFF;
    // The first product sends everything too large to infinity; the second undoes it for the rest.
    let mut base = f32::from_bits(magnitude) * f32::from_bits(0x7780_0000) * f32::from_bits(0x0880_0000);
    // Adding a power of two 2¹⁵ times the exponent's lets the adder round at the tenth bit of the mantissa.
    let exponent = (magnitude & 0x7F80_0000).max(0x3880_0000);
    base += f32::from_bits(exponent + 0x0780_0000);
    let rounded = base.to_bits();
    let finite = ((rounded >> 13) & 0x7C00) + (rounded & 0x0FFF);
    sign | if magnitude > 0x7F80_0000 { 0x7E00 } else { finite as u16 }
}

/// The value of a half; every half is exact. A signalling NaN comes back quiet, with its payload.
///
/// ```
/// use quantization::float::f16_to_f32;
/// assert_eq!([0x3C00, 0x0001, 0xFC00].map(f16_to_f32), [1.0, 2f32.powi(-24), f32::NEG_INFINITY]);
/// ```
#[inline]
pub fn f16_to_f32(half: u16) -> f32 {
    /// 127 − 15: what the exponent's bias grows by.
    const REBIAS: u32 = 112 << 23;
    let sign = u32::from(half & 0x8000) << 16;
    let shifted = u32::from(half & 0x7FFF) << 13;
    let normal = shifted + REBIAS;
    let subnormal = (f32::from_bits(normal + (1 << 23)) - f32::from_bits(REBIAS + (1 << 23))).to_bits();
    let quiet = if shifted > 0x0F80_0000 { 1 << 22 } else { 0 };
    let special = (normal + REBIAS) | quiet;
    let finite = if shifted < 1 << 23 { subnormal } else { normal };
    f32::from_bits(sign | if shifted >= 0x0F80_0000 { special } else { finite })
}

/// Fills `out` with the halves nearest to `values`, as [`f32_to_f16`] does.
///
/// # Panics
/// When the lengths differ.
pub fn f32_to_f16_slice(values: &[f32], out: &mut [u16]) {
    assert_eq!(values.len(), out.len(), "one half for each value");
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("f16c") && is_x86_feature_detected!("avx") {
        // SAFETY: the processor has the two features.
        unsafe { x86::narrow(values, out) };
        return;
    }
    for (out, value) in out.iter_mut().zip(values) {
        *out = f32_to_f16(*value);
    }
}

/// Fills `out` with the values of `halves`, as [`f16_to_f32`] does.
///
/// # Panics
/// When the lengths differ.
pub fn f16_to_f32_slice(halves: &[u16], out: &mut [f32]) {
    assert_eq!(halves.len(), out.len(), "one value for each half");
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("f16c") && is_x86_feature_detected!("avx") {
        // SAFETY: the processor has the two features.
        unsafe { x86::widen(halves, out) };
        return;
    }
    for (out, half) in out.iter_mut().zip(halves) {
        *out = f16_to_f32(*half);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{f16_to_f32, f32_to_f16};

    #[target_feature(enable = "avx,f16c")]
    pub(super) fn narrow(values: &[f32], out: &mut [u16]) {
        let (values, values_rest) = values.as_chunks::<8>();
        let (out, out_rest) = out.as_chunks_mut::<8>();
        for (eight, out) in values.iter().zip(out) {
            // SAFETY: eight floats are read and eight halves written, unaligned.
            unsafe {
                let x = _mm256_loadu_ps(eight.as_ptr());
                let nan = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_UNORD_Q>(x, x));
                _mm_storeu_si128(out.as_mut_ptr().cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x));
                if nan != 0 {
                    *out = eight.map(f32_to_f16); // the instruction keeps payloads
                }
            }
        }
        for (out, value) in out_rest.iter_mut().zip(values_rest) {
            *out = f32_to_f16(*value);
        }
    }

    #[target_feature(enable = "avx,f16c")]
    pub(super) fn widen(halves: &[u16], out: &mut [f32]) {
        let (halves, halves_rest) = halves.as_chunks::<8>();
        let (out, out_rest) = out.as_chunks_mut::<8>();
        for (eight, out) in halves.iter().zip(out) {
            // SAFETY: eight halves are read and eight floats written, unaligned.
            unsafe {
                let half = _mm_loadu_si128(eight.as_ptr().cast());
                _mm256_storeu_ps(out.as_mut_ptr(), _mm256_cvtph_ps(half));
            }
        }
        for (out, half) in out_rest.iter_mut().zip(halves_rest) {
            *out = f16_to_f32(*half);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: (−1)^s · 2^(e−15) · (1 + m/1024), or 2^−14 · m/1024.
    fn by_definition(half: u16) -> f64 {
        let (exponent, mantissa) = (i32::from(half >> 10 & 31), f64::from(half & 1023) / 1024.0);
        let magnitude = match exponent {
            31 if mantissa == 0.0 => f64::INFINITY,
            31 => f64::NAN,
            0 => mantissa * 2f64.powi(-14),
            _ => (1.0 + mantissa) * 2f64.powi(exponent - 15),
        };
        if half >> 15 == 1 { -magnitude } else { magnitude }
    }

    #[test]
    fn every_half_has_its_defined_value_and_comes_back() {
        for half in 0..=u16::MAX {
            let value = f16_to_f32(half);
            if value.is_nan() {
                assert!(by_definition(half).is_nan());
                assert_eq!(value.to_bits() >> 16 & 0x8000, u32::from(half & 0x8000));
                assert_eq!(f32_to_f16(value), half & 0x8000 | 0x7E00);
            } else {
                assert_eq!(f64::from(value).to_bits(), by_definition(half).to_bits());
                assert_eq!(f32_to_f16(value), half);
            }
        }
    }

    #[test]
    fn between_two_halves_the_nearer_wins_and_ties_go_to_even() {
        for half in 0..0x7BFF_u16 {
            let (low, high) = (f16_to_f32(half), f16_to_f32(half + 1));
            let middle = (low + high) / 2.0; // exact: eleven bits and one more
            let even = half + half % 2;
            assert_eq!(f32_to_f16(middle), even, "{half:#x}");
            assert_eq!(f32_to_f16(middle.next_down()), half, "{half:#x}");
            assert_eq!(f32_to_f16(middle.next_up()), half + 1, "{half:#x}");
            assert_eq!(f32_to_f16(-middle), even | 0x8000, "{half:#x}");
        }
    }

    #[test]
    fn overflow_underflow_and_nan_follow_ggml() {
        assert_eq!(
            [65519.99, 65520.0, f32::MAX, f32::INFINITY].map(f32_to_f16),
            [0x7BFF, 0x7C00, 0x7C00, 0x7C00]
        );
        let tiny = 2f32.powi(-25);
        assert_eq!([tiny, tiny.next_up(), -1e-40, -0.0].map(f32_to_f16), [0, 1, 0x8000, 0x8000]);
        for bits in [0x7F80_0001_u32, 0x7FC0_0000, 0x7FFF_FFFF, 0xFF80_0001, 0xFFFF_FFFF] {
            assert_eq!(f32_to_f16(f32::from_bits(bits)), (bits >> 16) as u16 & 0x8000 | 0x7E00);
        }
    }

    #[test]
    fn slices_convert_as_single_values_do() {
        let halves: Vec<u16> = (0..=u16::MAX).chain(0..5).collect();
        let mut values = vec![0.0; halves.len()];
        f16_to_f32_slice(&halves, &mut values);
        for (half, value) in halves.iter().zip(&values) {
            assert_eq!(value.to_bits(), f16_to_f32(*half).to_bits(), "{half:#x}");
        }
        let values: Vec<f32> = (0..u32::MAX).step_by(4099).map(f32::from_bits).collect();
        let mut narrow = vec![0; values.len()];
        f32_to_f16_slice(&values, &mut narrow);
        for (value, half) in values.iter().zip(narrow) {
            assert_eq!(half, f32_to_f16(*value), "{:#x}", value.to_bits());
        }
    }
}
