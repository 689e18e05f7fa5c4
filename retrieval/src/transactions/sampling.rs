//! Batches of a few accounts with several strings each, of one company at a time: accounts of different charts are not
//! comparable.

use std::collections::{BTreeMap, HashMap};

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What there is to learn from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corpus {
    /// Distinct strings.
    pub strings: Vec<String>,
    /// Distinct pairs of string and account.
    pub examples: Vec<Example>,
    /// Company of each account.
    pub companies: Vec<usize>,
}

/// A string that was coded to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Place among the strings.
    pub string: usize,
    /// Account, counted over all companies.
    pub account: usize,
    /// Merchant, by any number: accounts that share merchants are confusable.
    pub merchant: usize,
}

/// A corpus that gives no batch.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{accounts} accounts with at least two different strings in the largest company, expected at least 2; train on more coded transactions"
)]
pub struct CorpusError {
    accounts: usize,
}

/// How batches are put together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Accounts.
    pub accounts: usize,
    /// Strings of each.
    pub strings: usize,
    /// Share of the batches that hold an account with those that share most merchants with it: category-aware mining.
    pub siblings: f64,
}

/// A batch: examples by their places, and their accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Places of strings.
    pub strings: Vec<usize>,
    /// Account of each.
    pub accounts: Vec<usize>,
}

/// Draws batches.
#[derive(Debug)]
pub struct Sampler<'a> {
    corpus: &'a Corpus,
    /// Places of examples by account.
    members: Vec<Vec<usize>>,
    /// Accounts with at least two strings, by company, companies with fewer than two such accounts left out.
    companies: Vec<Vec<usize>>,
    /// Accounts that share merchants, the most first.
    siblings: Vec<Vec<usize>>,
}

impl<'a> Sampler<'a> {
    /// A sampler of a corpus.
    ///
    /// # Errors
    /// [`CorpusError`] when no company has two accounts to tell apart.
    pub fn new(corpus: &'a Corpus) -> Result<Self, CorpusError> {
        let n = corpus.companies.len();
        let mut members = vec![Vec::new(); n];
        for (place, example) in corpus.examples.iter().enumerate() {
            members[example.account].push(place);
        }
        let mut companies: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for account in (0..n).filter(|account| members[*account].len() >= 2) {
            companies.entry(corpus.companies[account]).or_default().push(account);
        }
        let largest = companies.values().map(Vec::len).max().unwrap_or(0);
        let companies: Vec<Vec<usize>> =
            companies.into_values().filter(|accounts| accounts.len() >= 2).collect();
        if companies.is_empty() {
            return Err(CorpusError { accounts: largest });
        }
        Ok(Self { siblings: siblings(corpus), corpus, members, companies })
    }

    /// The next batch. Accounts are drawn by the root of their number of strings, so that rare ones are not forgotten.
    pub fn batch(&self, shape: Shape, random: &mut ChaCha8Rng) -> Batch {
        let sizes: Vec<f64> = self.companies.iter().map(|accounts| accounts.len() as f64).collect();
        let own = &self.companies[drawn(&sizes, random)];
        let mut chosen: Vec<usize> = Vec::new();
        if random.random_bool(shape.siblings) {
            let first = own[drawn(&self.weights(own), random)];
            chosen.push(first);
            let near = self.siblings[first].iter().filter(|account| own.contains(account));
            chosen.extend(near.take((shape.accounts / 2).max(1)));
        }
        let mut rest: Vec<usize> = own.iter().copied().filter(|account| !chosen.contains(account)).collect();
        while chosen.len() < shape.accounts && !rest.is_empty() {
            chosen.push(rest.swap_remove(drawn(&self.weights(&rest), random)));
        }
        let mut batch = Batch::default();
        for account in chosen {
            let mut members = self.members[account].clone();
            for _ in 0..shape.strings.min(members.len()) {
                let example = members.swap_remove(random.random_range(0..members.len()));
                batch.strings.push(self.corpus.examples[example].string);
                batch.accounts.push(account);
            }
        }
        batch
    }

    fn weights(&self, accounts: &[usize]) -> Vec<f64> {
        accounts.iter().map(|account| (self.members[*account].len() as f64).sqrt()).collect()
    }
}

/// A place, drawn in proportion to the weights.
fn drawn(weights: &[f64], random: &mut ChaCha8Rng) -> usize {
    let total: f64 = weights.iter().sum();
    let mut rest = random.random_range(0.0..1.0) * total;
    for (place, weight) in weights.iter().enumerate() {
        rest -= weight;
        if rest < 0.0 {
            return place;
        }
    }
    weights.len() - 1
}

/// For each account the others by Σ min(count, count) over shared merchants, the most first, those with none left out.
pub fn siblings(corpus: &Corpus) -> Vec<Vec<usize>> {
    let n = corpus.companies.len();
    let mut merchants: BTreeMap<(usize, usize), BTreeMap<usize, usize>> = BTreeMap::new();
    for Example { account, merchant, .. } in &corpus.examples {
        let company = corpus.companies[*account];
        *merchants.entry((company, *merchant)).or_default().entry(*account).or_default() += 1;
    }
    let mut shared: Vec<HashMap<usize, usize>> = vec![HashMap::new(); n];
    for accounts in merchants.values() {
        for (&a, &n_a) in accounts {
            for (&b, &n_b) in accounts.iter().filter(|(b, _)| **b != a) {
                *shared[a].entry(b).or_default() += n_a.min(n_b);
            }
        }
    }
    let sorted = |shared: HashMap<usize, usize>| {
        let mut list: Vec<(usize, usize)> = shared.into_iter().collect();
        list.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        list.into_iter().map(|(account, _)| account).collect()
    };
    shared.into_iter().map(sorted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus() -> Corpus {
        // Accounts 0 and 1 share merchant 0, account 2 stands alone, 3 and 4 belong to another company.
        let of = |account: usize, merchant: usize, n: usize| (0..n).map(move |_| (account, merchant));
        let all = of(0, 0, 4).chain(of(1, 0, 4)).chain(of(2, 1, 4)).chain(of(3, 0, 3)).chain(of(4, 0, 2));
        let examples: Vec<Example> = all
            .enumerate()
            .map(|(string, (account, merchant))| Example { string, account, merchant })
            .collect();
        let strings = (0..examples.len()).map(|i| i.to_string()).collect();
        Corpus { strings, examples, companies: vec![0, 0, 0, 1, 1] }
    }

    #[test]
    fn batches_hold_one_company_and_distinct_strings() {
        let corpus = corpus();
        let sampler = Sampler::new(&corpus).unwrap();
        let mut random = common::seed::rng(1, "batch", 0);
        for _ in 0..50 {
            let batch = sampler.batch(Shape { accounts: 3, strings: 3, siblings: 0.5 }, &mut random);
            let companies: Vec<usize> =
                batch.accounts.iter().map(|account| corpus.companies[*account]).collect();
            assert!(companies.windows(2).all(|pair| pair[0] == pair[1]));
            let mut strings = batch.strings.clone();
            strings.sort_unstable();
            strings.dedup();
            assert_eq!(strings.len(), batch.strings.len());
        }
    }

    #[test]
    fn siblings_share_merchants_within_a_company() {
        assert_eq!(siblings(&corpus()), [vec![1], vec![0], vec![], vec![4], vec![3]]);
        let corpus = corpus();
        let sampler = Sampler::new(&corpus).unwrap();
        let mut random = common::seed::rng(2, "batch", 0);
        for _ in 0..50 {
            let mut accounts =
                sampler.batch(Shape { accounts: 2, strings: 2, siblings: 1.0 }, &mut random).accounts;
            accounts.dedup();
            assert!(
                accounts.contains(&2) || accounts == [0, 1] || accounts == [1, 0] || accounts[0] >= 3,
                "{accounts:?}"
            );
        }
    }

    #[test]
    fn a_corpus_of_one_account_is_refused() {
        let example = |string| Example { string, account: 0, merchant: 0 };
        let corpus = Corpus {
            strings: vec!["a".into(), "b".into()],
            examples: vec![example(0), example(1)],
            companies: vec![0],
        };
        let error = Sampler::new(&corpus).unwrap_err().to_string();
        assert!(error.starts_with("1 accounts with at least two different strings"), "{error}");
    }
}
