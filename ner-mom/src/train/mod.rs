//! One training run: batches, steps, the development score of each epoch, the best weights kept; checkpoints from
//! which a stopped run goes on as if it had not been stopped.

mod resume;

use std::path::PathBuf;
use std::time::Instant;

use common::formats::Sentence;
use common::metrics::entity::EntityScores;
use common::nn::checkpoint::named;
use common::optim::{AdamW, AdamWConfig, Diverged, clip_grad_norm, warmup_decay};
use common::seed;
use common::train::length_buckets;
use rand::Rng;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};
use thiserror::Error;

use crate::batch::{Prepared, Row, TooLong};
use crate::config::{Sampling, TrainConfig};
use crate::label::UnknownType;
use crate::model::{Gold, Model, ModelError};
pub use resume::ResumeError;

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

/// What a run came to; the model holds the weights of the best epoch, or the last ones before any epoch was over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Every epoch that was run.
    pub epochs: Vec<EpochPoint>,
    /// Epoch, from 1, with the best development F1, the first of equals; 0 before any was over.
    pub best_epoch: usize,
    /// Its development F1.
    pub best_dev_f1: f64,
    /// Seconds in the steps, batches included, development scores excluded.
    pub steps_s: f64,
    /// Training words seen.
    pub words: usize,
    /// Optimiser steps of the whole run, were it not stopped.
    pub steps: usize,
    /// Whether the run ended before its last epoch and without patience running out.
    pub stopped: bool,
}

/// Where a run keeps its checkpoints, and from which of them it goes on.
#[derive(Clone, Debug, Default)]
pub struct Checkpoints {
    /// Folder; absent: none are written.
    pub folder: Option<PathBuf>,
    /// Goes on from the checkpoint in the folder.
    pub resume: bool,
}

/// What a run tells its observer.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A step was made.
    Step {
        /// Steps so far.
        step: usize,
        /// Steps of the whole run.
        steps: usize,
        /// Loss of this step.
        loss: f64,
    },
    /// An epoch is over.
    Epoch(&'a EpochPoint),
}

/// A run that could not go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// Nothing to learn from or to choose by.
    #[error("no {0} sentences; training needs some")]
    Empty(&'static str),
    /// Loss or gradient is not a number; the model holds the last weights.
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
    /// Sentences that the encoder cannot take.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A checkpoint that was not written, or is not this run's.
    #[error(transparent)]
    Resume(#[from] ResumeError),
}

impl From<TooLong> for TrainError {
    fn from(error: TooLong) -> Self {
        Self::Model(error.into())
    }
}

/// A run under way: everything that a checkpoint has to bring back.
struct State {
    optimiser: AdamW,
    history: History,
    /// Weights of the best epoch in the order of their names; empty before any epoch was over.
    best: Vec<Tensor>,
    /// Epoch under way, from 1.
    epoch: usize,
    /// Steps made.
    step: usize,
    /// Steps made in this epoch, and the sum of their losses.
    in_epoch: usize,
    losses: f64,
}

/// Trains `model` on `train`, keeps the weights of the epoch with the best micro-F1 on `dev`. `observe` is told of
/// each step and each epoch and returns `false` to stop there; a stopped run leaves a checkpoint.
///
/// Same model, data, configuration, seed and thread count give the same bits, whether or not the run was stopped and
/// resumed in between.
///
/// # Errors
/// [`TrainError`].
pub fn train(
    model: &mut Model,
    train: &[Sentence],
    dev: &[Sentence],
    run_seed: u64,
    checkpoints: &Checkpoints,
    mut observe: impl FnMut(Progress<'_>) -> bool,
) -> Result<History, TrainError> {
    if train.is_empty() {
        return Err(TrainError::Empty("training"));
    }
    if dev.is_empty() {
        return Err(TrainError::Empty("development"));
    }
    let data = model.prepare(train)?;
    let gold = Gold::new(model.config.head, &model.labels, train, model.store.device())?;
    let rows = data.rows();
    let per_sentence = rows.len() / train.len();
    let steps = model.config.epochs * rows.len().div_ceil(model.config.batch_sentences);
    let mut state = State::new(model, steps);
    let identity = resume::Identity::new(model, train, dev, run_seed);
    if checkpoints.resume {
        resume::read(checkpoints, &identity, model, &mut state)?;
    }
    while state.epoch <= model.config.epochs {
        let started = Instant::now();
        let rows: Vec<Row> = drawn(&model.config, train, run_seed, state.epoch)
            .into_iter()
            .flat_map(|sentence| &rows[sentence * per_sentence..(sentence + 1) * per_sentence])
            .copied()
            .collect();
        let lengths: Vec<usize> = rows.iter().map(|row| data.n_words(row.sentence)).collect();
        let batches = length_buckets(&lengths, model.config.batch_sentences, run_seed, state.epoch);
        let mut go_on = true;
        for places in &batches[state.in_epoch..] {
            let rows: Vec<Row> = places.iter().map(|&place| rows[place]).collect();
            let (epoch, step) = (state.epoch, state.step);
            let loss = take_step(model, &data, &gold, &rows, run_seed, &mut state)?
                .map_err(|source| TrainError::Diverged { epoch, step, source })?;
            go_on = observe(Progress::Step { step: state.step, steps, loss });
            if !go_on && state.in_epoch < batches.len() {
                state.history.steps_s += started.elapsed().as_secs_f64();
                state.history.stopped = true;
                resume::write(checkpoints, &identity, model, &state)?;
                state.keep_best(model);
                return Ok(state.history);
            }
        }
        state.history.steps_s += started.elapsed().as_secs_f64();
        go_on &= state.end_epoch(model, train.len(), dev, &mut observe)?;
        let waited = state.epoch - 1 - state.history.best_epoch;
        let patient = model.config.patience.is_none_or(|patience| waited < patience);
        state.history.stopped = !go_on && patient && state.epoch <= model.config.epochs;
        if patient && state.epoch <= model.config.epochs {
            resume::write(checkpoints, &identity, model, &state)?;
        }
        if !go_on || !patient {
            break;
        }
    }
    state.keep_best(model);
    Ok(state.history)
}

impl State {
    fn new(model: &Model, steps: usize) -> Self {
        let decay = AdamWConfig { weight_decay: model.config.weight_decay, ..AdamWConfig::adam() };
        let history = History {
            epochs: vec![],
            best_epoch: 0,
            best_dev_f1: -1.0,
            steps_s: 0.0,
            words: 0,
            steps,
            stopped: false,
        };
        let optimiser = AdamW::new(&model.store, decay);
        Self { optimiser, history, best: vec![], epoch: 1, step: 0, in_epoch: 0, losses: 0.0 }
    }

    /// Scores the development sentences, keeps the weights when they are the best so far, moves to the next epoch.
    fn end_epoch(
        &mut self,
        model: &Model,
        sentences: usize,
        dev: &[Sentence],
        observe: &mut impl FnMut(Progress<'_>) -> bool,
    ) -> Result<bool, TrainError> {
        let point = EpochPoint {
            epoch: self.epoch,
            step: self.step,
            examples: self.epoch * sentences,
            train_loss: self.losses / self.in_epoch as f64,
            dev_f1: micro_f1(model, dev)?,
        };
        if point.dev_f1 > self.history.best_dev_f1 {
            (self.history.best_epoch, self.history.best_dev_f1) = (point.epoch, point.dev_f1);
            self.best = named(&model.store).iter().map(|(_, tensor)| tensor.detach().copy()).collect();
        }
        let go_on = observe(Progress::Epoch(&point));
        self.history.epochs.push(point);
        (self.epoch, self.in_epoch, self.losses) = (self.epoch + 1, 0, 0.0);
        Ok(go_on)
    }

    /// Puts the best weights into the model.
    fn keep_best(&self, model: &Model) {
        let _guard = tch::no_grad_guard();
        for ((_, mut variable), kept) in named(&model.store).into_iter().zip(&self.best) {
            variable.copy_(kept);
        }
    }
}

/// Micro-averaged entity F1 of the model's predictions, 0 where undefined.
///
/// # Errors
/// Sentences that the encoder cannot take.
pub fn micro_f1(model: &Model, sentences: &[Sentence]) -> Result<f64, ModelError> {
    let mut scores = EntityScores::default();
    for (sentence, predicted) in sentences.iter().zip(model.predict(sentences)?) {
        scores.add(&sentence.spans, &predicted);
    }
    Ok(scores.micro().f1)
}

/// One step of the optimiser. Every random number follows from the run's seed and the number of the step, so that a
/// resumed run draws the same ones.
fn take_step(
    model: &Model,
    data: &Prepared,
    gold: &Gold,
    rows: &[Row],
    run_seed: u64,
    state: &mut State,
) -> Result<Result<f64, Diverged>, TrainError> {
    let config = &model.config;
    let step = state.step as u64;
    tch::manual_seed(seed::derive(run_seed, "dropout", step) as i64);
    let mut rng = seed::rng(run_seed, "unknown-words", step);
    let batch = data.batch(rows, Some((config.unknown_rate, &mut rng)), model.store.device());
    let loss = model.tagger.loss(&batch, rows, gold, &config.loss).map_err(ModelError::from)?;
    state.optimiser.zero_grad();
    loss.backward();
    if let Err(diverged) = clip_grad_norm(&model.store, config.clip_norm) {
        return Ok(Err(diverged));
    }
    state.optimiser.step(config.learning_rate * warmup_decay(state.step, state.history.steps, config.warmup));
    let loss = loss.to_kind(Kind::Double).double_value(&[]);
    (state.step, state.in_epoch, state.losses) = (state.step + 1, state.in_epoch + 1, state.losses + loss);
    state.history.words += batch.words.iter().sum::<usize>();
    Ok(Ok(loss))
}

/// Places of the training sentences that an epoch sees.
fn drawn(config: &TrainConfig, sentences: &[Sentence], run_seed: u64, epoch: usize) -> Vec<usize> {
    if config.sampling == Sampling::Plain {
        return (0..sentences.len()).collect();
    }
    let mut total = 0.0;
    let cumulative: Vec<f64> = sentences
        .iter()
        .map(|sentence| {
            let entity_words: usize = sentence.spans.iter().map(|span| span.end - span.start).sum();
            let share = entity_words as f64 / sentence.words.len().max(1) as f64;
            total += share * share;
            total
        })
        .collect();
    if total == 0.0 {
        return (0..sentences.len()).collect(); // no entity anywhere: nothing to prefer
    }
    let mut rng = seed::rng(run_seed, "oversampling", epoch as u64);
    let draw = |_| {
        let target = rng.random_range(0.0..total);
        cumulative.partition_point(|&sum| sum <= target).min(sentences.len() - 1)
    };
    (0..sentences.len()).map(draw).collect()
}

#[cfg(test)]
mod tests {
    use common::formats::Span;

    use super::*;
    use crate::loss::Loss;

    #[test]
    fn oversampling_draws_by_the_square_of_the_share_of_entity_words() {
        let sentence = |entity_words: usize| Sentence {
            words: vec!["x".to_owned(); 4],
            spans: (0..entity_words)
                .map(|start| Span { start, end: start + 1, label: "A".to_owned() })
                .collect(),
            ..Sentence::default()
        };
        let sentences: Vec<Sentence> = (0..3000).map(|i| sentence(i % 3)).collect();
        let plain = TrainConfig::bilstm(Loss::CrossEntropy);
        let config = TrainConfig { sampling: Sampling::EntityOversampled, ..plain };
        let places = drawn(&config, &sentences, 1, 1);
        let count = |share: usize| places.iter().filter(|&&place| place % 3 == share).count();
        assert_eq!((places.len(), count(0)), (3000, 0));
        assert!((count(2) as f64 / count(1) as f64 - 4.0).abs() < 0.5, "{} and {}", count(1), count(2));
    }
}
