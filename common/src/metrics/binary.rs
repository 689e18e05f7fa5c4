//! Scores of a two-class detector against labels: average precision, area under the curve, accuracy.

/// Average precision, `Σ (Rₙ - Rₙ₋₁) Pₙ` over the thresholds from high to low, without interpolation; equal scores are one
/// threshold. `None` without a positive label or with a score that is not a number.
///
/// ```
/// use common::metrics::binary::average_precision;
/// assert_eq!(average_precision(&[0.9, 0.8, 0.7], &[true, false, true]), Some(0.5 + 0.5 * 2.0 / 3.0));
/// assert_eq!(average_precision(&[0.5, 0.5], &[true, false]), Some(0.5));
/// assert_eq!(average_precision(&[0.5], &[false]), None);
/// ```
///
/// # Panics
/// When the lengths differ.
pub fn average_precision(scores: &[f64], labels: &[bool]) -> Option<f64> {
    let positives = labels.iter().filter(|label| **label).count();
    if positives == 0 {
        return None;
    }
    let mut sum = 0.0;
    let (mut found, mut seen) = (0, 0);
    for (hits, size) in groups(scores, labels)? {
        found += hits;
        seen += size;
        sum += hits as f64 / positives as f64 * (found as f64 / seen as f64);
    }
    Some(sum)
}

/// Area under the receiver operating characteristic: the chance that a positive scores above a negative, ties counting half.
/// `None` when a class is missing or a score is not a number.
///
/// ```
/// use common::metrics::binary::roc_auc;
/// assert_eq!(roc_auc(&[0.9, 0.8, 0.7], &[true, false, true]), Some(0.5));
/// assert_eq!(roc_auc(&[0.5, 0.5], &[true, false]), Some(0.5));
/// ```
///
/// # Panics
/// When the lengths differ.
pub fn roc_auc(scores: &[f64], labels: &[bool]) -> Option<f64> {
    let positives = labels.iter().filter(|label| **label).count();
    let negatives = labels.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let (mut above, mut pairs) = (0, 0.0);
    for (hits, size) in groups(scores, labels)? {
        let misses = size - hits;
        pairs += misses as f64 * (above as f64 + hits as f64 / 2.0);
        above += hits;
    }
    Some(pairs / (positives as f64 * negatives as f64))
}

/// Share of items on the right side of `threshold`; a score at it counts as positive. `None` without items.
///
/// # Panics
/// When the lengths differ.
pub fn accuracy(scores: &[f64], labels: &[bool], threshold: f64) -> Option<f64> {
    assert_eq!(scores.len(), labels.len(), "a label for each score");
    let right = scores.iter().zip(labels).filter(|(score, label)| (**score >= threshold) == **label).count();
    (!scores.is_empty()).then(|| right as f64 / scores.len() as f64)
}

/// Positives and items of each distinct score, from high to low.
fn groups(scores: &[f64], labels: &[bool]) -> Option<Vec<(usize, usize)>> {
    assert_eq!(scores.len(), labels.len(), "a label for each score");
    if scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let mut groups: Vec<(usize, usize)> = Vec::new();
    let mut last = None;
    for index in order {
        if last != Some(scores[index]) {
            groups.push((0, 0));
            last = Some(scores[index]);
        }
        if let Some((hits, size)) = groups.last_mut() {
            *hits += usize::from(labels[index]);
            *size += 1;
        }
    }
    Some(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scikit-learn 1.9.1: `average_precision_score`, `roc_auc_score` of the same scores, with ties.
    #[test]
    fn agrees_with_scikit_learn() {
        let scores = [0.1, 0.4, 0.35, 0.8, 0.4, 0.9, 0.35, 0.2, 0.8, 0.05];
        let labels = [0, 0, 1, 1, 1, 0, 0, 1, 1, 0].map(|label| label == 1);
        let ap = average_precision(&scores, &labels).unwrap();
        let auc = roc_auc(&scores, &labels).unwrap();
        assert!((ap - 0.6259523809523809).abs() < 1e-12, "{ap}");
        assert!((auc - 0.64).abs() < 1e-12, "{auc}");
        assert_eq!(accuracy(&scores, &labels, 0.4), Some(0.6));
    }
}
