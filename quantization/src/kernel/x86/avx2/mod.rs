//! 256-bit kernels: unpacking is the portable code compiled for wider registers, the sums are written by hand.
#![expect(unsafe_code, reason = "loads from pointers, calls into functions that need processor features")]

mod ternary;

use std::arch::x86_64::*;

use super::super::activations::SUBS;
use super::super::layout::shift;
use super::super::portable::{Sums, rows_by};
use super::super::{Activations, GROUP};
use crate::ggml::GgmlType;

pub(in super::super) use ternary::ternary;

/// As [`portable::rows`](super::super::portable::rows), for a processor with the features.
pub(in super::super) fn rows(
    kind: GgmlType,
    weights: &[u8],
    row_bytes: usize,
    activations: &Activations,
    y: &mut [f32],
) {
    // SAFETY: `Kernel` comes here only when the processor has the features.
    unsafe {
        match shift(kind) {
            Some(7) => compiled::<Wide>(kind, weights, row_bytes, activations, y),
            _ => compiled::<Narrow>(kind, weights, row_bytes, activations, y),
        }
    }
}

/// # Safety
/// The features.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn compiled<S: Sums>(
    kind: GgmlType,
    weights: &[u8],
    row_bytes: usize,
    activations: &Activations,
    y: &mut [f32],
) {
    rows_by::<S>(kind, weights, row_bytes, activations, y);
}

/// Sums of codes up to 129: two products, 2 · 129 · 127 = 32 766 at most, fit the 16 bits of `maddubs`.
struct Narrow;

/// Sums of codes up to 255, widened to 16 bits before they are multiplied.
struct Wide;

impl Sums for Narrow {
    #[inline(always)]
    fn sums(codes: &[u8; GROUP], activations: &[i8; GROUP]) -> [i32; SUBS] {
        // SAFETY: only `compiled` uses this, with the features; the pointers are inside the arrays.
        unsafe {
            reduced(|at| {
                let codes = _mm256_loadu_si256(codes.as_ptr().add(32 * at).cast());
                let x = _mm256_loadu_si256(activations.as_ptr().add(32 * at).cast());
                _mm256_madd_epi16(_mm256_maddubs_epi16(codes, x), _mm256_set1_epi16(1))
            })
        }
    }
}

impl Sums for Wide {
    #[inline(always)]
    fn sums(codes: &[u8; GROUP], activations: &[i8; GROUP]) -> [i32; SUBS] {
        // SAFETY: only `compiled` uses this, with the features; the pointers are inside the arrays.
        unsafe {
            reduced(|at| {
                let part = |half: usize| {
                    let codes = _mm_loadu_si128(codes.as_ptr().add(32 * at + 16 * half).cast());
                    let x = _mm_loadu_si128(activations.as_ptr().add(32 * at + 16 * half).cast());
                    _mm256_madd_epi16(_mm256_cvtepu8_epi16(codes), _mm256_cvtepi8_epi16(x))
                };
                // Eight sums of two each become four sums of four, in the half of their sub-block.
                let (first, second) = (part(0), part(1));
                let (low, high) = (
                    _mm256_permute2x128_si256::<0x20>(first, second),
                    _mm256_permute2x128_si256::<0x31>(first, second),
                );
                _mm256_add_epi32(low, high)
            })
        }
    }
}

/// The sixteen sums, at their lanes, of eight registers whose halves hold four partial sums each.
///
/// # Safety
/// The features.
#[inline(always)]
unsafe fn reduced(part: impl Fn(usize) -> __m256i) -> [i32; SUBS] {
    let mut sums = [0; SUBS];
    // SAFETY: the caller's; the array takes two registers' halves.
    unsafe {
        // Registers 0, 2, 4, 6 hold the even quarters (lanes 0 and 8 on), the others the odd ones (lanes 4 and 12 on).
        let first =
            _mm256_hadd_epi32(_mm256_hadd_epi32(part(0), part(2)), _mm256_hadd_epi32(part(4), part(6)));
        let second =
            _mm256_hadd_epi32(_mm256_hadd_epi32(part(1), part(3)), _mm256_hadd_epi32(part(5), part(7)));
        _mm256_storeu_si256(sums.as_mut_ptr().cast(), first);
        _mm256_storeu_si256(sums.as_mut_ptr().add(8).cast(), second);
    }
    sums
}
