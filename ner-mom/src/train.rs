//! One training run: batches, steps, the development score of each epoch, the best weights kept.

use std::time::Instant;

use common::formats::Sentence;
use common::metrics::entity::EntityScores;
use common::nn::checkpoint::named;
use common::optim::{AdamW, AdamWConfig, Diverged, clip_grad_norm, warmup_decay};
use common::seed;
use common::train::length_buckets;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};
use thiserror::Error;

use crate::batch::Prepared;
use crate::config::{Sampling, TrainConfig};
use crate::label::{UnknownType, class_counts};
use crate::loss::{Context, inverse_frequency, weights_tensor};
use crate::model::Model;

/// Share of entity words, squared, plus this: the weight of a sentence under [`Sampling::EntityOversampled`]. Ours.
const OVERSAMPLING_FLOOR: f64 = 0.01;

/// What one epoch came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochPoint {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Optimiser steps so far.
    pub step: usize,
    /// Training sentences seen so far.
    pub examples: usize,
    /// Mean loss of the epoch's steps.
    pub train_loss: f64,
    /// Micro-averaged entity F1 on the development sentences.
    pub dev_f1: f64,
}

/// What a run came to; the model holds the weights of the best epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// Every epoch that was run.
    pub epochs: Vec<EpochPoint>,
    /// Epoch, from 1, with the best development F1; the first of equals.
    pub best_epoch: usize,
    /// Its development F1.
    pub best_dev_f1: f64,
    /// Seconds in the steps, batches included, development scores excluded.
    pub steps_s: f64,
    /// Training words seen.
    pub words: usize,
}

/// A run that could not go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// Nothing to learn from or to choose by.
    #[error("no {0} sentences; training needs some")]
    Empty(&'static str),
    /// Loss or gradient is not a number; the model holds the best weights so far.
    #[error("epoch {epoch}, step {step}: {source}")]
    Diverged {
        /// Epoch, from 1.
        epoch: usize,
        /// Step, from 0.
        step: usize,
        /// What to do.
        source: Diverged,
    },
    /// A gold label that the model lacks.
    #[error(transparent)]
    Label(#[from] UnknownType),
}

/// Trains `model` on `train`, keeps the weights of the epoch with the best micro-F1 on `dev`. `observe` is told of
/// each epoch and returns `false` to stop there.
///
/// Same model, data, configuration, seed and thread count give the same bits.
///
/// # Errors
/// [`TrainError`].
pub fn train(
    model: &mut Model,
    train: &[Sentence],
    dev: &[Sentence],
    run_seed: u64,
    mut observe: impl FnMut(&EpochPoint) -> bool,
) -> Result<History, TrainError> {
    if train.is_empty() {
        return Err(TrainError::Empty("training"));
    }
    if dev.is_empty() {
        return Err(TrainError::Empty("development"));
    }
    let config = model.config.clone();
    let data = Prepared::new(train, &model.lexicon);
    let labels = classes(model, train)?;
    let weights = inverse_frequency(&class_counts(&model.labels, train)?);
    let class_weights = weights_tensor(&weights).to_device(model.store.device());
    let decay = AdamWConfig { weight_decay: config.weight_decay, ..AdamWConfig::adam() };
    let mut optimiser = AdamW::new(&model.store, decay);
    let steps = config.epochs * train.len().div_ceil(config.batch_sentences);
    let mut history = History { epochs: vec![], best_epoch: 0, best_dev_f1: -1.0, steps_s: 0.0, words: 0 };
    let mut best: Vec<Tensor> = Vec::new();
    let mut step = 0;
    for epoch in 1..=config.epochs {
        let started = Instant::now();
        tch::manual_seed(seed::derive(run_seed, "dropout", epoch as u64) as i64);
        let mut rng = seed::rng(run_seed, "unknown-words", epoch as u64);
        let rows = drawn(&config, train, run_seed, epoch);
        let lengths: Vec<usize> = rows.iter().map(|&row| train[row].words.len()).collect();
        let mut losses = 0.0;
        let batches = length_buckets(&lengths, config.batch_sentences, run_seed, epoch);
        for places in &batches {
            let rows: Vec<usize> = places.iter().map(|&place| rows[place]).collect();
            let rate = config.learning_rate * warmup_decay(step, steps, config.warmup);
            let taken =
                take_step(model, &data, &labels, &rows, &class_weights, &mut rng, &mut optimiser, rate);
            losses += taken.map_err(|source| TrainError::Diverged { epoch, step, source })?;
            history.words += rows.iter().map(|&row| train[row].words.len()).sum::<usize>();
            step += 1;
        }
        history.steps_s += started.elapsed().as_secs_f64();
        let dev_f1 = micro_f1(model, dev);
        let train_loss = losses / batches.len() as f64;
        let point = EpochPoint { epoch, step, examples: epoch * train.len(), train_loss, dev_f1 };
        if dev_f1 > history.best_dev_f1 {
            (history.best_epoch, history.best_dev_f1) = (epoch, dev_f1);
            best = named(&model.store).iter().map(|(_, tensor)| tensor.detach().copy()).collect();
        }
        let go_on = observe(&point);
        history.epochs.push(point);
        let waited = epoch - history.best_epoch;
        if !go_on || config.patience.is_some_and(|patience| waited >= patience) {
            break;
        }
    }
    let _guard = tch::no_grad_guard();
    for ((_, mut variable), kept) in named(&model.store).into_iter().zip(&best) {
        variable.copy_(kept);
    }
    Ok(history)
}

/// Micro-averaged entity F1 of the model's predictions, 0 where undefined.
pub fn micro_f1(model: &Model, sentences: &[Sentence]) -> f64 {
    let mut scores = EntityScores::default();
    for (sentence, predicted) in sentences.iter().zip(model.predict(sentences)) {
        scores.add(&sentence.spans, &predicted);
    }
    scores.micro().f1
}

fn classes(model: &Model, sentences: &[Sentence]) -> Result<Vec<Vec<i64>>, UnknownType> {
    sentences.iter().map(|s| model.labels.encode(&s.spans, s.words.len())).collect()
}

#[expect(
    clippy::too_many_arguments,
    reason = "one step uses everything a run has, and nothing else calls it"
)]
fn take_step(
    model: &Model,
    data: &Prepared,
    labels: &[Vec<i64>],
    rows: &[usize],
    class_weights: &Tensor,
    rng: &mut ChaCha8Rng,
    optimiser: &mut AdamW,
    learning_rate: f64,
) -> Result<f64, Diverged> {
    let device = model.store.device();
    let batch = data.batch(rows, Some((model.config.unknown_rate, rng)), device);
    let gold: Vec<i64> = rows.iter().flat_map(|&row| &labels[row]).copied().collect();
    let words: Vec<usize> = rows.iter().map(|&row| labels[row].len()).collect();
    let logits = model.tagger.forward(&batch, true);
    let gold = Tensor::from_slice(&gold).to_device(device);
    let loss = model.config.loss.forward(&logits, &gold, &Context::new(class_weights, &words));
    optimiser.zero_grad();
    loss.backward();
    clip_grad_norm(&model.store, model.config.clip_norm)?;
    optimiser.step(learning_rate);
    Ok(loss.to_kind(Kind::Double).double_value(&[]))
}

/// Rows of the training sentences that an epoch sees.
fn drawn(config: &TrainConfig, sentences: &[Sentence], run_seed: u64, epoch: usize) -> Vec<usize> {
    if config.sampling == Sampling::Plain {
        return (0..sentences.len()).collect();
    }
    let mut total = 0.0;
    let cumulative: Vec<f64> = sentences
        .iter()
        .map(|sentence| {
            let entity_words: usize = sentence.spans.iter().map(|span| span.end - span.start).sum();
            let share = entity_words as f64 / sentence.words.len() as f64;
            total += share * share + OVERSAMPLING_FLOOR;
            total
        })
        .collect();
    let mut rng = seed::rng(run_seed, "oversampling", epoch as u64);
    let draw =
        |_| cumulative.partition_point(|&sum| sum <= rng.random_range(0.0..total)).min(sentences.len() - 1);
    (0..sentences.len()).map(draw).collect()
}
