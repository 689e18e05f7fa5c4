//! The elementwise parts: RMSNorm, rotation, softmax, gates, scores of keys.

#![expect(unsafe_code, reason = "calls of code for one processor")]

use super::simd::for_each_processor;

/// Lanes of the sums below.
const LANES: usize = 16;

for_each_processor! {
    /// `y = x·w / √(mean(x²) + ε)` for each row of `w.len()` values.
    rms_norm = rms_norm_body(x: &[f32], weight: &[f32], epsilon: f32, y: &mut [f32])
}

for_each_processor! {
    /// `x ← exp(x − max x) / Σ exp(x − max x)`.
    softmax = softmax_body(x: &mut [f32])
}

for_each_processor! {
    /// `gate ← gate·σ(gate)·up`.
    silu_times = silu_times_body(gate: &mut [f32], up: &[f32])
}

for_each_processor! {
    /// `gate ← max(gate, 0)²·up`.
    squared_relu_times = squared_relu_times_body(gate: &mut [f32], up: &[f32])
}

for_each_processor! {
    /// `x ← x + y`.
    add = add_body(x: &mut [f32], y: &[f32])
}

for_each_processor! {
    /// `scores[t] = scale·Σ_d query[d]·keys[d·stride + t]` for all positions of `scores`, whose number is a multiple
    /// of [`POSITIONS`].
    key_scores = key_scores_body(query: &[f32], keys: &[f32], stride: usize, scale: f32, scores: &mut [f32])
}

/// Positions whose scores are computed together.
pub(super) const POSITIONS: usize = 32;

#[inline(always)]
fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn rms_norm_body<const FMA: bool>(x: &[f32], weight: &[f32], epsilon: f32, y: &mut [f32]) {
    let width = weight.len();
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        let mut squares = [0f32; LANES];
        let chunks = x.chunks_exact(LANES);
        let rest: f32 = chunks.remainder().iter().map(|x| x * x).sum();
        for chunk in chunks {
            for lane in 0..LANES {
                squares[lane] = multiply_add::<FMA>(chunk[lane], chunk[lane], squares[lane]);
            }
        }
        let mean = (sum_of_lanes(squares) + rest) / width as f32;
        let factor = 1.0 / (mean + epsilon).sqrt();
        for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
            *y = x * factor * weight;
        }
    }
}

#[inline(always)]
fn sum_of_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// `exp(x)` within 2 units in the last place; 0 below −87.3, `exp(88.3)` above 88.3, for finite or −∞ arguments.
#[inline(always)]
fn exp<const FMA: bool>(x: f32) -> f32 {
    /// 1.5·2²³: adding it leaves the nearest whole number in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.3);
    let shifted = multiply_add::<FMA>(clamped, std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    let rest = multiply_add::<FMA>(whole, -0.693_359_4, clamped); // ln 2 in two parts (Cephes)
    let rest = multiply_add::<FMA>(whole, 2.121_944_4e-4, rest);
    let mut series = 1.987_569_1e-4; // Cephes expf
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        series = multiply_add::<FMA>(series, rest, coefficient);
    }
    let fraction = multiply_add::<FMA>(series, rest * rest, rest) + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    if x < -87.3 { 0.0 } else { fraction * power }
}

#[inline(always)]
fn softmax_body<const FMA: bool>(x: &mut [f32]) {
    let mut maxima = [f32::NEG_INFINITY; LANES];
    for chunk in x.chunks(LANES) {
        for (maximum, &x) in maxima.iter_mut().zip(chunk) {
            *maximum = if x > *maximum { x } else { *maximum };
        }
    }
    let maximum = maxima.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let mut sums = [0f32; LANES];
    let mut chunks = x.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            chunk[lane] = exp::<FMA>(chunk[lane] - maximum);
            sums[lane] += chunk[lane];
        }
    }
    for (x, sum) in chunks.into_remainder().iter_mut().zip(&mut sums) {
        *x = exp::<FMA>(*x - maximum);
        *sum += *x;
    }
    let factor = 1.0 / sum_of_lanes(sums);
    x.iter_mut().for_each(|x| *x *= factor);
}

#[inline(always)]
fn silu_times_body<const FMA: bool>(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exp::<FMA>(-*gate)) * up;
    }
}

#[inline(always)]
fn squared_relu_times_body<const FMA: bool>(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        let positive = if *gate > 0.0 { *gate } else { 0.0 };
        *gate = positive * positive * up;
    }
}

#[inline(always)]
fn add_body<const FMA: bool>(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

#[inline(always)]
fn key_scores_body<const FMA: bool>(
    query: &[f32],
    keys: &[f32],
    stride: usize,
    scale: f32,
    scores: &mut [f32],
) {
    for (block, scores) in scores.chunks_exact_mut(POSITIONS).enumerate() {
        let mut sums = [0f32; POSITIONS];
        for (row, &query) in keys.chunks(stride).zip(query) {
            let keys = &row[block * POSITIONS..][..POSITIONS];
            for (sum, &key) in sums.iter_mut().zip(keys) {
                *sum = multiply_add::<FMA>(query, key, *sum);
            }
        }
        for (score, sum) in scores.iter_mut().zip(sums) {
            *score = scale * sum;
        }
    }
}

/// Rotates adjacent pairs `(x₂ᵢ, x₂ᵢ₊₁)` of each head of `head_dim` by the angles whose (cos, sin) are given.
pub(super) fn rotate(x: &mut [f32], head_dim: usize, angles: &[(f32, f32)]) {
    for head in x.chunks_exact_mut(head_dim) {
        for (pair, &(cos, sin)) in head.chunks_exact_mut(2).zip(angles) {
            let (a, b) = (pair[0], pair[1]);
            pair[0] = a * cos - b * sin;
            pair[1] = a * sin + b * cos;
        }
    }
}

/// (cos, sin) of `position·base^(−2i/dims)/factorᵢ` for `i < dims/2`, position after position.
pub(super) fn angles(positions: usize, dims: usize, base: f32, factors: Option<&[f32]>) -> Vec<(f32, f32)> {
    let factor = |i: usize| factors.map_or(1.0, |factors| f64::from(factors[i]));
    let frequency = |i: usize| f64::from(base).powf(-2.0 * i as f64 / dims as f64) / factor(i);
    let frequencies: Vec<f64> = (0..dims / 2).map(frequency).collect();
    let angle = |position: usize, frequency: f64| {
        let (sin, cos) = (position as f64 * frequency).sin_cos();
        (cos as f32, sin as f32)
    };
    (0..positions).flat_map(|position| frequencies.iter().map(move |&f| angle(position, f))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for step in -8730..8830 {
            let x = step as f32 * 0.01;
            let exact = f64::from(x).exp();
            for got in [exp::<true>(x), exp::<false>(x)] {
                assert!((f64::from(got) - exact).abs() <= 2.5e-7 * exact, "exp({x}) = {got}, not {exact}");
            }
        }
        assert_eq!(exp::<true>(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp::<true>(0.0), 1.0);
    }

    #[test]
    fn softmax_equals_the_naive_one_and_ignores_minus_infinity() {
        for count in [1, 3, 16, 37] {
            let mut x: Vec<f32> = (0..count).map(|i| ((i * 7) % 11) as f32 * 0.7 - 3.0).collect();
            if count > 3 {
                x[2] = f32::NEG_INFINITY;
            }
            let total: f64 = x.iter().map(|x| f64::from(*x).exp()).sum();
            let naive: Vec<f64> = x.iter().map(|x| f64::from(*x).exp() / total).collect();
            softmax(&mut x);
            assert!(x.iter().zip(naive).all(|(x, naive)| (f64::from(*x) - naive).abs() < 1e-6));
        }
    }

    #[test]
    fn rms_norm_of_a_row_by_hand() {
        let mut y = [0.0; 4];
        rms_norm(&[3.0, 4.0, 0.0, 2.0], &[1.0, 2.0], 0.0, &mut y);
        let root = 12.5f32.sqrt();
        let expected = [3.0 / root, 8.0 / root, 0.0, 2.0 * 2f32.sqrt()];
        assert!(y.iter().zip(expected).all(|(y, e)| (y - e).abs() < 1e-6), "{y:?} {expected:?}");
    }

    #[test]
    fn gates_equal_their_formulas() {
        let gate: Vec<f32> = (-20..20).map(|i| i as f32 * 0.45).collect();
        let up: Vec<f32> = (0..40).map(|i| 1.0 - i as f32 * 0.1).collect();
        let (mut silu, mut relu) = (gate.clone(), gate.clone());
        silu_times(&mut silu, &up);
        squared_relu_times(&mut relu, &up);
        for i in 0..40 {
            assert!((silu[i] - gate[i] / (1.0 + (-gate[i]).exp()) * up[i]).abs() < 1e-5);
            assert_eq!(relu[i], gate[i].max(0.0).powi(2) * up[i]);
        }
    }

    #[test]
    fn rotation_turns_pairs_by_position_times_frequency_and_leaves_the_rest() {
        let table = angles(3, 4, 100.0, None);
        let mut x = [1.0, 0.0, 0.0, 2.0, 5.0, 6.0];
        rotate(&mut x, 6, &table[4..]);
        let expected = [2f32.cos(), 2f32.sin(), -2.0 * 0.2f32.sin(), 2.0 * 0.2f32.cos(), 5.0, 6.0];
        assert!(x.iter().zip(expected).all(|(x, e)| (x - e).abs() < 1e-6), "{x:?} {expected:?}");
    }

    #[test]
    fn scores_of_keys_equal_the_double_sum() {
        let (stride, width) = (80, 5);
        let keys: Vec<f32> = (0..stride * width).map(|i| ((i * 31) % 17) as f32 - 8.0).collect();
        let query = [1.0, -2.0, 0.5, 3.0, -1.0];
        let mut scores = [0.0; 64];
        key_scores(&query, &keys, stride, 0.5, &mut scores);
        for (t, score) in scores.iter().enumerate() {
            let exact: f32 = (0..width).map(|d| query[d] * keys[d * stride + t]).sum();
            assert_eq!(*score, 0.5 * exact);
        }
    }
}
