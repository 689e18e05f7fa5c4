//! The best of many scores.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A document and its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Number of the document, from 0.
    pub document: u32,
    /// Its score.
    pub score: f32,
}

impl Hit {
    /// Best first: higher scores, then lower documents.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.document.cmp(&other.document))
    }
}

/// A hit whose greatest is the worst, so that a heap gives up the worst first.
struct Worst(Hit);

impl PartialEq for Worst {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Worst {}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.order(&other.0)
    }
}

/// The `k` best hits, best first; equal scores in the order of the documents; hits with the score `-inf` are left out.
///
/// ```
/// use retrieval::maxsim::{Hit, top_k};
/// let hits = [0.5, f32::NEG_INFINITY, 0.7, 0.5];
/// let hits = (0..).zip(hits).map(|(document, score)| Hit { document, score });
/// let best: Vec<u32> = top_k(hits, 3).iter().map(|hit| hit.document).collect();
/// assert_eq!(best, [2, 0, 3]);
/// ```
pub fn top_k(hits: impl IntoIterator<Item = Hit>, k: usize) -> Vec<Hit> {
    let mut heap: BinaryHeap<Worst> = BinaryHeap::new();
    for hit in hits {
        if hit.score == f32::NEG_INFINITY {
            continue;
        }
        if heap.len() < k {
            heap.push(Worst(hit));
        } else if let Some(mut worst) = heap.peek_mut()
            && hit.order(&worst.0) == Ordering::Less
        {
            *worst = Worst(hit);
        }
    }
    let mut best: Vec<Hit> = heap.into_iter().map(|Worst(hit)| hit).collect();
    best.sort_by(Hit::order);
    best
}

/// Mean share of the `expected` hits of each query that are among the `found` ones: recall against exact search. `None`
/// when nothing was expected.
///
/// ```
/// use retrieval::maxsim::{Hit, recall};
/// let hits = |documents: &[u32]| documents.iter().map(|&document| Hit { document, score: 0.0 }).collect::<Vec<_>>();
/// assert_eq!(recall(&[hits(&[1, 2]), hits(&[3, 4])], &[hits(&[2, 9]), hits(&[4, 3])]), Some(0.75));
/// ```
pub fn recall(expected: &[Vec<Hit>], found: &[Vec<Hit>]) -> Option<f64> {
    let share = |(expected, found): (&Vec<Hit>, &Vec<Hit>)| {
        let is_found = |hit: &&Hit| found.iter().any(|other| other.document == hit.document);
        (!expected.is_empty())
            .then(|| expected.iter().filter(is_found).count() as f64 / expected.len() as f64)
    };
    let shares: Vec<f64> = expected.iter().zip(found).filter_map(share).collect();
    (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
}
