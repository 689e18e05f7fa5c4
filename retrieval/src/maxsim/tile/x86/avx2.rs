//! 256-bit registers: 8 query tokens each, so that a block takes two passes.

use std::arch::x86_64::*;

use super::{BLOCK, Tile, Words, maxima_of, products_of};

/// Products in flight for two registers of lanes: 12 of 16 registers are sums.
const TWO: usize = 6;

/// Functions that are the same for the two kinds of floats.
macro_rules! float_sums {
    () => {
        type Sum = __m256;
        const LANES: usize = 8;

        #[inline(always)]
        unsafe fn zero() -> __m256 {
            // SAFETY: the caller has the features.
            unsafe { _mm256_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn lowest() -> __m256 {
            // SAFETY: as above.
            unsafe { _mm256_set1_ps(f32::NEG_INFINITY) }
        }
        #[inline(always)]
        unsafe fn max(a: __m256, b: __m256) -> __m256 {
            // SAFETY: as above.
            unsafe { _mm256_max_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn store(sum: __m256, out: *mut u32) {
            // SAFETY: `out` has 8 words.
            unsafe { _mm256_storeu_ps(out.cast(), sum) }
        }
    };
}

struct F32;

impl Tile for F32 {
    float_sums!();
    type Lanes = __m256;
    type Value = __m256;

    #[inline(always)]
    unsafe fn panel(words: *const u32) -> __m256 {
        // SAFETY: 8 readable words.
        unsafe { _mm256_loadu_ps(words.cast()) }
    }
    #[inline(always)]
    unsafe fn value(word: u32) -> __m256 {
        // SAFETY: the features.
        unsafe { _mm256_set1_ps(f32::from_bits(word)) }
    }
    #[inline(always)]
    unsafe fn step(sum: __m256, lanes: __m256, value: __m256) -> __m256 {
        // SAFETY: the features.
        unsafe { _mm256_fmadd_ps(lanes, value, sum) }
    }
}

/// Brain floats as halves of 32-bit floats.
struct Bf16;

impl Tile for Bf16 {
    float_sums!();
    type Lanes = [__m256; 2];
    type Value = [__m256; 2];

    #[inline(always)]
    unsafe fn panel(words: *const u32) -> [__m256; 2] {
        // SAFETY: 8 readable words, and the features.
        unsafe {
            let words = _mm256_loadu_si256(words.cast());
            let high = _mm256_and_si256(words, _mm256_set1_epi32(0xffff_0000_u32.cast_signed()));
            [_mm256_castsi256_ps(_mm256_slli_epi32::<16>(words)), _mm256_castsi256_ps(high)]
        }
    }
    #[inline(always)]
    unsafe fn value(word: u32) -> [__m256; 2] {
        // SAFETY: the features.
        unsafe {
            let halves = [word << 16, word & 0xffff_0000].map(f32::from_bits);
            [_mm256_set1_ps(halves[0]), _mm256_set1_ps(halves[1])]
        }
    }
    #[inline(always)]
    unsafe fn step(sum: __m256, lanes: [__m256; 2], value: [__m256; 2]) -> __m256 {
        // SAFETY: the features.
        unsafe { _mm256_fmadd_ps(lanes[1], value[1], _mm256_fmadd_ps(lanes[0], value[0], sum)) }
    }
}

/// Bytes by `maddubs`: the document's unsigned byte is split in halves of 7 bits, whose pair sums cannot saturate.
struct I8;

impl Tile for I8 {
    type Sum = __m256i;
    type Lanes = __m256i;
    type Value = [__m256i; 2];
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> __m256i {
        // SAFETY: the features.
        unsafe { _mm256_setzero_si256() }
    }
    #[inline(always)]
    unsafe fn lowest() -> __m256i {
        // SAFETY: the features.
        unsafe { _mm256_set1_epi32(i32::MIN) }
    }
    #[inline(always)]
    unsafe fn panel(words: *const u32) -> __m256i {
        // SAFETY: 8 readable words.
        unsafe { _mm256_loadu_si256(words.cast()) }
    }
    #[inline(always)]
    unsafe fn value(word: u32) -> [__m256i; 2] {
        // SAFETY: the features.
        unsafe {
            let value = _mm256_set1_epi32(word.cast_signed());
            let half = _mm256_and_si256(_mm256_srli_epi16::<1>(value), _mm256_set1_epi8(0x7f));
            [half, _mm256_and_si256(value, _mm256_set1_epi8(1))]
        }
    }
    #[inline(always)]
    unsafe fn step(sum: __m256i, lanes: __m256i, [half, rest]: [__m256i; 2]) -> __m256i {
        // SAFETY: the features. Sums of pairs are at most 2 · 127 · 127, which 16 bits hold.
        unsafe {
            let ones = _mm256_set1_epi16(1);
            let halves = _mm256_madd_epi16(_mm256_maddubs_epi16(half, lanes), ones);
            let rests = _mm256_madd_epi16(_mm256_maddubs_epi16(rest, lanes), ones);
            _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_slli_epi32::<1>(halves), rests))
        }
    }
    #[inline(always)]
    unsafe fn max(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the features.
        unsafe { _mm256_max_epi32(a, b) }
    }
    #[inline(always)]
    unsafe fn store(sum: __m256i, out: *mut u32) {
        // SAFETY: `out` has 8 words.
        unsafe { _mm256_storeu_si256(out.cast(), sum) }
    }
}

/// Every kind of words.
///
/// # Safety
/// As [`maxima_of`]; `out` has a block of words; AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn any(
    words: Words,
    panel: *const u32,
    document: *const u32,
    steps: usize,
    tokens: usize,
    out: *mut u32,
    half: bool,
) {
    for first in (0..if half { BLOCK / 2 } else { BLOCK }).step_by(16) {
        // SAFETY: the caller's; a pass takes half of every block.
        unsafe {
            let (panel, out) = (panel.add(first), out.add(first));
            match words {
                Words::F32 => maxima_of::<F32, 2, TWO>(panel, document, steps, tokens, out),
                Words::Bf16 => maxima_of::<Bf16, 2, 4>(panel, document, steps, tokens, out),
                Words::I8 => maxima_of::<I8, 2, TWO>(panel, document, steps, tokens, out),
            }
        }
    }
}

/// Products of bytes.
///
/// # Safety
/// As [`products_of`]; AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn products(
    panel: *const u32,
    rows: *const u32,
    steps: usize,
    tokens: usize,
    out: *mut u32,
) {
    for first in (0..BLOCK).step_by(16) {
        // SAFETY: the caller's; a pass takes half of every block.
        unsafe { products_of::<I8, 2, TWO>(panel.add(first), rows, steps, tokens, out.add(first)) }
    }
}
