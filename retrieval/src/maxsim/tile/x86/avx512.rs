//! 512-bit registers: 16 query tokens each.

use std::arch::x86_64::*;

use super::{Tile, Words, maxima_of, products_of};

/// Products in flight for two registers of lanes: 24 of 32 registers are sums.
const TWO: usize = 12;
/// And for one register of lanes.
const ONE: usize = 16;

/// Functions that are the same for the two kinds of floats.
macro_rules! float_sums {
    () => {
        type Sum = __m512;
        const LANES: usize = 16;

        #[inline(always)]
        unsafe fn zero() -> __m512 {
            // SAFETY: the caller has the features.
            unsafe { _mm512_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn lowest() -> __m512 {
            // SAFETY: as above.
            unsafe { _mm512_set1_ps(f32::NEG_INFINITY) }
        }
        #[inline(always)]
        unsafe fn max(a: __m512, b: __m512) -> __m512 {
            // SAFETY: as above.
            unsafe { _mm512_max_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn store(sum: __m512, out: *mut u32) {
            // SAFETY: `out` has 16 words.
            unsafe { _mm512_storeu_ps(out.cast(), sum) }
        }
    };
}

struct F32;

impl Tile for F32 {
    float_sums!();
    type Lanes = __m512;
    type Value = __m512;

    #[inline(always)]
    unsafe fn panel(words: *const u32) -> __m512 {
        // SAFETY: 16 readable words.
        unsafe { _mm512_loadu_ps(words.cast()) }
    }
    #[inline(always)]
    unsafe fn value(word: u32) -> __m512 {
        // SAFETY: the features.
        unsafe { _mm512_set1_ps(f32::from_bits(word)) }
    }
    #[inline(always)]
    unsafe fn step(sum: __m512, lanes: __m512, value: __m512) -> __m512 {
        // SAFETY: the features.
        unsafe { _mm512_fmadd_ps(lanes, value, sum) }
    }
}

/// Brain floats with `dpbf16ps`.
struct NativeBf16;

impl Tile for NativeBf16 {
    float_sums!();
    type Lanes = __m512i;
    type Value = __m512i;

    #[inline(always)]
    unsafe fn panel(words: *const u32) -> __m512i {
        // SAFETY: 16 readable words.
        unsafe { _mm512_loadu_si512(words.cast()) }
    }
    #[inline(always)]
    unsafe fn value(word: u32) -> __m512i {
        // SAFETY: the features.
        unsafe { _mm512_set1_epi32(word.cast_signed()) }
    }
    #[inline(always)]
    unsafe fn step(sum: __m512, lanes: __m512i, value: __m512i) -> __m512 {
        // SAFETY: the features; both types are 64 bytes of plain data.
        unsafe {
            let [lanes, value] = [lanes, value].map(|words| std::mem::transmute::<__m512i, __m512bh>(words));
            _mm512_dpbf16_ps(sum, lanes, value)
        }
    }
}

/// Brain floats as halves of 32-bit floats, for processors without `dpbf16ps`.
struct WidenedBf16;

impl Tile for WidenedBf16 {
    float_sums!();
    type Lanes = [__m512; 2];
    type Value = [__m512; 2];

    #[inline(always)]
    unsafe fn panel(words: *const u32) -> [__m512; 2] {
        // SAFETY: 16 readable words, and the features.
        unsafe {
            let words = _mm512_loadu_si512(words.cast());
            let high = _mm512_and_si512(words, _mm512_set1_epi32(0xffff_0000_u32.cast_signed()));
            [_mm512_castsi512_ps(_mm512_slli_epi32::<16>(words)), _mm512_castsi512_ps(high)]
        }
    }
    #[inline(always)]
    unsafe fn value(word: u32) -> [__m512; 2] {
        // SAFETY: the features.
        unsafe {
            let halves = [word << 16, word & 0xffff_0000].map(f32::from_bits);
            [_mm512_set1_ps(halves[0]), _mm512_set1_ps(halves[1])]
        }
    }
    #[inline(always)]
    unsafe fn step(sum: __m512, lanes: [__m512; 2], value: [__m512; 2]) -> __m512 {
        // SAFETY: the features.
        unsafe { _mm512_fmadd_ps(lanes[1], value[1], _mm512_fmadd_ps(lanes[0], value[0], sum)) }
    }
}

struct I8;

impl Tile for I8 {
    type Sum = __m512i;
    type Lanes = __m512i;
    type Value = __m512i;
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> __m512i {
        // SAFETY: the features.
        unsafe { _mm512_setzero_si512() }
    }
    #[inline(always)]
    unsafe fn lowest() -> __m512i {
        // SAFETY: the features.
        unsafe { _mm512_set1_epi32(i32::MIN) }
    }
    #[inline(always)]
    unsafe fn panel(words: *const u32) -> __m512i {
        // SAFETY: 16 readable words.
        unsafe { _mm512_loadu_si512(words.cast()) }
    }
    #[inline(always)]
    unsafe fn value(word: u32) -> __m512i {
        // SAFETY: the features.
        unsafe { _mm512_set1_epi32(word.cast_signed()) }
    }
    #[inline(always)]
    unsafe fn step(sum: __m512i, lanes: __m512i, value: __m512i) -> __m512i {
        // SAFETY: the features. The document's bytes are the unsigned operand.
        unsafe { _mm512_dpbusd_epi32(sum, value, lanes) }
    }
    #[inline(always)]
    unsafe fn max(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the features.
        unsafe { _mm512_max_epi32(a, b) }
    }
    #[inline(always)]
    unsafe fn store(sum: __m512i, out: *mut u32) {
        // SAFETY: `out` has 16 words.
        unsafe { _mm512_storeu_si512(out.cast(), sum) }
    }
}

/// Every kind of words without `dpbf16ps`.
///
/// # Safety
/// As [`maxima_of`]; `out` has a block of words; AVX-512 F, BW, DQ, VL and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
pub(super) unsafe fn any(
    words: Words,
    panel: *const u32,
    document: *const u32,
    steps: usize,
    tokens: usize,
    out: *mut u32,
    half: bool,
) {
    // SAFETY: the caller's.
    unsafe {
        match (words, half) {
            (Words::F32, false) => maxima_of::<F32, 2, TWO>(panel, document, steps, tokens, out),
            (Words::F32, true) => maxima_of::<F32, 1, ONE>(panel, document, steps, tokens, out),
            (Words::Bf16, false) => maxima_of::<WidenedBf16, 2, 8>(panel, document, steps, tokens, out),
            (Words::Bf16, true) => maxima_of::<WidenedBf16, 1, ONE>(panel, document, steps, tokens, out),
            (Words::I8, false) => maxima_of::<I8, 2, TWO>(panel, document, steps, tokens, out),
            (Words::I8, true) => maxima_of::<I8, 1, ONE>(panel, document, steps, tokens, out),
        }
    }
}

/// Brain floats with `dpbf16ps`.
///
/// # Safety
/// As [`any`], and AVX-512 BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma")]
pub(super) unsafe fn native_bf16(
    panel: *const u32,
    document: *const u32,
    steps: usize,
    tokens: usize,
    out: *mut u32,
    half: bool,
) {
    // SAFETY: the caller's.
    unsafe {
        match half {
            false => maxima_of::<NativeBf16, 2, TWO>(panel, document, steps, tokens, out),
            true => maxima_of::<NativeBf16, 1, ONE>(panel, document, steps, tokens, out),
        }
    }
}

/// Products of bytes.
///
/// # Safety
/// As [`products_of`]; AVX-512 F, BW, DQ, VL and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
pub(super) unsafe fn products(
    panel: *const u32,
    rows: *const u32,
    steps: usize,
    tokens: usize,
    out: *mut u32,
) {
    // SAFETY: the caller's.
    unsafe { products_of::<I8, 2, TWO>(panel, rows, steps, tokens, out) }
}
