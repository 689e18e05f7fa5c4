//! I2_S times int8.
#![expect(unsafe_code, reason = "registers from arrays, calls into functions that need processor features")]

use std::arch::x86_64::*;

use super::super::super::ternary::{BLOCK, BLOCK_BYTES};
use super::unpack::{halves, load32};

/// As the portable kernel, for a processor with the features.
pub(in super::super::super) fn ternary(codes: &[u8], x: &[i8], sums: &mut [i32]) {
    // SAFETY: `kernel::ternary` comes here only when the processor has the features.
    unsafe { rows(codes, x, sums) }
}

/// # Safety
/// The features.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
unsafe fn rows(codes: &[u8], x: &[i8], sums: &mut [i32]) {
    let total: i32 = x.iter().map(|&x| i32::from(x)).sum();
    for (row, sum) in codes.chunks_exact(x.len() / 4).zip(sums) {
        let mut lanes = [_mm512_setzero_si512(); 2];
        for (codes, x) in row.as_chunks::<BLOCK_BYTES>().0.iter().zip(x.as_chunks::<BLOCK>().0) {
            lanes = block(lanes, codes, x);
        }
        *sum = _mm512_reduce_add_epi32(_mm512_add_epi32(lanes[0], lanes[1])) - total;
    }
}

/// Adds Σ (t + 1)·q of one block, in 32-bit lanes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
fn block([first, second]: [__m512i; 2], codes: &[u8; BLOCK_BYTES], x: &[i8; BLOCK]) -> [__m512i; 2] {
    let codes = _mm512_broadcast_i64x4(load32(codes, 0));
    let x = |half: usize| {
        // SAFETY: as long as a register, every value valid.
        unsafe { std::mem::transmute::<[i8; 64], __m512i>(x.as_chunks::<64>().0[half]) }
    };
    let three = _mm512_set1_epi8(3);
    let field = |shifts| _mm512_and_si512(_mm512_srlv_epi16(codes, shifts), three);
    [
        _mm512_dpbusd_epi32(first, field(halves(6, 4)), x(0)),
        _mm512_dpbusd_epi32(second, field(halves(2, 0)), x(1)),
    ]
}
