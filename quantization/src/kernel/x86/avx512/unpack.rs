//! Loads and bit manipulations that the formats share.
#![expect(unsafe_code, reason = "loads from pointers")]

use std::arch::x86_64::*;

/// Block of 32 weights of the value at each lane of a [`Format`](super::Format)'s scales.
const fn block_of_lane(lane: usize) -> usize {
    2 * (lane % 4) + lane / 8
}

/// The 16-bit word at `at`.
///
/// # Safety
/// Two readable bytes there.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) unsafe fn word(at: *const u8) -> u16 {
    // SAFETY: the caller's.
    unsafe { at.cast::<u16>().read_unaligned() }
}

/// The 32-bit word at `at`.
///
/// # Safety
/// Four readable bytes there.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) unsafe fn double_word(at: *const u8) -> u32 {
    // SAFETY: the caller's.
    unsafe { at.cast::<u32>().read_unaligned() }
}

/// The half-precision value at `at`.
///
/// # Safety
/// Two readable bytes there.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) unsafe fn half(at: *const u8) -> f32 {
    // SAFETY: the caller's.
    let bits = unsafe { word(at) };
    _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits))))
}

/// 16 bytes.
///
/// # Safety
/// As many readable bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) unsafe fn load16(at: *const u8) -> __m128i {
    // SAFETY: the caller's.
    unsafe { _mm_loadu_si128(at.cast()) }
}

/// 32 bytes.
///
/// # Safety
/// As many readable bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) unsafe fn load32(at: *const u8) -> __m256i {
    // SAFETY: the caller's.
    unsafe { _mm256_loadu_si256(at.cast()) }
}

/// 64 bytes.
///
/// # Safety
/// As many readable bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) unsafe fn load64(at: *const u8) -> __m512i {
    // SAFETY: the caller's.
    unsafe { _mm512_loadu_si512(at.cast()) }
}

/// A register with the bytes of an array.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) fn bytes(table: &[u8; 64]) -> __m512i {
    // SAFETY: the array has 64 bytes.
    unsafe { _mm512_loadu_si512(table.as_ptr().cast()) }
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

/// Fields of `mask` of the 32 bytes at `at`: from bit `low` in the lower half, from bit `high` in the upper.
///
/// # Safety
/// As many readable bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) unsafe fn fields(at: *const u8, low: usize, high: usize, mask: i8) -> __m512i {
    // SAFETY: the caller's.
    let twice = _mm512_broadcast_i64x4(unsafe { load32(at) });
    let shifted = _mm512_srlv_epi16(twice, halves(low as i16, high as i16));
    _mm512_and_si512(shifted, _mm512_set1_epi8(mask))
}

/// Nibbles of two runs of 16 bytes: low ones of the first, high ones of the first, low of the second, high of the second.
///
/// # Safety
/// As many readable bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) unsafe fn nibbles(first: *const u8, second: *const u8) -> __m512i {
    // SAFETY: the caller's.
    let (first, second) = unsafe { (load16(first), load16(second)) };
    let each_twice = _mm512_mask_broadcast_i32x4(_mm512_broadcast_i32x4(first), 0xff00, second);
    let shifts = _mm512_broadcast_i32x4(_mm_set1_epi16(4));
    let shifts = _mm512_maskz_mov_epi32(0xf0f0, shifts);
    _mm512_and_si512(_mm512_srlv_epi16(each_twice, shifts), _mm512_set1_epi8(15))
}

/// Table entries of 4-bit `codes`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) fn look_up(table: &[u8; 16], codes: __m512i) -> __m512i {
    // SAFETY: the array has 16 bytes.
    let table = unsafe { _mm_loadu_si128(table.as_ptr().cast()) };
    _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), codes)
}

/// Half-precision values at byte `AT` of eight blocks of `STRIDE` bytes, each at the lanes of its two sub-blocks.
///
/// # Safety
/// Eight readable blocks.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) unsafe fn block_halves<const STRIDE: usize, const AT: usize>(group: *const u8) -> __m512 {
    let reach = |blocks: usize| (blocks - 1) * STRIDE + AT + 2 <= 64;
    // SAFETY: the loads end at `6·STRIDE + 64 < 8·STRIDE` for a stride of 34, sooner for shorter ones.
    let gathered = unsafe {
        if reach(4) {
            pick(group, group.add(4 * STRIDE), const { &word_indices(STRIDE, AT, 4) })
        } else if reach(3) {
            let six = pick(group, group.add(3 * STRIDE), const { &word_indices(STRIDE, AT, 3) });
            let indices = words(const { &word_indices(STRIDE, AT, 3) });
            let last = load32(group.add(6 * STRIDE));
            _mm256_mask_permutexvar_epi16(six, 0x8888, _mm512_castsi512_si256(indices), last)
        } else {
            let indices = const { &word_indices(STRIDE, AT, 2) };
            let four = pick(group, group.add(2 * STRIDE), indices);
            let last = pick(group.add(4 * STRIDE), group.add(6 * STRIDE), indices);
            _mm256_mask_mov_epi16(four, 0xcccc, last)
        }
    };
    _mm512_cvtph_ps(gathered)
}

/// Sixteen of the words in two times 64 bytes.
///
/// # Safety
/// As many readable bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
unsafe fn pick(first: *const u8, second: *const u8, indices: &[u16; 32]) -> __m256i {
    // SAFETY: the caller's.
    let (first, second) = unsafe { (load64(first), load64(second)) };
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
