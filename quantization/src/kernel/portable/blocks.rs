//! Types with a float scale per block of 16 to 128 weights, eight blocks of 32 at a time.

use super::super::half::{e8m0_half, f16, ue4m3_half};
use super::super::layout::{FP4, NON_LINEAR};
use super::{GROUP, SUBS, Weights, lane};

/// Half-precision value at byte `at`.
fn half(block: &[u8], at: usize) -> f32 {
    f16(u16::from_le_bytes([block[at], block[at + 1]]))
}

/// Blocks of `LEN` weights: `read` fills the codes and returns scale and minimum.
#[inline(always)]
fn blocks<const LEN: usize>(
    bytes: &[u8],
    block_bytes: usize,
    read: impl Fn(&[u8], &mut [u8; LEN]) -> (f32, f32),
) -> Weights {
    let mut codes = [0; GROUP];
    let (mut scales, mut minima) = ([0.0; SUBS], [0.0; SUBS]);
    let per_block = LEN / 16;
    for (at, block) in bytes.chunks_exact(block_bytes).enumerate() {
        let (scale, minimum) = read(block, &mut codes.as_chunks_mut::<LEN>().0[at]);
        for sub in at * per_block..(at + 1) * per_block {
            (scales[lane(sub)], minima[lane(sub)]) = (scale, minimum);
        }
    }
    Weights { codes, scales, minima }
}

/// Low nibbles, then high ones, each through `map`.
#[inline(always)]
fn nibbles(bytes: &[u8], codes: &mut [u8], map: impl Fn(u8) -> u8) {
    let (low, high) = codes.split_at_mut(bytes.len());
    for ((low, high), byte) in low.iter_mut().zip(high).zip(bytes) {
        (*low, *high) = (map(byte & 15), map(byte >> 4));
    }
}

/// Adds bit `i` of `high`, worth 16, to code `i`.
#[inline(always)]
fn add_fifth_bits(high: &[u8], codes: &mut [u8; 32]) {
    for (i, code) in codes.iter_mut().enumerate() {
        *code |= (high[i / 8] >> (i % 8) & 1) << 4;
    }
}

#[inline(always)]
pub(super) fn q4_0(bytes: &[u8]) -> Weights {
    blocks::<32>(bytes, 18, |block, codes| {
        nibbles(&block[2..], codes, |code| code);
        (half(block, 0), 0.0)
    })
}

#[inline(always)]
pub(super) fn q4_1(bytes: &[u8]) -> Weights {
    blocks::<32>(bytes, 20, |block, codes| {
        nibbles(&block[4..], codes, |code| code);
        (half(block, 0), half(block, 2))
    })
}

#[inline(always)]
pub(super) fn q5_0(bytes: &[u8]) -> Weights {
    blocks::<32>(bytes, 22, |block, codes| {
        nibbles(&block[6..], codes, |code| code);
        add_fifth_bits(&block[2..6], codes);
        (half(block, 0), 0.0)
    })
}

#[inline(always)]
pub(super) fn q5_1(bytes: &[u8]) -> Weights {
    blocks::<32>(bytes, 24, |block, codes| {
        nibbles(&block[8..], codes, |code| code);
        add_fifth_bits(&block[4..8], codes);
        (half(block, 0), half(block, 2))
    })
}

#[inline(always)]
pub(super) fn q8_0(bytes: &[u8]) -> Weights {
    blocks::<32>(bytes, 34, |block, codes| {
        for (code, byte) in codes.iter_mut().zip(&block[2..]) {
            *code = byte ^ 0x80;
        }
        (half(block, 0), 0.0)
    })
}

#[inline(always)]
pub(super) fn iq4_nl(bytes: &[u8]) -> Weights {
    blocks::<32>(bytes, 18, |block, codes| {
        nibbles(&block[2..], codes, |code| NON_LINEAR[usize::from(code)]);
        (half(block, 0), 0.0)
    })
}

#[inline(always)]
pub(super) fn mxfp4(bytes: &[u8]) -> Weights {
    blocks::<32>(bytes, 17, |block, codes| {
        nibbles(&block[1..], codes, |code| FP4[usize::from(code)]);
        (e8m0_half(block[0]), 0.0)
    })
}

#[inline(always)]
pub(super) fn nvfp4(bytes: &[u8]) -> Weights {
    let mut codes = [0; GROUP];
    let mut scales = [0.0; SUBS];
    for (at, block) in bytes.chunks_exact(36).enumerate() {
        for run in 0..4 {
            let sub = 4 * at + run;
            nibbles(&block[4 + 8 * run..][..8], &mut codes[16 * sub..][..16], |code| FP4[usize::from(code)]);
            scales[lane(sub)] = ue4m3_half(block[run]);
        }
    }
    Weights { codes, scales, minima: [0.0; SUBS] }
}

#[inline(always)]
pub(super) fn q1_0(bytes: &[u8]) -> Weights {
    blocks::<128>(bytes, 18, |block, codes| {
        for (i, code) in codes.iter_mut().enumerate() {
            *code = (block[2 + i / 8] >> (i % 8) & 1) << 1;
        }
        (half(block, 0), 0.0)
    })
}

#[inline(always)]
pub(super) fn q2_0(bytes: &[u8]) -> Weights {
    blocks::<64>(bytes, 18, |block, codes| {
        for (i, code) in codes.iter_mut().enumerate() {
            *code = block[2 + i / 4] >> (2 * (i % 4)) & 3;
        }
        (half(block, 0), 0.0)
    })
}
