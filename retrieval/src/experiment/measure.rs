//! Asking a model: rankings, and what they are worth.

use anyhow::Result;
use common::metrics::ranking::{Grades, Ranked};
use common::stats;

use super::lab::Asked;
use crate::encoder::ColBert;
use crate::index::{Batch, Index, IndexConfig, build};
use crate::maxsim::{Exact, Hit, Storage};
use crate::plaid::{Plaid, SearchConfig};
use crate::tokenizer::{Augmentation, Layout};
use crate::vectors::TokenVectors;

/// Ranks that count.
pub(super) const DEPTH: usize = 10;

/// Means over the questions of one ranking.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quality {
    pub(super) ndcg: f64,
    pub(super) mrr: f64,
    pub(super) recall_3: f64,
}

/// Values of every question.
#[derive(Clone, Debug, Default)]
pub(super) struct Qualities {
    pub(super) ndcg: Vec<f64>,
    pub(super) reciprocal_rank: Vec<f64>,
    pub(super) recall_3: Vec<f64>,
}

impl Qualities {
    pub(super) fn mean(&self) -> Quality {
        let mean = |values: &[f64]| stats::mean(values).unwrap_or_default();
        Quality { ndcg: mean(&self.ndcg), mrr: mean(&self.reciprocal_rank), recall_3: mean(&self.recall_3) }
    }
}

/// What rankings of document numbers are worth.
pub(super) fn qualities(asked: &Asked, rankings: &[Vec<u32>]) -> Qualities {
    let mut found = Qualities::default();
    for (ranking, relevant) in rankings.iter().zip(&asked.relevant) {
        let ids: Vec<String> = ranking.iter().map(u32::to_string).collect();
        let grades = Grades::from([(relevant.to_string(), 1)]);
        let ranked = Ranked::in_order(ids.iter().map(String::as_str), &grades);
        found.ndcg.push(ranked.ndcg_at(DEPTH).unwrap_or_default());
        found.reciprocal_rank.push(ranked.reciprocal_rank_at(ranking.len()));
        found.recall_3.push(ranked.recall_at(3).unwrap_or_default());
    }
    found
}

pub(super) fn strings(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn numbers(hits: Vec<Vec<Hit>>) -> Vec<Vec<u32>> {
    hits.into_iter().map(|hits| hits.into_iter().map(|hit| hit.document).collect()).collect()
}

/// Exhaustive MaxSim with `model`'s token vectors, or with its pooled ones.
pub(super) fn exhaustive(model: &ColBert, asked: &Asked, pooled: bool) -> Result<Quality> {
    let (documents, queries) = match pooled {
        true => (
            model.encode_pooled(&strings(&asked.documents), false)?,
            model.encode_pooled(&strings(&asked.queries), true)?,
        ),
        false => (
            model.encode_documents(&strings(&asked.documents))?,
            model.encode_queries(&strings(&asked.queries))?,
        ),
    };
    ranked(&Exact::new(documents, Storage::Screened)?, asked, &queries)
}

/// Exhaustive MaxSim of these queries: means.
pub(super) fn ranked(exact: &Exact, asked: &Asked, queries: &TokenVectors) -> Result<Quality> {
    Ok(qualities(asked, &numbers(exact.search_batch(queries, DEPTH)?)).mean())
}

/// Exhaustive MaxSim of these queries: every question, ranks counted to the last document.
pub(super) fn ranked_each(exact: &Exact, asked: &Asked, queries: &TokenVectors) -> Result<Qualities> {
    Ok(qualities(asked, &numbers(exact.search_batch(queries, asked.documents.len())?)))
}

/// Token vectors of the questions under another augmentation.
pub(super) fn queries_with(
    model: &mut ColBert,
    augmentation: Augmentation,
    asked: &Asked,
) -> Result<TokenVectors> {
    let usual = model.tokenizer().layout().clone();
    model.set_layout(Layout { augmentation, ..usual.clone() })?;
    let vectors = model.encode_queries(&strings(&asked.queries));
    model.set_layout(usual)?;
    Ok(vectors?)
}

/// An index of the documents in `folder`.
pub(super) fn indexed(folder: &std::path::Path, bits: u32, documents: &TokenVectors) -> Result<Index> {
    let ids = (0..documents.len()).map(|document| document.to_string()).collect();
    let batch = Batch { ids, texts: Vec::new(), vectors: documents.clone() };
    Ok(build(folder, &IndexConfig::colbert_v2(bits), [Ok(batch)])?)
}

/// Search of an index.
pub(super) fn searched(
    index: &Index,
    asked: &Asked,
    queries: &TokenVectors,
    config: &SearchConfig,
) -> Result<Quality> {
    let hits = Plaid::new(index).search_batch(queries, DEPTH, config)?;
    Ok(qualities(asked, &numbers(hits.into_iter().map(|(hits, _)| hits).collect())).mean())
}
