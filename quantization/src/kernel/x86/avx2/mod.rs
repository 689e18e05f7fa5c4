//! 256-bit kernels. The most common types are written by hand ([`vector`]); of the others unpacking is the portable code
//! compiled for wider registers, and the sums are written by hand.
#![expect(unsafe_code, reason = "registers from arrays, calls into functions that need processor features")]

mod ternary;
mod vector;

use std::arch::x86_64::*;

use super::super::activations::{Form, Group, SUBS, fill_plainly};
use super::super::layout::shift;
use super::super::portable::{Sums, rows_by};
use super::super::{Activations, GROUP};
use crate::ggml::GgmlType;

pub(in super::super) use ternary::ternary;

/// As [`fill_plainly`], for a processor with the features.
pub(in super::super) fn fill(form: Form, x: &[f32], columns: usize, groups: &mut [Group]) {
    /// # Safety
    /// The features.
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn compiled(form: Form, x: &[f32], columns: usize, groups: &mut [Group]) {
        fill_plainly(form, x, columns, groups);
    }
    // SAFETY: `Activations` comes here only when the processor has the features.
    unsafe { compiled(form, x, columns, groups) }
}

/// As [`plain::rows`](super::super::plain::rows), for a processor with the features.
pub(in super::super) fn plain(kind: GgmlType, weights: &[u8], activations: &Activations, y: &mut [f32]) {
    /// # Safety
    /// The features.
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn compiled(kind: GgmlType, weights: &[u8], activations: &Activations, y: &mut [f32]) {
        super::super::plain::rows(kind, weights, activations, y);
    }
    // SAFETY: `Kernel` comes here only when the processor has the features.
    unsafe { compiled(kind, weights, activations, y) }
}

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
        match kind {
            GgmlType::Q4_0 => return vector::rows::<vector::Q4>(weights, row_bytes, activations, y),
            GgmlType::Q8_0 => return vector::rows::<vector::Q8>(weights, row_bytes, activations, y),
            GgmlType::Q4_K => return vector::rows::<vector::Q4K>(weights, row_bytes, activations, y),
            GgmlType::Q6_K => return vector::rows::<vector::Q6K>(weights, row_bytes, activations, y),
            GgmlType::TQ2_0 => return vector::rows::<vector::Tq2>(weights, row_bytes, activations, y),
            _ => {}
        }
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

/// A register with 32 bytes.
#[inline(always)]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: as long as a register, every value valid. (The intrinsic checks its pointer in builds with assertions.)
    unsafe { std::mem::transmute::<[u8; 32], __m256i>(*bytes) }
}

/// A register with 32 signed bytes.
#[inline(always)]
fn load_signed(bytes: &[i8; 32]) -> __m256i {
    // SAFETY: as long as a register, every value valid.
    unsafe { std::mem::transmute::<[i8; 32], __m256i>(*bytes) }
}

impl Sums for Narrow {
    #[inline(always)]
    fn sums(codes: &[u8; GROUP], activations: &[i8; GROUP]) -> [i32; SUBS] {
        let (c, x) = (codes.as_chunks::<32>().0, activations.as_chunks::<32>().0);
        // SAFETY: only `compiled` uses this, with the features.
        unsafe {
            let products = [
                narrow(&c[0], &x[0]),
                narrow(&c[1], &x[1]),
                narrow(&c[2], &x[2]),
                narrow(&c[3], &x[3]),
                narrow(&c[4], &x[4]),
                narrow(&c[5], &x[5]),
                narrow(&c[6], &x[6]),
                narrow(&c[7], &x[7]),
            ];
            reduced(products)
        }
    }

    #[inline(always)]
    fn look_up(table: &[u8; 16], codes: &mut [u8; GROUP]) {
        look_up(table, codes);
    }
}

impl Sums for Wide {
    #[inline(always)]
    fn sums(codes: &[u8; GROUP], activations: &[i8; GROUP]) -> [i32; SUBS] {
        let (c, x) = (codes.as_chunks::<32>().0, activations.as_chunks::<32>().0);
        // SAFETY: only `compiled` uses this, with the features.
        unsafe {
            let products = [
                wide(&c[0], &x[0]),
                wide(&c[1], &x[1]),
                wide(&c[2], &x[2]),
                wide(&c[3], &x[3]),
                wide(&c[4], &x[4]),
                wide(&c[5], &x[5]),
                wide(&c[6], &x[6]),
                wide(&c[7], &x[7]),
            ];
            reduced(products)
        }
    }

    #[inline(always)]
    fn look_up(table: &[u8; 16], codes: &mut [u8; GROUP]) {
        look_up(table, codes);
    }
}

/// Sums of four products.
///
/// # Safety
/// The features.
#[inline(always)]
unsafe fn narrow(codes: &[u8; 32], x: &[i8; 32]) -> __m256i {
    // SAFETY: the caller's.
    unsafe { _mm256_madd_epi16(_mm256_maddubs_epi16(load(codes), load_signed(x)), _mm256_set1_epi16(1)) }
}

/// Sums of four products, widened before they are multiplied. Unpacking keeps the halves, and so the sub-blocks, apart.
///
/// # Safety
/// The features.
#[inline(always)]
unsafe fn wide(codes: &[u8; 32], x: &[i8; 32]) -> __m256i {
    let (codes, x) = (load(codes), load_signed(x));
    // SAFETY: the caller's.
    unsafe {
        let zero = _mm256_setzero_si256();
        let sign = _mm256_cmpgt_epi8(zero, x);
        let low = _mm256_madd_epi16(_mm256_unpacklo_epi8(codes, zero), _mm256_unpacklo_epi8(x, sign));
        let high = _mm256_madd_epi16(_mm256_unpackhi_epi8(codes, zero), _mm256_unpackhi_epi8(x, sign));
        _mm256_add_epi32(low, high)
    }
}

/// Replaces 4-bit codes by their entries.
#[inline(always)]
fn look_up(table: &[u8; 16], codes: &mut [u8; GROUP]) {
    let mut twice = [0; 32];
    twice[..16].copy_from_slice(table);
    twice[16..].copy_from_slice(table);
    for codes in codes.as_chunks_mut::<32>().0 {
        // SAFETY: only `compiled` uses this, with the features; as long as a register, every value valid.
        *codes = unsafe {
            std::mem::transmute::<__m256i, [u8; 32]>(_mm256_shuffle_epi8(load(&twice), load(codes)))
        };
    }
}

/// The sixteen sums, at their lanes, of eight registers whose halves hold four partial sums each.
///
/// # Safety
/// The features.
#[inline(always)]
unsafe fn reduced([a, b, c, d, e, f, g, h]: [__m256i; 8]) -> [i32; SUBS] {
    // SAFETY: the caller's; as long as two registers, every value valid.
    unsafe {
        // Registers 0, 2, 4, 6 hold the even quarters (lanes 0 and 8 on), the others the odd ones: each half of 32 weights is a
        // sub-block, and a sub-block's lane is 4·(sub mod 4) + sub / 4.
        let even = _mm256_hadd_epi32(_mm256_hadd_epi32(a, c), _mm256_hadd_epi32(e, g));
        let odd = _mm256_hadd_epi32(_mm256_hadd_epi32(b, d), _mm256_hadd_epi32(f, h));
        std::mem::transmute::<[__m256i; 2], [i32; SUBS]>([even, odd])
    }
}
