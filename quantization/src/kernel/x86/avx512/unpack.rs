//! Loads and bit manipulations that the formats share.
#![expect(unsafe_code, reason = "loads from pointers")]

use std::arch::x86_64::*;

/// Block of 32 weights of the value at each lane of a [`Format`](super::Format)'s scales.
const fn block_of_lane(lane: usize) -> usize {
    2 * (lane % 4) + lane / 8
}

/// `N` bytes from byte `at` on. Groups have a length known to the compiler, which removes the check.
#[inline(always)]
pub(super) fn array<const N: usize>(group: &[u8], at: usize) -> &[u8; N] {
    group[at..].first_chunk().expect("a group has all its fields")
}

/// The 16-bit word at byte `at`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) fn word(group: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(*array(group, at))
}

/// The 32-bit word at byte `at`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) fn double_word(group: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*array(group, at))
}

/// The half-precision value at byte `at`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) fn half(group: &[u8], at: usize) -> f32 {
    _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(word(group, at)))))
}

/// 16 bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) fn load16(group: &[u8], at: usize) -> __m128i {
    // SAFETY: both are 16 bytes without invalid values. (The intrinsic checks its pointer in builds with assertions.)
    unsafe { std::mem::transmute::<[u8; 16], __m128i>(*array(group, at)) }
}

/// 32 bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) fn load32(group: &[u8], at: usize) -> __m256i {
    // SAFETY: both are 32 bytes without invalid values.
    unsafe { std::mem::transmute::<[u8; 32], __m256i>(*array(group, at)) }
}

/// 64 bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) fn load64(group: &[u8], at: usize) -> __m512i {
    // SAFETY: both are 64 bytes without invalid values.
    unsafe { std::mem::transmute::<[u8; 64], __m512i>(*array(group, at)) }
}

/// A register with the bytes of an array.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) fn bytes(table: &[u8; 64]) -> __m512i {
    load64(table, 0)
}

/// A register with the words of an array.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) fn words(table: &[u16; 32]) -> __m512i {
    // SAFETY: the array has 64 bytes.
    unsafe { _mm512_loadu_si512(table.as_ptr().cast()) }
}

/// `low` in the words of the lower half, `high` in those of the upper.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) fn halves(low: i16, high: i16) -> __m512i {
    _mm512_inserti64x4::<1>(_mm512_set1_epi16(low), _mm256_set1_epi16(high))
}

/// Fields of `mask` of the 32 bytes from byte `at` on: from bit `low` in the lower half, from bit `high` in the upper.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) fn fields(group: &[u8], at: usize, low: usize, high: usize, mask: i8) -> __m512i {
    let twice = _mm512_broadcast_i64x4(load32(group, at));
    let shifted = _mm512_srlv_epi16(twice, halves(low as i16, high as i16));
    _mm512_and_si512(shifted, _mm512_set1_epi8(mask))
}

/// Nibbles of two runs of 16 bytes: low ones of the first, high ones of the first, low of the second, high of the second.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) fn nibbles(group: &[u8], first: usize, second: usize) -> __m512i {
    let first = _mm512_broadcast_i32x4(load16(group, first));
    let each_twice = _mm512_mask_broadcast_i32x4(first, 0xff00, load16(group, second));
    let shifts = _mm512_maskz_set1_epi32(0xf0f0, 0x0004_0004);
    _mm512_and_si512(_mm512_srlv_epi16(each_twice, shifts), _mm512_set1_epi8(15))
}

/// Table entries of 4-bit `codes`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) fn look_up(table: &[u8; 16], codes: __m512i) -> __m512i {
    _mm512_shuffle_epi8(_mm512_broadcast_i32x4(load16(table, 0)), codes)
}

/// Half-precision values at byte `AT` of eight blocks of `STRIDE` bytes, each at the lanes of its two sub-blocks.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) fn block_halves<const STRIDE: usize, const AT: usize>(group: &[u8]) -> __m512 {
    let reach = |blocks: usize| (blocks - 1) * STRIDE + AT + 2 <= 64;
    let gathered = if reach(4) {
        pick(group, 0, 4 * STRIDE, const { &word_indices(STRIDE, AT, 4) })
    } else if reach(3) {
        let indices = const { &word_indices(STRIDE, AT, 3) };
        let six = pick(group, 0, 3 * STRIDE, indices);
        let indices = _mm512_castsi512_si256(words(indices));
        _mm256_mask_permutexvar_epi16(six, 0x8888, indices, load32(group, 6 * STRIDE))
    } else {
        let indices = const { &word_indices(STRIDE, AT, 2) };
        let four = pick(group, 0, 2 * STRIDE, indices);
        _mm256_mask_mov_epi16(four, 0xcccc, pick(group, 4 * STRIDE, 6 * STRIDE, indices))
    };
    _mm512_cvtph_ps(gathered)
}

/// Sixteen of the words in two times 64 bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
fn pick(group: &[u8], first: usize, second: usize, indices: &[u16; 32]) -> __m256i {
    let (first, second) = (load64(group, first), load64(group, second));
    _mm512_castsi512_si256(_mm512_permutex2var_epi16(first, words(indices), second))
}

/// Where the word of each lane's block is, when every load reaches `per_load` blocks and two of them are picked from.
const fn word_indices(stride: usize, at: usize, per_load: usize) -> [u16; 32] {
    let mut indices = [0; 32];
    let mut lane = 0;
    while lane < 16 {
        let block = block_of_lane(lane);
        indices[lane] = (block % per_load * stride / 2 + at / 2 + block / per_load % 2 * 32) as u16;
        lane += 1;
    }
    indices
}

/// Byte `table[lane]` of `source` as the lowest byte of each lane, zeros above.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) fn lowest_bytes(source: __m512i, table: &[u8; 64]) -> __m512i {
    _mm512_maskz_permutexvar_epi8(0x1111_1111_1111_1111, bytes(table), source)
}

/// [`lowest_bytes`] table: byte `factor·sub / per` for the lane of sub-block `sub`.
pub(super) const fn lane_bytes(per: usize) -> [u8; 64] {
    let mut table = [0; 64];
    let mut lane = 0;
    while lane < 16 {
        table[4 * lane] = ((4 * (lane % 4) + lane / 4) / per) as u8;
        lane += 1;
    }
    table
}
