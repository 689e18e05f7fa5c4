//! Statistics of repeated runs and of paired examples. What is undefined is `None`, never NaN.
//!
//! Sources of the tests and of when to use which: Dror et al. 2018, Koehn 2004, Demšar 2006, Colas et al. 2018.

mod resample;
mod tests_of_means;

pub use resample::{approximate_randomisation, paired_bootstrap, sign_flip};
pub use tests_of_means::{
    Comparison, minimum_detectable_effect, non_inferiority, paired_t, prediction_interval, t_interval, welch,
    wilcoxon,
};

use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal};

/// Arithmetic mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Standard deviation with `n − 1`; `None` of fewer than two values.
///
/// ```
/// assert_eq!(common::stats::standard_deviation(&[1.0, 3.0]), Some(2.0_f64.sqrt()));
/// ```
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let centre = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// Median; `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { (sorted[middle - 1] + upper) / 2.0 })
}

/// Differences `a[i] − b[i]`.
///
/// # Panics
/// When the lengths differ: pairs come from the same units.
pub fn differences(a: &[f64], b: &[f64]) -> Vec<f64> {
    assert_eq!(a.len(), b.len(), "paired values");
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// Pearson's correlation; `None` for fewer than two pairs or a constant side.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let (mean_a, mean_b) = (mean(a)?, mean(b)?);
    let (sd_a, sd_b) = (standard_deviation(a)?, standard_deviation(b)?);
    let products: f64 = a.iter().zip(b).map(|(x, y)| (x - mean_a) * (y - mean_b)).sum();
    (sd_a > 0.0 && sd_b > 0.0).then(|| products / ((a.len() - 1) as f64 * sd_a * sd_b))
}

/// Spearman's correlation: Pearson's of mid-ranks.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    pearson(&ranks(a), &ranks(b))
}

/// Ranks from 1; equal values share the mean of their ranks.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for group in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let rank = before as f64 + (group.len() + 1) as f64 / 2.0;
        before += group.len();
        group.iter().for_each(|&index| ranks[index] = rank);
    }
    ranks
}

/// Cohen's d with the pooled standard deviation.
pub fn cohen_d(a: &[f64], b: &[f64]) -> Option<f64> {
    let (n, m) = (a.len() as f64, b.len() as f64);
    let (sd_a, sd_b) = (standard_deviation(a)?, standard_deviation(b)?);
    let pooled = (((n - 1.0) * sd_a * sd_a + (m - 1.0) * sd_b * sd_b) / (n + m - 2.0)).sqrt();
    (pooled > 0.0).then(|| (mean(a).unwrap_or_default() - mean(b).unwrap_or_default()) / pooled)
}

/// Hedges' g: Cohen's d without its small-sample bias, `d·(1 − 3/(4(n+m) − 9))`.
pub fn hedges_g(a: &[f64], b: &[f64]) -> Option<f64> {
    Some(cohen_d(a, b)? * (1.0 - 3.0 / (4.0 * (a.len() + b.len()) as f64 - 9.0)))
}

/// `P(A > B)` over all pairs, ties ½; `None` when a side is empty. Cliff's δ is `2·P(A > B) − 1`.
pub fn probability_of_superiority(a: &[f64], b: &[f64]) -> Option<f64> {
    let points: f64 = a
        .iter()
        .flat_map(|x| {
            b.iter().map(move |y| {
                if x > y {
                    1.0
                } else if x == y {
                    0.5
                } else {
                    0.0
                }
            })
        })
        .sum();
    (!a.is_empty() && !b.is_empty()).then(|| points / (a.len() * b.len()) as f64)
}

/// Holm's adjustment of p-values, in the order given.
///
/// ```
/// assert_eq!(common::stats::holm(&[0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
/// ```
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&i, &j| p_values[i].total_cmp(&p_values[j]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        largest = largest.max(p_values[index] * (p_values.len() - rank) as f64).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

/// Wilson's 95 % interval of a proportion; `None` without trials.
pub fn wilson(successes: u64, trials: u64) -> Option<[f64; 2]> {
    let (n, z) = (trials as f64, Normal::standard().inverse_cdf(0.975));
    let p = (trials > 0).then(|| successes as f64 / n)?;
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    Some([centre - half, centre + half])
}

/// Exact two-sided McNemar test of the discordant pairs; `None` without any.
pub fn mcnemar(only_a: u64, only_b: u64) -> Option<f64> {
    let distribution = Binomial::new(0.5, only_a + only_b).ok().filter(|_| only_a + only_b > 0)?;
    Some((2.0 * distribution.cdf(only_a.min(only_b))).min(1.0))
}

#[cfg(test)]
mod tests;
