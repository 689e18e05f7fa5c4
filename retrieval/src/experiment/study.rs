//! The studies: training in one way, then every question that the claims ask.

use std::time::Instant;

use anyhow::Result;
use common::figure::{Figure, Named};
use common::nn::bert::Config;
use common::outcome::{Drawing, Outcome};
use tch::{Device, Tensor};

use super::design::{Amount, Arm, DOCUMENT_LENGTH, Preset};
use super::lab::{Asked, Lab};
use super::measure::{
    self, DEPTH, Qualities, Quality, exhaustive, indexed, queries_with, ranked, searched, strings,
};
use crate::bm25::{Analyzer, Bm25, Parameters};
use crate::encoder::ColBert;
use crate::maxsim::{Exact, Storage};
use crate::plaid::SearchConfig;
use crate::search;
use crate::tokenizer::{Augmentation, Layout};
use crate::training::average::average;
use crate::training::config::{Interaction, TrainConfig};
use crate::training::data::TrainingData;
use crate::training::{Checkpoints, Progress, train};

/// BM25 on every test set.
pub(super) fn floor(lab: &Lab) -> Outcome {
    let mut outcome = Outcome::default();
    let sets =
        [("jsquad", &lab.jsquad, Analyzer::Bigrams), ("english", &lab.english_test, Analyzer::English)];
    for (setting, asked, analyzer) in sets {
        put(&mut outcome, setting, "bm25", bm25(asked, analyzer).mean());
    }
    outcome
}

/// BM25's rankings.
pub(super) fn bm25(asked: &Asked, analyzer: Analyzer) -> Qualities {
    let index = Bm25::new(&asked.documents, analyzer, Parameters::PASSAGES);
    let hits = index.search_all(&asked.queries, DEPTH).into_iter();
    let rankings: Vec<Vec<u32>> =
        hits.map(|hits| hits.into_iter().map(|(document, _)| document).collect()).collect();
    measure::qualities(asked, &rankings)
}

fn put(outcome: &mut Outcome, setting: &str, arm: &str, quality: Quality) {
    let Quality { ndcg, mrr, recall_3 } = quality;
    for (metric, value) in [("ndcg", ndcg), ("mrr", mrr), ("recall_3", recall_3)] {
        outcome.put(setting, arm, metric, vec![value]);
    }
}

/// Trains one arm and asks it.
pub(super) fn trained(
    lab: &Lab,
    preset: Preset,
    arm: Arm,
    (seed, is_first): (u64, bool),
    device: Device,
) -> Result<Outcome> {
    let amount = Amount::of(preset);
    let mut model = fresh(lab, amount, seed, device)?;
    if arm == Arm::Unfilled {
        model
            .set_layout(Layout { augmentation: Augmentation::None, ..model.tokenizer().layout().clone() })?;
    }
    let mut outcome = Outcome::default();
    let pooled = arm == Arm::Single;
    learn(&model, &lab.training, &arm.config(amount.steps), seed, |model, step| {
        let quality = exhaustive(model, &lab.curve, pooled)?;
        outcome.curve.push([step as f64, quality.ndcg]);
        if 2 * step == amount.steps {
            outcome.put("half-way", arm.name(), "ndcg", vec![quality.ndcg]);
        }
        Ok(())
    })?;
    outcome.put(
        "curve",
        arm.name(),
        "ndcg",
        outcome.curve.last().map(|point| point[1]).into_iter().collect(),
    );
    if pooled {
        put(&mut outcome, "jsquad", arm.name(), exhaustive(&model, &lab.jsquad, true)?);
        return Ok(outcome);
    }
    let documents = model.encode_documents(&strings(&lab.jsquad.documents))?;
    let exact = Exact::new(documents.clone(), Storage::Screened)?;
    let queries = model.encode_queries(&strings(&lab.jsquad.queries))?;
    let full = ranked(&exact, &lab.jsquad, &queries)?;
    put(&mut outcome, "jsquad", arm.name(), full);
    if arm == Arm::Unfilled {
        put(&mut outcome, "never-filled", "none", full);
        let filled = queries_with(&mut model, Augmentation::Fixed(32), &lab.jsquad)?;
        put(&mut outcome, "never-filled", "fixed-32", ranked(&exact, &lab.jsquad, &filled)?);
    }
    if matches!(arm, Arm::Paper | Arm::InBatch) {
        let folder = tempfile::tempdir()?;
        let index = indexed(folder.path(), 1, &documents)?;
        let one = ranked(&search::exact(&index)?, &lab.jsquad, &queries)?;
        outcome.put("one-bit", arm.name(), "loss", vec![full.ndcg - one.ndcg]);
    }
    if arm == Arm::Paper {
        asking(&mut outcome, &mut model, lab, &exact)?;
        compressing(&mut outcome, lab, &documents, &queries, full)?;
        if is_first {
            outcome.drawings.push(heat_map(&model, &lab.jsquad)?);
        }
        post_training(&mut outcome, &model, lab, amount.post_steps, seed)?;
    }
    Ok(outcome)
}

/// An encoder that has learnt nothing yet.
fn fresh(lab: &Lab, amount: Amount, seed: u64, device: Device) -> Result<ColBert> {
    let config = Config {
        hidden_dropout_prob: 0.0,
        attention_probs_dropout_prob: 0.0,
        ..Config::new(lab.pieces.len() as i64, amount.hidden, amount.layers, (amount.hidden / 32).max(1))
    };
    let layout = Layout { document_length: DOCUMENT_LENGTH, ..Layout::colbert() };
    Ok(ColBert::new(&config, lab.pieces.clone(), layout, amount.width, device, seed)?)
}

/// nDCG@10 on the development questions after the last step.
pub(super) fn development(
    lab: &Lab,
    preset: Preset,
    config: &TrainConfig,
    seed: u64,
    device: Device,
) -> Result<f64> {
    let model = fresh(lab, Amount::of(preset), seed, device)?;
    let mut last = 0.0;
    learn(&model, &lab.training, config, seed, |model, _| {
        last = exhaustive(model, &lab.curve, config.interaction == Interaction::Pooled)?.ndcg;
        Ok(())
    })?;
    Ok(last)
}

/// Trains; `evaluate` sees the model at the steps of the configuration, and at the last one.
fn learn(
    model: &ColBert,
    data: &TrainingData,
    config: &TrainConfig,
    seed: u64,
    mut evaluate: impl FnMut(&ColBert, usize) -> Result<()>,
) -> Result<()> {
    let mut failed = Ok(());
    train(model, data, config, seed, &Checkpoints::default(), |model, progress| {
        if let Progress::Evaluate { step } = progress {
            failed = evaluate(model, step);
        }
        failed.is_ok()
    })?;
    failed
}

/// One model, asked in different ways: query augmentation, and the evaluator without projection.
fn asking(outcome: &mut Outcome, model: &mut ColBert, lab: &Lab, exact: &Exact) -> Result<()> {
    let arms = [
        ("none", Augmentation::None),
        ("fixed-32", Augmentation::Fixed(32)),
        ("plus-8", Augmentation::Plus(8)),
        ("dynamic", Augmentation::Paper),
        ("code", Augmentation::Code),
        ("pad-32", Augmentation::Padding(32)),
    ];
    for (setting, asked) in [("questions", &lab.jsquad), ("pairs", &lab.pairs)] {
        for (name, augmentation) in arms {
            let queries = queries_with(model, augmentation, asked)?;
            put(outcome, setting, name, ranked(exact, asked, &queries)?);
        }
    }
    put(outcome, "evaluator", "projected", exhaustive(model, &lab.jsquad, false)?);
    model.set_projecting(false);
    let hidden = exhaustive(model, &lab.jsquad, false);
    model.set_projecting(true);
    put(outcome, "evaluator", "hidden", hidden?);
    Ok(())
}

/// The same vectors in fewer bits, searched exactly and by PLAID.
fn compressing(
    outcome: &mut Outcome,
    lab: &Lab,
    documents: &crate::vectors::TokenVectors,
    queries: &crate::vectors::TokenVectors,
    full: Quality,
) -> Result<()> {
    let plain_bytes = |bytes: usize| (documents.rows() * documents.width() * bytes) as f64;
    put(outcome, "bits", "fp32", full);
    outcome.put("bits", "fp32", "bytes", vec![plain_bytes(4)]);
    let half = Exact::new(documents.clone(), Storage::Bf16)?;
    put(outcome, "bits", "bf16", ranked(&half, &lab.jsquad, queries)?);
    outcome.put("bits", "bf16", "bytes", vec![plain_bytes(2)]);
    for bits in [4, 2, 1] {
        let folder = tempfile::tempdir()?;
        let index = indexed(folder.path(), bits, documents)?;
        let arm = format!("{bits}-bit");
        let exact = search::exact(&index)?;
        let started = Instant::now();
        let quality = ranked(&exact, &lab.jsquad, queries)?;
        let exact_ms = per_query(started, &lab.jsquad);
        put(outcome, "bits", &arm, quality);
        let bytes = index.summary().bytes as f64;
        outcome.put("bits", &arm, "bytes", vec![bytes]);
        outcome.put("bits", &arm, "shrink", vec![plain_bytes(2) / bytes]);
        if bits != 2 {
            continue;
        }
        outcome.put("bits", "six", "shrink", vec![6.0]);
        put(outcome, "search", "exhaustive", quality);
        outcome.put("search", "exhaustive", "latency_ms", vec![exact_ms]);
        let settings = [
            ("plaid", SearchConfig::for_k(DEPTH)),
            ("plaid-100", SearchConfig::for_k(100)),
            ("probe-4", SearchConfig { nprobe: 4, threshold: None, ..SearchConfig::for_k(DEPTH) }),
            ("few", SearchConfig { candidates: 64, scored: 16, ..SearchConfig::for_k(DEPTH) }),
        ];
        for (name, config) in settings {
            let started = Instant::now();
            put(outcome, "search", name, searched(&index, &lab.jsquad, queries, &config)?);
            outcome.put("search", name, "latency_ms", vec![per_query(started, &lab.jsquad)]);
        }
    }
    Ok(())
}

fn per_query(started: Instant, asked: &Asked) -> f64 {
    started.elapsed().as_secs_f64() * 1e3 / asked.queries.len() as f64
}

/// A second domain, with and without some of the first one mixed in, and the mean of all three sets of weights.
fn post_training(outcome: &mut Outcome, model: &ColBert, lab: &Lab, steps: usize, seed: u64) -> Result<()> {
    let ask = |outcome: &mut Outcome, name: &str| -> Result<()> {
        put(outcome, "first-domain", name, exhaustive(model, &lab.jsquad, false)?);
        put(outcome, "second-domain", name, exhaustive(model, &lab.english_test, false)?);
        Ok(())
    };
    let origin = std::path::Path::new("weights of the same run");
    let base = model.weights();
    ask(outcome, "base")?;
    let again = |weights: &Vec<(String, Tensor)>| -> Vec<(String, Tensor)> {
        weights.iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect()
    };
    let mut all = vec![again(&base)];
    for (name, data) in
        [("post", lab.english.clone()), ("replay", lab.english.clone().with_replay(&lab.training, 0.1, seed))]
    {
        model.set_weights(again(&base), origin)?;
        learn(model, &data, &Arm::post_training(steps), seed, |_, _| Ok(()))?;
        ask(outcome, name)?;
        all.push(model.weights());
    }
    model.set_weights(average(&all)?, origin)?;
    ask(outcome, "averaged")?;
    model.set_weights(base, origin)?;
    Ok(())
}

/// One question and its paragraph, token by token.
fn heat_map(model: &ColBert, asked: &Asked) -> Result<Drawing> {
    // A short paragraph fits a page; nothing else chooses it.
    let shortest =
        (0..asked.queries.len()).min_by_key(|&i| asked.documents[asked.relevant[i]].chars().count());
    let place = shortest.unwrap_or_default();
    let (query, document) = (asked.queries[place].as_str(), asked.documents[asked.relevant[place]].as_str());
    let (rows, columns) = (model.query_sequences(&[query])?, model.document_sequences(&[document])?);
    let names = |sequence: &crate::tokenizer::Sequence, text: &str| -> Vec<String> {
        let (pieces, layout) = (model.tokenizer().pieces(), model.tokenizer().layout());
        let name = |(id, place): (&i64, &std::ops::Range<usize>)| match pieces
            .token(*id)
            .filter(|_| place.is_empty())
        {
            marker if marker.is_some() && marker == layout.query_marker => "[Q]".to_owned(),
            marker if marker.is_some() && marker == layout.document_marker => "[D]".to_owned(),
            Some(special) => special,
            None => text[place.clone()].to_owned(),
        };
        let named = sequence.ids.iter().zip(&sequence.places).map(name);
        named.zip(&sequence.keep).filter(|(_, keep)| **keep).map(|(name, _)| name).collect()
    };
    let (asked, found) = (model.encode_queries(&[query])?, model.encode_documents(&[document])?);
    let width = model.width();
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    // Further [MASK] rows look alike: four show what they do.
    let n_rows = rows[0].real + 4;
    let values: Vec<Vec<f64>> = asked
        .values()
        .chunks_exact(width)
        .take(n_rows)
        .map(|row| found.values().chunks_exact(width).map(|other| product(row, other)).collect())
        .collect();
    let best = |row: &Vec<f64>| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    let mut names_of_rows = names(&rows[0], query);
    names_of_rows.truncate(n_rows);
    let figure = Figure::HeatMap {
        title: "MaxSim of one question and its paragraph".to_owned(),
        value: "cosine; the frame is the maximum that counts".to_owned(),
        framed: values.iter().map(best).collect(),
        rows: names_of_rows,
        columns: names(&columns[0], document),
        values,
    };
    let caption = format!(
        "Each row is a token of the question “{query}”, each column one of the paragraph; the score is the sum of the framed cells. Of the [MASK] rows four are shown."
    );
    Ok(Drawing { id: "maxsim".to_owned(), caption, figure })
}

/// Quality against bytes and against time, over all seeds.
pub(super) fn frontiers(values: &common::outcome::Values) -> Vec<Drawing> {
    let mean = |setting: &str, arm: &str, metric: &str| common::stats::mean(values.of(setting, arm, metric));
    let group = |setting: &str, metric: &str, scale: f64| {
        let arms: Vec<String> =
            values.with(metric).filter(|m| m.setting == setting).map(|m| m.arm.clone()).collect();
        let point = |arm: String| {
            let at = [mean(setting, &arm, metric)? / scale, 1.0 - mean(setting, &arm, "ndcg")?];
            Some(Named { at, name: arm })
        };
        arms.into_iter().filter_map(point).collect::<Vec<Named>>()
    };
    let frontier = |title: &str, x: &str, points: Vec<Named>| Figure::Frontier {
        title: title.to_owned(),
        x: x.to_owned(),
        y: "1 − nDCG@10".to_owned(),
        groups: vec![("JSQuAD, mean over seeds".to_owned(), points)],
    };
    vec![
        Drawing {
            id: "bytes".to_owned(),
            caption: "What a smaller index costs: all files of the index, exact search. Lower and further left is better.".to_owned(),
            figure: frontier("Quality against bytes", "MB", group("bits", "bytes", 1e6)),
        },
        Drawing {
            id: "latency".to_owned(),
            caption: "What a faster search costs on the 2-bit index, one thread per query. `few` scores 16 documents, `plaid` has the paper's settings for 10 hits.".to_owned(),
            figure: frontier("Quality against time", "ms per query", group("search", "latency_ms", 1.0)),
        },
    ]
}
