//! Similar coded transactions vote for accounts.
//!
//! ```text
//! w = exp(s (q · x − 1))        share(account) = Σ w of its transactions / Σ w of all k
//! ```
//! The article retrieves similar transactions and proposes their codes, without saying how; this is distance-weighted kNN.

use serde::{Deserialize, Serialize};

use super::neighbours::{Neighbour, NeighbourError, Neighbours};

/// A coded transaction in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Number of its account.
    pub account: u32,
    /// Number by which the caller knows it.
    pub id: i64,
}

/// How neighbours are counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voting {
    /// Transactions that vote.
    pub k: usize,
    /// `s`: how fast a vote fades with the distance.
    pub sharpness: f64,
}

/// A transaction that voted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Witness {
    /// The transaction.
    pub entry: Entry,
    /// Cosine of its vector and the query's.
    pub similarity: f32,
}

/// Accounts with their shares, the greatest first; equal ones by number.
pub type Shares = Vec<(u32, f64)>;

/// Coded transactions by their vectors. Transactions of equal strings share a vector.
#[derive(Debug)]
pub struct Memory {
    neighbours: Neighbours,
    groups: Vec<Vec<Entry>>,
}

impl Memory {
    /// A memory of vectors `[strings, width]` and the transactions of each string, the latest first: where more than enough
    /// are equally similar, the latest vote.
    ///
    /// # Errors
    /// [`NeighbourError`].
    ///
    /// # Panics
    /// When there are not as many groups as vectors, or a group is empty.
    pub fn new(width: usize, vectors: Vec<f32>, groups: Vec<Vec<Entry>>) -> Result<Self, NeighbourError> {
        assert_eq!(vectors.len(), groups.len() * width, "one group per vector");
        assert!(
            groups.iter().all(|group| !group.is_empty()),
            "a string without transactions has no place here"
        );
        Ok(Self { neighbours: Neighbours::new(width, vectors)?, groups })
    }

    /// Number of distinct strings.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The `k` most similar strings.
    ///
    /// # Errors
    /// [`NeighbourError`] for a query of another width.
    pub fn nearest(&self, query: &[f32], k: usize) -> Result<Vec<Neighbour>, NeighbourError> {
        self.neighbours.search(query, k)
    }

    /// The `k` transactions of the nearest strings, in their order.
    pub fn witnesses<'a>(&'a self, nearest: &'a [Neighbour], k: usize) -> impl Iterator<Item = Witness> + 'a {
        let of = |near: &'a Neighbour| {
            let entries = self.groups[near.row as usize].iter();
            entries.map(|&entry| Witness { entry, similarity: near.similarity })
        };
        nearest.iter().flat_map(of).take(k)
    }

    /// Shares of the accounts among the nearest strings' transactions; none without neighbours.
    pub fn vote(&self, nearest: &[Neighbour], voting: Voting) -> Shares {
        let vote = |witness: Witness| {
            (witness.entry.account, (voting.sharpness * (f64::from(witness.similarity) - 1.0)).exp())
        };
        normalised(self.witnesses(nearest, voting.k).map(vote))
    }
}

/// Weights summed by account and divided by their total.
pub fn normalised(weights: impl Iterator<Item = (u32, f64)>) -> Shares {
    let mut shares: Shares = Vec::new();
    let mut total = 0.0;
    for (account, weight) in weights {
        total += weight;
        match shares.iter_mut().find(|(known, _)| *known == account) {
            Some((_, sum)) => *sum += weight,
            None => shares.push((account, weight)),
        }
    }
    shares.iter_mut().for_each(|(_, share)| *share /= total);
    sort(&mut shares);
    shares
}

/// The mean of two distributions, `weight` on the first; when one is empty, the other.
pub fn mixed(first: &Shares, second: &Shares, weight: f64) -> Shares {
    if first.is_empty() || second.is_empty() {
        return if first.is_empty() { second.clone() } else { first.clone() };
    }
    let scaled = |shares: &Shares, by: f64| {
        shares.iter().map(|&(account, share)| (account, share * by)).collect::<Vec<_>>()
    };
    let both = scaled(first, weight).into_iter().chain(scaled(second, 1.0 - weight));
    normalised(both.filter(|(_, share)| *share > 0.0))
}

fn sort(shares: &mut Shares) {
    shares.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(account: u32, id: i64) -> Entry {
        Entry { account, id }
    }

    #[test]
    fn near_transactions_outvote_far_ones_and_the_latest_come_first() {
        let groups = vec![vec![entry(7, 3), entry(8, 2), entry(8, 1)], vec![entry(9, 4)]];
        let memory = Memory::new(2, vec![1.0, 0.0, 0.0, 1.0], groups).unwrap();
        let nearest = memory.nearest(&[1.0, 0.0], 2).unwrap();
        let shares = memory.vote(&nearest, Voting { k: 4, sharpness: 1.0 });
        let far = (-1f64).exp();
        assert_eq!(shares.iter().map(|s| s.0).collect::<Vec<_>>(), [8, 7, 9]);
        assert!((shares[0].1 - 2.0 / (3.0 + far)).abs() < 1e-12);
        assert_eq!(memory.vote(&nearest, Voting { k: 1, sharpness: 1.0 }), [(7, 1.0)]);
        let ids: Vec<i64> = memory.witnesses(&nearest, 4).map(|witness| witness.entry.id).collect();
        assert_eq!(ids, [3, 2, 1, 4]);
    }

    #[test]
    fn a_mixture_is_a_distribution_and_stands_for_a_missing_side() {
        let (a, b) = (vec![(1, 0.75), (2, 0.25)], vec![(2, 1.0)]);
        assert_eq!(mixed(&a, &b, 0.5), [(2, 0.625), (1, 0.375)]);
        assert_eq!(mixed(&a, &vec![], 0.1), a);
        assert_eq!(mixed(&a, &b, 1.0), a);
    }
}
