//! The BERT encoder (Devlin et al. 2019) with the tensor names of Hugging Face directories.
//!
//! A batch of sentences of different lengths is [`Packed`], one row per real token: no work is spent on padding.

mod config;
mod layer;
mod packed;

use std::path::Path;

use tch::nn::{self, VarStore};
use tch::{Kind, Tensor};

pub use config::{Activation, Config, ConfigError};
pub use packed::Packed;

use super::checkpoint::{CheckpointError, load_renamed};
use super::embedding::Embedding;
use super::norm::LayerNorm;
use layer::Layer;

/// Sentences that an encoder cannot take.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BertError {
    /// A sentence is longer than the table of positions.
    #[error(
        "a sentence has {found} tokens, the model has {limit} positions: split it before encoding, or cut it"
    )]
    TooLong {
        /// Tokens of the sentence, special ones included.
        found: i64,
        /// `max_position_embeddings`.
        limit: i64,
    },
    /// An id outside its table.
    #[error(
        "`{name}` has id {id}, the model knows 0 to {last}: do tokenizer and checkpoint belong together?"
    )]
    UnknownId {
        /// `ids` or `token_types`.
        name: &'static str,
        /// The id.
        id: i64,
        /// The highest known.
        last: i64,
    },
}

/// The encoder: embeddings, then layers of self-attention and a two-layer network.
#[derive(Debug)]
pub struct Bert {
    config: Config,
    words: Embedding,
    positions: Embedding,
    token_types: Embedding,
    norm: LayerNorm,
    layers: Vec<Layer>,
}

impl Bert {
    /// The encoder at `path` with BERT's initialisation, N(0, `initializer_range`²) and zero biases. The configuration
    /// was checked when it was read.
    ///
    /// ```
    /// use common::nn::bert::{Bert, Config, Packed};
    /// let variables = tch::nn::VarStore::new(tch::Device::Cpu);
    /// let encoder = Bert::new(&variables.root(), &Config::new(100, 16, 2, 4));
    /// let sentences = Packed::new(&[vec![2, 50, 60, 3], vec![2, 70, 3]], variables.device());
    /// assert_eq!(encoder.forward(&sentences, false)?.size(), [7, 16]);
    /// # Ok::<(), common::nn::bert::BertError>(())
    /// ```
    pub fn new(path: &nn::Path<'_>, config: &Config) -> Self {
        let Config { hidden_size: width, initializer_range: deviation, .. } = *config;
        let embeddings = path / "embeddings";
        let table = |name, rows| Embedding::normal(&(&embeddings / name), rows, width, deviation);
        let encoder = path / "encoder" / "layer";
        Self {
            words: table("word_embeddings", config.vocab_size),
            positions: table("position_embeddings", config.max_position_embeddings),
            token_types: table("token_type_embeddings", config.type_vocab_size),
            norm: LayerNorm::new(&(&embeddings / "LayerNorm"), width, config.layer_norm_eps),
            layers: (0..config.num_hidden_layers).map(|i| Layer::new(&(&encoder / i), config)).collect(),
            config: config.clone(),
        }
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The hidden states after the last layer, one row per token in the order the sentences were given:
    /// `[total_tokens, width]`; [`Packed::unpack`] makes `[batch, tokens, width]` of it.
    ///
    /// # Errors
    /// [`BertError`] for ids outside the tables and sentences longer than the table of positions.
    pub fn forward(&self, sentences: &Packed, train: bool) -> Result<Tensor, BertError> {
        let (found, limit) = (sentences.longest(), self.config.max_position_embeddings);
        if found > limit {
            return Err(BertError::TooLong { found, limit });
        }
        check_ids("ids", &sentences.ids, self.config.vocab_size)?;
        check_ids("token_types", &sentences.token_types, self.config.type_vocab_size)?;
        let sum = self.words.forward(&sentences.ids)
            + self.token_types.forward(&sentences.token_types)
            + self.positions.forward(&sentences.positions);
        let embedded = self.norm.forward(&sum).dropout(self.config.hidden_dropout_prob, train);
        let last =
            self.layers.iter().fold(embedded, |states, layer| layer.forward(&states, sentences, train));
        Ok(last.index_select(0, &sentences.original_order))
    }
}

fn check_ids(name: &'static str, ids: &Tensor, n_ids: i64) -> Result<(), BertError> {
    debug_assert_eq!(ids.kind(), Kind::Int64);
    if ids.numel() == 0 {
        return Ok(());
    }
    let (lowest, highest) = ids.aminmax(None, false);
    let outside = [lowest, highest].iter().map(|id| id.int64_value(&[])).find(|id| !(0..n_ids).contains(id));
    outside.map_or(Ok(()), |id| Err(BertError::UnknownId { name, id, last: n_ids - 1 }))
}

/// Fills the encoder that stands in `store` below `prefix` from a Hugging Face directory's `model.safetensors`. The
/// prefix `bert.`, the old names `gamma` and `beta` and 16-bit weights are understood; heads and the pooler are left out.
///
/// # Errors
/// [`CheckpointError`] naming the file and every difference; the store is untouched then.
pub fn load_pretrained(store: &VarStore, prefix: &str, directory: &Path) -> Result<(), CheckpointError> {
    load_renamed(store, &directory.join("model.safetensors"), prefix, |name| encoder_name(name, prefix))
}

/// The model's name for a tensor of a checkpoint; `None` for one that does not belong to the encoder.
pub fn encoder_name(name: &str, prefix: &str) -> Option<String> {
    let plain = name.strip_prefix("bert.").unwrap_or(name);
    let encoder = plain.starts_with("embeddings.") || plain.starts_with("encoder.layer.");
    if !encoder || plain.ends_with("position_ids") {
        return None;
    }
    let modern = match plain.rsplit_once('.') {
        Some((layer, "gamma")) => format!("{layer}.weight"),
        Some((layer, "beta")) => format!("{layer}.bias"),
        _ => plain.to_owned(),
    };
    Some(format!("{prefix}{modern}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_old_and_new_checkpoints_become_the_models() {
        let name = |name| encoder_name(name, "encoder.");
        let new = name("bert.embeddings.LayerNorm.gamma");
        assert_eq!(new.as_deref(), Some("encoder.embeddings.LayerNorm.weight"));
        let bare = name("encoder.layer.0.output.dense.bias");
        assert_eq!(bare.as_deref(), Some("encoder.encoder.layer.0.output.dense.bias"));
        for other in [
            "cls.predictions.bias",
            "bert.pooler.dense.weight",
            "classifier.bias",
            "bert.embeddings.position_ids",
        ] {
            assert_eq!(name(other), None, "{other}");
        }
    }

    #[test]
    fn sentences_that_do_not_fit_are_refused() {
        let store = VarStore::new(tch::Device::Cpu);
        let config = Config { max_position_embeddings: 4, ..Config::new(10, 8, 1, 2) };
        let encoder = Bert::new(&store.root(), &config);
        let error = |ids: Vec<i64>| encoder.forward(&Packed::new(&[ids], store.device()), false).unwrap_err();
        assert_eq!(error(vec![1; 5]), BertError::TooLong { found: 5, limit: 4 });
        assert_eq!(error(vec![1, 10]), BertError::UnknownId { name: "ids", id: 10, last: 9 });
    }
}
