//! A pretrained sentence encoder without any training of ours: one vector per text against one per token, and fewer bits.

use std::path::Path;

use anyhow::Result;
use common::outcome::Outcome;
use tch::Device;

use super::lab::Asked;
use super::measure::{Qualities, indexed, ranked_each, strings};
use super::study::bm25;
use crate::bm25::Analyzer;
use crate::encoder::{ColBert, Options};
use crate::maxsim::{Exact, Storage};
use crate::search;
use crate::tokenizer::Layout;

/// Setting of its claims.
pub(super) const SETTING: &str = "pretrained";
/// Mean reciprocal rank and share of questions answered first, of pooled vectors and of token vectors: all-MiniLM-L6-v2 in
/// PyTorch on XQuAD's 1,190 English questions, to three decimals.
pub(super) const REFERENCE: [(&str, f64, f64); 2] = [("pooled", 0.930, 0.887), ("tokens", 0.978, 0.963)];

/// Longest text in tokens: the encoder's positions.
const LENGTH: usize = 512;

/// Values of every question.
pub(super) fn study(asked: &Asked, encoder: &Path, device: Device) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut model = ColBert::open(encoder, Options { device, ..Options::cpu() })?;
    // Whole paragraphs, as in the reference; the published configuration cuts them.
    model.set_layout(Layout::plain(LENGTH))?;
    let (documents, queries) = (strings(&asked.documents), strings(&asked.queries));
    let pooled = Exact::new(model.encode_pooled(&documents, false)?, Storage::F32)?;
    put(&mut outcome, "pooled", ranked_each(&pooled, asked, &model.encode_pooled(&queries, true)?)?);
    let (documents, queries) = (model.encode_documents(&documents)?, model.encode_queries(&queries)?);
    let plain_bytes = (documents.rows() * documents.width() * 2) as f64;
    let exact = Exact::new(documents.clone(), Storage::F32)?;
    put(&mut outcome, "tokens", ranked_each(&exact, asked, &queries)?);
    for bits in [4, 2, 1] {
        let folder = tempfile::tempdir()?;
        let index = indexed(folder.path(), bits, &documents)?;
        let arm = format!("{bits}-bit");
        put(&mut outcome, &arm, ranked_each(&search::exact(&index)?, asked, &queries)?);
        outcome.put(SETTING, &arm, "shrink", vec![plain_bytes / index.summary().bytes as f64]);
    }
    put(&mut outcome, "bm25", bm25(asked, Analyzer::English));
    for (arm, mrr, first) in REFERENCE {
        outcome.put("reference", &format!("{arm} in PyTorch"), "rounded", vec![mrr, first]);
    }
    Ok(outcome)
}

fn put(outcome: &mut Outcome, arm: &str, found: Qualities) {
    let Qualities { ndcg, reciprocal_rank, recall_3 } = found;
    let mean = |values: &[f64]| common::stats::mean(values).unwrap_or_default();
    let first =
        reciprocal_rank.iter().filter(|value| **value == 1.0).count() as f64 / reciprocal_rank.len() as f64;
    let rounded = [mean(&reciprocal_rank), first].map(|value| (value * 1000.0).round() / 1000.0);
    outcome.put("reference", arm, "rounded", rounded.into());
    for (metric, values) in [("ndcg", ndcg), ("reciprocal_rank", reciprocal_rank), ("recall_3", recall_3)] {
        outcome.put(SETTING, arm, metric, values);
    }
}
