//! From shares to probabilities, and the confidence above which an account is filled in without asking.

use common::stats;
use serde::{Deserialize, Serialize};

/// A non-decreasing map from scores to probabilities: isotonic regression (Zadrozny & Elkan 2002) by pooling adjacent
/// violators, linear in between.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Isotonic {
    scores: Vec<f64>,
    values: Vec<f64>,
}

impl Isotonic {
    /// Fitted to scores and whether each was right. Without any, the map is the identity.
    ///
    /// ```
    /// use retrieval::transactions::calibration::Isotonic;
    /// let map = Isotonic::fit(&[(0.2, false), (0.4, true), (0.6, false), (0.8, true)]);
    /// assert_eq!([0.1, 0.4, 0.5, 0.9].map(|score| map.apply(score)), [0.0, 0.5, 0.5, 1.0]);
    /// ```
    pub fn fit(outcomes: &[(f64, bool)]) -> Self {
        if outcomes.is_empty() {
            return Self { scores: vec![0.0, 1.0], values: vec![0.0, 1.0] };
        }
        let mut sorted = outcomes.to_vec();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Blocks of [lowest score, highest score, right, all].
        let mut blocks: Vec<[f64; 4]> = Vec::new();
        for equal in sorted.chunk_by(|a, b| a.0 == b.0) {
            let right = equal.iter().filter(|(_, right)| *right).count() as f64;
            blocks.push([equal[0].0, equal[0].0, right, equal.len() as f64]);
            while let [.., before, last] = blocks.as_mut_slice() {
                if before[2] / before[3] < last[2] / last[3] {
                    break;
                }
                *before = [before[0], last[1], before[2] + last[2], before[3] + last[3]];
                blocks.pop();
            }
        }
        let (mut scores, mut values) = (Vec::new(), Vec::new());
        for [low, high, right, all] in blocks {
            scores.push(low);
            values.push(right / all);
            if high > low {
                scores.push(high);
                values.push(right / all);
            }
        }
        Self { scores, values }
    }

    /// The probability that a suggestion with this score is right.
    pub fn apply(&self, score: f64) -> f64 {
        let after = self.scores.partition_point(|known| *known < score);
        match after {
            0 => self.values[0],
            n if n == self.scores.len() => self.values[n - 1],
            n => {
                let (low, high) = (self.scores[n - 1], self.scores[n]);
                let share = (score - low) / (high - low);
                self.values[n - 1] + share * (self.values[n] - self.values[n - 1])
            }
        }
    }
}

/// The confidence from which on an account is filled in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Least score; absent: no score is safe enough, nothing is filled in.
    pub score: Option<f64>,
    /// Precision that was asked for.
    pub precision: f64,
    /// Held-out suggestions at or above the score, and the right ones among them.
    pub filled: u64,
    /// See [`Threshold::filled`].
    pub right: u64,
    /// Held-out suggestions in all.
    pub of: u64,
}

impl Threshold {
    /// The least score at which the lower end of Wilson's 95 % interval of the precision is not below `precision`.
    pub fn fit(outcomes: &[(f64, bool)], precision: f64) -> Self {
        let mut sorted = outcomes.to_vec();
        sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut found = Self { score: None, precision, filled: 0, right: 0, of: outcomes.len() as u64 };
        let (mut all, mut right) = (0, 0);
        for equal in sorted.chunk_by(|a, b| a.0 == b.0) {
            all += equal.len() as u64;
            right += equal.iter().filter(|(_, right)| *right).count() as u64;
            if stats::wilson(right, all).is_some_and(|[low, _]| low >= precision) {
                found = Self { score: Some(equal[0].0), filled: all, right, ..found };
            }
        }
        found
    }

    /// Whether a suggestion with this score is filled in.
    pub fn fills(&self, score: f64) -> bool {
        self.score.is_some_and(|least| score >= least)
    }
}

/// Mean distance of confidence and share of right suggestions over `bins` bins of equal width, each weighed by its size
/// (expected calibration error); `None` without outcomes.
pub fn calibration_error(outcomes: &[(f64, bool)], bins: usize) -> Option<f64> {
    let mut sums = vec![(0.0, 0.0); bins];
    for &(confidence, right) in outcomes {
        let bin = ((confidence * bins as f64) as usize).min(bins - 1);
        sums[bin].0 += confidence;
        sums[bin].1 += f64::from(u8::from(right));
    }
    let total: f64 = sums.iter().map(|(confidence, right)| (confidence - right).abs()).sum();
    (!outcomes.is_empty()).then(|| total / outcomes.len() as f64)
}

/// Points `[coverage, precision]` of automatic filling as the threshold falls, at most `n` of them.
pub fn coverage_precision(outcomes: &[(f64, bool)], n: usize) -> Vec<[f64; 2]> {
    let mut sorted = outcomes.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut all, mut right, mut points) = (0usize, 0usize, Vec::new());
    for equal in sorted.chunk_by(|a, b| a.0 == b.0) {
        all += equal.len();
        right += equal.iter().filter(|(_, right)| *right).count();
        points.push([all as f64 / sorted.len() as f64, right as f64 / all as f64]);
    }
    let step = points.len().div_ceil(n.max(1)).max(1);
    let last = points.last().copied();
    let mut thinned: Vec<[f64; 2]> = points.into_iter().step_by(step).collect();
    if let Some(last) = last.filter(|last| thinned.last() != Some(last)) {
        thinned.push(last);
    }
    thinned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_keeps_its_precision_on_the_data_that_set_it() {
        let outcomes: Vec<(f64, bool)> =
            (0..1000).map(|i| (f64::from(i) / 1000.0, i >= 500 || i % 2 == 0)).collect();
        let found = Threshold::fit(&outcomes, 0.95);
        assert!(found.filled > 500 && found.right as f64 / found.filled as f64 >= 0.95, "{found:?}");
        assert!(found.fills(0.999) && !found.fills(0.1));
        let never = Threshold::fit(&[(0.9, true), (0.8, false)], 0.95);
        assert!(never.score.is_none() && !never.fills(1.0));
        assert!(!Threshold::fit(&[], 0.5).fills(1.0));
    }

    #[test]
    fn errors_and_curves_are_as_counted_by_hand() {
        let outcomes = [(0.9, true), (0.9, false), (0.1, false), (0.1, false)];
        assert!((calibration_error(&outcomes, 10).unwrap() - 0.25).abs() < 1e-12);
        assert_eq!(coverage_precision(&outcomes, 10), [[0.5, 0.5], [1.0, 0.25]]);
        assert_eq!(calibration_error(&[], 10), None);
        assert_eq!(Isotonic::fit(&[]).apply(0.3), 0.3);
    }
}
