//! Entropies of the soft assignment, in nats, on slices.

use super::LfqError;
use super::code::check;

/// Most dimensions whose joint distribution is written down.
pub const EXACT_BITS: usize = 12;

/// `p(bit = 1 | z) = σ(4z/τ)`.
pub fn bit_probability(z: f64, temperature: f64) -> f64 {
    1.0 / (1.0 + (-4.0 * z / temperature).exp())
}

/// Binary entropy `h(p)` in nats.
///
/// ```
/// use quantization::lfq::entropy::binary_entropy;
/// assert_eq!((binary_entropy(0.5), binary_entropy(1.0)), (2.0_f64.ln(), 0.0));
/// ```
pub fn binary_entropy(p: f64) -> f64 {
    -(xlogx(p) + xlogx(1.0 - p))
}

/// Mean over rows of `H(p(·|z)) = Σ h(σ(4 z_i/τ))`, exact for any number of dimensions; `z` is `[rows, bits]`.
///
/// # Errors
/// [`LfqError`] for a bad number of bits or ragged rows.
pub fn sample_entropy(z: &[f32], bits: usize, temperature: f64) -> Result<f64, LfqError> {
    let count = rows(z, bits)?;
    let one = |&value: &f32| binary_entropy(bit_probability(f64::from(value), temperature));
    Ok(z.iter().map(one).sum::<f64>() / count as f64)
}

/// `H(E[p(·|z)])` over all codes, exact, for at most [`EXACT_BITS`] dimensions.
///
/// # Errors
/// [`LfqError`], also for too many dimensions.
pub fn batch_entropy(z: &[f32], bits: usize, temperature: f64) -> Result<f64, LfqError> {
    batch_entropy_grouped(z, bits, bits, temperature)
}

/// Sum of the exact batch entropies of consecutive groups of `group` bits (the last may be smaller): an upper bound on
/// the joint one, exact when the groups are independent. Open-MAGVIT2 splits 18 bits into two groups of nine.
///
/// # Errors
/// As [`batch_entropy`].
pub fn batch_entropy_grouped(
    z: &[f32],
    bits: usize,
    group: usize,
    temperature: f64,
) -> Result<f64, LfqError> {
    let count = rows(z, bits)?;
    if group == 0 || group > EXACT_BITS {
        return Err(LfqError::TooLarge { found: group, most: EXACT_BITS });
    }
    let mut total = 0.0;
    for start in (0..bits).step_by(group) {
        let end = (start + group).min(bits);
        let mut mean = vec![0.0; 1 << (end - start)];
        for row in z.chunks_exact(bits) {
            let joint = joint(&row[start..end], temperature);
            mean.iter_mut().zip(joint).for_each(|(mean, p)| *mean += p / count as f64);
        }
        total -= mean.into_iter().map(xlogx).sum::<f64>();
    }
    Ok(total)
}

/// Sum of the marginal entropies, `Σ h(E[p(bit_i)])`: the loosest upper bound, groups of one bit.
///
/// # Errors
/// [`LfqError`] for a bad number of bits or ragged rows.
pub fn batch_entropy_bound(z: &[f32], bits: usize, temperature: f64) -> Result<f64, LfqError> {
    batch_entropy_grouped(z, bits, 1, temperature)
}

/// Probability of every code of a row in the order of the indices.
fn joint(row: &[f32], temperature: f64) -> Vec<f64> {
    row.iter().fold(vec![1.0], |codes, &value| {
        let p = bit_probability(f64::from(value), temperature);
        codes.iter().map(|c| c * (1.0 - p)).chain(codes.iter().map(|c| c * p)).collect()
    })
}

fn xlogx(p: f64) -> f64 {
    if p > 0.0 { p * p.ln() } else { 0.0 }
}

fn rows(z: &[f32], bits: usize) -> Result<usize, LfqError> {
    check(bits)?;
    if z.is_empty() || !z.len().is_multiple_of(bits) {
        return Err(LfqError::Rows { found: z.len(), bits });
    }
    Ok(z.len() / bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lfq::decode;

    fn values(count: usize, spread: f32) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 % 1013) as f32 / 506.5 - 1.0) * spread).collect()
    }

    /// Softmax of −‖z − c‖²/τ over the written-out codebook.
    fn brute(row: &[f32], temperature: f64) -> Vec<f64> {
        let bits = row.len();
        let scores: Vec<f64> = (0..1_u32 << bits)
            .map(|code| {
                let code = decode(code, bits).unwrap();
                let squared = row.iter().zip(code).map(|(&z, c)| f64::from(z - c).powi(2));
                -squared.sum::<f64>() / temperature
            })
            .collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|w| w / sum).collect()
    }

    fn entropy(p: &[f64]) -> f64 {
        -p.iter().map(|&p| xlogx(p)).sum::<f64>()
    }

    #[test]
    fn factorised_entropies_equal_brute_force_up_to_twelve_bits() {
        for (bits, temperature) in [(1, 0.5), (3, 0.01), (6, 1.0), (12, 2.0)] {
            let z = values(5 * bits, 0.8);
            let joints: Vec<Vec<f64>> = z.chunks_exact(bits).map(|row| brute(row, temperature)).collect();
            let expected = joints.iter().map(|p| entropy(p)).sum::<f64>() / 5.0;
            assert!((sample_entropy(&z, bits, temperature).unwrap() - expected).abs() < 1e-5);
            let mean: Vec<f64> =
                (0..1 << bits).map(|code| joints.iter().map(|p| p[code]).sum::<f64>() / 5.0).collect();
            assert!((batch_entropy(&z, bits, temperature).unwrap() - entropy(&mean)).abs() < 1e-5);
        }
    }

    #[test]
    fn finer_groups_bound_the_joint_entropy_from_above() {
        let z = values(12 * 20, 0.3);
        let exact = batch_entropy(&z, 12, 0.5).unwrap();
        let grouped = batch_entropy_grouped(&z, 12, 6, 0.5).unwrap();
        let bound = batch_entropy_bound(&z, 12, 0.5).unwrap();
        assert!(exact <= grouped && grouped <= bound && bound <= 12.0 * 2.0_f64.ln() + 1e-12);
    }

    #[test]
    fn eighteen_bits_need_groups() {
        let message = batch_entropy(&values(36, 1.0), 18, 0.01).unwrap_err().to_string();
        assert!(message.starts_with("the exact entropy of 2^18 codes per row is too large"), "{message}");
        assert!(batch_entropy_grouped(&values(36, 1.0), 18, 9, 0.01).is_ok());
    }
}
