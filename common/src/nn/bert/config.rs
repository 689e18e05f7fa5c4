//! `config.json` of a BERT directory.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::files::{self, FileError};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Unreadable or unwritable.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not JSON, or a key is missing or of another type.
    #[error("BERT configuration: {0}; expected the `config.json` of a Hugging Face directory")]
    Json(#[from] serde_json::Error),
    /// A value no BERT can have.
    #[error("BERT configuration: `{key}` is {found}, expected {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
}

/// The non-linearity between the two linear maps of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x Φ(x)` with the exact error function.
    Gelu,
    /// The tanh approximation of GELU, as in the original TensorFlow code.
    #[serde(alias = "gelu_pytorch_tanh")]
    GeluNew,
    /// `max(0, x)`.
    Relu,
}

impl Activation {
    /// The function, element by element.
    pub fn apply(self, input: &Tensor) -> Tensor {
        match self {
            Self::Gelu => input.gelu("none"),
            Self::GeluNew => input.gelu("tanh"),
            Self::Relu => input.relu(),
        }
    }
}

/// The keys of `config.json` that the network depends on, under their names there; other keys are passed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// `bert`; a directory of another architecture is refused.
    #[serde(default = "bert")]
    pub model_type: String,
    /// Rows of the word embedding.
    pub vocab_size: i64,
    /// Width of the hidden states.
    pub hidden_size: i64,
    /// Number of layers.
    pub num_hidden_layers: i64,
    /// Heads of the attention; divides `hidden_size`.
    pub num_attention_heads: i64,
    /// Width between the two linear maps of a layer.
    pub intermediate_size: i64,
    /// The non-linearity there.
    pub hidden_act: Activation,
    /// Dropout after the embeddings and after each sub-layer.
    #[serde(default = "tenth")]
    pub hidden_dropout_prob: f64,
    /// Dropout of the attention weights.
    #[serde(default = "tenth")]
    pub attention_probs_dropout_prob: f64,
    /// Dropout before a classifier; `hidden_dropout_prob` when absent.
    #[serde(default)]
    pub classifier_dropout: Option<f64>,
    /// Longest input, special tokens included.
    pub max_position_embeddings: i64,
    /// Number of segments.
    #[serde(default = "two")]
    pub type_vocab_size: i64,
    /// Epsilon of each LayerNorm.
    #[serde(default = "tiny")]
    pub layer_norm_eps: f64,
    /// Deviation of the initial weights.
    #[serde(default = "initial")]
    pub initializer_range: f64,
    /// Id of the padding token.
    #[serde(default)]
    pub pad_token_id: i64,
    /// `absolute`; relative positions are refused.
    #[serde(default = "absolute")]
    pub position_embedding_type: String,
}

fn bert() -> String {
    "bert".to_owned()
}
fn absolute() -> String {
    "absolute".to_owned()
}
fn tenth() -> f64 {
    0.1
}
fn two() -> i64 {
    2
}
fn tiny() -> f64 {
    1e-12
}
fn initial() -> f64 {
    0.02
}

impl Config {
    /// BERT of the given vocabulary and size with the published defaults: four times as wide inside, 512 positions, dropout 0.1.
    ///
    /// ```
    /// let base = common::nn::bert::Config::new(30_522, 768, 12, 12);
    /// assert_eq!((base.intermediate_size, base.max_position_embeddings), (3072, 512));
    /// ```
    pub fn new(vocab_size: i64, hidden_size: i64, num_hidden_layers: i64, num_attention_heads: i64) -> Self {
        Self {
            model_type: bert(),
            vocab_size,
            hidden_size,
            num_hidden_layers,
            num_attention_heads,
            intermediate_size: 4 * hidden_size,
            hidden_act: Activation::Gelu,
            hidden_dropout_prob: tenth(),
            attention_probs_dropout_prob: tenth(),
            classifier_dropout: None,
            max_position_embeddings: 512,
            type_vocab_size: two(),
            layer_norm_eps: tiny(),
            initializer_range: initial(),
            pad_token_id: 0,
            position_embedding_type: absolute(),
        }
    }

    /// The configuration in a file, checked.
    ///
    /// # Errors
    /// [`ConfigError`] with the file, the key and what is expected.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::from_json(&files::read_text(path)?)
    }

    /// The configuration in a JSON text, checked.
    ///
    /// # Errors
    /// [`ConfigError`] with the key and what is expected.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    /// Writes the configuration as `config.json`.
    ///
    /// # Errors
    /// [`ConfigError::File`] when the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ConfigError> {
        let text = serde_json::to_string_pretty(self)?;
        Ok(files::write_atomic(path, (text + "\n").as_bytes())?)
    }

    /// Nothing, when a network can be built.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for the first value that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        require("model_type", &self.model_type, "`bert`", self.model_type == "bert")?;
        let absolute = self.position_embedding_type == "absolute";
        require("position_embedding_type", &self.position_embedding_type, "`absolute`", absolute)?;
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ];
        for (key, size) in sizes {
            require(key, size, "at least 1", size >= 1)?;
        }
        let heads = self.num_attention_heads;
        let divisor = format!("a divisor of `hidden_size` {}", self.hidden_size);
        require("num_attention_heads", heads, &divisor, self.hidden_size % heads == 0)?;
        let padding = (0..self.vocab_size).contains(&self.pad_token_id);
        require("pad_token_id", self.pad_token_id, "a row of the vocabulary", padding)?;
        let rates = [
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
            ("classifier_dropout", self.classifier_dropout.unwrap_or(0.0)),
        ];
        for (key, rate) in rates {
            require(key, rate, "at least 0 and below 1", (0.0..1.0).contains(&rate))?;
        }
        require("layer_norm_eps", self.layer_norm_eps, "above 0", self.layer_norm_eps > 0.0)
    }
}

fn require(
    key: &'static str,
    found: impl std::fmt::Display,
    expected: &str,
    holds: bool,
) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    Err(ConfigError::Value { key, found: format!("`{found}`"), expected: expected.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"{"architectures": ["BertForTokenClassification"], "vocab_size": 7, "hidden_size": 6,
        "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "hidden_act": "gelu",
        "max_position_embeddings": 16, "classifier_dropout": null}"#;

    fn refused(from: &str, to: &str) -> String {
        assert!(SMALL.contains(from));
        Config::from_json(&SMALL.replace(from, to)).unwrap_err().to_string()
    }

    #[test]
    fn a_hugging_face_configuration_is_read_with_its_defaults() {
        let config = Config::from_json(SMALL).unwrap();
        assert_eq!(
            (config.hidden_act, config.layer_norm_eps, config.type_vocab_size),
            (Activation::Gelu, 1e-12, 2)
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        config.write(file.path()).unwrap();
        assert_eq!(Config::read(file.path()).unwrap(), config);
    }

    #[test]
    fn values_that_make_no_network_are_refused_by_key() {
        let text = refused(r#""num_attention_heads": 2"#, r#""num_attention_heads": 4"#);
        assert_eq!(
            text,
            "BERT configuration: `num_attention_heads` is `4`, expected a divisor of `hidden_size` 6"
        );
        let text = refused(r#""vocab_size": 7"#, r#""vocab_size": 0"#);
        assert_eq!(text, "BERT configuration: `vocab_size` is `0`, expected at least 1");
        let text = refused(r#""vocab_size": 7"#, r#""model_type": "roberta", "vocab_size": 7"#);
        assert_eq!(text, "BERT configuration: `model_type` is `roberta`, expected `bert`");
        let text = refused(r#""gelu""#, r#""swish""#);
        assert!(text.contains("unknown variant `swish`, expected one of `gelu`, `gelu_new`"), "{text}");
        let text = refused(r#""vocab_size": 7,"#, "");
        assert!(text.contains("missing field `vocab_size`"), "{text}");
        let text = refused(r#""classifier_dropout": null"#, r#""classifier_dropout": 1.0"#);
        assert_eq!(text, "BERT configuration: `classifier_dropout` is `1`, expected at least 0 and below 1");
    }
}
