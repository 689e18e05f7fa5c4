//! Tests by resampling.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Differences are compared with this slack, so that equal sums in another order stay ties.
const SLACK: f64 = 1e-12;

/// Two-sided sign-flip p-value of the mean of paired differences: exact over all `2ⁿ` signs, for up to 20 of them.
/// `None` of nothing or more than 20.
pub fn sign_flip(differences: &[f64]) -> Option<f64> {
    let n = differences.len();
    if n == 0 || n > 20 {
        return None;
    }
    let observed = differences.iter().sum::<f64>().abs();
    let extreme = (0..1_u32 << n).filter(|signs| {
        let flipped = differences.iter().enumerate().map(|(i, d)| if signs >> i & 1 == 1 { -d } else { *d });
        flipped.sum::<f64>().abs() >= observed - SLACK
    });
    Some(extreme.count() as f64 / f64::from(1_u32 << n))
}

/// Two-sided approximate randomisation p-value (Noreen 1989) of a corpus-level metric: `rounds` times, the outputs of
/// a random half of the examples are swapped and `difference(swapped)` recomputed; `swapped[i]` tells which.
pub fn approximate_randomisation(
    n_examples: usize,
    rounds: usize,
    rng: &mut ChaCha8Rng,
    mut difference: impl FnMut(&[bool]) -> f64,
) -> f64 {
    let mut swapped = vec![false; n_examples];
    let observed = difference(&swapped).abs();
    let extreme = (0..rounds).filter(|_| {
        swapped.iter_mut().for_each(|flag| *flag = rng.random());
        difference(&swapped).abs() >= observed - SLACK
    });
    (extreme.count() + 1) as f64 / (rounds + 1) as f64
}

/// 95 % percentile interval of a corpus-level difference over `rounds` resamples of the examples; one index vector
/// serves both systems. `None` without examples or rounds.
pub fn paired_bootstrap(
    n_examples: usize,
    rounds: usize,
    rng: &mut ChaCha8Rng,
    mut difference: impl FnMut(&[usize]) -> f64,
) -> Option<[f64; 2]> {
    if n_examples == 0 || rounds == 0 {
        return None;
    }
    let mut indices = vec![0; n_examples];
    let mut draws: Vec<f64> = (0..rounds)
        .map(|_| {
            indices.iter_mut().for_each(|index| *index = rng.random_range(0..n_examples));
            difference(&indices)
        })
        .collect();
    draws.sort_by(f64::total_cmp);
    let at = |share: f64| draws[((rounds - 1) as f64 * share).round() as usize];
    Some([at(0.025), at(0.975)])
}
