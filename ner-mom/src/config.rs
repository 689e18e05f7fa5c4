//! What one training run is told: encoder, loss and optimisation.

use std::collections::BTreeMap;

use common::nn::bert;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::loss::Loss;

/// Everything that decides a training run besides the data and the seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Network that turns words into vectors. The paper fine-tunes BERT; the experiment learns from scratch.
    pub encoder: EncoderConfig,
    /// What turns a word's vector into entities.
    #[serde(default)]
    pub head: HeadKind,
    /// Loss per token; the subject of the paper.
    pub loss: Loss,
    /// Passes over the training sentences. The paper's value is not known to us.
    pub epochs: usize,
    /// Sentences per step. The paper's value is not known to us.
    pub batch_sentences: usize,
    /// Highest learning rate of AdamW.
    pub learning_rate: f64,
    /// Share of the steps over which the learning rate rises linearly; it falls linearly to 0 afterwards.
    pub warmup: f64,
    /// Decoupled weight decay on matrices.
    pub weight_decay: f64,
    /// Largest norm of the gradient over all parameters.
    pub clip_norm: f64,
    /// Dropout on the encoder's input and output.
    pub dropout: f64,
    /// Probability that a word seen once in training is read as unknown.
    pub unknown_rate: f64,
    /// Epochs without a better development F1 after which training stops; absent: never.
    #[serde(default)]
    pub patience: Option<usize>,
    /// Draw of the training sentences.
    #[serde(default)]
    pub sampling: Sampling,
    /// Query of an entity type for the head `mrc`; a type that is not here is asked for by its name.
    #[serde(default)]
    pub queries: BTreeMap<String, String>,
}

/// What turns a word's vector into entities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadKind {
    /// Sequence labelling: a linear layer and a softmax over BIO tags.
    #[default]
    Softmax,
    /// Sequence labelling: a linear-chain CRF over BIO tags.
    Crf,
    /// Machine reading comprehension (Li et al. 2020): one query per entity type before the sentence; starts, ends
    /// and spans of its answers.
    Mrc,
}

/// Network that turns words into vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "kebab-case")]
pub enum EncoderConfig {
    /// Word and character embeddings into a bidirectional LSTM, from scratch.
    Bilstm {
        /// Width of the word embedding.
        word_width: i64,
        /// Filters of the character CNN.
        char_filters: i64,
        /// Hidden units per direction.
        hidden: i64,
        /// LSTM layers.
        layers: i64,
    },
    /// The same embeddings into a small pre-norm transformer, from scratch.
    Transformer {
        /// Width of the word embedding.
        word_width: i64,
        /// Filters of the character CNN.
        char_filters: i64,
        /// Model width, a multiple of `heads`.
        width: i64,
        /// Layers.
        layers: i64,
        /// Attention heads.
        heads: i64,
    },
    /// A pre-trained BERT, fine-tuned.
    Bert {
        /// Its `config.json`.
        config: Box<bert::Config>,
    },
}

/// Draw of the training sentences of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Every sentence once.
    #[default]
    Plain,
    /// As many sentences, drawn with probability proportional to the square of their share of entity words, so that
    /// those without entities are never seen: a model that predicts too many.
    EntityOversampled,
}

/// A configuration that no run could carry out.
#[derive(Debug, Error)]
#[error("configuration: `{field}` is {found}; expected {expected}")]
pub struct ConfigError {
    field: &'static str,
    found: String,
    expected: &'static str,
}

impl TrainConfig {
    /// The from-scratch BiLSTM of the CPU presets.
    pub fn bilstm(loss: Loss) -> Self {
        Self::from_scratch(
            EncoderConfig::Bilstm { word_width: 64, char_filters: 32, hidden: 64, layers: 1 },
            loss,
        )
    }

    /// The from-scratch transformer of the CPU presets.
    pub fn transformer(loss: Loss) -> Self {
        let encoder =
            EncoderConfig::Transformer { word_width: 64, char_filters: 32, width: 96, layers: 2, heads: 4 };
        Self { learning_rate: 3e-3, warmup: 0.1, dropout: 0.1, ..Self::from_scratch(encoder, loss) }
    }

    /// The usual recipe for fine-tuning BERT: AdamW at 5e-5 with decay 0.01, 3 epochs, batches of 32, norm 1. The
    /// paper's values are not known to us.
    pub fn bert(config: bert::Config, loss: Loss) -> Self {
        Self {
            epochs: 3,
            learning_rate: 5e-5,
            warmup: 0.1,
            weight_decay: 0.01,
            clip_norm: 1.0,
            dropout: config.classifier_dropout.unwrap_or(config.hidden_dropout_prob),
            unknown_rate: 0.0,
            ..Self::from_scratch(EncoderConfig::Bert { config: Box::new(config) }, loss)
        }
    }

    fn from_scratch(encoder: EncoderConfig, loss: Loss) -> Self {
        Self {
            encoder,
            head: HeadKind::Softmax,
            loss,
            epochs: 8,
            batch_sentences: 32,
            learning_rate: 4e-3,
            warmup: 0.05,
            weight_decay: 0.0,
            clip_norm: 5.0,
            dropout: 0.3,
            unknown_rate: 0.5,
            patience: None,
            sampling: Sampling::Plain,
            queries: BTreeMap::new(),
        }
    }

    /// Refuses values that no run could carry out.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let positive = "a positive number";
        let share = "a number from 0 up to but not including 1";
        check("epochs", self.epochs, self.epochs > 0, positive)?;
        check("batch_sentences", self.batch_sentences, self.batch_sentences > 0, positive)?;
        check("learning_rate", self.learning_rate, self.learning_rate > 0.0, positive)?;
        check("clip_norm", self.clip_norm, self.clip_norm > 0.0, positive)?;
        check("weight_decay", self.weight_decay, self.weight_decay >= 0.0, "0 or more")?;
        for (field, value) in [("warmup", self.warmup), ("dropout", self.dropout)] {
            check(field, value, (0.0..1.0).contains(&value), share)?;
        }
        check(
            "unknown_rate",
            self.unknown_rate,
            (0.0..=1.0).contains(&self.unknown_rate),
            "a number from 0 to 1",
        )?;
        check("patience", 0, self.patience != Some(0), "at least 1, or no patience at all")?;
        self.encoder.validate()
    }
}

impl EncoderConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        let at_least_one = "at least 1";
        match *self {
            Self::Bert { ref config } => config.check().map_err(|error| ConfigError {
                field: "encoder.config",
                found: error.to_string(),
                expected: "the `config.json` of a BERT directory",
            }),
            Self::Bilstm { word_width, char_filters, hidden, layers } => {
                for (field, value) in [("word_width", word_width), ("hidden", hidden), ("layers", layers)] {
                    check(field, value, value > 0, at_least_one)?;
                }
                check("char_filters", char_filters, char_filters >= 0, "0 or more")
            }
            Self::Transformer { word_width, char_filters, width, layers, heads } => {
                for (field, value) in [("word_width", word_width), ("layers", layers), ("heads", heads)] {
                    check(field, value, value > 0, at_least_one)?;
                }
                check("char_filters", char_filters, char_filters >= 0, "0 or more")?;
                check("width", width, width > 0 && width % (2 * heads) == 0, "a multiple of twice `heads`")
            }
        }
    }

    /// Short name for tables: `bilstm`, `transformer` or `bert`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bilstm { .. } => "bilstm",
            Self::Transformer { .. } => "transformer",
            Self::Bert { .. } => "bert",
        }
    }
}

fn check(
    field: &'static str,
    found: impl ToString,
    holds: bool,
    expected: &'static str,
) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError { field, found: found.to_string(), expected }) }
}
