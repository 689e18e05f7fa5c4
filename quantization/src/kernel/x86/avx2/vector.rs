//! Rows times tokens for the types that most files are made of: products stay in lanes up to the end of a row, each block of
//! weights is unpacked once for a few tokens.
#![expect(unsafe_code, reason = "functions that need processor features, registers from arrays")]
#![expect(
    clippy::needless_range_loop,
    reason = "loops over a constant number of tokens or blocks become straight code"
)]

use std::arch::x86_64::*;

use super::super::super::activations::{Group, SUBS};
use super::super::super::{Activations, GROUP};
use super::{load, load_signed};

/// Tokens that share an unpacked block of weights.
const TOKENS: usize = 4;

/// How 256 weights of one type are multiplied.
///
/// # Safety
/// [`Self::add`] needs the features of its `target_feature`; `weights` must have [`Self::BYTES`] bytes.
pub(super) trait Format {
    /// Bytes of 256 weights.
    const BYTES: usize;

    /// Adds the products with each token's group to the lanes of its total.
    unsafe fn add<const T: usize>(totals: &mut [__m256; T], weights: &[u8], groups: [&Group; T]);
}

/// Q4_0.
pub(super) struct Q4;
/// Q8_0.
pub(super) struct Q8;
/// Q4_K.
pub(super) struct Q4K;
/// Q6_K.
pub(super) struct Q6K;
/// TQ2_0.
pub(super) struct Tq2;

/// Products of every row of `weights` with every row of `activations`; `y` is `[tokens, rows]`.
///
/// # Safety
/// Rows of whole groups of `F`, and the features.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn rows<F: Format>(
    weights: &[u8],
    row_bytes: usize,
    activations: &Activations,
    y: &mut [f32],
) {
    let n_rows = weights.len() / row_bytes;
    let mut token = 0;
    // SAFETY: the caller's.
    unsafe {
        while token + TOKENS <= activations.rows() {
            some::<F, TOKENS>(weights, row_bytes, activations, token, &mut y[token * n_rows..]);
            token += TOKENS;
        }
        for token in token..activations.rows() {
            some::<F, 1>(weights, row_bytes, activations, token, &mut y[token * n_rows..]);
        }
    }
}

/// # Safety
/// As [`rows`].
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn some<F: Format, const T: usize>(
    weights: &[u8],
    row_bytes: usize,
    activations: &Activations,
    first: usize,
    y: &mut [f32],
) {
    let n_rows = weights.len() / row_bytes;
    let tokens: [&[Group]; T] = std::array::from_fn(|token| activations.row(first + token));
    for (row, bytes) in weights.chunks_exact(row_bytes).enumerate() {
        let mut totals = [_mm256_setzero_ps(); T];
        for (at, weights) in bytes.chunks_exact(F::BYTES).enumerate() {
            let mut groups = [&tokens[0][at]; T];
            for token in 1..T {
                groups[token] = &tokens[token][at];
            }
            // SAFETY: the caller's; a chunk is a group.
            unsafe { F::add(&mut totals, weights, groups) };
        }
        for (token, total) in totals.into_iter().enumerate() {
            y[token * n_rows + row] = total_of(total);
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn total_of(lanes: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}

/// `N` bytes from byte `at` on; lengths known to the compiler remove the check.
#[inline(always)]
fn array<const N: usize>(bytes: &[u8], at: usize) -> &[u8; N] {
    bytes[at..].first_chunk().expect("a group has all its fields")
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn half(bytes: &[u8], at: usize) -> f32 {
    let bits = u16::from_le_bytes(*array(bytes, at));
    _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits))))
}

/// Half-precision values at the beginnings of eight blocks of `STRIDE` bytes.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn block_scales<const STRIDE: usize>(weights: &[u8]) -> __m256 {
    let bits: [[u8; 2]; 8] = std::array::from_fn(|block| *array(weights, block * STRIDE));
    // SAFETY: both are 16 bytes without invalid values.
    _mm256_cvtph_ps(unsafe { std::mem::transmute::<[[u8; 2]; 8], __m128i>(bits) })
}

/// 16 bytes.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn load16(bytes: &[u8], at: usize) -> __m128i {
    // SAFETY: both are 16 bytes without invalid values.
    unsafe { std::mem::transmute::<[u8; 16], __m128i>(*array(bytes, at)) }
}

/// A quarter of a group's values per sub-block.
#[inline(always)]
fn quarter<T: Copy>(values: &[T; SUBS], at: usize) -> [T; 4] {
    *values[4 * at..].first_chunk().expect("sixteen values have four quarters")
}

/// The activations' scales of the eight blocks of 32, in order. Even blocks stand in the first quarter, odd ones in the third.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn activation_scales(group: &Group) -> __m256 {
    // SAFETY: four floats, every value valid.
    let load = |at| unsafe { std::mem::transmute::<[f32; 4], __m128>(quarter(&group.scales, at)) };
    let (even, odd) = (load(0), load(2));
    _mm256_set_m128(_mm_unpackhi_ps(even, odd), _mm_unpacklo_ps(even, odd))
}

/// The sums of the activations' codes in the eight blocks of 32, in order.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn activation_sums(group: &Group) -> __m256i {
    // SAFETY: four integers, every value valid.
    let load = |at| unsafe { std::mem::transmute::<[i32; 4], __m128i>(quarter(&group.sums, at)) };
    let (even, odd) = (_mm_add_epi32(load(0), load(1)), _mm_add_epi32(load(2), load(3)));
    _mm256_set_m128i(_mm_unpackhi_epi32(even, odd), _mm_unpacklo_epi32(even, odd))
}

/// Codes of block `block` of a token.
#[inline(always)]
fn activation_codes(group: &Group, block: usize) -> __m256i {
    load_signed(&group.codes.as_chunks::<32>().0[block])
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn floats(values: __m256) -> [f32; 8] {
    // SAFETY: eight floats, every value valid.
    unsafe { std::mem::transmute::<__m256, [f32; 8]>(values) }
}

/// Sums of four neighbouring products of unsigned codes (up to 129) and signed ones.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn fours(codes: __m256i, x: __m256i) -> __m256i {
    _mm256_madd_epi16(_mm256_maddubs_epi16(codes, x), _mm256_set1_epi16(1))
}

impl Format for Q4 {
    const BYTES: usize = 144;

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn add<const T: usize>(totals: &mut [__m256; T], weights: &[u8], groups: [&Group; T]) {
        let own = block_scales::<18>(weights);
        let mut scales = [[0.0; 8]; T];
        for token in 0..T {
            let both = _mm256_mul_ps(own, activation_scales(groups[token]));
            scales[token] = floats(both);
            // Codes are 8 too large.
            let sums = _mm256_cvtepi32_ps(_mm256_slli_epi32::<3>(activation_sums(groups[token])));
            totals[token] = _mm256_fnmadd_ps(sums, both, totals[token]);
        }
        for block in 0..8 {
            let bytes = load16(weights, 18 * block + 2);
            let codes = _mm256_set_m128i(_mm_srli_epi16::<4>(bytes), bytes);
            let codes = _mm256_and_si256(codes, _mm256_set1_epi8(15));
            for token in 0..T {
                let sums = fours(codes, activation_codes(groups[token], block));
                let scale = _mm256_set1_ps(scales[token][block]);
                totals[token] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), scale, totals[token]);
            }
        }
    }
}

impl Format for Q8 {
    const BYTES: usize = 272;

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn add<const T: usize>(totals: &mut [__m256; T], weights: &[u8], groups: [&Group; T]) {
        let own = block_scales::<34>(weights);
        let mut scales = [[0.0; 8]; T];
        for token in 0..T {
            scales[token] = floats(_mm256_mul_ps(own, activation_scales(groups[token])));
        }
        for block in 0..8 {
            let codes = load(array(weights, 34 * block + 2));
            let magnitudes = _mm256_abs_epi8(codes);
            for token in 0..T {
                // The sign goes over to the activations: 2 · 128 · 127 fits 16 bits.
                let x = _mm256_sign_epi8(activation_codes(groups[token], block), codes);
                let scale = _mm256_set1_ps(scales[token][block]);
                let sums = _mm256_cvtepi32_ps(fours(magnitudes, x));
                totals[token] = _mm256_fmadd_ps(sums, scale, totals[token]);
            }
        }
    }
}

/// Scales and minima of the eight blocks of a Q4_K super-block.
#[inline(always)]
fn six_bits(weights: &[u8]) -> ([u8; 8], [u8; 8]) {
    let word = |at: usize| u32::from_le_bytes(*array(weights, 4 + 4 * at));
    let (a, b, c) = (word(0), word(1), word(2));
    let (low, nibble, pair) = (0x3f3f_3f3f, 0x0f0f_0f0f, 0x0303_0303);
    let both = |first: u32, second: u32| (u64::from(first) | u64::from(second) << 32).to_le_bytes();
    let scales = both(a & low, c & nibble | (a >> 6 & pair) << 4);
    let minima = both(b & low, c >> 4 & nibble | (b >> 6 & pair) << 4);
    (scales, minima)
}

impl Format for Q4K {
    const BYTES: usize = 144;

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn add<const T: usize>(totals: &mut [__m256; T], weights: &[u8], groups: [&Group; T]) {
        let (scales, minima) = six_bits(weights);
        let minima = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(i64::from_le_bytes(minima)));
        let mut sums = [_mm256_setzero_si256(); T];
        for pair in 0..4 {
            let bytes = load(array(weights, 16 + 32 * pair));
            let mask = _mm256_set1_epi8(15);
            let halves =
                [_mm256_and_si256(bytes, mask), _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask)];
            for (odd, codes) in halves.into_iter().enumerate() {
                let block = 2 * pair + odd;
                let scale = _mm256_set1_epi16(i16::from(scales[block]));
                for token in 0..T {
                    let products = _mm256_maddubs_epi16(codes, activation_codes(groups[token], block));
                    sums[token] = _mm256_add_epi32(sums[token], _mm256_madd_epi16(products, scale));
                }
            }
        }
        let (d, dmin) = (half(weights, 0), half(weights, 2));
        for token in 0..T {
            let scale = groups[token].scales[0];
            let less = _mm256_mullo_epi32(minima, activation_sums(groups[token]));
            let total =
                _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[token]), _mm256_set1_ps(d * scale), totals[token]);
            totals[token] = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(less), _mm256_set1_ps(dmin * scale), total);
        }
    }
}

/// For each lane of a group's sums the place of its sub-block.
const SUB_OF_LANE: [u8; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];

impl Format for Q6K {
    const BYTES: usize = 210;

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn add<const T: usize>(totals: &mut [__m256; T], weights: &[u8], groups: [&Group; T]) {
        let scales = load16(weights, 192);
        let in_lanes = _mm_shuffle_epi8(scales, load16(&SUB_OF_LANE, 0));
        let wide = [_mm256_cvtepi8_epi32(in_lanes), _mm256_cvtepi8_epi32(_mm_srli_si128::<8>(in_lanes))];
        let mut sums = [_mm256_setzero_si256(); T];
        for token in 0..T {
            // Codes are 32 too large.
            let codes = groups[token].sums.as_chunks::<8>().0;
            for (half, scales) in wide.iter().enumerate() {
                // SAFETY: eight integers, every value valid.
                let codes = unsafe { std::mem::transmute::<[i32; 8], __m256i>(codes[half]) };
                let more = _mm256_slli_epi32::<5>(_mm256_mullo_epi32(codes, *scales));
                sums[token] = _mm256_sub_epi32(sums[token], more);
            }
        }
        let scale_words = _mm256_cvtepi8_epi16(scales);
        // SAFETY: sixteen integers, every value valid.
        let scale_words = unsafe { std::mem::transmute::<__m256i, [i16; 16]>(scale_words) };
        for side in 0..2 {
            let [first, second] = [0, 32].map(|at| load(array(weights, 64 * side + at)));
            let high = load(array(weights, 128 + 32 * side));
            let low = |bytes: __m256i| _mm256_and_si256(bytes, _mm256_set1_epi8(15));
            let top = |bits: __m256i| _mm256_and_si256(bits, _mm256_set1_epi8(48));
            let codes = [
                _mm256_or_si256(low(first), top(_mm256_slli_epi16::<4>(high))),
                _mm256_or_si256(low(second), top(_mm256_slli_epi16::<2>(high))),
                _mm256_or_si256(low(_mm256_srli_epi16::<4>(first)), top(high)),
                _mm256_or_si256(low(_mm256_srli_epi16::<4>(second)), top(_mm256_srli_epi16::<2>(high))),
            ];
            for (quarter, codes) in codes.into_iter().enumerate() {
                let block = 4 * side + quarter;
                let [lower, upper] = [scale_words[2 * block], scale_words[2 * block + 1]];
                let scale = _mm256_set_m128i(_mm_set1_epi16(upper), _mm_set1_epi16(lower));
                for token in 0..T {
                    let products = _mm256_maddubs_epi16(codes, activation_codes(groups[token], block));
                    sums[token] = _mm256_add_epi32(sums[token], _mm256_madd_epi16(products, scale));
                }
            }
        }
        let d = half(weights, 208);
        for token in 0..T {
            let scale = _mm256_set1_ps(d * groups[token].scales[0]);
            totals[token] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[token]), scale, totals[token]);
        }
    }
}

impl Format for Tq2 {
    const BYTES: usize = 66;

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn add<const T: usize>(totals: &mut [__m256; T], weights: &[u8], groups: [&Group; T]) {
        // Sums of 16 products of at most 3 · 127 fit 16 bits.
        let mut sums = [_mm256_setzero_si256(); T];
        for side in 0..2 {
            let bytes = load(array(weights, 32 * side));
            let parts = [
                bytes,
                _mm256_srli_epi16::<2>(bytes),
                _mm256_srli_epi16::<4>(bytes),
                _mm256_srli_epi16::<6>(bytes),
            ];
            for (part, bits) in parts.into_iter().enumerate() {
                let codes = _mm256_and_si256(bits, _mm256_set1_epi8(3));
                for token in 0..T {
                    let x = activation_codes(groups[token], 4 * side + part);
                    sums[token] = _mm256_add_epi16(sums[token], _mm256_maddubs_epi16(codes, x));
                }
            }
        }
        let d = half(weights, 64);
        for token in 0..T {
            let wide = _mm256_madd_epi16(sums[token], _mm256_set1_epi16(1));
            // Codes are 1 too large.
            let exact = _mm256_sub_epi32(wide, activation_sums(groups[token]));
            let scale = _mm256_set1_ps(d * groups[token].scales[0]);
            totals[token] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(exact), scale, totals[token]);
        }
    }
}

const _: () = assert!(GROUP == 256, "formats are written for 256 weights");
