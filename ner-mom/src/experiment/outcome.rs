//! What one run leaves behind: scores, errors, counts per sentence, learning curve, cost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::train::EpochPoint;

/// Result of one [`Job`](super::design::Job).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Loss as it is written on the command line, `mom:ce:0.5`.
    pub loss: String,
    /// Best development micro-F1 over the epochs.
    pub dev_micro_f1: f64,
    /// Epoch, from 1, whose weights were kept.
    pub best_epoch: usize,
    /// Development scores and losses per epoch.
    pub curve: Vec<EpochPoint>,
    /// Scores on the test sentences; absent for a candidate, which never sees them.
    pub test: Option<TestScores>,
    /// What it took.
    pub cost: Cost,
    /// First 16 hex digits of the sha256 of the kept weights: equal for equal runs.
    pub weights: String,
}

/// Scores on the test sentences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestScores {
    /// Micro-averaged entity F1 (lenient reading, seqeval's default).
    pub micro_f1: f64,
    /// Entity precision.
    pub precision: f64,
    /// Entity recall.
    pub recall: f64,
    /// Mean over entity types of their F1.
    pub macro_f1: f64,
    /// Token-level F1 of the majority class O.
    pub outside_f1: f64,
    /// Predicted over gold entity tokens.
    pub predicted_gold_ratio: f64,
    /// F1 and number of gold entities per type.
    pub types: BTreeMap<String, TypeScore>,
    /// Wrong entities by kind.
    pub errors: ErrorSplit,
    /// Wrong tokens by direction.
    pub tokens: TokenSplit,
    /// True positives, predicted and gold entities of every test sentence.
    pub sentences: Vec<[u32; 3]>,
}

/// F1 of one entity type.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypeScore {
    /// Entity F1; 0 when nothing was predicted or nothing is gold.
    pub f1: f64,
    /// Gold entities.
    pub support: u64,
}

/// Wrong entities by kind; shares are of all gold entities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorSplit {
    /// Gold entities.
    pub gold: u64,
    /// Gold entities that no prediction touches.
    pub missed: u64,
    /// Predictions that touch no gold entity.
    pub spurious: u64,
    /// Right type, wrong border.
    pub border: u64,
    /// Right border, wrong type.
    pub kind: u64,
    /// Both wrong.
    pub border_and_kind: u64,
}

/// Wrong tokens by direction between the majority class (O) and the minority (entities).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSplit {
    /// Gold entity tokens predicted O.
    pub minority_to_majority: u64,
    /// Gold O tokens predicted as an entity.
    pub majority_to_minority: u64,
    /// Gold entity tokens predicted as another entity class.
    pub minority_to_minority: u64,
}

/// What a run took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Wall time of training, development scores included.
    pub train_s: f64,
    /// Wall time of prediction on the test sentences.
    pub test_s: f64,
    /// Processor time of the whole run; on a busy machine the wall times say less than this.
    pub cpu_s: f64,
    /// Training words per second of the steps alone.
    pub words_per_s: f64,
    /// Optimiser steps.
    pub steps: usize,
    /// Trained parameters.
    pub parameters: u64,
    /// Words of the training sentences.
    pub train_words: usize,
}

impl Outcome {
    /// The test scores.
    ///
    /// # Panics
    /// For a candidate, which has none: the caller asked a run that was not told to test.
    pub fn scores(&self) -> &TestScores {
        self.test.as_ref().expect("compared runs score the test sentences")
    }
}

impl TestScores {
    /// The value of a metric by its name in `claims.toml`, `None` for an unknown name.
    pub fn metric(&self, name: &str) -> Option<f64> {
        match name {
            "micro_f1" => Some(self.micro_f1),
            "macro_f1" => Some(self.macro_f1),
            "outside_f1" => Some(self.outside_f1),
            "predicted_gold_ratio" => Some(self.predicted_gold_ratio),
            _ => None,
        }
    }
}

impl ErrorSplit {
    /// Share of gold entities found with the right type but a wrong border.
    pub fn border_rate(&self) -> f64 {
        self.border as f64 / self.gold as f64
    }

    /// Share of gold entities found with the right border but a wrong type.
    pub fn kind_rate(&self) -> f64 {
        self.kind as f64 / self.gold as f64
    }
}
