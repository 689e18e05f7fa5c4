//! The register block of both products: six factors times 32 lanes, summed over steps.
//!
//! Each width multiplies and adds in the same order without fusing, so all give the same bits.
#![expect(
    unsafe_code,
    reason = "vector loads, and calls of functions compiled for detected processor features"
)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    _mm256_add_ps, _mm256_loadu_ps, _mm256_mul_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    _mm256_sub_ps, _mm512_add_ps, _mm512_loadu_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_storeu_ps, _mm512_sub_ps,
};

/// Lanes of the register block.
pub(super) const LANES: usize = 32;
/// Factors of the register block.
pub(super) const FACTORS: usize = 6;

/// `Σⱼ factors[j · stride + t] · lanes[j][l]` for `t < 6` and all lanes `l`.
///
/// # Panics
/// When `factors` ends before the last six factors.
#[inline]
pub(super) fn outer(factors: &[f32], stride: usize, lanes: &[[f32; LANES]]) -> [[f32; LANES]; FACTORS] {
    let Some(last) = lanes.len().checked_sub(1) else { return [[0.0; LANES]; FACTORS] };
    assert!(last * stride + FACTORS <= factors.len(), "six factors for each step");
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature was detected, and the assertion keeps all factors inside the slice.
            return unsafe { outer_avx512(factors, stride, lanes) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was detected, and the assertion keeps all factors inside the slice.
            return unsafe { outer_avx2(factors, stride, lanes) };
        }
    }
    outer_plain(factors, stride, lanes)
}

fn outer_plain(factors: &[f32], stride: usize, lanes: &[[f32; LANES]]) -> [[f32; LANES]; FACTORS] {
    let mut sums = [[0.0; LANES]; FACTORS];
    for (j, lanes) in lanes.iter().enumerate() {
        for (sums, factor) in sums.iter_mut().zip(&factors[j * stride..][..FACTORS]) {
            sums.iter_mut().zip(lanes).for_each(|(sum, x)| *sum += factor * x);
        }
    }
    sums
}

/// # Safety
/// `factors` must hold six factors from `j · stride` on for each step `j`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn outer_avx512(factors: &[f32], stride: usize, lanes: &[[f32; LANES]]) -> [[f32; LANES]; FACTORS] {
    let mut sums = [[_mm512_setzero_ps(); 2]; FACTORS];
    let mut factor = factors.as_ptr();
    for lanes in lanes {
        // SAFETY: a step has 32 lanes; the caller promises six factors at this place.
        unsafe {
            let x = [_mm512_loadu_ps(lanes.as_ptr()), _mm512_loadu_ps(lanes.as_ptr().add(16))];
            for (t, sums) in sums.iter_mut().enumerate() {
                let factor = _mm512_set1_ps(*factor.add(t));
                sums[0] = _mm512_add_ps(sums[0], _mm512_mul_ps(factor, x[0]));
                sums[1] = _mm512_add_ps(sums[1], _mm512_mul_ps(factor, x[1]));
            }
        }
        factor = factor.wrapping_add(stride);
    }
    let mut out = [[0.0; LANES]; FACTORS];
    for (out, sums) in out.iter_mut().zip(sums) {
        // SAFETY: a row has 32 lanes.
        unsafe {
            _mm512_storeu_ps(out.as_mut_ptr(), sums[0]);
            _mm512_storeu_ps(out.as_mut_ptr().add(16), sums[1]);
        }
    }
    out
}

/// # Safety
/// `factors` must hold six factors from `j · stride` on for each step `j`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn outer_avx2(factors: &[f32], stride: usize, lanes: &[[f32; LANES]]) -> [[f32; LANES]; FACTORS] {
    let mut out = [[0.0; LANES]; FACTORS];
    for half in [0, 16] {
        let mut sums = [[_mm256_setzero_ps(); 2]; FACTORS];
        let mut factor = factors.as_ptr();
        for lanes in lanes {
            // SAFETY: a step has 32 lanes; the caller promises six factors at this place.
            unsafe {
                let x = lanes.as_ptr().add(half);
                let x = [_mm256_loadu_ps(x), _mm256_loadu_ps(x.add(8))];
                for (t, sums) in sums.iter_mut().enumerate() {
                    let factor = _mm256_set1_ps(*factor.add(t));
                    sums[0] = _mm256_add_ps(sums[0], _mm256_mul_ps(factor, x[0]));
                    sums[1] = _mm256_add_ps(sums[1], _mm256_mul_ps(factor, x[1]));
                }
            }
            factor = factor.wrapping_add(stride);
        }
        for (out, sums) in out.iter_mut().zip(sums) {
            // SAFETY: half a row has 16 lanes.
            unsafe {
                _mm256_storeu_ps(out.as_mut_ptr().add(half), sums[0]);
                _mm256_storeu_ps(out.as_mut_ptr().add(half + 8), sums[1]);
            }
        }
    }
    out
}

/// `columns[c] −= factors[c] · lanes`.
#[inline]
pub(super) fn rank_one(columns: &mut [[f32; LANES]], lanes: &[f32; LANES], factors: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature was detected.
            return unsafe { rank_one_avx512(columns, lanes, factors) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was detected.
            return unsafe { rank_one_avx2(columns, lanes, factors) };
        }
    }
    for (column, factor) in columns.iter_mut().zip(factors) {
        column.iter_mut().zip(lanes).for_each(|(out, x)| *out -= factor * x);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn rank_one_avx512(columns: &mut [[f32; LANES]], lanes: &[f32; LANES], factors: &[f32]) {
    // SAFETY: a column has 32 lanes.
    unsafe {
        let x = [_mm512_loadu_ps(lanes.as_ptr()), _mm512_loadu_ps(lanes.as_ptr().add(16))];
        for (column, factor) in columns.iter_mut().zip(factors) {
            let factor = _mm512_set1_ps(*factor);
            for (half, x) in x.iter().enumerate() {
                let place = column.as_mut_ptr().add(16 * half);
                _mm512_storeu_ps(place, _mm512_sub_ps(_mm512_loadu_ps(place), _mm512_mul_ps(factor, *x)));
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn rank_one_avx2(columns: &mut [[f32; LANES]], lanes: &[f32; LANES], factors: &[f32]) {
    // SAFETY: a column has 32 lanes.
    unsafe {
        let x: [_; 4] = std::array::from_fn(|quarter| _mm256_loadu_ps(lanes.as_ptr().add(8 * quarter)));
        for (column, factor) in columns.iter_mut().zip(factors) {
            let factor = _mm256_set1_ps(*factor);
            for (quarter, x) in x.iter().enumerate() {
                let place = column.as_mut_ptr().add(8 * quarter);
                _mm256_storeu_ps(place, _mm256_sub_ps(_mm256_loadu_ps(place), _mm256_mul_ps(factor, *x)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_widths_give_the_same_bits() {
        for steps in [0, 1, 5, 128] {
            let lanes: Vec<[f32; LANES]> = (0..steps)
                .map(|j| std::array::from_fn(|l| ((j * 37 + l * 11) % 101) as f32 / 7.0 - 6.0))
                .collect();
            let factors: Vec<f32> = (0..steps * 9 + 6).map(|i| ((i * 13) % 89) as f32 / 3.0 - 11.0).collect();
            let plain = outer_plain(&factors, 9, &lanes);
            assert_eq!(outer(&factors, 9, &lanes), plain);
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") && steps > 0 {
                // SAFETY: the feature was detected; there are six factors for each step.
                assert_eq!(unsafe { outer_avx2(&factors, 9, &lanes) }, plain);
            }
        }
    }
}
