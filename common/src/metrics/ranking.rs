//! Measures of ranked retrieval, equal to those of trec_eval.

use std::collections::BTreeMap;

/// Grades of judged documents by their id; grades below 1 are "not relevant".
pub type Grades = BTreeMap<String, i64>;

/// One query's ranking, seen through its judgements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranked {
    /// Grade of the document at each rank; 0 where there is no judgement.
    found: Vec<i64>,
    /// Grades of all relevant documents, the highest first.
    relevant: Vec<i64>,
}

impl Ranked {
    /// The ranking of `hits`, document ids with scores, in trec_eval's order: higher scores first, as 32-bit floats;
    /// equal ones by document id, the last first. What order `hits` have is of no matter.
    ///
    /// ```
    /// use common::metrics::ranking::{Grades, Ranked};
    /// let grades = Grades::from([("a".to_owned(), 1), ("b".to_owned(), 0), ("c".to_owned(), 1)]);
    /// let ranked = Ranked::new(&[("b", 0.9), ("a", 0.5), ("x", 0.5)], &grades);
    /// assert_eq!(ranked.reciprocal_rank_at(10), 1.0 / 3.0); // `x` ties with `a` and goes before it
    /// assert_eq!(ranked.recall_at(10), Some(0.5));
    /// ```
    pub fn new(hits: &[(&str, f64)], grades: &Grades) -> Self {
        let mut order: Vec<(f32, &str)> = hits.iter().map(|(id, score)| (*score as f32, *id)).collect();
        order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then_with(|| b.1.cmp(a.1)));
        Self::in_order(order.into_iter().map(|(_, id)| id), grades)
    }

    /// The ranking of document ids that stand in order already.
    pub fn in_order<'a>(ids: impl IntoIterator<Item = &'a str>, grades: &Grades) -> Self {
        let found = ids.into_iter().map(|id| grades.get(id).copied().unwrap_or(0)).collect();
        let mut relevant: Vec<i64> = grades.values().copied().filter(|&grade| grade > 0).collect();
        relevant.sort_unstable_by(|a, b| b.cmp(a));
        Self { found, relevant }
    }

    /// Discounted cumulative gain of the first `k` ranks over that of the best ranking, gain = grade, discount
    /// `1 / log₂(rank + 1)`; `None` when nothing is relevant. trec_eval's `ndcg_cut.k`.
    pub fn ndcg_at(&self, k: usize) -> Option<f64> {
        let best = gain(&self.relevant, k);
        (best > 0.0).then(|| gain(&self.found, k) / best)
    }

    /// One over the rank of the first relevant document, 0 when none is among the first `k`.
    pub fn reciprocal_rank_at(&self, k: usize) -> f64 {
        self.hits(k).next().map_or(0.0, |rank| 1.0 / rank as f64)
    }

    /// Share of the relevant documents that are among the first `k`; `None` when nothing is relevant.
    pub fn recall_at(&self, k: usize) -> Option<f64> {
        self.share(self.hits(k).count() as f64)
    }

    /// Share of the first `k` ranks that are relevant. trec_eval's `P.k`.
    ///
    /// # Panics
    /// When `k` is 0.
    pub fn precision_at(&self, k: usize) -> f64 {
        assert!(k > 0, "precision needs a rank to look at");
        self.hits(k).count() as f64 / k as f64
    }

    /// Whether a relevant document is among the first `k`, as 0 or 1: the hit rate.
    pub fn success_at(&self, k: usize) -> f64 {
        f64::from(u8::from(self.hits(k).next().is_some()))
    }

    /// Sum of the precisions at the ranks of relevant documents among the first `k`, over the number of relevant
    /// documents; `None` when nothing is relevant. trec_eval's `map_cut.k`.
    pub fn average_precision_at(&self, k: usize) -> Option<f64> {
        self.share(self.hits(k).enumerate().map(|(i, rank)| (i + 1) as f64 / rank as f64).sum())
    }

    /// Ranks of relevant documents among the first `k`, from 1.
    fn hits(&self, k: usize) -> impl Iterator<Item = usize> {
        self.found.iter().take(k).enumerate().filter(|(_, grade)| **grade > 0).map(|(i, _)| i + 1)
    }

    fn share(&self, part: f64) -> Option<f64> {
        (!self.relevant.is_empty()).then(|| part / self.relevant.len() as f64)
    }
}

fn gain(grades: &[i64], k: usize) -> f64 {
    let discounted = |(i, grade): (usize, &i64)| (*grade).max(0) as f64 / ((i + 2) as f64).log2();
    grades.iter().take(k).enumerate().map(discounted).sum()
}

/// A measure by its name, such as `ndcg@10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// `ndcg@k`
    Ndcg(usize),
    /// `mrr@k`
    Mrr(usize),
    /// `recall@k`
    Recall(usize),
    /// `precision@k`
    Precision(usize),
    /// `success@k`
    Success(usize),
    /// `map@k`
    Map(usize),
}

/// A name that is no measure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no measure; expected `ndcg`, `mrr`, `recall`, `precision`, `success` or `map`, then `@` and a rank from 1, such as `ndcg@10`"
)]
pub struct UnknownMeasure(String);

impl Measure {
    /// Value for one query. A query without a relevant document has 0, as in trec_eval.
    pub fn of(self, ranked: &Ranked) -> f64 {
        match self {
            Self::Ndcg(k) => ranked.ndcg_at(k).unwrap_or(0.0),
            Self::Mrr(k) => ranked.reciprocal_rank_at(k),
            Self::Recall(k) => ranked.recall_at(k).unwrap_or(0.0),
            Self::Precision(k) => ranked.precision_at(k),
            Self::Success(k) => ranked.success_at(k),
            Self::Map(k) => ranked.average_precision_at(k).unwrap_or(0.0),
        }
    }

    fn parts(self) -> (&'static str, usize) {
        match self {
            Self::Ndcg(k) => ("ndcg", k),
            Self::Mrr(k) => ("mrr", k),
            Self::Recall(k) => ("recall", k),
            Self::Precision(k) => ("precision", k),
            Self::Success(k) => ("success", k),
            Self::Map(k) => ("map", k),
        }
    }
}

impl std::str::FromStr for Measure {
    type Err = UnknownMeasure;

    fn from_str(text: &str) -> Result<Self, UnknownMeasure> {
        let unknown = || UnknownMeasure(text.to_owned());
        let (name, k) = text.split_once('@').ok_or_else(unknown)?;
        let k = k.parse().ok().filter(|&k| k > 0).ok_or_else(unknown)?;
        match name.to_lowercase().as_str() {
            "ndcg" => Ok(Self::Ndcg(k)),
            "mrr" => Ok(Self::Mrr(k)),
            "recall" | "r" => Ok(Self::Recall(k)),
            "precision" | "p" => Ok(Self::Precision(k)),
            "success" | "hit" => Ok(Self::Success(k)),
            "map" => Ok(Self::Map(k)),
            _ => Err(unknown()),
        }
    }
}

impl std::fmt::Display for Measure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, k) = self.parts();
        write!(formatter, "{name}@{k}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_is_named_as_it_is_read() {
        for name in ["ndcg@10", "mrr@10", "recall@100", "precision@1", "success@3", "map@1000"] {
            assert_eq!(name.parse::<Measure>().unwrap().to_string(), name);
        }
        for name in ["ndcg", "ndcg@0", "f1@3", "mrr@x"] {
            let error = name.parse::<Measure>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{name}` is no measure; expected `ndcg`")), "{error}");
        }
    }

    #[test]
    fn a_query_without_a_relevant_document_has_no_recall() {
        let ranked = Ranked::new(&[("a", 1.0)], &Grades::from([("a".to_owned(), -1), ("b".to_owned(), 0)]));
        assert_eq!(
            (ranked.ndcg_at(10), ranked.recall_at(10), ranked.average_precision_at(10)),
            (None, None, None)
        );
        assert_eq!((ranked.reciprocal_rank_at(10), ranked.success_at(1)), (0.0, 0.0));
    }
}
