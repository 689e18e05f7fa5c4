//! Types with a float scale per block of 16 to 128 weights.
#![expect(unsafe_code, reason = "functions that need processor features")]

use std::arch::x86_64::*;

use super::super::super::layout::{FP4, NON_LINEAR};
use super::Format;
use super::unpack::{
    array, block_halves, bytes, double_word, load16, load32, load64, look_up, nibbles, word, words,
};

/// Q4_0.
pub(super) struct Q4;
/// Q4_1.
pub(super) struct Q4Min;
/// Q5_0.
pub(super) struct Q5;
/// Q5_1.
pub(super) struct Q5Min;
/// Q8_0.
pub(super) struct Q8;
/// IQ4_NL.
pub(super) struct Iq4Nl;
/// MXFP4.
pub(super) struct Mxfp4;
/// NVFP4.
pub(super) struct Nvfp4;
/// Q1_0.
pub(super) struct Q1;
/// Q2_0.
pub(super) struct Q2;

/// Nibbles of blocks `2·part` and `2·part + 1`, whose codes begin at byte `AT`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
fn block_nibbles<const STRIDE: usize, const AT: usize>(group: &[u8], part: usize) -> __m512i {
    nibbles(group, 2 * part * STRIDE + AT, (2 * part + 1) * STRIDE + AT)
}

/// Adds 16 where the bits at byte `AT` of blocks `2·part` and `2·part + 1` are set.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
fn add_fifth_bits<const STRIDE: usize, const AT: usize>(
    codes: __m512i,
    group: &[u8],
    part: usize,
) -> __m512i {
    let bits = {
        let first = double_word(group, 2 * part * STRIDE + AT);
        let second = double_word(group, (2 * part + 1) * STRIDE + AT);
        u64::from(first) | u64::from(second) << 32
    };
    _mm512_mask_add_epi8(codes, bits, codes, _mm512_set1_epi8(16))
}

impl Format for Q4 {
    const BYTES: usize = 144;
    const SHIFT: Option<u32> = Some(3);
    const SPAN: usize = 2;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn codes(group: &[u8], part: usize) -> __m512i {
        block_nibbles::<18, 2>(group, part)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn scales(group: &[u8]) -> __m512 {
        block_halves::<18, 0>(group)
    }
}

impl Format for Q4Min {
    const BYTES: usize = 160;
    const SPAN: usize = 2;
    const MINIMA: bool = true;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn codes(group: &[u8], part: usize) -> __m512i {
        block_nibbles::<20, 4>(group, part)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn scales(group: &[u8]) -> __m512 {
        block_halves::<20, 0>(group)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn minima(group: &[u8]) -> __m512 {
        block_halves::<20, 2>(group)
    }
}

impl Format for Q5 {
    const BYTES: usize = 176;
    const SHIFT: Option<u32> = Some(4);
    const SPAN: usize = 2;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn codes(group: &[u8], part: usize) -> __m512i {
        add_fifth_bits::<22, 2>(block_nibbles::<22, 6>(group, part), group, part)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn scales(group: &[u8]) -> __m512 {
        block_halves::<22, 0>(group)
    }
}

impl Format for Q5Min {
    const BYTES: usize = 192;
    const SPAN: usize = 2;
    const MINIMA: bool = true;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn codes(group: &[u8], part: usize) -> __m512i {
        add_fifth_bits::<24, 4>(block_nibbles::<24, 8>(group, part), group, part)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn scales(group: &[u8]) -> __m512 {
        block_halves::<24, 0>(group)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn minima(group: &[u8]) -> __m512 {
        block_halves::<24, 2>(group)
    }
}

impl Format for Q8 {
    const BYTES: usize = 272;
    const SHIFT: Option<u32> = Some(7);
    const SPAN: usize = 2;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn codes(group: &[u8], part: usize) -> __m512i {
        let (first, second) = (load32(group, 68 * part + 2), load32(group, 68 * part + 36));
        let both = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second);
        _mm512_xor_si512(both, _mm512_set1_epi8(-128))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn scales(group: &[u8]) -> __m512 {
        block_halves::<34, 0>(group)
    }
}

impl Format for Iq4Nl {
    const BYTES: usize = 144;
    const SHIFT: Option<u32> = Some(7);
    const SPAN: usize = 2;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn codes(group: &[u8], part: usize) -> __m512i {
        look_up(&NON_LINEAR, block_nibbles::<18, 2>(group, part))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn scales(group: &[u8]) -> __m512 {
        block_halves::<18, 0>(group)
    }
}

/// For each lane the byte where a scale begins, in two times 64 bytes: `NVFP4`'s four per block of 36, `MXFP4`'s one per 17.
const fn scale_bytes(nvfp4: bool) -> [u8; 64] {
    let mut table = [0; 64];
    let mut lane = 0;
    while lane < 16 {
        let (block, run) = (lane % 4, lane / 4);
        let wide = block % 2 * 36 + run + block / 2 * 64;
        let narrow = (2 * block + run / 2) % 4 * 17 + (2 * block + run / 2) / 4 * 64;
        table[4 * lane] = if nvfp4 { wide as u8 } else { narrow as u8 };
        lane += 1;
    }
    table
}

/// The bytes of [`scale_bytes`], one per lane, the second 64 from byte `second` of the group on.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
fn byte_scales(group: &[u8], second: usize, table: &[u8; 64]) -> __m512i {
    let (first, second) = (load64(group, 0), load64(group, second));
    _mm512_maskz_permutex2var_epi8(0x1111_1111_1111_1111, first, bytes(table), second)
}

impl Format for Mxfp4 {
    const BYTES: usize = 136;
    const SHIFT: Option<u32> = Some(4);
    const SPAN: usize = 2;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn codes(group: &[u8], part: usize) -> __m512i {
        look_up(&FP4, block_nibbles::<17, 1>(group, part))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn scales(group: &[u8]) -> __m512 {
        let exponents = byte_scales(group, 68, const { &scale_bytes(false) });
        let normal = _mm512_slli_epi32::<23>(_mm512_sub_epi32(exponents, _mm512_set1_epi32(1)));
        let subnormal = _mm512_sllv_epi32(_mm512_set1_epi32(0x0020_0000), exponents);
        let small = _mm512_cmplt_epu32_mask(exponents, _mm512_set1_epi32(2));
        _mm512_castsi512_ps(_mm512_mask_mov_epi32(normal, small, subnormal))
    }
}

impl Format for Nvfp4 {
    const BYTES: usize = 144;
    const SHIFT: Option<u32> = Some(4);
    const SPAN: usize = 1;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn codes(group: &[u8], part: usize) -> __m512i {
        let block = load32(group, 36 * part + 4);
        let order = _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3);
        let each_twice = _mm512_permutexvar_epi64(order, _mm512_castsi256_si512(block));
        let shifted = _mm512_srlv_epi64(each_twice, _mm512_setr_epi64(0, 4, 0, 4, 0, 4, 0, 4));
        look_up(&FP4, _mm512_and_si512(shifted, _mm512_set1_epi8(15)))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn scales(group: &[u8]) -> __m512 {
        let codes = byte_scales(group, 72, const { &scale_bytes(true) });
        let numbers = _mm512_cmpneq_epi32_mask(codes, _mm512_set1_epi32(0x7f));
        let bits = _mm512_slli_epi32::<20>(_mm512_and_si512(codes, _mm512_set1_epi32(0x7f)));
        // The exponent's bias is mended by a multiplication with 2^119, as in `half::f16`.
        _mm512_maskz_mul_ps(numbers, _mm512_castsi512_ps(bits), _mm512_set1_ps(f32::from_bits(0x7b00_0000)))
    }
}

impl Format for Q1 {
    const BYTES: usize = 36;
    const SHIFT: Option<u32> = Some(0);
    const SPAN: usize = 2;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn codes(group: &[u8], part: usize) -> __m512i {
        let bits = u64::from_le_bytes(*array(group, 18 * (part / 2) + 2 + 8 * (part % 2)));
        _mm512_maskz_set1_epi8(bits, 2)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn scales(group: &[u8]) -> __m512 {
        let (first, second) = (u64::from(word(group, 0)), u64::from(word(group, 18)));
        let pairs = (first * 0x1_0001) | ((second * 0x1_0001) << 32);
        _mm512_cvtph_ps(_mm256_set1_epi64x(pairs as i64))
    }
}

impl Format for Q2 {
    const BYTES: usize = 72;
    const SHIFT: Option<u32> = Some(0);
    const SPAN: usize = 2;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn codes(group: &[u8], part: usize) -> __m512i {
        let packed = _mm512_cvtepu16_epi64(load16(group, 18 * part + 2));
        let starts = _mm512_set1_epi64(0x0e0c_0a08_0604_0200);
        _mm512_and_si512(_mm512_multishift_epi64_epi8(starts, packed), _mm512_set1_epi8(3))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn scales(group: &[u8]) -> __m512 {
        const INDICES: [u16; 32] = {
            let mut indices = [0; 32];
            let mut lane = 0;
            while lane < 32 {
                indices[lane] = 9 * (lane as u16 % 4);
                lane += 1;
            }
            indices
        };
        let start = load64(group, 0);
        _mm512_cvtph_ps(_mm512_castsi512_si256(_mm512_permutexvar_epi16(words(&INDICES), start)))
    }
}
