//! I2_S times int8.
#![expect(unsafe_code, reason = "registers from arrays, calls into functions that need processor features")]

use std::arch::x86_64::*;

use super::super::super::ternary::{BLOCK, BLOCK_BYTES};
use super::{load, load_signed};

/// As the portable kernel, for a processor with the features.
pub(in super::super::super) fn ternary(codes: &[u8], x: &[i8], sums: &mut [i32]) {
    // SAFETY: `kernel::ternary` comes here only when the processor has the features.
    unsafe { rows(codes, x, sums) }
}

/// # Safety
/// The features.
#[target_feature(enable = "avx2")]
unsafe fn rows(codes: &[u8], x: &[i8], sums: &mut [i32]) {
    let total: i32 = x.iter().map(|&x| i32::from(x)).sum();
    for (row, sum) in codes.chunks_exact(x.len() / 4).zip(sums) {
        let mut lanes = _mm256_setzero_si256();
        for (codes, x) in row.as_chunks::<BLOCK_BYTES>().0.iter().zip(x.as_chunks::<BLOCK>().0) {
            lanes = _mm256_add_epi32(lanes, block(codes, x));
        }
        // SAFETY: as long as a register, every value valid.
        let values = unsafe { std::mem::transmute::<__m256i, [i32; 8]>(lanes) };
        *sum = values.iter().sum::<i32>() - total;
    }
}

/// Σ (t + 1)·q of one block; the 16-bit sums are at most 4 · 2 · 3 · 128 = 3072 before they are widened.
#[target_feature(enable = "avx2")]
#[inline]
fn block(codes: &[u8; BLOCK_BYTES], x: &[i8; BLOCK]) -> __m256i {
    let codes = load(codes);
    let products = |codes: __m256i, run: usize| {
        let x = load_signed(&x.as_chunks::<32>().0[run]);
        _mm256_maddubs_epi16(_mm256_and_si256(codes, _mm256_set1_epi8(3)), x)
    };
    let first = _mm256_add_epi16(
        products(_mm256_srli_epi16::<6>(codes), 0),
        products(_mm256_srli_epi16::<4>(codes), 1),
    );
    let second = _mm256_add_epi16(products(_mm256_srli_epi16::<2>(codes), 2), products(codes, 3));
    _mm256_madd_epi16(_mm256_add_epi16(first, second), _mm256_set1_epi16(1))
}
