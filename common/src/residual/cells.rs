//! Cells of the scalar quantizer that all dimensions share: cut-offs between codes, one value per code.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How the cells are chosen from a sample of residual components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cells {
    /// ColBERTv2's: cells of equal mass, each decoded as its median.
    Quantile,
    /// Cells of least squared error (Lloyd 1982, Max 1960): each decoded as its mean, cut halfway between means.
    LloydMax,
}

/// Rounds of Lloyd's algorithm at most; it stops when nothing moves. Ours.
const LLOYD_ROUNDS: usize = 200;

/// Cut-offs (`2^bits − 1`, ascending) and values (`2^bits`) for `sample`.
///
/// ```text
/// quantile:   cut-off i = Q(i / 2^b)     value i = Q((i + ½) / 2^b)      Q: linear between order statistics
/// Lloyd–Max:  value i = mean of cell i   cut-off i = (value i−1 + value i) / 2
/// ```
/// A code is the number of cut-offs below the component.
///
/// ```
/// use common::residual::{Cells, cells};
/// let (cutoffs, weights) = cells(Cells::Quantile, &[0.0, 1.0, 2.0, 3.0, 4.0], 1);
/// assert_eq!((cutoffs, weights), (vec![2.0], vec![1.0, 3.0]));
/// ```
///
/// # Panics
/// For an empty sample: the codec has checked that something is held out.
pub fn cells(kind: Cells, sample: &[f32], bits: u32) -> (Vec<f32>, Vec<f32>) {
    let mut sorted = sample.to_vec();
    sorted.par_sort_unstable_by(f32::total_cmp);
    let count = 1_usize << bits;
    let cutoffs = (1..count).map(|i| quantile(&sorted, i as f64 / count as f64)).collect();
    let weights = (0..count).map(|i| quantile(&sorted, (i as f64 + 0.5) / count as f64)).collect();
    match kind {
        Cells::Quantile => (cutoffs, weights),
        Cells::LloydMax => lloyd_max(&sorted, weights),
    }
}

/// Linear interpolation between order statistics, as `torch.quantile` and `numpy.quantile` do by default.
fn quantile(sorted: &[f32], share: f64) -> f32 {
    let position = share * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let (low, high) = (f64::from(sorted[below]), f64::from(sorted[above]));
    (low + (high - low) * (position - below as f64)) as f32
}

fn lloyd_max(sorted: &[f32], mut values: Vec<f32>) -> (Vec<f32>, Vec<f32>) {
    let mut sums = vec![0.0_f64];
    for &value in sorted {
        sums.push(sums[sums.len() - 1] + f64::from(value));
    }
    let mut cutoffs = middles(&values);
    for _ in 0..LLOYD_ROUNDS {
        let mut start = 0;
        for (i, value) in values.iter_mut().enumerate() {
            let end = match cutoffs.get(i) {
                Some(&cutoff) => sorted.partition_point(|&x| x <= cutoff),
                None => sorted.len(),
            };
            if end > start {
                *value = ((sums[end] - sums[start]) / (end - start) as f64) as f32;
            }
            start = end;
        }
        let moved = middles(&values);
        if moved == cutoffs {
            break;
        }
        cutoffs = moved;
    }
    (cutoffs, values)
}

fn middles(values: &[f32]) -> Vec<f32> {
    values.windows(2).map(|pair| 0.5 * (pair[0] + pair[1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Squared error of decoding every sample by its cell's value.
    fn error(sample: &[f32], cutoffs: &[f32], weights: &[f32]) -> f64 {
        let off = |x: f32| f64::from(x - weights[cutoffs.iter().filter(|&&c| c < x).count()]);
        sample.iter().map(|&x| off(x).powi(2)).sum::<f64>() / sample.len() as f64
    }

    /// Quantiles of the logistic distribution with about unit variance.
    fn bell() -> Vec<f32> {
        let logistic = |p: f64| (p / (1.0 - p)).ln() / 1.702;
        (1..4000).map(|i| logistic(f64::from(i) / 4000.0) as f32).collect()
    }

    #[test]
    fn lloyd_max_cells_have_a_smaller_error_than_quantile_cells() {
        for bits in [1, 2, 4] {
            let sample = bell();
            let (cutoffs, weights) = cells(Cells::Quantile, &sample, bits);
            let quantile = error(&sample, &cutoffs, &weights);
            let (cutoffs, weights) = cells(Cells::LloydMax, &sample, bits);
            let best = error(&sample, &cutoffs, &weights);
            assert!(best < quantile, "{bits} bits: {best} against {quantile}");
        }
    }

    #[test]
    fn a_constant_sample_gives_constant_cells() {
        let (cutoffs, weights) = cells(Cells::LloydMax, &[0.5; 9], 2);
        assert_eq!((cutoffs, weights), (vec![0.5; 3], vec![0.5; 4]));
    }
}
