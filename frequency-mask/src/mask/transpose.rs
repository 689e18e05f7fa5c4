//! Rows and columns of sixteen lanes exchanged: with the shuffles of the processor where the compiler does not find them itself.

use super::lanes::{LANES, Lane};

/// Rows and columns of sixteen lanes exchanged, with the vector instructions of `S`, which the caller has.
#[inline(always)]
pub(super) fn transposed<S: pulp::Simd>(tile: &[Lane]) -> [Lane; LANES] {
    let tile: &[Lane; LANES] = tile.first_chunk().expect("sixteen lanes");
    #[cfg(target_arch = "x86_64")]
    {
        use std::any::TypeId;
        #[expect(unsafe_code, reason = "calls functions that need processor features")]
        if TypeId::of::<S>() == TypeId::of::<pulp::x86::V4>() {
            // SAFETY: `S` stands for AVX-512.
            return unsafe { x86::avx512(tile) };
        } else if TypeId::of::<S>() == TypeId::of::<pulp::x86::V3>() {
            // SAFETY: `S` stands for AVX2.
            return unsafe { x86::avx2(tile) };
        }
    }
    plainly(tile)
}

#[inline(always)]
fn plainly(tile: &[Lane; LANES]) -> [Lane; LANES] {
    let mut rows = [Lane::ZERO; LANES];
    for (at, row) in rows.iter_mut().enumerate() {
        for (value, from) in row.0.iter_mut().zip(tile) {
            *value = from.0[at];
        }
    }
    rows
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions; a closure would not have them")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{LANES, Lane};

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512(tile: &[Lane; LANES]) -> [Lane; LANES] {
        let mut out = [Lane::ZERO; LANES];
        // Of four rows each: columns c, c + 4, c + 8 and c + 12 in the quarters of a register.
        let mut quarters = [[_mm512_setzero_ps(); 4]; 4];
        for group in 0..4 {
            let mut rows = [_mm512_setzero_ps(); 4];
            for row in 0..4 {
                // SAFETY: a lane is sixteen aligned numbers.
                rows[row] = unsafe { _mm512_load_ps(tile[4 * group + row].0.as_ptr()) };
            }
            let [a, b, c, d] = rows;
            let low =
                [_mm512_castps_pd(_mm512_unpacklo_ps(a, b)), _mm512_castps_pd(_mm512_unpacklo_ps(c, d))];
            let high =
                [_mm512_castps_pd(_mm512_unpackhi_ps(a, b)), _mm512_castps_pd(_mm512_unpackhi_ps(c, d))];
            quarters[group] = [
                _mm512_castpd_ps(_mm512_unpacklo_pd(low[0], low[1])),
                _mm512_castpd_ps(_mm512_unpackhi_pd(low[0], low[1])),
                _mm512_castpd_ps(_mm512_unpacklo_pd(high[0], high[1])),
                _mm512_castpd_ps(_mm512_unpackhi_pd(high[0], high[1])),
            ];
        }
        for column in 0..4 {
            let (a, b) = (quarters[0][column], quarters[1][column]);
            let (c, d) = (quarters[2][column], quarters[3][column]);
            let even = [_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0x88>(c, d)];
            let odd = [_mm512_shuffle_f32x4::<0xdd>(a, b), _mm512_shuffle_f32x4::<0xdd>(c, d)];
            let whole = [
                _mm512_shuffle_f32x4::<0x88>(even[0], even[1]),
                _mm512_shuffle_f32x4::<0x88>(odd[0], odd[1]),
                _mm512_shuffle_f32x4::<0xdd>(even[0], even[1]),
                _mm512_shuffle_f32x4::<0xdd>(odd[0], odd[1]),
            ];
            for quarter in 0..4 {
                // SAFETY: as above.
                unsafe { _mm512_store_ps(out[4 * quarter + column].0.as_mut_ptr(), whole[quarter]) };
            }
        }
        out
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn avx2(tile: &[Lane; LANES]) -> [Lane; LANES] {
        let mut out = [Lane::ZERO; LANES];
        for (top, left) in [(0, 0), (0, 8), (8, 0), (8, 8)] {
            // Of four rows each: columns c and c + 4 in the halves of a register.
            let mut halves = [[_mm256_setzero_ps(); 4]; 2];
            for group in 0..2 {
                let mut rows = [_mm256_setzero_ps(); 4];
                for row in 0..4 {
                    // SAFETY: a lane is sixteen aligned numbers, of which eight are read.
                    rows[row] = unsafe { _mm256_load_ps(tile[top + 4 * group + row].0[left..].as_ptr()) };
                }
                let [a, b, c, d] = rows;
                let low =
                    [_mm256_castps_pd(_mm256_unpacklo_ps(a, b)), _mm256_castps_pd(_mm256_unpacklo_ps(c, d))];
                let high =
                    [_mm256_castps_pd(_mm256_unpackhi_ps(a, b)), _mm256_castps_pd(_mm256_unpackhi_ps(c, d))];
                halves[group] = [
                    _mm256_castpd_ps(_mm256_unpacklo_pd(low[0], low[1])),
                    _mm256_castpd_ps(_mm256_unpackhi_pd(low[0], low[1])),
                    _mm256_castpd_ps(_mm256_unpacklo_pd(high[0], high[1])),
                    _mm256_castpd_ps(_mm256_unpackhi_pd(high[0], high[1])),
                ];
            }
            for column in 0..4 {
                let (upper, lower) = (halves[0][column], halves[1][column]);
                let low = _mm256_permute2f128_ps::<0x20>(upper, lower);
                let high = _mm256_permute2f128_ps::<0x31>(upper, lower);
                // SAFETY: as above, written.
                unsafe {
                    _mm256_store_ps(out[left + column].0[top..].as_mut_ptr(), low);
                    _mm256_store_ps(out[left + column + 4].0[top..].as_mut_ptr(), high);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_exchanges_rows_and_columns() {
        let value = |row: usize, lane: usize| (row * LANES + lane) as f32;
        let lanes = |at: &dyn Fn(usize, usize) -> f32| -> [Lane; LANES] {
            std::array::from_fn(|row| Lane(std::array::from_fn(|lane| at(row, lane))))
        };
        let (tile, expected) = (lanes(&value), lanes(&|row, lane| value(lane, row)));
        assert_eq!(plainly(&tile), expected);
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "calls functions that need processor features")]
        {
            if std::arch::is_x86_feature_detected!("avx512f") {
                // SAFETY: the processor has it.
                assert_eq!(unsafe { x86::avx512(&tile) }, expected);
            }
            if std::arch::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has it.
                assert_eq!(unsafe { x86::avx2(&tile) }, expected);
            }
        }
    }
}
