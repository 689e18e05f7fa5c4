//! TQ1_0, TQ2_0, Q1_0, Q2_0: fewer than three bits, one scale per block. Importance is ignored.

use crate::ggml::lanes::{for_each_processor, half, largest, reciprocal, round_away};

/// Blocks of Q1_0 whose sums run side by side.
const CHAINS: usize = 8;

for_each_processor! {
    /// `{ u8 qs[48]; u8 qh[4]; f16 d }`: d = max|x|, five trits to a byte.
    pub(super) fn tq1_0(weights: &[f32], out: &mut [u8]) {
        for (x, out) in weights.as_chunks::<256>().0.iter().zip(out.as_chunks_mut::<54>().0) {
            let (d, trits) = trits(x);
            let (qs, rest) = out.split_at_mut(48);
            let (first, second) = qs.split_at_mut(32);
            base_three::<32, 5>(&trits[..160], first);
            base_three::<16, 5>(&trits[160..240], second);
            base_three::<4, 4>(&trits[240..], &mut rest[..4]);
            rest[4..].copy_from_slice(&half(d));
        }
    }

    /// `{ u8 qs[64]; f16 d }`: d = max|x|, four codes t + 1 to a byte.
    pub(super) fn tq2_0(weights: &[f32], out: &mut [u8]) {
        for (x, out) in weights.as_chunks::<256>().0.iter().zip(out.as_chunks_mut::<66>().0) {
            let (d, trits) = trits(x);
            for (codes, out) in trits.as_chunks::<128>().0.iter().zip(out.as_chunks_mut::<32>().0) {
                for (m, out) in out.iter_mut().enumerate() {
                    *out = codes[m] | codes[m + 32] << 2 | codes[m + 64] << 4 | codes[m + 96] << 6;
                }
            }
            out[64..].copy_from_slice(&half(d));
        }
    }

    /// `{ f16 d; u8 qs[16] }`: d = mean|x| of 128, a bit is 1 where x ≥ 0.
    pub(super) fn q1_0(weights: &[f32], out: &mut [u8]) {
        let (weights, out) = (weights.as_chunks::<128>().0, out.as_chunks_mut::<18>().0);
        for (blocks, out) in weights.chunks(CHAINS).zip(out.chunks_mut(CHAINS)) {
            for ((x, out), sum) in blocks.iter().zip(out).zip(sums_of_magnitudes(blocks)) {
                out[..2].copy_from_slice(&half(sum / 128.0));
                for (eight, out) in x.as_chunks::<8>().0.iter().zip(&mut out[2..]) {
                    let mut bits = 0;
                    for (i, x) in eight.iter().enumerate() {
                        bits |= u8::from(*x >= 0.0) << i;
                    }
                    *out = bits;
                }
            }
        }
    }

    /// `{ f16 d; u8 qs[16] }`: d = max|x| of 64, four codes x/d + 1 to a byte.
    pub(super) fn q2_0(weights: &[f32], out: &mut [u8]) {
        for (x, out) in weights.as_chunks::<64>().0.iter().zip(out.as_chunks_mut::<18>().0) {
            let d = largest(x);
            let inverse = reciprocal(d);
            // Where 1/d overflows, C's cast of ±infinity and NaN is the least integer, clamped to code 0.
            let (inverse, keep) = if inverse.is_finite() { (inverse, 0xFF) } else { (0.0, 0) };
            out[..2].copy_from_slice(&half(d));
            for (four, out) in x.as_chunks::<4>().0.iter().zip(&mut out[2..]) {
                let [a, b, c, d] = four.map(|x| (round_away(x * inverse) + 1) as u8 & keep);
                *out = a | b << 2 | c << 4 | d << 6;
            }
        }
    }
}

/// The largest magnitude of 256 weights and their codes: x/d rounded, ties away from zero, plus 1.
#[inline(always)]
fn trits(x: &[f32; 256]) -> (f32, [u8; 256]) {
    let d = largest(x);
    let inverse = reciprocal(d);
    // An infinite 1/d gives C's `lroundf` nothing to round: its low 32 bits are 0, as for a zero block.
    let inverse = if inverse.is_finite() { inverse } else { 0.0 };
    let mut codes = [0; 256];
    for (code, x) in codes.iter_mut().zip(x) {
        *code = (round_away(x * inverse) + 1) as u8;
    }
    (d, codes)
}

/// Byte m of `STRIDE`: trits m, m + STRIDE, … as a base-three number, scaled from 243 to 256 and rounded up.
#[inline(always)]
fn base_three<const STRIDE: usize, const DIGITS: usize>(trits: &[u8], out: &mut [u8]) {
    let mut numbers = [0_u16; STRIDE];
    for row in trits.as_chunks::<STRIDE>().0 {
        for (number, trit) in numbers.iter_mut().zip(row) {
            *number = *number * 3 + u16::from(*trit);
        }
    }
    for (out, number) in out.iter_mut().zip(numbers) {
        let number = number * 3_u16.pow(5 - DIGITS as u32);
        *out = (u32::from(number) * 256).div_ceil(243) as u8;
    }
}

/// Σ|x| of each block, added in order.
#[inline(always)]
fn sums_of_magnitudes(blocks: &[[f32; 128]]) -> [f32; CHAINS] {
    let mut sums = [0.0_f32; CHAINS];
    if let Ok(blocks) = <&[[f32; 128]; CHAINS]>::try_from(blocks) {
        for i in 0..128 {
            for (sum, block) in sums.iter_mut().zip(blocks) {
                *sum += block[i].abs();
            }
        }
        return sums;
    }
    for (sum, block) in sums.iter_mut().zip(blocks) {
        *sum = block.iter().fold(0.0, |sum, x| sum + x.abs());
    }
    sums
}
