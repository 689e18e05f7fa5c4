//! Tests and intervals of means.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use super::{differences, mean, ranks, standard_deviation};

/// A difference of means with its 95 % interval and test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Mean difference.
    pub mean: f64,
    /// Two-sided 95 % interval of the mean difference.
    pub ci95: [f64; 2],
    /// t statistic.
    pub statistic: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// p-value of the test, two-sided unless the test says otherwise.
    pub p: f64,
}

fn student(df: f64) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, df).ok()
}

/// Quantile of Student's t, polished by Newton steps on the distribution function.
fn t_quantile(probability: f64, df: f64) -> Option<f64> {
    use statrs::distribution::Continuous;
    let distribution = student(df)?;
    let mut x = distribution.inverse_cdf(probability);
    for _ in 0..3 {
        x -= (distribution.cdf(x) - probability) / distribution.pdf(x);
    }
    Some(x)
}

fn compare(mean: f64, error: f64, df: f64) -> Option<Comparison> {
    let half = t_quantile(0.975, df)? * error;
    let ci95 = [mean - half, mean + half];
    if error == 0.0 {
        // All differences are equal: the interval is a point, and the test is as sure as it can be.
        let (statistic, p) = if mean == 0.0 { (0.0, 1.0) } else { (f64::MAX.copysign(mean), 0.0) };
        return Some(Comparison { mean, ci95, statistic, df, p });
    }
    let statistic = mean / error;
    Some(Comparison { mean, ci95, statistic, df, p: 2.0 * student(df)?.cdf(-statistic.abs()) })
}

/// Mean and its two-sided 95 % t-interval, `m ± t·s/√n`; `None` of fewer than two values.
pub fn t_interval(values: &[f64]) -> Option<[f64; 2]> {
    let n = values.len() as f64;
    let half = t_quantile(0.975, n - 1.0)? * standard_deviation(values)? / n.sqrt();
    let centre = mean(values)?;
    Some([centre - half, centre + half])
}

/// 95 % interval of one further run, `m ± t·s·√(1 + 1/n)`; `None` of fewer than two values.
pub fn prediction_interval(values: &[f64]) -> Option<[f64; 2]> {
    let n = values.len() as f64;
    let half = t_quantile(0.975, n - 1.0)? * standard_deviation(values)? * (1.0 + 1.0 / n).sqrt();
    let centre = mean(values)?;
    Some([centre - half, centre + half])
}

/// Paired t-test of `a − b`; `None` of fewer than two pairs.
pub fn paired_t(a: &[f64], b: &[f64]) -> Option<Comparison> {
    let difference = differences(a, b);
    let n = difference.len() as f64;
    compare(mean(&difference)?, standard_deviation(&difference)? / n.sqrt(), n - 1.0)
}

/// Welch's t-test of `mean(a) − mean(b)`; `None` of fewer than two values on a side.
pub fn welch(a: &[f64], b: &[f64]) -> Option<Comparison> {
    let share = |values: &[f64]| Some(standard_deviation(values)?.powi(2) / values.len() as f64);
    let (va, vb) = (share(a)?, share(b)?);
    let df = (va + vb).powi(2) / (va * va / (a.len() - 1) as f64 + vb * vb / (b.len() - 1) as f64);
    compare(mean(a)? - mean(b)?, (va + vb).sqrt(), df)
}

/// One-sided paired test that `a − b > −margin`; `p` is one-sided, the interval is the two-sided 95 % one.
pub fn non_inferiority(a: &[f64], b: &[f64], margin: f64) -> Option<Comparison> {
    let plain = paired_t(a, b)?;
    let lifted: Vec<f64> = a.iter().map(|value| value + margin).collect();
    let shifted = paired_t(&lifted, b)?;
    let half = shifted.p / 2.0;
    let p = if shifted.statistic > 0.0 { half } else { 1.0 - half };
    Some(Comparison { statistic: shifted.statistic, p, ..plain })
}

/// Smallest true mean difference that a paired test of these differences finds with 80 % power,
/// `(t₀.₉₇₅ + t₀.₈₀)·s/√n`.
pub fn minimum_detectable_effect(difference: &[f64]) -> Option<f64> {
    let n = difference.len() as f64;
    let quantiles = t_quantile(0.975, n - 1.0)? + t_quantile(0.8, n - 1.0)?;
    Some(quantiles * standard_deviation(difference)? / n.sqrt())
}

/// Two-sided Wilcoxon signed-rank p-value of `a − b`, zeros dropped: exact over all signs for up to 20
/// differences, ties included; the normal approximation with continuity correction beyond. `None` when all are zero.
pub fn wilcoxon(a: &[f64], b: &[f64]) -> Option<f64> {
    let difference: Vec<f64> = differences(a, b).into_iter().filter(|d| *d != 0.0).collect();
    let n = difference.len();
    let ranks = ranks(&difference.iter().map(|d| d.abs()).collect::<Vec<_>>());
    let positive: f64 = difference.iter().zip(&ranks).filter(|(d, _)| **d > 0.0).map(|(_, rank)| rank).sum();
    let total: f64 = ranks.iter().sum();
    let distance = (positive - total / 2.0).abs();
    if n == 0 {
        return None;
    }
    if n <= 20 {
        let extreme = (0..1_u32 << n).filter(|signs| {
            let sum: f64 =
                ranks.iter().enumerate().filter(|(i, _)| signs >> i & 1 == 1).map(|(_, rank)| rank).sum();
            (sum - total / 2.0).abs() >= distance - 1e-9
        });
        return Some(extreme.count() as f64 / f64::from(1_u32 << n));
    }
    let variance: f64 = ranks.iter().map(|rank| rank * rank).sum::<f64>() / 4.0;
    Some(2.0 * Normal::standard().cdf(-(distance - 0.5).max(0.0) / variance.sqrt()))
}
