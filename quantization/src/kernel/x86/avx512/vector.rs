//! Matrix times one vector: bound by memory, so each weight is unpacked where it is used.
#![expect(unsafe_code, reason = "loads from pointers")]

use std::arch::x86_64::*;

use super::super::super::Activations;
use super::super::super::activations::{Group, SUBS};
use super::Format;

/// Products of every row of `weights` with every row of `activations`; `y` is `[tokens, rows]`.
///
/// # Safety
/// Rows of whole groups of `F`, and the features.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn rows<F: Format>(
    weights: &[u8],
    row_bytes: usize,
    activations: &Activations,
    y: &mut [f32],
) {
    for (token, y) in y.chunks_exact_mut(weights.len() / row_bytes).enumerate() {
        let groups = activations.row(token);
        for (row, y) in weights.chunks_exact(row_bytes).zip(y) {
            let mut sum = _mm512_setzero_ps();
            for (bytes, group) in row.chunks_exact(F::BYTES).zip(groups) {
                // SAFETY: a chunk is a group.
                sum = unsafe { add::<F>(sum, bytes, group) };
            }
            *y = _mm512_reduce_add_ps(sum);
        }
    }
}

/// Adds one group's products to the lanes of `sum`.
///
/// # Safety
/// A readable group.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
unsafe fn add<F: Format>(sum: __m512, weights: &[u8], group: &Group) -> __m512 {
    let part = |sum: __m512i, part: usize| {
        // SAFETY: a quarter of the activations; the features.
        unsafe {
            let x = _mm512_load_si512(group.codes.as_ptr().add(64 * part).cast());
            _mm512_dpbusd_epi32(sum, F::codes(weights, part), x)
        }
    };
    let zero = _mm512_setzero_si512();
    let mut sums = if F::SPAN == SUBS {
        // One scale for all: it does not matter which lane a sum is in.
        part(part(part(part(zero, 0), 1), 2), 3)
    } else {
        transposed_sums([part(zero, 0), part(zero, 1), part(zero, 2), part(zero, 3)])
    };
    // SAFETY: arrays of sixteen, aligned with the group; the caller's weights.
    unsafe {
        if let Some(shift) = F::SHIFT {
            let x = _mm512_load_si512(group.sums.as_ptr().cast());
            sums = _mm512_sub_epi32(sums, _mm512_sll_epi32(x, _mm_cvtsi32_si128(shift as i32)));
        }
        let scales = _mm512_mul_ps(F::scales(weights), _mm512_load_ps(group.scales.as_ptr()));
        let sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), scales, sum);
        if F::MINIMA {
            _mm512_fmadd_ps(F::minima(weights), _mm512_load_ps(group.offsets.as_ptr()), sum)
        } else {
            sum
        }
    }
}

/// Sums of four neighbouring lanes: those of register r, quarter q come to lane 4q + r.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
fn transposed_sums([a, b, c, d]: [__m512i; 4]) -> __m512i {
    let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd))
}
