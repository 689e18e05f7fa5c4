//! Unpacking of residuals with 512-bit registers: 16 components at a time.
#![expect(unsafe_code, reason = "loads from pointers, calls into functions that need processor features")]

use std::arch::x86_64::*;

use crate::index::Codec;

/// One token of unit length into `row`, or `false` when the codec's width is not whole registers. `weights` are the codec's,
/// repeated.
///
/// # Panics
/// When the lengths of `packed` or `row` are not the codec's, or there is no such centroid.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
pub(super) fn decode(
    codec: &Codec,
    weights: &[f32; 16],
    packed: &[u8],
    centroid: usize,
    row: &mut [f32],
) -> bool {
    let width = codec.width();
    assert!(packed.len() == codec.row_bytes() && row.len() == width && centroid < codec.len());
    if !width.is_multiple_of(16) {
        return false;
    }
    let (codes, scale) = (&codec.codes()[centroid * width..][..width], codec.scales()[centroid]);
    // SAFETY: the array has 16 floats; `packed`, `codes` and `row` are as long as the loops go.
    unsafe {
        let weights = _mm512_loadu_ps(weights.as_ptr());
        let packed = packed.as_ptr();
        match codec.bits() {
            1 => unpack(codes, scale, row, |part| one_bit(packed.add(2 * part), weights)),
            2 => unpack(codes, scale, row, |part| two_bits(packed.add(4 * part), weights)),
            _ => unpack(codes, scale, row, |part| four_bits(packed.add(8 * part), weights)),
        }
    }
    true
}

/// Centroid plus the values of `weight`, 16 components at a time, divided by the length.
///
/// # Safety
/// As many codes as `row` has components, a multiple of 16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
unsafe fn unpack(codes: &[i8], scale: f32, row: &mut [f32], weight: impl Fn(usize) -> __m512) {
    let (parts, codes, row) = (row.len() / 16, codes.as_ptr(), row.as_mut_ptr());
    let scale = _mm512_set1_ps(scale);
    let mut square = _mm512_setzero_ps();
    // SAFETY: the caller's.
    unsafe {
        for part in 0..parts {
            let code = _mm512_cvtepi8_epi32(_mm_loadu_si128(codes.add(16 * part).cast()));
            let value = _mm512_fmadd_ps(_mm512_cvtepi32_ps(code), scale, weight(part));
            square = _mm512_fmadd_ps(value, value, square);
            _mm512_storeu_ps(row.add(16 * part), value);
        }
        let inverse = _mm512_set1_ps(1.0 / _mm512_reduce_add_ps(square).sqrt().max(1e-12));
        for part in 0..parts {
            let place = row.add(16 * part);
            _mm512_storeu_ps(place, _mm512_mul_ps(_mm512_loadu_ps(place), inverse));
        }
    }
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
