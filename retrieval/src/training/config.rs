//! Settings of a training run.

use common::nn::gemm::in_bfloat16;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::loss::{Loss, Normalisation};

/// How query and document vectors become a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interaction {
    /// Late interaction of token vectors.
    Maxsim,
    /// Dot product of mean-pooled vectors of length 1: the single-vector baseline. Scores are multiplied by
    /// the factor 20 that sentence-transformers uses, since a cosine alone is too flat for a softmax.
    Pooled,
}

/// The optimiser with its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Optimiser {
    /// Schedule-free AdamW: the paper's choice, at 3e-5 with 5 % warm-up.
    ScheduleFree {
        /// γ after the warm-up.
        learning_rate: f64,
        /// Share of the steps over which it grows.
        warmup: f64,
    },
    /// AdamW with linear warm-up and linear decay to 0: JaColBERTv2, at 1e-5.
    LinearDecay {
        /// Highest step size.
        learning_rate: f64,
        /// Share of the steps over which it grows.
        warmup: f64,
    },
}

/// Kind of the encoder's products in training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// Brain floats of 16 bits; weights, norms, scores, losses and steps stay f32. For GPUs.
    Bf16,
}

impl Precision {
    /// Runs a forward pass with products of this kind.
    pub fn of<T>(self, forward: impl FnOnce() -> T) -> T {
        match self {
            Self::F32 => forward(),
            Self::Bf16 => in_bfloat16(forward),
        }
    }
}

/// Settings of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Optimiser steps. Paper: 50,000.
    pub steps: usize,
    /// Queries of a batch. Paper: 16 per GPU.
    pub batch: usize,
    /// Batches whose gradients are added up for one step. Paper: 1.
    pub accumulation: usize,
    /// Neighbours in the data that stay together in a batch, such as questions on one text: documents that they share are
    /// encoded once. Paper: 1.
    pub together: usize,
    /// Documents of each query, the positive included. Paper: 32.
    pub n_ways: usize,
    /// Paper: KL divergence.
    pub loss: Loss,
    /// Paper: both.
    pub normalisation: Normalisation,
    /// Whether a cross-entropy against the other queries' documents is added. Paper: no.
    pub in_batch_negatives: bool,
    /// Paper: MaxSim.
    pub interaction: Interaction,
    /// Paper: schedule-free.
    pub optimiser: Optimiser,
    /// Kind of the encoder's products; all else is f32. Ours: the paper does not say.
    #[serde(default)]
    pub precision: Precision,
    /// Decay of matrices. Paper: 0.
    pub weight_decay: f64,
    /// Largest norm of the gradient. Paper: none; JaColBERTv2: 2.
    pub clip_norm: Option<f64>,
    /// Steps after which the observer is asked to evaluate; the last step always counts.
    pub evaluate_at: Vec<usize>,
    /// Steps between checkpoints; none between start and end when absent.
    pub checkpoint_every: Option<usize>,
}

/// A value that no run can have.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("training configuration: `{key}` is {found}, expected {expected}")]
pub struct ConfigError {
    key: &'static str,
    found: String,
    expected: &'static str,
}

impl TrainConfig {
    /// The paper's final recipe (table 7) with this number of steps.
    pub fn paper(steps: usize) -> Self {
        Self {
            steps,
            batch: 16,
            accumulation: 1,
            together: 1,
            n_ways: 32,
            loss: Loss::KlDivergence,
            normalisation: Normalisation::Both,
            in_batch_negatives: false,
            interaction: Interaction::Maxsim,
            optimiser: Optimiser::ScheduleFree { learning_rate: 3e-5, warmup: 0.05 },
            precision: Precision::F32,
            weight_decay: 0.0,
            clip_norm: None,
            evaluate_at: Vec::new(),
            checkpoint_every: None,
        }
    }

    /// Nothing, when a run can be made.
    ///
    /// # Errors
    /// [`ConfigError`] for the first value that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        let (Optimiser::ScheduleFree { learning_rate, warmup }
        | Optimiser::LinearDecay { learning_rate, warmup }) = self.optimiser;
        let least_ways = if self.in_batch_negatives { 1 } else { 2 };
        let margin = if let Loss::Mixed { margin_weight } = self.loss { margin_weight } else { 0.0 };
        let rules = [
            ("steps", self.steps.to_string(), "at least 1", self.steps >= 1),
            ("batch", self.batch.to_string(), "at least 1", self.batch >= 1),
            ("together", self.together.to_string(), "at least 1", self.together >= 1),
            ("accumulation", self.accumulation.to_string(), "at least 1", self.accumulation >= 1),
            (
                "n_ways",
                self.n_ways.to_string(),
                "at least 2, or 1 with in-batch negatives",
                self.n_ways >= least_ways,
            ),
            (
                "learning_rate",
                learning_rate.to_string(),
                "above 0 and finite",
                learning_rate > 0.0 && learning_rate.is_finite(),
            ),
            ("warmup", warmup.to_string(), "a share from 0 to 1", (0.0..=1.0).contains(&warmup)),
            (
                "margin_weight",
                margin.to_string(),
                "at least 0 and finite",
                margin >= 0.0 && margin.is_finite(),
            ),
            (
                "weight_decay",
                self.weight_decay.to_string(),
                "at least 0 and finite",
                self.weight_decay >= 0.0 && self.weight_decay.is_finite(),
            ),
            (
                "clip_norm",
                format!("{:?}", self.clip_norm),
                "above 0",
                self.clip_norm.is_none_or(|norm| norm > 0.0),
            ),
            (
                "checkpoint_every",
                format!("{:?}", self.checkpoint_every),
                "at least 1",
                self.checkpoint_every.is_none_or(|n| n >= 1),
            ),
        ];
        match rules.into_iter().find(|(.., holds)| !holds) {
            Some((key, found, expected, _)) => {
                Err(ConfigError { key, found: format!("`{found}`"), expected })
            }
            None => Ok(()),
        }
    }
}
