//! The transposition that turns registers of rows into registers of columns.

use std::arch::x86_64::*;

/// The 16 × 16 transposition of 32-bit lanes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) fn transposed(rows: [__m512i; 16]) -> [__m512i; 16] {
    let mut quads = rows;
    for at in (0..16).step_by(4) {
        let [a, b, c, d] = [rows[at], rows[at + 1], rows[at + 2], rows[at + 3]];
        let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        (quads[at], quads[at + 1]) = (_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
        let (ab, cd) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        (quads[at + 2], quads[at + 3]) = (_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    }
    let mut columns = rows;
    for at in 0..4 {
        let [a, b, c, d] = [quads[at], quads[at + 4], quads[at + 8], quads[at + 12]];
        let (ab, cd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(c, d));
        columns[at] = _mm512_shuffle_i32x4::<0x88>(ab, cd);
        columns[at + 8] = _mm512_shuffle_i32x4::<0xdd>(ab, cd);
        let (ab, cd) = (_mm512_shuffle_i32x4::<0xdd>(a, b), _mm512_shuffle_i32x4::<0xdd>(c, d));
        columns[at + 4] = _mm512_shuffle_i32x4::<0x88>(ab, cd);
        columns[at + 12] = _mm512_shuffle_i32x4::<0xdd>(ab, cd);
    }
    columns
}
