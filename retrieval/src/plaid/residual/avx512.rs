//! Unpacking of residuals with 512-bit registers: 16 components at a time.
#![expect(unsafe_code, reason = "loads from pointers, calls into functions that need processor features")]

use std::arch::x86_64::*;

use crate::index::Codec;

/// One token of unit length into `row`, or `false` when the codec's width is not whole registers.
///
/// # Panics
/// When the lengths of `packed` or `row` are not the codec's, or there is no such centroid.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
pub(super) fn decode(codec: &Codec, packed: &[u8], centroid: usize, row: &mut [f32]) -> bool {
    let width = codec.width();
    assert!(packed.len() == codec.row_bytes() && row.len() == width && centroid < codec.len());
    if !width.is_multiple_of(16) {
        return false;
    }
    let (codes, scale) = (&codec.codes()[centroid * width..][..width], codec.scales()[centroid]);
    let weights: [f32; 16] = std::array::from_fn(|code| codec.weights()[code & ((1 << codec.bits()) - 1)]);
    // SAFETY: the array has 16 floats; `packed`, `codes` and `row` are as long as the loops go.
    unsafe {
        let (weights, scale) = (_mm512_loadu_ps(weights.as_ptr()), _mm512_set1_ps(scale));
        let mut square = _mm512_setzero_ps();
        for part in 0..width / 16 {
            let weight = match codec.bits() {
                1 => one_bit(packed.as_ptr().add(2 * part), weights),
                2 => two_bits(packed.as_ptr().add(4 * part), weights),
                _ => four_bits(packed.as_ptr().add(8 * part), weights),
            };
            let code = _mm512_cvtepi8_epi32(_mm_loadu_si128(codes.as_ptr().add(16 * part).cast()));
            let value = _mm512_fmadd_ps(_mm512_cvtepi32_ps(code), scale, weight);
            square = _mm512_fmadd_ps(value, value, square);
            _mm512_storeu_ps(row.as_mut_ptr().add(16 * part), value);
        }
        let inverse = _mm512_set1_ps(1.0 / _mm512_reduce_add_ps(square).sqrt().max(1e-12));
        for part in 0..width / 16 {
            let place = row.as_mut_ptr().add(16 * part);
            _mm512_storeu_ps(place, _mm512_mul_ps(_mm512_loadu_ps(place), inverse));
        }
    }
    true
}

/// Values of 16 codes of one bit.
///
/// # Safety
/// Two readable bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
unsafe fn one_bit(packed: *const u8, weights: __m512) -> __m512 {
    // SAFETY: the caller's.
    let codes = unsafe { packed.cast::<u16>().read_unaligned() };
    _mm512_permutexvar_ps(_mm512_maskz_set1_epi32(codes, 1), weights)
}

/// Values of 16 codes of two bits: the table repeats, so that higher codes in the index's four bits do not matter.
///
/// # Safety
/// Four readable bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
unsafe fn two_bits(packed: *const u8, weights: __m512) -> __m512 {
    // SAFETY: the caller's.
    let codes = _mm512_set1_epi32(unsafe { packed.cast::<i32>().read_unaligned() });
    let shifts = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    _mm512_permutexvar_ps(_mm512_srlv_epi32(codes, shifts), weights)
}

/// Values of 16 codes of four bits.
///
/// # Safety
/// Eight readable bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
unsafe fn four_bits(packed: *const u8, weights: __m512) -> __m512 {
    // SAFETY: the caller's.
    let words =
        unsafe { [packed.cast::<i32>().read_unaligned(), packed.cast::<i32>().add(1).read_unaligned()] };
    let codes = _mm512_mask_set1_epi32(_mm512_set1_epi32(words[0]), 0xff00, words[1]);
    let shifts = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
    _mm512_permutexvar_ps(_mm512_srlv_epi32(codes, shifts), weights)
}
