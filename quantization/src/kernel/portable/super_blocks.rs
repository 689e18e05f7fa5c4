//! Types with integer scales inside a super-block of 256 weights.

use super::super::half::f16;
use super::super::layout::{iq4_xs_scales, six_bit_pairs, six_bit_scales};
use super::{GROUP, SUBS, Weights, lane};

/// Half-precision value at byte `at`.
fn half(block: &[u8], at: usize) -> f32 {
    f16(u16::from_le_bytes([block[at], block[at + 1]]))
}

/// The twelve scale bytes from byte `at`.
fn twelve(block: &[u8], at: usize) -> &[u8; 12] {
    block[at..].first_chunk().expect("a block holds its scales")
}

/// Codes in fields of `BITS` bits: byte `i` of run `r` (32 bytes) holds elements i, i + 32, … of the run's weights, lowest first.
#[inline(always)]
fn fields<const BITS: usize>(bytes: &[u8], codes: &mut [u8; GROUP]) {
    let per_byte = 8 / BITS;
    for (at, codes) in codes.as_chunks_mut::<32>().0.iter_mut().enumerate().take(bytes.len() / 32 * per_byte)
    {
        for (code, byte) in codes.iter_mut().zip(&bytes[32 * (at / per_byte)..]) {
            *code = byte >> (BITS * (at % per_byte)) & ((1 << BITS) - 1);
        }
    }
}

/// Adds bit (i / 32) of `high[i mod 32]`, worth `value`, to code i.
#[inline(always)]
fn add_high_bits(high: &[u8], value: u8, codes: &mut [u8; GROUP]) {
    for (bit, codes) in codes.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        for (code, byte) in codes.iter_mut().zip(high) {
            *code |= (byte >> bit & 1) * value;
        }
    }
}

#[inline(always)]
pub(super) fn q2_k(block: &[u8]) -> Weights {
    let mut codes = [0; GROUP];
    fields::<2>(&block[16..80], &mut codes);
    let (scale, minimum_scale) = (half(block, 80), -half(block, 82));
    Weights {
        codes,
        scales: std::array::from_fn(|l| f32::from(block[lane(l)] & 15) * scale),
        minima: std::array::from_fn(|l| f32::from(block[lane(l)] >> 4) * minimum_scale),
    }
}

/// A group without minima.
#[inline(always)]
fn signed(codes: [u8; GROUP], scale: f32, factors: [i8; SUBS]) -> Weights {
    // `lane` is its own inverse, and the products are exact: 8 by 11 bits.
    Weights {
        codes,
        scales: std::array::from_fn(|l| f32::from(factors[lane(l)]) * scale),
        minima: [0.0; SUBS],
    }
}

#[inline(always)]
pub(super) fn q3_k(block: &[u8]) -> Weights {
    let mut codes = [0; GROUP];
    fields::<2>(&block[32..96], &mut codes);
    add_high_bits(&block[..32], 4, &mut codes);
    let scales = six_bit_scales(twelve(block, 96));
    signed(
        codes,
        half(block, 108),
        std::array::from_fn(|sub| scales[sub / 4].to_le_bytes()[sub % 4] as i8 - 32),
    )
}

/// A group of Q4_K or Q5_K.
#[inline(always)]
fn paired(codes: [u8; GROUP], block: &[u8]) -> Weights {
    let (scales, minima) = six_bit_pairs(twelve(block, 4));
    let (scales, minima) = (scales.to_le_bytes(), minima.to_le_bytes());
    let (scale, minimum_scale) = (half(block, 0), -half(block, 2));
    Weights {
        codes,
        scales: std::array::from_fn(|l| f32::from(scales[lane(l) / 2]) * scale),
        minima: std::array::from_fn(|l| f32::from(minima[lane(l) / 2]) * minimum_scale),
    }
}

#[inline(always)]
pub(super) fn q4_k(block: &[u8]) -> Weights {
    let mut codes = [0; GROUP];
    fields::<4>(&block[16..144], &mut codes);
    paired(codes, block)
}

#[inline(always)]
pub(super) fn q5_k(block: &[u8]) -> Weights {
    let mut codes = [0; GROUP];
    fields::<4>(&block[48..176], &mut codes);
    add_high_bits(&block[16..48], 16, &mut codes);
    paired(codes, block)
}

#[inline(always)]
pub(super) fn q6_k(block: &[u8]) -> Weights {
    let mut codes = [0; GROUP];
    for (at, codes) in codes.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (run, part) = (at / 4, at % 4);
        let (low, high) = (&block[64 * run + 32 * (part % 2)..], &block[128 + 32 * run..]);
        for ((code, low), high) in codes.iter_mut().zip(low).zip(high) {
            *code = low >> (4 * (part / 2)) & 15 | (high >> (2 * part) & 3) << 4;
        }
    }
    signed(codes, half(block, 208), std::array::from_fn(|sub| block[192 + sub] as i8))
}

#[inline(always)]
pub(super) fn iq4_xs(block: &[u8]) -> Weights {
    let mut codes = [0; GROUP];
    for (codes, bytes) in codes.as_chunks_mut::<32>().0.iter_mut().zip(block[8..136].as_chunks::<16>().0) {
        for (at, byte) in bytes.iter().enumerate() {
            (codes[at], codes[at + 16]) = (byte & 15, byte >> 4);
        }
    }
    let low = u32::from_le_bytes([block[4], block[5], block[6], block[7]]);
    let scales = iq4_xs_scales(u16::from_le_bytes([block[2], block[3]]), low);
    signed(codes, half(block, 0), std::array::from_fn(|sub| scales[sub / 2]))
}

#[inline(always)]
pub(super) fn tq1_0(block: &[u8]) -> Weights {
    let mut codes = [0; GROUP];
    let mut power = 1u8;
    for trit in 0..5 {
        let value = |byte: u8| ((u16::from(byte.wrapping_mul(power)) * 3) >> 8) as u8;
        for (code, byte) in codes[32 * trit..].iter_mut().zip(&block[..32]) {
            *code = value(*byte);
        }
        for (code, byte) in codes[160 + 16 * trit..].iter_mut().zip(&block[32..48]) {
            *code = value(*byte);
        }
        if trit < 4 {
            for (code, byte) in codes[240 + 4 * trit..].iter_mut().zip(&block[48..52]) {
                *code = value(*byte);
            }
        }
        power = power.wrapping_mul(3);
    }
    signed(codes, half(block, 52), [1; SUBS])
}

#[inline(always)]
pub(super) fn tq2_0(block: &[u8]) -> Weights {
    let mut codes = [0; GROUP];
    fields::<2>(&block[..64], &mut codes);
    signed(codes, half(block, 64), [1; SUBS])
}
