//! Products of long rows of f32, in lanes; of two rows one may be in half precision.

use half::f16;

/// Sums that are taken side by side.
const LANES: usize = 32;

/// `Σ aᵢ bᵢ` of rows of equal length.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        #[expect(unsafe_code, reason = "calls a function that needs processor features")]
        // SAFETY: the processor has them.
        return unsafe { dot_avx2(a, b) };
    }
    dot_in_lanes(a, b)
}

/// `Σ aᵢ bᵢ` of rows of equal length, the second in half precision: it is widened in registers, not in memory.
pub(crate) fn dot_half(a: &[f32], b: &[f16]) -> f32 {
    assert_eq!(a.len(), b.len(), "rows of equal length");
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("f16c")
    {
        #[expect(unsafe_code, reason = "calls a function that needs processor features")]
        // SAFETY: the processor has them.
        return unsafe { dot_half_f16c(a, b) };
    }
    let widened: Vec<f32> = b.iter().map(|value| value.to_f32()).collect();
    dot_in_lanes(a, &widened)
}

/// `a += scale · b`.
pub(crate) fn add_scaled(a: &mut [f32], b: &[f32], scale: f32) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        #[expect(unsafe_code, reason = "calls a function that needs processor features")]
        // SAFETY: the processor has them.
        return unsafe { add_scaled_avx2(a, b, scale) };
    }
    add_scaled_in_lanes(a, b, scale);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dot_avx2(a: &[f32], b: &[f32]) -> f32 {
    dot_in_lanes(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn add_scaled_avx2(a: &mut [f32], b: &[f32], scale: f32) {
    add_scaled_in_lanes(a, b, scale);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn dot_half_f16c(a: &[f32], b: &[f16]) -> f32 {
    use std::arch::x86_64::{
        _mm_loadu_si128, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps,
        _mm256_storeu_ps,
    };
    let mut sums = [_mm256_setzero_ps(); LANES / 8];
    let (wide, narrow) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = wide.remainder().iter().zip(narrow.remainder());
    let rest: f32 = rest.map(|(a, b)| a * b.to_f32()).sum();
    for (a, b) in wide.zip(narrow) {
        for ((a, b), sum) in a.chunks_exact(8).zip(b.chunks_exact(8)).zip(&mut sums) {
            #[expect(unsafe_code, reason = "loads of eight values")]
            // SAFETY: both chunks have eight values; the loads need no alignment.
            let (a, b) = unsafe { (_mm256_loadu_ps(a.as_ptr()), _mm_loadu_si128(b.as_ptr().cast())) };
            *sum = _mm256_fmadd_ps(a, _mm256_cvtph_ps(b), *sum);
        }
    }
    let mut lanes = [0.0_f32; LANES];
    for (lanes, sum) in lanes.chunks_exact_mut(8).zip(sums) {
        #[expect(unsafe_code, reason = "a store of eight values")]
        // SAFETY: the chunk has room for eight values.
        unsafe {
            _mm256_storeu_ps(lanes.as_mut_ptr(), sum);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

#[inline(always)]
fn dot_in_lanes(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (blocks, rest) = (a.chunks_exact(LANES), a.chunks_exact(LANES).remainder());
    for (a, b) in blocks.zip(b.chunks_exact(LANES)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let start = a.len() - rest.len();
    let rest: f32 = rest.iter().zip(&b[start..]).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[inline(always)]
fn add_scaled_in_lanes(a: &mut [f32], b: &[f32], scale: f32) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += scale * b);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_in_half_precision_gives_the_product_of_its_values() {
        for n in [0, 1, 31, 32, 75, 2048] {
            let a: Vec<f32> = (0..n).map(|at| (at as f32 * 0.37).sin()).collect();
            let b: Vec<f16> = (0..n).map(|at| f16::from_f32((at as f32 * 0.71).cos())).collect();
            let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * b.to_f64()).sum();
            assert!((f64::from(dot_half(&a, &b)) - exact).abs() < 1e-4, "{n}");
        }
    }
}
