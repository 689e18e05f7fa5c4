//! One training run of a tagger: which sentences an epoch draws, and the loss of a batch.

use common::formats::Sentence;
use common::metrics::entity::EntityScores;
use common::optim::{AdamWConfig, warmup_decay};
use common::seed;
use common::tagging::label::UnknownType;
pub use common::train::{Checkpoints, EpochPoint, History, Progress};
use common::train::{Course, Identity, Learned, Learner, StepError, digest, fit, length_buckets};
use rand::Rng;
use tch::Kind;
use tch::nn::VarStore;
use thiserror::Error;

use crate::batch::{Prepared, Row};
use crate::config::{Sampling, TrainConfig};
use crate::model::{Gold, Model, ModelError};

/// A run that could not go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// Nothing to learn from or to choose by.
    #[error("no {0} sentences; training needs some")]
    Empty(&'static str),
    /// A gold label that the model lacks.
    #[error(transparent)]
    Label(#[from] UnknownType),
    /// Sentences that the encoder cannot take.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Divergence, or a checkpoint that was not written or is not this run's.
    #[error(transparent)]
    Run(#[from] common::train::TrainError<ModelError>),
}

/// Everything that a run of `train` needs.
struct Run<'a> {
    model: &'a Model,
    train: &'a [Sentence],
    dev: &'a [Sentence],
    seed: u64,
    data: Prepared,
    gold: Gold,
    rows: Vec<Row>,
    steps: usize,
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
    observe: impl FnMut(Progress<'_>) -> bool,
) -> Result<History, TrainError> {
    if train.is_empty() {
        return Err(TrainError::Empty("training"));
    }
    if dev.is_empty() {
        return Err(TrainError::Empty("development"));
    }
    let data = model.prepare(train).map_err(ModelError::from)?;
    let gold = Gold::new(model.config.head, &model.labels, train, model.store.device())?;
    let rows = data.rows();
    let steps = model.config.epochs * rows.len().div_ceil(model.config.batch_sentences);
    let mut run = Run { model, train, dev, seed: run_seed, data, gold, rows, steps };
    Ok(fit(&mut run, checkpoints, observe)?)
}

impl Learner for Run<'_> {
    type Batch = Vec<Row>;
    type Error = ModelError;

    fn store(&self) -> &VarStore {
        &self.model.store
    }

    fn course(&self) -> Course {
        let config = &self.model.config;
        Course {
            epochs: config.epochs,
            steps: self.steps,
            examples: self.train.len(),
            clip_norm: config.clip_norm,
            patience: config.patience,
            optimiser: AdamWConfig { weight_decay: config.weight_decay, ..AdamWConfig::adam() },
        }
    }

    fn identity(&self) -> Identity {
        Identity::new([
            ("configuration", digest(&self.model.config)),
            ("set of training sentences", digest(&self.train)),
            ("set of development sentences", digest(&self.dev)),
            ("seed", self.seed.to_string()),
        ])
    }

    fn plan(&self, epoch: usize) -> Vec<Vec<Row>> {
        let config = &self.model.config;
        let per_sentence = self.rows.len() / self.train.len();
        let rows: Vec<Row> = drawn(config, self.train, self.seed, epoch)
            .into_iter()
            .flat_map(|sentence| &self.rows[sentence * per_sentence..(sentence + 1) * per_sentence])
            .copied()
            .collect();
        let lengths: Vec<usize> = rows.iter().map(|row| self.data.n_words(row.sentence)).collect();
        let batches = length_buckets(&lengths, config.batch_sentences, self.seed, epoch);
        batches.into_iter().map(|places| places.into_iter().map(|place| rows[place]).collect()).collect()
    }

    fn learning_rate(&self, _epoch: usize, step: usize) -> f64 {
        let config = &self.model.config;
        config.learning_rate * warmup_decay(step, self.steps, config.warmup)
    }

    fn learn(&mut self, rows: &Vec<Row>, step: usize) -> Result<Learned, StepError<ModelError>> {
        let (model, config, step) = (self.model, &self.model.config, step as u64);
        tch::manual_seed(seed::derive(self.seed, "dropout", step) as i64);
        let mut rng = seed::rng(self.seed, "unknown-words", step);
        let batch = self.data.batch(rows, Some((config.unknown_rate, &mut rng)), model.store.device());
        let loss = model.tagger.loss(&batch, rows, &self.gold, &config.loss).map_err(ModelError::from)?;
        loss.backward();
        let loss = loss.to_kind(Kind::Double).double_value(&[]);
        Ok(Learned { loss, words: batch.words.iter().sum() })
    }

    fn score(&mut self) -> Result<f64, ModelError> {
        micro_f1(self.model, self.dev)
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
