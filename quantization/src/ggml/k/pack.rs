//! Codes of 256 weights as the words of a super-block, for several super-blocks at once.

use super::lanes::Int;

/// Words of two-bit fields: the bits `from`, `from + 1` of the codes 128h + 32t + byte in bits 2t, 2t + 1 of a byte.
#[inline(always)]
pub(super) fn crumbs<I: Int>(codes: &[I; 256], from: i32, words: &mut [I]) {
    for (i, word) in words[..16].iter_mut().enumerate() {
        let start = i / 8 * 128 + i % 8 * 4;
        let mut packed = I::splat(0);
        for byte in 0..4 {
            for t in 0..4 {
                let field = codes[start + byte + 32 * t].shr(from) & I::splat(3);
                packed = packed | field.shl((8 * byte + 2 * t) as i32);
            }
        }
        *word = packed;
    }
}

/// Words of one-bit fields: bit `from` of the code 32t + byte in bit t of a byte.
#[inline(always)]
pub(super) fn bits<I: Int>(codes: &[I; 256], from: i32, words: &mut [I]) {
    for (i, word) in words[..8].iter_mut().enumerate() {
        let mut packed = I::splat(0);
        for byte in 0..4 {
            for t in 0..8 {
                let field = codes[4 * i + byte + 32 * t].shr(from) & I::splat(1);
                packed = packed | field.shl((8 * byte + t) as i32);
            }
        }
        *word = packed;
    }
}

/// Words of nibbles: the low four bits of 32 codes from `low` on, below those of 32 codes from `high` on.
#[inline(always)]
pub(super) fn nibbles<I: Int>(codes: &[I; 256], low: usize, high: usize, words: &mut [I]) {
    for (i, word) in words[..8].iter_mut().enumerate() {
        let mut packed = I::splat(0);
        for byte in 0..4 {
            let (low, high) = (codes[low + 4 * i + byte], codes[high + 4 * i + byte]);
            packed = packed | (low & I::splat(15)).shl(8 * byte as i32);
            packed = packed | (high & I::splat(15)).shl(8 * byte as i32 + 4);
        }
        *word = packed;
    }
}

/// Words of bytes.
#[inline(always)]
pub(super) fn bytes<I: Int>(bytes: &[I], words: &mut [I]) {
    for (bytes, word) in bytes.chunks_exact(4).zip(words) {
        *word = I::splat(0);
        for (i, &byte) in bytes.iter().enumerate() {
            *word = *word | (byte & I::splat(0xff)).shl(8 * i as i32);
        }
    }
}

/// Bytes of the 6-bit scales of Q3_K.
#[inline(always)]
pub(super) fn scales_of_16<I: Int>(scales: &[I; 16]) -> [I; 12] {
    let mut packed = [I::splat(0); 12];
    for (j, &scale) in scales.iter().enumerate() {
        packed[j % 8] = packed[j % 8] | (scale & I::splat(15)).shl((j / 8 * 4) as i32);
        packed[8 + j % 4] = packed[8 + j % 4] | scale.shr(4).shl((j / 4 * 2) as i32);
    }
    packed
}

/// Bytes of the 6-bit scales and minima of Q4_K and Q5_K; ones above 63 spill over as in ggml.
#[inline(always)]
pub(super) fn scales_of_8<I: Int>(scales: &[I], mins: &[I]) -> [I; 12] {
    let mut packed = [I::splat(0); 12];
    let byte = I::splat(0xff);
    for j in 0..4 {
        let (scale, min) = (scales[j + 4], mins[j + 4]);
        packed[j] = (scales[j] | scale.shr(4).shl(6)) & byte;
        packed[j + 4] = (mins[j] | min.shr(4).shl(6)) & byte;
        packed[j + 8] = (scale & I::splat(15)) | (min & I::splat(15)).shl(4);
    }
    packed
}

/// Scale and minimum `j` of the bytes of [`scales_of_8`].
#[inline(always)]
pub(super) fn scale_of_8<I: Int>(packed: &[I; 12], j: usize) -> (I, I) {
    if j < 4 {
        return (packed[j] & I::splat(63), packed[j + 4] & I::splat(63));
    }
    let low = packed[j + 4];
    let (scale, min) = (packed[j - 4].shr(6).shl(4), packed[j].shr(6).shl(4));
    ((low & I::splat(15)) | scale, low.shr(4) | min)
}
