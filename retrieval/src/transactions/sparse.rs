//! Floors without an encoder: TF-IDF with nearest neighbours, and multinomial logistic regression on the same features.

use std::collections::HashMap;

use common::seed;
use rand::seq::SliceRandom;

use super::vote::{Shares, Voting, normalised};

/// A sparse row: places in ascending order with values.
pub type Row = Vec<(u32, f32)>;

/// Words and pairs of neighbouring words, weighed by rarity, rows of length 1; equal to scikit-learn's `TfidfVectorizer` with
/// `ngram_range=(1, 2)` and `token_pattern=r"\w+"`.
#[derive(Clone, Debug)]
pub struct Tfidf {
    terms: HashMap<String, u32>,
    idf: Vec<f32>,
}

impl Tfidf {
    /// Rarities of the terms of these texts: `ln((1 + n) / (1 + df)) + 1`.
    pub fn fit<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut frequencies: HashMap<String, u32> = HashMap::new();
        let mut n = 0;
        for text in texts {
            n += 1;
            let mut own = terms(text);
            own.sort_unstable();
            own.dedup();
            own.into_iter().for_each(|term| *frequencies.entry(term).or_default() += 1);
        }
        let mut sorted: Vec<(String, u32)> = frequencies.into_iter().collect();
        sorted.sort_unstable();
        let idf = |df: u32| ((1.0 + f64::from(n)) / (1.0 + f64::from(df))).ln() + 1.0;
        let idf = sorted.iter().map(|(_, df)| idf(*df) as f32).collect();
        Self { terms: (0..).zip(sorted).map(|(place, (term, _))| (term, place)).collect(), idf }
    }

    /// Number of terms.
    pub fn len(&self) -> usize {
        self.idf.len()
    }

    /// Whether no term is known.
    pub fn is_empty(&self) -> bool {
        self.idf.is_empty()
    }

    /// The row of a text; unknown terms are passed over.
    pub fn row(&self, text: &str) -> Row {
        let mut places: Vec<u32> =
            terms(text).iter().filter_map(|term| self.terms.get(term).copied()).collect();
        places.sort_unstable();
        let count = |equal: &[u32]| (equal[0], equal.len() as f32 * self.idf[equal[0] as usize]);
        let mut row: Row = places.chunk_by(|a, b| a == b).map(count).collect();
        let norm = row.iter().map(|(_, value)| value * value).sum::<f32>().sqrt();
        row.iter_mut().for_each(|(_, value)| *value /= norm);
        row
    }
}

fn terms(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    let pairs = words.windows(2).map(|pair| format!("{} {}", pair[0], pair[1]));
    words.iter().map(|word| (*word).to_owned()).chain(pairs).collect()
}

/// Nearest rows by cosine through lists of the rows of each term.
#[derive(Clone, Debug)]
pub struct SparseNeighbours {
    lists: Vec<Vec<(u32, f32)>>,
    accounts: Vec<u32>,
}

impl SparseNeighbours {
    /// Rows and the account of each.
    pub fn new(n_terms: usize, rows: &[Row], accounts: Vec<u32>) -> Self {
        let mut lists = vec![Vec::new(); n_terms];
        for (number, row) in (0..).zip(rows) {
            row.iter().for_each(|(term, value)| lists[*term as usize].push((number, *value)));
        }
        Self { lists, accounts }
    }

    /// Shares among the nearest rows, as [`super::vote::Memory::vote`] counts them; later rows win ties.
    pub fn vote(&self, query: &Row, voting: Voting) -> Shares {
        let mut scores = vec![0f32; self.accounts.len()];
        for (term, weight) in query {
            for (row, value) in &self.lists[*term as usize] {
                scores[*row as usize] += weight * value;
            }
        }
        let mut found: Vec<(f32, u32)> = scores
            .iter()
            .zip(0u32..)
            .filter(|(score, _)| **score > 0.0)
            .map(|(score, row)| (*score, row))
            .collect();
        let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1));
        if found.len() > voting.k {
            found.select_nth_unstable_by(voting.k - 1, order);
            found.truncate(voting.k);
        }
        found.sort_unstable_by(order);
        let weight = |(score, row): (f32, u32)| {
            (self.accounts[row as usize], (voting.sharpness * (f64::from(score) - 1.0)).exp())
        };
        normalised(found.into_iter().map(weight))
    }
}

/// Multinomial logistic regression, trained by AdaGrad (Duchi et al. 2011) one row at a time.
#[derive(Clone, Debug)]
pub struct Logistic {
    n_classes: usize,
    /// `[terms, classes]`, the last term being the bias.
    weights: Vec<f32>,
}

impl Logistic {
    /// Trained on rows and their classes for some passes at a step size, in an order that follows from the seed.
    pub fn train(
        n_terms: usize,
        n_classes: usize,
        rows: &[Row],
        classes: &[u32],
        passes: u64,
        step: f32,
        run_seed: u64,
    ) -> Self {
        let mut model = Self { n_classes, weights: vec![0.0; (n_terms + 1) * n_classes] };
        let mut squares = vec![1e-6f32; model.weights.len()];
        for pass in 0..passes {
            let mut order: Vec<usize> = (0..rows.len()).collect();
            order.shuffle(&mut seed::rng(run_seed, "logistic", pass));
            for i in order {
                let mut errors = model.probabilities(&rows[i]);
                errors[classes[i] as usize] -= 1.0;
                for (term, value) in with_bias(&rows[i], n_terms) {
                    let start = term as usize * n_classes;
                    let weights = &mut model.weights[start..start + n_classes];
                    for ((weight, square), error) in
                        weights.iter_mut().zip(&mut squares[start..]).zip(&errors)
                    {
                        let gradient = error * value;
                        *square += gradient * gradient;
                        *weight -= step * gradient / square.sqrt();
                    }
                }
            }
        }
        model
    }

    fn probabilities(&self, row: &Row) -> Vec<f32> {
        let n_terms = self.weights.len() / self.n_classes - 1;
        let mut logits = vec![0f32; self.n_classes];
        for (term, value) in with_bias(row, n_terms) {
            let weights = &self.weights[term as usize * self.n_classes..][..self.n_classes];
            logits.iter_mut().zip(weights).for_each(|(logit, weight)| *logit += value * weight);
        }
        let highest = logits.iter().fold(f32::NEG_INFINITY, |highest, logit| highest.max(*logit));
        logits.iter_mut().for_each(|logit| *logit = (*logit - highest).exp());
        let total: f32 = logits.iter().sum();
        logits.iter_mut().for_each(|logit| *logit /= total);
        logits
    }

    /// Probabilities of the classes, the greatest first.
    pub fn shares(&self, row: &Row) -> Shares {
        normalised((0..).zip(self.probabilities(row)).map(|(class, share)| (class, f64::from(share))))
    }
}

fn with_bias(row: &Row, n_terms: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
    row.iter().copied().chain([(n_terms as u32, 1.0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_and_regression_tell_words_apart() {
        let texts = ["train to london", "train to leeds", "blue pens", "red pens", "taxi leeds"];
        let accounts = vec![0, 0, 1, 1, 2];
        let tfidf = Tfidf::fit(texts.into_iter());
        let rows: Vec<Row> = texts.iter().map(|text| tfidf.row(text)).collect();
        let neighbours = SparseNeighbours::new(tfidf.len(), &rows, accounts.clone());
        let logistic = Logistic::train(tfidf.len(), 3, &rows, &accounts, 30, 0.5, 1);
        for (text, account) in [("green pens", 1), ("train to york", 0), ("taxi", 2)] {
            let row = tfidf.row(text);
            assert_eq!(neighbours.vote(&row, Voting { k: 3, sharpness: 20.0 })[0].0, account, "{text}");
            assert_eq!(logistic.shares(&row)[0].0, account, "{text}");
        }
        assert!(tfidf.row("unknown").is_empty());
        assert!(neighbours.vote(&Vec::new(), Voting { k: 3, sharpness: 20.0 }).is_empty());
    }
}
