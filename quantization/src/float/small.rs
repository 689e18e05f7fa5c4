//! Eight and four bits: FP8 E4M3, UE4M3 (unsigned, of NVFP4), E8M0 (of MXFP4), FP4 E2M1.

/// Largest finite E4M3, 448.
pub const E4M3_MAX: f32 = 448.0;

/// Magnitudes of E2M1 in the order of their codes.
pub const E2M1: [f32; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];

/// The E4M3 nearest to `x`, ties to even, as its byte.
///
/// Larger magnitudes, infinity too, become ±448 (the format has no infinity); a NaN becomes `0x7F` with its sign.
///
/// ```
/// use quantization::float::f32_to_e4m3;
/// assert_eq!([1.0, -448.0, 1e9, 0.001953125].map(f32_to_e4m3), [0x38, 0xFE, 0x7E, 0x01]);
/// ```
#[inline]
pub fn f32_to_e4m3(x: f32) -> u8 {
    let sign = (x.to_bits() >> 24) as u8 & 0x80;
    let magnitude = x.abs();
    if magnitude.is_nan() {
        return sign | 0x7F;
    }
    let magnitude = magnitude.min(E4M3_MAX);
    if magnitude < 2f32.powi(-6) {
        // 1.5 · 2²³ has a last digit of 1: the adder rounds the multiples of 2⁻⁹ to even.
        let units = (magnitude * 512.0 + 12_582_912.0).to_bits() & 15;
        return sign | units as u8;
    }
    let bits = magnitude.to_bits();
    let rounded = (bits + 0x7_FFFF + (bits >> 20 & 1)) >> 20;
    sign | (rounded - (120 << 3)) as u8
}

/// The value of an E4M3 byte; `0x7F` and `0xFF` are NaN.
///
/// ```
/// use quantization::float::e4m3_to_f32;
/// assert_eq!([0x38, 0xFE, 0x01].map(e4m3_to_f32), [1.0, -448.0, 0.001953125]);
/// ```
#[inline]
pub fn e4m3_to_f32(byte: u8) -> f32 {
    let (exponent, mantissa) = (u32::from(byte >> 3 & 15), u32::from(byte & 7));
    let magnitude = match (exponent, mantissa) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa as f32 / 512.0,
        _ => f32::from_bits((exponent + 120) << 23 | mantissa << 20),
    };
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}

/// The UE4M3 byte of a scale, as ggml rounds it: the first dropped bit is added (ties away from zero).
///
/// Zero, negative numbers and NaN become 0; scales above 448 become 448 (`0x7E`); scales below 2⁻¹⁰ become 0.
///
/// ```
/// use quantization::float::f32_to_ue4m3;
/// assert_eq!([1.0, 1.0625, 0.0009, 1e6, -1.0].map(f32_to_ue4m3), [0x38, 0x39, 0, 0x7E, 0]);
/// ```
#[inline]
pub fn f32_to_ue4m3(scale: f32) -> u8 {
    if scale.is_nan() || scale <= 0.0 {
        return 0;
    }
    let bits = scale.min(E4M3_MAX).to_bits();
    let exponent = (bits >> 23) as i32 - 120;
    if exponent <= 0 {
        return ((scale * 512.0 + 0.5) as u8).min(7);
    }
    let rounded = (bits >> 20) - (120 << 3) + (bits >> 19 & 1);
    // All of the top exponent is rounded down to 448 or, as ggml does, up to it.
    if rounded >= 15 << 3 { 0x7E } else { rounded as u8 }
}

/// The value of a UE4M3 byte: (1 + m/8)·2^(e−7), m·2⁻⁹ where e = 0; `0x7F` is 0, as in ggml. Bit 7 is ignored.
///
/// ```
/// use quantization::float::ue4m3_to_f32;
/// assert_eq!([0x38, 0x7E, 0x7F, 0x01].map(ue4m3_to_f32), [1.0, 448.0, 0.0, 0.001953125]);
/// ```
#[inline]
pub fn ue4m3_to_f32(byte: u8) -> f32 {
    let value = e4m3_to_f32(byte & 0x7F);
    if byte == 0x7F {
        0.0
    } else if value.is_nan() {
        480.0
    } else {
        value
    }
}

/// The value 2^(x − 127) of an exponent byte; 0 means 2⁻¹²⁷ and 255, as in ggml, 2¹²⁸ = infinity.
///
/// ```
/// use quantization::float::e8m0_to_f32;
/// assert_eq!([127, 128, 1].map(e8m0_to_f32), [1.0, 2.0, f32::MIN_POSITIVE]);
/// ```
#[inline]
pub fn e8m0_to_f32(x: u8) -> f32 {
    f32::from_bits(if x == 0 { 0x0040_0000 } else { u32::from(x) << 23 })
}

/// Half of [`e8m0_to_f32`], 2^(x − 128), finite for every byte: the step of MXFP4, whose table is doubled.
#[inline]
pub fn e8m0_to_f32_half(x: u8) -> f32 {
    f32::from_bits(if x < 2 { 0x0020_0000 << x } else { (u32::from(x) - 1) << 23 })
}

/// The E2M1 code (0–15, bit 3 is the sign) nearest to `x`, ties to even; beyond 6 and for infinity ±6.
///
/// The format has no NaN; NaN becomes +6. (MXFP4 and NVFP4 of ggml break ties towards zero instead.)
///
/// ```
/// use quantization::float::f32_to_e2m1;
/// assert_eq!([0.0, 0.25, 0.75, 5.0, -7.0].map(f32_to_e2m1), [0, 0, 2, 6, 15]);
/// ```
#[inline]
pub fn f32_to_e2m1(x: f32) -> u8 {
    if x.is_nan() {
        return 7;
    }
    let a = x.abs();
    let below = [a > 0.25, a >= 0.75, a > 1.25, a >= 1.75, a > 2.5, a >= 3.5, a > 5.0];
    let code: u8 = below.map(u8::from).iter().sum();
    code | (x.to_bits() >> 28) as u8 & 8
}

/// The value of the low four bits of `code` as E2M1.
///
/// ```
/// assert_eq!([1, 7, 10].map(quantization::float::e2m1_to_f32), [0.5, 6.0, -1.0]);
/// ```
#[inline]
pub fn e2m1_to_f32(code: u8) -> f32 {
    let magnitude = E2M1[usize::from(code & 7)];
    if code & 8 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_e4m3_comes_back_and_ties_go_to_even() {
        for byte in 0..=u8::MAX {
            let value = e4m3_to_f32(byte);
            assert_eq!(f32_to_e4m3(value), byte, "{byte:#x}");
        }
        for byte in 0..0x7E_u8 {
            let middle = (e4m3_to_f32(byte) + e4m3_to_f32(byte + 1)) / 2.0;
            assert_eq!(f32_to_e4m3(middle), byte + byte % 2, "{byte:#x}");
            assert_eq!(f32_to_e4m3(middle.next_down()), byte);
            assert_eq!(f32_to_e4m3(middle.next_up()), byte + 1);
        }
        assert_eq!([f32::INFINITY, f32::MIN, 1e-30].map(f32_to_e4m3), [0x7E, 0xFE, 0]);
    }

    #[test]
    fn finite_ue4m3_scales_come_back_up_to_the_top_exponent() {
        for byte in 0..0x78_u8 {
            assert_eq!(f32_to_ue4m3(ue4m3_to_f32(byte)), byte, "{byte:#x}");
        }
        // ggml sends the whole top exponent to 448.
        assert!((0x78..0x7F).all(|byte| f32_to_ue4m3(ue4m3_to_f32(byte)) == 0x7E));
        assert_eq!(ue4m3_to_f32(0xFF), 480.0);
        assert_eq!(f32_to_ue4m3(f32::NAN), 0);
        assert_eq!(f32_to_ue4m3(0.015), 7);
    }

    #[test]
    fn exponent_bytes_are_powers_of_two() {
        for x in 0..=254 {
            assert_eq!(f64::from(e8m0_to_f32(x)), 2f64.powi(i32::from(x) - 127));
        }
        for x in 0..=255 {
            assert_eq!(f64::from(e8m0_to_f32_half(x)), 2f64.powi(i32::from(x) - 128));
        }
    }

    #[test]
    fn every_e2m1_comes_back_and_ties_go_to_even() {
        for code in 0..16 {
            assert_eq!(f32_to_e2m1(e2m1_to_f32(code)), code);
        }
        for code in 0..7_u8 {
            let middle = (e2m1_to_f32(code) + e2m1_to_f32(code + 1)) / 2.0;
            assert_eq!(f32_to_e2m1(middle), code + code % 2);
            assert_eq!(f32_to_e2m1(middle.next_up()), code + 1);
            assert_eq!(f32_to_e2m1(-middle.next_down()), code | 8);
        }
        assert_eq!([f32::INFINITY, f32::NEG_INFINITY, f32::NAN].map(f32_to_e2m1), [7, 15, 7]);
    }
}
