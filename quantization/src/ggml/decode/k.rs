//! Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, Q8_K: super-blocks of 256 weights.

use super::half;
use crate::ggml::lanes::for_each_processor;

for_each_processor! {
    /// `{ u8 scales[16]; u8 qs[64]; f16 d; f16 dmin }`: x̂ = (d·sc)·q − dmin·mn per 16.
    pub(super) fn q2_k(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<84>().0.iter().zip(out.as_chunks_mut::<256>().0) {
            let (d, dmin) = (half(&block[80..]), half(&block[82..]));
            for (sub, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
                let (scale, min) = (d * f32::from(block[sub] & 15), dmin * f32::from(block[sub] >> 4));
                for (out, q) in out.iter_mut().zip(two_bits(&block[16..80], sub)) {
                    *out = scale * f32::from(q) - min;
                }
            }
        }
    }

    /// `{ u8 hmask[32]; u8 qs[64]; u8 scales[12]; f16 d }`: x̂ = (d·(sc − 32))·(q − 4) per 16.
    pub(super) fn q3_k(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<110>().0.iter().zip(out.as_chunks_mut::<256>().0) {
            let d = half(&block[108..]);
            for (sub, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
                let scale = d * f32::from(three_k_scale(&block[96..108], sub) - 32);
                let masks = &block[16 * (sub % 2)..16 * (sub % 2) + 16];
                for ((out, q), mask) in out.iter_mut().zip(two_bits(&block[32..96], sub)).zip(masks) {
                    let high = mask >> (sub / 2) & 1;
                    *out = scale * f32::from((q | high << 2) as i8 - 4);
                }
            }
        }
    }

    /// `{ f16 d; f16 dmin; u8 scales[12]; u8 qs[128] }`: x̂ = (d·sc)·q − dmin·mn per 32.
    pub(super) fn q4_k(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<144>().0.iter().zip(out.as_chunks_mut::<256>().0) {
            let (d, dmin) = (half(block), half(&block[2..]));
            let pairs = block[16..].as_chunks::<32>().0.iter().zip(out.as_chunks_mut::<64>().0);
            for (pair, (codes, out)) in pairs.enumerate() {
                let (low, high) = out.split_at_mut(32);
                let (scale, min) = six_bits(d, dmin, &block[4..16], 2 * pair);
                for (out, byte) in low.iter_mut().zip(codes) {
                    *out = scale * f32::from(byte & 15) - min;
                }
                let (scale, min) = six_bits(d, dmin, &block[4..16], 2 * pair + 1);
                for (out, byte) in high.iter_mut().zip(codes) {
                    *out = scale * f32::from(byte >> 4) - min;
                }
            }
        }
    }

    /// `{ f16 d; f16 dmin; u8 scales[12]; u8 qh[32]; u8 qs[128] }`: as Q4_K with a fifth bit.
    pub(super) fn q5_k(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<176>().0.iter().zip(out.as_chunks_mut::<256>().0) {
            let (d, dmin) = (half(block), half(&block[2..]));
            let fifth = &block[16..48];
            let pairs = block[48..].as_chunks::<32>().0.iter().zip(out.as_chunks_mut::<64>().0);
            for (pair, (codes, out)) in pairs.enumerate() {
                let (low, high) = out.split_at_mut(32);
                let (scale, min) = six_bits(d, dmin, &block[4..16], 2 * pair);
                for ((out, byte), fifth) in low.iter_mut().zip(codes).zip(fifth) {
                    *out = scale * f32::from(byte & 15 | (fifth >> (2 * pair) & 1) << 4) - min;
                }
                let (scale, min) = six_bits(d, dmin, &block[4..16], 2 * pair + 1);
                for ((out, byte), fifth) in high.iter_mut().zip(codes).zip(fifth) {
                    *out = scale * f32::from(byte >> 4 | (fifth >> (2 * pair + 1) & 1) << 4) - min;
                }
            }
        }
    }

    /// `{ u8 ql[128]; u8 qh[64]; i8 scales[16]; f16 d }`: x̂ = (d·sc)·(q − 32) per 16.
    pub(super) fn q6_k(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<210>().0.iter().zip(out.as_chunks_mut::<256>().0) {
            let d = half(&block[208..]);
            for (sub, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
                let scale = d * f32::from(block[192 + sub] as i8);
                // Within a half of 128: quarter 0…3, and the first or second sixteen of its 32.
                let (half, quarter, part) = (sub / 8, sub / 2 % 4, 16 * (sub % 2));
                let low = &block[64 * half + 32 * (quarter % 2) + part..][..16];
                let high = &block[128 + 32 * half + part..][..16];
                for ((out, low), high) in out.iter_mut().zip(low).zip(high) {
                    let q = low >> (4 * (quarter / 2)) & 15 | (high >> (2 * quarter) & 3) << 4;
                    *out = scale * f32::from(q as i8 - 32);
                }
            }
        }
    }

    /// `{ f32 d; i8 qs[256]; i16 bsums[16] }`: x̂ = d·q.
    pub(super) fn q8_k(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<292>().0.iter().zip(out.as_chunks_mut::<256>().0) {
            let d = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
            for (out, q) in out.iter_mut().zip(&block[4..260]) {
                *out = d * f32::from(*q as i8);
            }
        }
    }
}

/// The sixteen 2-bit codes of sub-block `sub`: byte 32h + l holds elements 128h + l, +32, +64, +96.
#[inline(always)]
fn two_bits(qs: &[u8], sub: usize) -> [u8; 16] {
    let mut codes = [0; 16];
    let bytes = &qs[32 * (sub / 8) + 16 * (sub % 2)..][..16];
    for (code, byte) in codes.iter_mut().zip(bytes) {
        *code = byte >> (2 * (sub / 2 % 4)) & 3;
    }
    codes
}

/// The 6-bit scale of sub-block `sub` of Q3_K.
#[inline(always)]
fn three_k_scale(scales: &[u8], sub: usize) -> i8 {
    let low = scales[sub % 8] >> (4 * (sub / 8)) & 15;
    let high = scales[8 + sub % 4] >> (2 * (sub / 4)) & 3;
    (low | high << 4) as i8
}

/// d·sc and dmin·mn of sub-block `sub` of Q4_K and Q5_K.
#[inline(always)]
fn six_bits(d: f32, dmin: f32, s: &[u8], sub: usize) -> (f32, f32) {
    let (scale, min) = if sub < 4 {
        (s[sub] & 63, s[sub + 4] & 63)
    } else {
        (s[sub + 4] & 15 | s[sub - 4] >> 6 << 4, s[sub + 4] >> 4 | s[sub] >> 6 << 4)
    };
    (d * f32::from(scale), dmin * f32::from(min))
}
