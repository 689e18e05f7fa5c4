//! Small floats that scales are stored in.

/// The f32 with the value of an IEEE half.
#[inline(always)]
pub(super) fn f16(bits: u16) -> f32 {
    let (sign, magnitude) = (u32::from(bits & 0x8000) << 16, u32::from(bits & 0x7fff));
    if magnitude < 0x7c00 {
        // The exponent's bias is mended by a multiplication, which is exact and serves subnormals too.
        let value = f32::from_bits(magnitude << 13) * f32::from_bits(0x7780_0000);
        f32::from_bits(value.to_bits() | sign)
    } else {
        f32::from_bits(sign | 0x7f80_0000 | (magnitude & 0x3ff) << 13)
    }
}

/// `value` rounded to half precision (ties to even) and back; overflow gives infinity.
#[inline(always)]
pub(super) fn round_to_f16(value: f32) -> f32 {
    let magnitude = value.abs();
    if magnitude >= 65520.0 {
        return f32::INFINITY.copysign(value);
    }
    // Adding and removing a power of two leaves the bits that half precision keeps.
    let exponent = (magnitude.to_bits() & 0x7f80_0000).max(0x3880_0000);
    let anchor = f32::from_bits(exponent + (13 << 23));
    ((magnitude + anchor) - anchor).copysign(value)
}

/// The f32 with the value of a brain float.
pub(super) fn bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Half of 2^(e − 127), MXFP4's scale for doubled E2M1 codes.
pub(super) fn e8m0_half(e: u8) -> f32 {
    f32::from_bits(if e < 2 { 0x0020_0000 << e } else { u32::from(e - 1) << 23 })
}

/// Half of an unsigned E4M3 value, NVFP4's scale for doubled E2M1 codes; the pattern of NaN counts as 0.
pub(super) fn ue4m3_half(bits: u8) -> f32 {
    let (exponent, mantissa) = (u32::from(bits >> 3 & 15), u32::from(bits & 7));
    match (exponent, bits) {
        (_, 0x7f) => 0.0,
        (0, _) => mantissa as f32 / 1024.0,
        _ => f32::from_bits((exponent + 119) << 23 | mantissa << 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_survive_the_way_to_f32_and_back() {
        for bits in 0..=u16::MAX {
            let value = f16(bits);
            if value.is_finite() {
                assert_eq!(round_to_f16(value).to_bits(), value.to_bits(), "{bits:#x}");
            }
        }
        assert_eq!([f16(0x3c00), f16(0xc000), f16(1)], [1.0, -2.0, 1.0 / 16_777_216.0]);
        assert_eq!(round_to_f16(1.0 + 1.0 / 2048.0), 1.0);
        assert_eq!(round_to_f16(65520.0), f32::INFINITY);
    }

    #[test]
    fn scales_of_the_fp4_types_have_their_hand_computed_values() {
        assert_eq!([e8m0_half(128), e8m0_half(127), e8m0_half(2)], [1.0, 0.5, 2f32.powi(-126)]);
        assert_eq!([e8m0_half(0), e8m0_half(1)], [2f32.powi(-128), 2f32.powi(-127)]);
        assert_eq!([ue4m3_half(0x38), ue4m3_half(0x01), ue4m3_half(0x7e)], [0.5, 1.0 / 1024.0, 224.0]);
    }
}
