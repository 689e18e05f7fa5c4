//! Training of the bi-encoder.

use std::time::Instant;

use common::optim::{AdamW, AdamWConfig, Diverged, clip_grad_norm, warmup_decay};
use common::seed;
use serde::{Deserialize, Serialize};
use tch::nn::{Init, VarStore};
use tch::{Kind, Tensor};
use thiserror::Error;

use super::loss::{self, Health, Objective, Pairs};
use super::sampling::{Batch, Corpus, CorpusError, Sampler, Shape};
use crate::encoder::{ColBert, EncoderError};
use crate::tokenizer::Sequence;

/// Settings of one run. The article names none of their values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Optimiser steps.
    pub steps: usize,
    /// Batches.
    pub shape: Shape,
    /// What is minimised.
    pub objective: Objective,
    /// Highest step size of AdamW, after a tenth of warm-up and before linear decay to 0.
    pub learning_rate: f64,
    /// Decay of matrices.
    pub weight_decay: f64,
    /// Largest norm of the gradient.
    pub clip_norm: f64,
}

/// Margin of the triplet loss in cosine distance. Ours.
pub const MARGIN: f64 = 0.2;

impl TrainConfig {
    /// The article's method with this number of steps: triplets with semi-hard negatives, half of the batches around
    /// confusable accounts.
    pub fn article(steps: usize) -> Self {
        Self {
            steps,
            shape: Shape { accounts: 16, strings: 4, siblings: 0.5 },
            objective: Objective::Triplet { margin: MARGIN, mining: loss::Mining::SemiHard },
            learning_rate: 1e-3,
            weight_decay: 0.01,
            clip_norm: 1.0,
        }
    }
}

/// A run that could not start or go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// Too little to tell apart.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// Strings that the encoder cannot take.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// Loss or gradient is not a number.
    #[error("step {step}: {source}")]
    Diverged {
        /// Step, from 0.
        step: usize,
        /// What to do.
        source: Diverged,
    },
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Loss of each step.
    pub losses: Vec<f64>,
    /// Distances of each step.
    pub health: Vec<Health>,
    /// Seconds in the steps.
    pub steps_s: f64,
    /// Tokens that went through the encoder.
    pub tokens: usize,
}

/// Trains `model` in place. `observe` gets the model and the steps so far, and returns `false` to stop.
///
/// Same model, corpus, configuration, seed and thread count give the same bits.
///
/// # Errors
/// [`TrainError`]; the model then holds the weights of the last step.
pub fn train(
    model: &ColBert,
    corpus: &Corpus,
    config: &TrainConfig,
    run_seed: u64,
    mut observe: impl FnMut(&ColBert, usize) -> bool,
) -> Result<History, TrainError> {
    let sampler = Sampler::new(corpus)?;
    let mut learner = Learner::new(model, corpus.companies.len() as i64, config, run_seed);
    let mut history = History::default();
    for step in 0..config.steps {
        let started = Instant::now();
        let batch = sampler.batch(config.shape, &mut seed::rng(run_seed, "batch", step as u64));
        let strings: Vec<&str> = batch.strings.iter().map(|&place| corpus.strings[place].as_str()).collect();
        let sequences = model.document_sequences(&strings)?;
        learner.step(model, &batch, &sequences, step, &mut history)?;
        history.steps_s += started.elapsed().as_secs_f64();
        if !observe(model, step + 1) {
            break;
        }
    }
    Ok(history)
}

/// Optimisers, and the vectors of the accounts where the objective has some.
#[derive(Debug)]
pub struct Learner<'a> {
    config: &'a TrainConfig,
    run_seed: u64,
    optimiser: AdamW,
    classes: Option<(VarStore, Tensor, AdamW)>,
}

impl<'a> Learner<'a> {
    /// Before the first step.
    pub fn new(model: &ColBert, n_accounts: i64, config: &'a TrainConfig, run_seed: u64) -> Self {
        let settings = AdamWConfig { weight_decay: config.weight_decay, ..AdamWConfig::adam() };
        let classes = matches!(config.objective, Objective::Softmax { .. }).then(|| {
            tch::manual_seed(seed::derive(run_seed, "classes", 0) as i64);
            let store = VarStore::new(model.device());
            let init = Init::Randn { mean: 0.0, stdev: 1.0 };
            let vectors = store.root().var("classes", &[n_accounts, model.width() as i64], init);
            let optimiser = AdamW::new(&store, AdamWConfig::adam());
            (store, vectors, optimiser)
        });
        Self { config, run_seed, optimiser: AdamW::new(model.store(), settings), classes }
    }

    /// One step on a batch; each distinct string of it goes through the encoder once.
    ///
    /// # Errors
    /// [`TrainError`].
    pub fn step(
        &mut self,
        model: &ColBert,
        batch: &Batch,
        sequences: &[Sequence],
        step: usize,
        history: &mut History,
    ) -> Result<(), TrainError> {
        tch::manual_seed(seed::derive(self.run_seed, "dropout", step as u64) as i64);
        let mut distinct: Vec<usize> = batch.strings.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let place = |string: &usize| distinct.partition_point(|other| other < string) as i64;
        let owner: Vec<i64> = batch.strings.iter().map(place).collect();
        let first =
            |string: &usize| batch.strings.iter().position(|other| other == string).unwrap_or_default();
        let encoded: Vec<&Sequence> = distinct.iter().map(|string| &sequences[first(string)]).collect();
        history.tokens += encoded.iter().map(|sequence| sequence.ids.len()).sum::<usize>();
        let vectors = model.forward_pooled(&encoded, true)?;
        let vectors = vectors.index_select(0, &Tensor::from_slice(&owner).to_device(vectors.device()));
        let labels: Vec<i64> = batch.accounts.iter().map(|account| *account as i64).collect();
        let (loss, health) = self.loss(&vectors, &labels, &owner, step);
        self.optimiser.zero_grad();
        if let Some((_, _, optimiser)) = &mut self.classes {
            optimiser.zero_grad();
        }
        loss.backward();
        let value = loss.to_kind(Kind::Double).double_value(&[]);
        let diverged = |source| TrainError::Diverged { step, source };
        if !value.is_finite() {
            return Err(diverged(Diverged));
        }
        clip_grad_norm(model.store(), self.config.clip_norm).map_err(diverged)?;
        let rate = self.config.learning_rate * warmup_decay(step, self.config.steps, 0.1);
        self.optimiser.step(rate);
        if let Some((_, _, optimiser)) = &mut self.classes {
            optimiser.step(10.0 * rate); // its vectors start at length √width: ours
        }
        history.losses.push(value);
        history.health.push(health);
        Ok(())
    }

    fn loss(&self, vectors: &Tensor, labels: &[i64], strings: &[i64], step: usize) -> (Tensor, Health) {
        let pairs = Pairs::new(labels, strings);
        let device = vectors.device();
        let pairs =
            Pairs { positive: pairs.positive.to_device(device), negative: pairs.negative.to_device(device) };
        let distances = loss::distances(vectors);
        let (loss, active) = match self.config.objective {
            Objective::Triplet { margin, mining } => {
                let mut random = seed::rng(self.run_seed, "negatives", step as u64);
                loss::triplet(&distances, &pairs, margin, mining, &mut random)
            }
            Objective::Contrastive { margin } => {
                (loss::contrastive_of_batch(&distances, &pairs, margin), 1.0)
            }
            Objective::SupervisedContrastive { temperature } => {
                (loss::supervised_contrastive(&distances, &pairs, temperature), 1.0)
            }
            Objective::Softmax { scale } => {
                let (_, classes, _) = self.classes.as_ref().expect("made with this objective");
                let labels = Tensor::from_slice(labels).to_device(device);
                (loss::softmax(vectors, classes, &labels, scale), 1.0)
            }
        };
        let health = loss::health(&distances, &pairs, active);
        (loss, health)
    }
}
