//! Products of long rows, in lanes.

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
