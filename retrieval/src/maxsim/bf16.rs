//! Brain floats: the upper half of an f32.

/// Bits of the brain float nearest to `value`, ties to even. Finite values stay finite but for the last half step below
/// infinity, which no vector of sane length has.
#[inline]
pub(crate) fn round(value: f32) -> u16 {
    let bits = value.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// Value of a brain float.
#[inline]
pub(crate) fn value(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// One or two values as a word, the first in the lower half.
#[inline]
pub(crate) fn pair(values: &[f32]) -> u32 {
    u32::from(round(values[0])) | values.get(1).map_or(0, |&value| u32::from(round(value))) << 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brain_floats_round_to_the_nearest_and_ties_to_even() {
        assert_eq!([1.0, -2.5, 0.0].map(|x| value(round(x))), [1.0, -2.5, 0.0]);
        assert_eq!(value(round(1.0 + 2.0_f32.powi(-8))), 1.0);
        assert_eq!(value(round(1.0 + 3.0 * 2.0_f32.powi(-8))), 1.0 + 2.0_f32.powi(-6));
        assert_eq!(pair(&[1.0]), 0x3f80);
    }
}
