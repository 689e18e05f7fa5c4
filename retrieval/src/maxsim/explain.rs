//! Which document token each query token found.

use super::{MaxSimError, check_query, check_rows};

/// What one query token adds to the score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// Document token of the greatest product, the first of equals.
    pub token: usize,
    /// That product.
    pub similarity: f32,
}

/// The best document token of each query token; empty when the document has no token. The similarities sum to
/// [`score`](super::score), up to the rounding of f32.
///
/// ```
/// use retrieval::maxsim::explain;
/// let matches = explain(&[1.0, 0.0, 0.0, 1.0], &[0.6, 0.8, -1.0, 0.0], 2)?;
/// assert_eq!(matches.iter().map(|found| found.token).collect::<Vec<_>>(), [0, 0]);
/// assert_eq!(matches[1].similarity, 0.8);
/// # Ok::<(), retrieval::maxsim::MaxSimError>(())
/// ```
///
/// # Errors
/// As [`score`](super::score).
pub fn explain(query: &[f32], document: &[f32], width: usize) -> Result<Vec<Match>, MaxSimError> {
    check_query(query, width)?;
    check_rows("document", document, width)?;
    Ok(query.chunks_exact(width).filter_map(|query| best(query, document)).collect())
}

fn best(query: &[f32], document: &[f32]) -> Option<Match> {
    let mut best: Option<Match> = None;
    for (token, row) in document.chunks_exact(query.len()).enumerate() {
        let similarity =
            query.iter().zip(row).map(|(&q, &d)| f64::from(q) * f64::from(d)).sum::<f64>() as f32;
        if best.is_none_or(|best| similarity > best.similarity) {
            best = Some(Match { token, similarity });
        }
    }
    best
}
