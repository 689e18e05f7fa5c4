//! Types with a float scale per block of 16 to 128 weights, eight blocks of 32 at a time.

use super::super::half::{e8m0_half, f16, ue4m3_half};
use super::{GROUP, SUBS, Weights, lane};

/// The 16-bit word at byte `at`.
#[inline(always)]
fn word(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

/// Blocks of `LEN` weights in `BYTES` bytes: `read` fills the codes and returns what `number` makes scales of, and minima in half precision.
#[inline(always)]
fn blocks<const LEN: usize, const BYTES: usize>(
    bytes: &[u8],
    number: impl Fn(u16) -> f32,
    read: impl Fn(&[u8; BYTES], &mut [u8; LEN]) -> (u16, u16),
) -> Weights {
    let mut codes = [0; GROUP];
    // Blocks are at least 32 long.
    let (mut scales, mut minima) = ([0; SUBS / 2], [0; SUBS / 2]);
    let pairs = bytes.as_chunks::<BYTES>().0.iter().zip(codes.as_chunks_mut::<LEN>().0);
    for ((block, codes), (scale, minimum)) in pairs.zip(scales.iter_mut().zip(&mut minima)) {
        (*scale, *minimum) = read(block, codes);
    }
    let (scales, minima) = (scales.map(number), minima.map(f16));
    let block = |l: usize| lane(l) / (LEN / 16);
    Weights {
        codes,
        scales: std::array::from_fn(|l| scales[block(l)]),
        minima: std::array::from_fn(|l| minima[block(l)]),
    }
}

/// Low nibbles of the `N` bytes from byte `at` on, then high ones.
#[inline(always)]
fn nibbles<const N: usize>(block: &[u8], at: usize, codes: &mut [u8]) {
    let bytes: &[u8; N] = block[at..].first_chunk().expect("a block holds its codes");
    let (low, high) = codes.split_at_mut(N);
    for ((low, high), byte) in low.iter_mut().zip(high).zip(bytes) {
        (*low, *high) = (byte & 15, byte >> 4);
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
    blocks::<32, 18>(bytes, f16, |block, codes| {
        nibbles::<16>(block, 2, codes);
        (word(block, 0), 0)
    })
}

#[inline(always)]
pub(super) fn q4_1(bytes: &[u8]) -> Weights {
    blocks::<32, 20>(bytes, f16, |block, codes| {
        nibbles::<16>(block, 4, codes);
        (word(block, 0), word(block, 2))
    })
}

#[inline(always)]
pub(super) fn q5_0(bytes: &[u8]) -> Weights {
    blocks::<32, 22>(bytes, f16, |block, codes| {
        nibbles::<16>(block, 6, codes);
        add_fifth_bits(&block[2..6], codes);
        (word(block, 0), 0)
    })
}

#[inline(always)]
pub(super) fn q5_1(bytes: &[u8]) -> Weights {
    blocks::<32, 24>(bytes, f16, |block, codes| {
        nibbles::<16>(block, 8, codes);
        add_fifth_bits(&block[4..8], codes);
        (word(block, 0), word(block, 2))
    })
}

#[inline(always)]
pub(super) fn q8_0(bytes: &[u8]) -> Weights {
    blocks::<32, 34>(bytes, f16, |block, codes| {
        for (code, byte) in codes.iter_mut().zip(&block[2..]) {
            *code = byte ^ 0x80;
        }
        (word(block, 0), 0)
    })
}

#[inline(always)]
pub(super) fn mxfp4(bytes: &[u8]) -> Weights {
    blocks::<32, 17>(
        bytes,
        |e| e8m0_half(e as u8),
        |block, codes| {
            nibbles::<16>(block, 1, codes);
            (u16::from(block[0]), 0)
        },
    )
}

#[inline(always)]
pub(super) fn nvfp4(bytes: &[u8]) -> Weights {
    let mut codes = [0; GROUP];
    let mut scales = [0.0; SUBS];
    for (at, block) in bytes.chunks_exact(36).enumerate() {
        for run in 0..4 {
            let sub = 4 * at + run;
            nibbles::<8>(block, 4 + 8 * run, &mut codes[16 * sub..][..16]);
            scales[lane(sub)] = ue4m3_half(block[run]);
        }
    }
    Weights { codes, scales, minima: [0.0; SUBS] }
}

#[inline(always)]
pub(super) fn q1_0(bytes: &[u8]) -> Weights {
    blocks::<128, 18>(bytes, f16, |block, codes| {
        for (codes, byte) in codes.as_chunks_mut::<8>().0.iter_mut().zip(&block[2..]) {
            *codes = std::array::from_fn(|bit| (byte >> bit & 1) << 1);
        }
        (word(block, 0), 0)
    })
}

#[inline(always)]
pub(super) fn q2_0(bytes: &[u8]) -> Weights {
    blocks::<64, 18>(bytes, f16, |block, codes| {
        for (codes, byte) in codes.as_chunks_mut::<4>().0.iter_mut().zip(&block[2..]) {
            *codes = [byte & 3, byte >> 2 & 3, byte >> 4 & 3, byte >> 6];
        }
        (word(block, 0), 0)
    })
}
