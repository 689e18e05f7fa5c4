//! Brain floats (BF16): the upper half of an f32.

/// The brain float nearest to `x`, ties to even, as its 16 bits.
///
/// Values above 3.3961e38 become infinite; a NaN keeps its upper bits and becomes quiet (bit 6 is set).
///
/// ```
/// use quantization::float::f32_to_bf16;
/// assert_eq!([1.0, -0.5, 1.00390625, 1.01171875].map(f32_to_bf16), [0x3F80, 0xBF00, 0x3F80, 0x3F82]);
/// ```
#[inline]
pub fn f32_to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let quiet = (bits >> 16) | 64;
    let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16;
    (if bits & 0x7FFF_FFFF > 0x7F80_0000 { quiet } else { rounded }) as u16
}

/// The value of a brain float; every one is exact.
///
/// ```
/// assert_eq!(quantization::float::bf16_to_f32(0xC040), -3.0);
/// ```
#[inline]
pub fn bf16_to_f32(brain: u16) -> f32 {
    f32::from_bits(u32::from(brain) << 16)
}

/// Fills `out` with the brain floats nearest to `values`, as [`f32_to_bf16`] does.
///
/// (The processor's own conversion flushes subnormal values to zero; it is not used.)
///
/// # Panics
/// When the lengths differ.
pub fn f32_to_bf16_slice(values: &[f32], out: &mut [u16]) {
    assert_eq!(values.len(), out.len(), "one brain float for each value");
    narrow(values, out);
}

/// Fills `out` with the values of `brains`, as [`bf16_to_f32`] does.
///
/// # Panics
/// When the lengths differ.
pub fn bf16_to_f32_slice(brains: &[u16], out: &mut [f32]) {
    assert_eq!(brains.len(), out.len(), "one value for each brain float");
    widen(brains, out);
}

crate::ggml::lanes::for_each_processor! {
    fn narrow(values: &[f32], out: &mut [u16]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = f32_to_bf16(*value);
        }
    }

    fn widen(brains: &[u16], out: &mut [f32]) {
        for (out, brain) in out.iter_mut().zip(brains) {
            *out = bf16_to_f32(*brain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_brain_float_comes_back() {
        for brain in 0..=u16::MAX {
            let value = bf16_to_f32(brain);
            let expected = if value.is_nan() { brain | 64 } else { brain };
            assert_eq!(f32_to_bf16(value), expected);
        }
    }

    #[test]
    fn between_two_brain_floats_the_nearer_wins_and_ties_go_to_even() {
        for brain in 0..0x7F80_u16 {
            let middle = f32::from_bits(u32::from(brain) << 16 | 0x8000);
            let even = brain + brain % 2;
            assert_eq!(f32_to_bf16(middle), even, "{brain:#x}");
            assert_eq!(f32_to_bf16(middle.next_down()), brain);
            assert_eq!(f32_to_bf16(middle.next_up()), brain + 1);
            assert_eq!(f32_to_bf16(-middle), even | 0x8000);
        }
    }

    #[test]
    fn nan_becomes_quiet_and_keeps_its_upper_bits() {
        let nan = [0x7F80_0001, 0xFF80_1234, 0x7FFF_FFFF].map(f32::from_bits);
        assert_eq!(nan.map(f32_to_bf16), [0x7FC0, 0xFFC0, 0x7FFF]);
    }

    #[test]
    fn slices_convert_as_single_values_do() {
        let values: Vec<f32> = (0..u32::MAX).step_by(4099).map(f32::from_bits).collect();
        let mut brains = vec![0; values.len()];
        f32_to_bf16_slice(&values, &mut brains);
        assert!(values.iter().zip(&brains).all(|(value, brain)| f32_to_bf16(*value) == *brain));
        let mut wide = vec![0.0; brains.len()];
        bf16_to_f32_slice(&brains, &mut wide);
        assert!(wide.iter().zip(&brains).all(|(value, brain)| value.to_bits() == u32::from(*brain) << 16));
    }
}
