//! Types with integer scales inside a super-block of 256 weights.
#![expect(unsafe_code, reason = "functions that need processor features")]

use std::arch::x86_64::*;

use super::super::super::layout::{NON_LINEAR, six_bit_pairs, six_bit_scales};
use super::Format;
use super::unpack::{
    array, double_word, fields, half, halves, lane_bytes, load16, load32, load64, look_up, lowest_bytes,
    nibbles, word,
};

/// Q2_K.
pub(super) struct Q2K;
/// Q3_K.
pub(super) struct Q3K;
/// Q4_K.
pub(super) struct Q4K;
/// Q5_K.
pub(super) struct Q5K;
/// Q6_K.
pub(super) struct Q6K;
/// IQ4_XS.
pub(super) struct Iq4Xs;
/// TQ1_0.
pub(super) struct Tq1;
/// TQ2_0.
pub(super) struct Tq2;

/// Integer `factors` times the half-precision value at byte `at`: 8 and 11 bits, an exact product.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
fn scaled(factors: __m512i, group: &[u8], at: usize) -> __m512 {
    _mm512_mul_ps(_mm512_cvtepi32_ps(factors), _mm512_set1_ps(half(group, at)))
}

/// Minus [`scaled`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
fn minus_scaled(factors: __m512i, group: &[u8], at: usize) -> __m512 {
    _mm512_mul_ps(_mm512_cvtepi32_ps(factors), _mm512_set1_ps(-half(group, at)))
}

/// Adds `value` where bit `2·part` (lower half) or `2·part + 1` (upper half) of the 32 bytes from byte `at` on is set.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
fn add_high_bits(codes: __m512i, group: &[u8], at: usize, part: usize, value: i8) -> __m512i {
    let high = _mm512_broadcast_i64x4(load32(group, at));
    let both = |bit: usize| (0x0101u16 << bit) as i16;
    let set = _mm512_test_epi8_mask(high, halves(both(2 * part), both(2 * part + 1)));
    _mm512_mask_add_epi8(codes, set, codes, _mm512_set1_epi8(value))
}

/// Eight bytes, one per sub-block of 32, as lanes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
fn eight_lanes(eight: u64) -> __m512i {
    lowest_bytes(_mm512_castsi128_si512(_mm_cvtsi64_si128(eight as i64)), const { &lane_bytes(2) })
}

impl Format for Q2K {
    const BYTES: usize = 84;
    const SPAN: usize = 1;
    const MINIMA: bool = true;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn codes(group: &[u8], part: usize) -> __m512i {
        fields(group, 16 + 32 * (part / 2), 4 * (part % 2), 4 * (part % 2) + 2, 3)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn scales(group: &[u8]) -> __m512 {
        let both = lowest_bytes(_mm512_castsi128_si512(load16(group, 0)), const { &lane_bytes(1) });
        scaled(_mm512_and_si512(both, _mm512_set1_epi32(15)), group, 80)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn minima(group: &[u8]) -> __m512 {
        let both = lowest_bytes(_mm512_castsi128_si512(load16(group, 0)), const { &lane_bytes(1) });
        minus_scaled(_mm512_srli_epi32::<4>(both), group, 82)
    }
}

impl Format for Q3K {
    const BYTES: usize = 110;
    const SHIFT: Option<u32> = Some(2);
    const SPAN: usize = 1;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn codes(group: &[u8], part: usize) -> __m512i {
        let low = fields(group, 32 + 32 * (part / 2), 4 * (part % 2), 4 * (part % 2) + 2, 3);
        add_high_bits(low, group, 0, part, 4)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn scales(group: &[u8]) -> __m512 {
        let [a, b, c, d] = six_bit_scales(array(group, 96)).map(|word| word as i32);
        let sixteen = _mm512_castsi128_si512(_mm_setr_epi32(a, b, c, d));
        let lanes = lowest_bytes(sixteen, const { &lane_bytes(1) });
        scaled(_mm512_sub_epi32(lanes, _mm512_set1_epi32(32)), group, 108)
    }
}

impl Format for Q4K {
    const BYTES: usize = 144;
    const SPAN: usize = 2;
    const MINIMA: bool = true;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn codes(group: &[u8], part: usize) -> __m512i {
        fields(group, 16 + 32 * part, 0, 4, 15)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn scales(group: &[u8]) -> __m512 {
        scaled(eight_lanes(six_bit_pairs(array(group, 4)).0), group, 0)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn minima(group: &[u8]) -> __m512 {
        minus_scaled(eight_lanes(six_bit_pairs(array(group, 4)).1), group, 2)
    }
}

impl Format for Q5K {
    const BYTES: usize = 176;
    const SPAN: usize = 2;
    const MINIMA: bool = true;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn codes(group: &[u8], part: usize) -> __m512i {
        add_high_bits(fields(group, 48 + 32 * part, 0, 4, 15), group, 16, part, 16)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn scales(group: &[u8]) -> __m512 {
        // SAFETY: the caller's.
        unsafe { Q4K::scales(group) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn minima(group: &[u8]) -> __m512 {
        // SAFETY: the caller's.
        unsafe { Q4K::minima(group) }
    }
}

impl Format for Q6K {
    const BYTES: usize = 210;
    const SHIFT: Option<u32> = Some(5);
    const SPAN: usize = 1;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn codes(group: &[u8], part: usize) -> __m512i {
        let (run, upper) = (part / 2, part % 2);
        let (low, high) =
            { (load64(group, 64 * run), fields(group, 128 + 32 * run, 4 * upper, 4 * upper + 2, 3)) };
        let low = if upper == 0 { low } else { _mm512_srli_epi16::<4>(low) };
        _mm512_or_si512(_mm512_and_si512(low, _mm512_set1_epi8(15)), _mm512_slli_epi16::<4>(high))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn scales(group: &[u8]) -> __m512 {
        let lanes = lowest_bytes(_mm512_castsi128_si512(load16(group, 192)), const { &lane_bytes(1) });
        scaled(_mm512_srai_epi32::<24>(_mm512_slli_epi32::<24>(lanes)), group, 208)
    }
}

impl Format for Iq4Xs {
    const BYTES: usize = 136;
    const SHIFT: Option<u32> = Some(7);
    const SPAN: usize = 2;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn codes(group: &[u8], part: usize) -> __m512i {
        look_up(&NON_LINEAR, nibbles(group, 8 + 32 * part, 24 + 32 * part))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn scales(group: &[u8]) -> __m512 {
        let (high, low) = (word(group, 2), double_word(group, 4));
        // Sub-block of 32 of each lane.
        let subs = _mm512_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6, 1, 3, 5, 7, 1, 3, 5, 7);
        let low = _mm512_srlv_epi32(_mm512_set1_epi32(low as i32), _mm512_slli_epi32::<2>(subs));
        let high = _mm512_srlv_epi32(_mm512_set1_epi32(i32::from(high)), _mm512_slli_epi32::<1>(subs));
        let low = _mm512_and_si512(low, _mm512_set1_epi32(15));
        let high = _mm512_slli_epi32::<4>(_mm512_and_si512(high, _mm512_set1_epi32(3)));
        scaled(_mm512_sub_epi32(_mm512_or_si512(low, high), _mm512_set1_epi32(32)), group, 0)
    }
}

/// For every byte of TQ1_0 its first four trits, two bits each from the lowest on, and its fifth.
const TRITS: ([u8; 256], [u8; 256]) = {
    let (mut four, mut fifth) = ([0; 256], [0; 256]);
    let mut byte = 0;
    while byte < 256 {
        let (mut fraction, mut trit) = (byte as u8, 0);
        while trit < 5 {
            let value = ((fraction as u16 * 3) >> 8) as u8;
            if trit < 4 {
                four[byte] |= value << (2 * trit);
            } else {
                fifth[byte] = value;
            }
            fraction = fraction.wrapping_mul(3);
            trit += 1;
        }
        byte += 1;
    }
    (four, fifth)
};

/// Entries of a table of 256 bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
fn look_up_byte(table: &[u8; 256], codes: __m512i) -> __m512i {
    let low = _mm512_permutex2var_epi8(load64(table, 0), codes, load64(table, 64));
    let high = _mm512_permutex2var_epi8(load64(table, 128), codes, load64(table, 192));
    _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(codes), high)
}

impl Format for Tq1 {
    const BYTES: usize = 54;
    const SHIFT: Option<u32> = Some(0);
    const SPAN: usize = 16;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn codes(group: &[u8], part: usize) -> __m512i {
        // Bytes 0 … 31 hold five trits of elements 0 … 159, 32 … 47 of 160 … 239, 48 … 51 four of 240 … 255.
        let start = _mm512_castsi256_si512(load32(group, 0));
        let end = _mm256_inserti128_si256::<1>(
            _mm256_castsi128_si256(load16(group, 32)),
            _mm_cvtsi32_si128(double_word(group, 48) as i32),
        );
        let bytes = _mm512_inserti64x4::<1>(start, end);
        let (four, fifth) = (look_up_byte(&TRITS.0, bytes), look_up_byte(&TRITS.1, bytes));
        let shifted = match part {
            0 => _mm512_srlv_epi16(_mm512_shuffle_i64x2::<0x44>(four, four), halves(0, 2)),
            1 => _mm512_srlv_epi16(_mm512_shuffle_i64x2::<0x44>(four, four), halves(4, 6)),
            2 => {
                let order = _mm512_setr_epi64(8, 9, 10, 11, 4, 5, 4, 5);
                let picked = _mm512_permutex2var_epi64(four, order, fifth);
                _mm512_srlv_epi64(picked, _mm512_setr_epi64(0, 0, 0, 0, 0, 0, 2, 2))
            }
            _ => {
                let order = _mm512_setr_epi32(8, 9, 10, 11, 8, 9, 10, 11, 24, 25, 26, 27, 12, 12, 12, 12);
                let picked = _mm512_permutex2var_epi32(four, order, fifth);
                _mm512_srlv_epi32(picked, _mm512_setr_epi32(4, 4, 4, 4, 6, 6, 6, 6, 0, 0, 0, 0, 0, 2, 4, 6))
            }
        };
        _mm512_and_si512(shifted, _mm512_set1_epi8(3))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn scales(group: &[u8]) -> __m512 {
        _mm512_set1_ps(half(group, 52))
    }
}

impl Format for Tq2 {
    const BYTES: usize = 66;
    const SHIFT: Option<u32> = Some(0);
    const SPAN: usize = 16;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn codes(group: &[u8], part: usize) -> __m512i {
        fields(group, 32 * (part / 2), 4 * (part % 2), 4 * (part % 2) + 2, 3)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn scales(group: &[u8]) -> __m512 {
        _mm512_set1_ps(half(group, 64))
    }
}
