//! Smallest and largest weights of sixteen blocks.

use super::legacy::BLOCKS;
use crate::ggml::lanes::{Processor, processor};

/// Smallest and largest weights of up to sixteen blocks, 0 for missing ones.
///
/// Of several zeros the first gives the minimum's sign, as comparing in order does; the maximum's sign is then any.
#[inline(always)]
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calls of code for a checked processor"))]
pub(super) fn ranges(blocks: &[[f32; 32]]) -> ([f32; BLOCKS], [f32; BLOCKS]) {
    let (mut mins, maxs) = match (processor(), blocks.first_chunk::<BLOCKS>()) {
        // SAFETY: the processor has the features.
        #[cfg(target_arch = "x86_64")]
        (Processor::Avx512, Some(blocks)) => unsafe { avx512::ranges(blocks) },
        _ => plain(blocks),
    };
    for (min, x) in mins.iter_mut().zip(blocks) {
        if *min == 0.0 {
            *min = first_zero(x);
        }
    }
    (mins, maxs)
}

#[cold]
#[inline(never)]
fn first_zero(x: &[f32]) -> f32 {
    x.iter().copied().find(|x| *x == 0.0).unwrap_or(0.0)
}

#[inline(always)]
fn plain(blocks: &[[f32; 32]]) -> ([f32; BLOCKS], [f32; BLOCKS]) {
    // Signed integers in the order of the floats, −0 just below +0: their minimum needs no order.
    let key = |bits: i32| bits ^ ((bits >> 31) & 0x7FFF_FFFF);
    let (mut mins, mut maxs) = ([0.0; BLOCKS], [0.0; BLOCKS]);
    for ((min, max), x) in mins.iter_mut().zip(&mut maxs).zip(blocks) {
        let (mut low, mut high) = (i32::MAX, i32::MIN);
        for x in x {
            let k = key(x.to_bits() as i32);
            low = low.min(k);
            high = high.max(k);
        }
        [*min, *max] = [low, high].map(|k| f32::from_bits(key(k) as u32));
    }
    (mins, maxs)
}

/// One register per block holds the two halves' minima; sixteen of them reduce to one by transposition.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "registers from arrays")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::BLOCKS;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) fn ranges(blocks: &[[f32; 32]; BLOCKS]) -> ([f32; BLOCKS], [f32; BLOCKS]) {
        let zero = _mm512_setzero_ps();
        let (mut lows, mut highs) = ([zero; BLOCKS], [zero; BLOCKS]);
        for (b, block) in blocks.iter().enumerate() {
            // SAFETY: two registers of 16 floats, every value valid.
            let [a, b_] = unsafe { std::mem::transmute::<[f32; 32], [__m512; 2]>(*block) };
            (lows[b], highs[b]) = (_mm512_min_ps(a, b_), _mm512_max_ps(a, b_));
        }
        let low = reduced(&lows, |a, b| _mm512_min_ps(a, b));
        let high = reduced(&highs, |a, b| _mm512_max_ps(a, b));
        // SAFETY: registers of 16 floats, every value valid.
        unsafe {
            (
                std::mem::transmute::<__m512, [f32; BLOCKS]>(low),
                std::mem::transmute::<__m512, [f32; BLOCKS]>(high),
            )
        }
    }

    /// Lane b: `best` over all lanes of register b.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn reduced(registers: &[__m512; BLOCKS], best: impl Fn(__m512, __m512) -> __m512) -> __m512 {
        let mut fours = [_mm512_setzero_ps(); 4];
        for (four, [a, b, c, d]) in fours.iter_mut().zip(registers.as_chunks::<4>().0) {
            let ab = best(_mm512_unpacklo_ps(*a, *b), _mm512_unpackhi_ps(*a, *b));
            let cd = best(_mm512_unpacklo_ps(*c, *d), _mm512_unpackhi_ps(*c, *d));
            let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
            let (even, odd) = (_mm512_unpacklo_pd(ab, cd), _mm512_unpackhi_pd(ab, cd));
            *four = best(_mm512_castpd_ps(even), _mm512_castpd_ps(odd));
        }
        let quarters = |a: __m512, b: __m512| {
            best(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b))
        };
        quarters(quarters(fours[0], fours[1]), quarters(fours[2], fours[3]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ggml::lanes::with_each_processor;

    #[test]
    fn ranges_are_those_of_comparing_in_order() {
        let mut blocks = [[0.0f32; 32]; BLOCKS];
        for (b, block) in blocks.iter_mut().enumerate() {
            for (i, x) in block.iter_mut().enumerate() {
                *x = ((b * 37 + i * 101) % 89) as f32 - 44.0;
            }
        }
        blocks[3] = [-0.0; 32];
        blocks[5] = [0.0; 32];
        blocks[5][9] = -0.0;
        blocks[6].iter_mut().for_each(|x| *x = x.abs() + 1.0);
        (blocks[6][7], blocks[6][8]) = (-0.0, 0.0);
        let all = with_each_processor(|processor| {
            for count in [1, 15, BLOCKS] {
                let (mins, maxs) = ranges(&blocks[..count]);
                for (b, block) in blocks[..count].iter().enumerate() {
                    let min =
                        block.iter().copied().fold(f32::MAX, |least, x| if x < least { x } else { least });
                    let max = block.iter().copied().fold(f32::MIN, |most, x| if x > most { x } else { most });
                    if (mins[b].to_bits(), maxs[b]) != (min.to_bits(), max) {
                        return Err(format!("{processor:?}, block {b}"));
                    }
                }
            }
            Ok(())
        });
        assert_eq!(all, Ok(()));
    }
}
