//! IEEE half precision, as the scales of a super-block are stored.

/// Bits of the half nearest to `x`, ties to even; beyond 65520 infinity.
pub(super) fn f32_to_f16(x: f32) -> u16 {
    let bits = x.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        return sign | 0x7e00;
    }
    if magnitude >= 0x4780_0000 {
        return sign | 0x7c00;
    }
    if magnitude < 0x3880_0000 {
        // Adding 0.5 leaves the multiple of 2^-24, rounded by the addition, in the last bits.
        let rounded = f32::from_bits(magnitude) + 0.5;
        return sign | (rounded.to_bits() - 0.5f32.to_bits()) as u16;
    }
    let rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    sign | ((rounded - 0x3800_0000) >> 13) as u16
}

/// Value of the half with these bits.
pub(super) fn f16_to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let magnitude = u32::from(half & 0x7fff);
    let value = match magnitude {
        0..0x0400 => magnitude as f32 / 16_777_216.0,
        0x0400..0x7c00 => f32::from_bits((magnitude << 13) + 0x3800_0000),
        _ => f32::from_bits(magnitude << 13 | 0x7f80_0000),
    };
    f32::from_bits(value.to_bits() | sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives_and_midpoints_go_to_the_even_neighbour() {
        for half in (0..=u16::MAX).filter(|half| half & 0x7fff <= 0x7c00) {
            assert_eq!(f32_to_f16(f16_to_f32(half)), half);
            if half & 0x7fff < 0x7bff {
                let middle = (f16_to_f32(half) + f16_to_f32(half + 1)) / 2.0;
                assert_eq!(f32_to_f16(middle), half + (half & 1), "{middle}");
                assert_eq!(f32_to_f16(f32::from_bits(middle.to_bits() + 1)), half + 1);
                assert_eq!(f32_to_f16(f32::from_bits(middle.to_bits() - 1)), half);
            }
        }
        assert_eq!(
            [65519.0, 65520.0, 1e-9, -1e-9, f32::NAN].map(f32_to_f16),
            [0x7bff, 0x7c00, 0, 0x8000, 0x7e00]
        );
    }
}
