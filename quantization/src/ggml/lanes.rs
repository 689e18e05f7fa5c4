//! Portable lane code: written once with arrays, compiled for three processors, chosen at run time.
//!
//! A lane is one block. Sixteen blocks are searched side by side, each in ggml's order of additions, so that the
//! bytes stay ggml's while every instruction works for all sixteen.

use crate::float::f32_to_f16;

/// Blocks searched side by side: the f32 of one AVX-512 register.
pub(crate) const LANES: usize = 16;

/// One number of each lane.
pub(crate) type Lane = [f32; LANES];

/// Blocks of 32 weights, turned: `tile[weight][lane]`.
pub(crate) type Tile = [Lane; 32];

/// The instruction sets for which lane code is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processor {
    /// AVX-512 F, BW, DQ, VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What the target always has.
    Baseline,
}

/// The best that this processor has.
#[inline]
pub(crate) fn processor() -> Processor {
    #[cfg(test)]
    if let Some(processor) = FORCED.get() {
        return processor;
    }
    #[cfg(target_arch = "x86_64")]
    {
        let avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        if avx512 && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl") {
            return Processor::Avx512;
        }
        if is_x86_feature_detected!("avx2") {
            return Processor::Avx2;
        }
    }
    Processor::Baseline
}

#[cfg(test)]
thread_local! {
    static FORCED: std::cell::Cell<Option<Processor>> = const { std::cell::Cell::new(None) };
}

/// Runs `test` with the code for each instruction set that this machine has, until one fails.
#[cfg(test)]
pub(crate) fn with_each_processor<E>(mut test: impl FnMut(Processor) -> Result<(), E>) -> Result<(), E> {
    let best = processor();
    let mut all = vec![Processor::Baseline];
    #[cfg(target_arch = "x86_64")]
    {
        all.extend((best != Processor::Baseline).then_some(Processor::Avx2));
        all.extend((best == Processor::Avx512).then_some(Processor::Avx512));
    }
    let results = all.into_iter().map(|processor| {
        FORCED.set(Some(processor));
        test(processor)
    });
    let result = results.collect();
    FORCED.set(None);
    result
}

/// Functions whose body is compiled for each [`Processor`] and run by the best one.
macro_rules! for_each_processor {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)+) => {$(
        $(#[$meta])*
        #[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calls of code for a checked processor"))]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    body($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    body($($arg),*)
                }
                match $crate::ggml::lanes::processor() {
                    // SAFETY: the processor has these features.
                    $crate::ggml::lanes::Processor::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: the processor has these features.
                    $crate::ggml::lanes::Processor::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::ggml::lanes::Processor::Baseline => {}
                }
            }
            body($($arg),*)
        }
    )+};
}
pub(crate) use for_each_processor;

/// Up to sixteen blocks of 32 weights as a tile; missing blocks are zero.
#[inline(always)]
pub(crate) fn tile(blocks: &[[f32; 32]]) -> Tile {
    let mut tile = [[0.0; LANES]; 32];
    for (lane, block) in blocks.iter().take(LANES).enumerate() {
        for (row, weight) in tile.iter_mut().zip(block) {
            row[lane] = *weight;
        }
    }
    tile
}

/// `v` cut to whole numbers 0…`top`; NaN gives 0. `top` is at most 255.
#[inline(always)]
#[expect(unsafe_code, reason = "the checked cast costs three instructions")]
pub(crate) fn truncate(v: f32, top: f32) -> u8 {
    let v = if v > 0.0 { v } else { 0.0 };
    let v = if v < top { v } else { top };
    // SAFETY: 0 ≤ v ≤ top ≤ 255, not NaN.
    unsafe { v.to_int_unchecked::<i32>() as u8 }
}

/// `v` rounded to a whole number, ties away from zero (C's `roundf`), for |v| ≤ 2²²; NaN gives −2²².
#[inline(always)]
#[expect(unsafe_code, reason = "the checked cast costs three instructions")]
pub(crate) fn round_away(v: f32) -> i32 {
    const LIMIT: f32 = 4_194_304.0;
    // The largest number below one half: one half itself would carry 0.49999997 up to 1.
    let v = v + 0.499_999_97_f32.copysign(v);
    let v = if v > -LIMIT { v } else { -LIMIT };
    let v = if v < LIMIT { v } else { LIMIT };
    // SAFETY: |v| ≤ 2²², not NaN.
    unsafe { v.to_int_unchecked::<i32>() }
}

/// ggml's `nearest_int`, ties to even, with its wrap-around outside ±4194303 and its 0 for NaN.
#[inline(always)]
pub(crate) fn nearest(v: f32) -> i32 {
    ((v + 12_582_912.0).to_bits() & 0x007F_FFFF) as i32 - 0x0040_0000
}

/// 1/d, or 0 where d is 0.
#[inline(always)]
pub(crate) fn reciprocal(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

/// The two bytes of a scale in half precision.
#[inline(always)]
pub(crate) fn half(d: f32) -> [u8; 2] {
    f32_to_f16(d).to_le_bytes()
}

/// Largest magnitude of a block.
#[inline(always)]
pub(crate) fn largest<const N: usize>(block: &[f32; N]) -> f32 {
    f32::from_bits(block.iter().fold(0, |most, x| (x.to_bits() & 0x7FFF_FFFF).max(most)))
}

/// The weight of largest magnitude with its sign, the first one on ties; +0 for a block of zeros.
#[inline(always)]
pub(crate) fn extreme<const N: usize>(block: &[f32; N]) -> f32 {
    let (mut positive, mut magnitude) = (0, 0);
    for x in block {
        let bits = x.to_bits();
        let sign = (bits as i32 >> 31) as u32;
        positive = (bits & !sign).max(positive);
        magnitude = (bits & sign & 0x7FFF_FFFF).max(magnitude);
    }
    if positive != magnitude {
        return if positive > magnitude { f32::from_bits(positive) } else { -f32::from_bits(magnitude) };
    }
    if positive == 0 { 0.0 } else { first_of(f32::from_bits(positive), block) }
}

/// `magnitude` with the sign of the first weight that has it.
#[cold]
#[inline(never)]
fn first_of(magnitude: f32, block: &[f32]) -> f32 {
    block.iter().copied().find(|x| x.abs() == magnitude).unwrap_or(magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_away_is_the_c_library_s() {
        for bits in (0..0x4A7F_0000_u32).step_by(257) {
            let v = f32::from_bits(bits);
            assert_eq!([round_away(v), round_away(-v)], [v.round() as i32, -v.round() as i32], "{v}");
        }
        for half in 0..2000 {
            let v = half as f32 + 0.5;
            for v in [v.next_down(), v, v.next_up()] {
                assert_eq!([round_away(v), round_away(-v)], [v.round() as i32, -v.round() as i32], "{v}");
            }
        }
    }

    #[test]
    fn nearest_rounds_to_even_and_wraps_as_ggml_does() {
        assert_eq!([0.5, 1.5, -2.5, 2.500_000_2].map(nearest), [0, 2, -2, 3]);
        assert_eq!([f32::INFINITY, f32::NEG_INFINITY].map(nearest), [-4_194_304, -4_194_304]);
        assert_eq!(nearest(f32::NAN), 0);
    }

    #[test]
    fn the_first_of_two_equal_magnitudes_gives_the_sign() {
        let mut block = [0.25; 32];
        (block[3], block[9]) = (-4.0, 4.0);
        assert_eq!(extreme(&block), -4.0);
        block[1] = 4.0;
        assert_eq!(extreme(&block), 4.0);
        block[30] = -4.5;
        assert_eq!(extreme(&block), -4.5);
        assert_eq!(extreme(&[-0.0; 32]).to_bits(), 0);
    }

    #[test]
    fn truncation_keeps_to_the_range_of_codes() {
        let values = [-1.0, 0.999, 15.9, 16.0, 1e30, f32::NAN];
        assert_eq!(values.map(|v| truncate(v, 15.0)), [0, 0, 15, 15, 15, 0]);
    }
}
