//! Sizes of an encoder in the keys of GGUF and of `config.json`.

use serde_json::json;

use crate::gguf::Metadata;
use crate::llama::Scalar;

/// Which states become the vector of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over all tokens, special ones included.
    Mean,
    /// The state of the first token.
    First,
}

/// A BERT encoder's sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderConfig {
    /// Rows of the word embedding.
    pub vocab: usize,
    /// Width of the hidden states.
    pub width: usize,
    /// Width of the feed-forward part.
    pub ffn: usize,
    /// Blocks.
    pub layers: usize,
    /// Heads of the attention.
    pub heads: usize,
    /// Positions.
    pub context: usize,
    /// Segments.
    pub token_types: usize,
    /// ε of the LayerNorms.
    pub norm_epsilon: f64,
    /// The non-linearity, as `config.json` names it: `gelu`, `gelu_new` or `relu`.
    pub activation: String,
    /// How a sentence gets its vector.
    pub pooling: Pooling,
}

impl EncoderConfig {
    /// The encoder in a `config.json` (`get`: top-level keys); `None` when it is not of the architecture BERT or lacks a size.
    pub fn from_hugging_face(get: &dyn Fn(&str) -> Option<Scalar>, pooling: Pooling) -> Option<Self> {
        let text = |key: &str| match get(key) {
            Some(Scalar::Text(text)) => Some(text),
            _ => None,
        };
        let absolute = text("position_embedding_type").is_none_or(|kind| kind == "absolute");
        if text("model_type")? != "bert" || !absolute {
            return None;
        }
        Some(Self {
            vocab: size(get, "vocab_size")?,
            width: size(get, "hidden_size")?,
            ffn: size(get, "intermediate_size")?,
            layers: size(get, "num_hidden_layers")?,
            heads: size(get, "num_attention_heads")?,
            context: size(get, "max_position_embeddings")?,
            token_types: size(get, "type_vocab_size").unwrap_or(2),
            norm_epsilon: real(get, "layer_norm_eps").unwrap_or(1e-12),
            activation: text("hidden_act").unwrap_or_else(|| "gelu".to_owned()),
            pooling,
        })
    }

    /// The encoder in the keys of a GGUF file of the architecture `bert`, else `None`. Such files have GELU.
    pub fn from_gguf(get: &dyn Fn(&str) -> Option<Scalar>) -> Option<Self> {
        if get("general.architecture")? != Scalar::Text("bert".to_owned()) {
            return None;
        }
        let size = |key: &str| size(get, &format!("bert.{key}"));
        let vocab = match get("tokenizer.ggml.tokens") {
            Some(Scalar::Length(tokens)) => Some(tokens),
            _ => size("vocab_size"),
        };
        Some(Self {
            vocab: vocab?,
            width: size("embedding_length")?,
            ffn: size("feed_forward_length")?,
            layers: size("block_count")?,
            heads: size("attention.head_count")?,
            context: size("context_length")?,
            token_types: self::size(get, "tokenizer.ggml.token_type_count").unwrap_or(2),
            norm_epsilon: real(get, "bert.attention.layer_norm_epsilon").unwrap_or(1e-12),
            activation: "gelu".to_owned(),
            pooling: if size("pooling_type") == Some(2) { Pooling::First } else { Pooling::Mean },
        })
    }

    /// The keys of `convert_hf_to_gguf.py` for this encoder, without vocabulary.
    pub fn gguf_keys(&self, name: &str) -> Metadata {
        let mut keys = Metadata::default();
        keys.set("general.architecture", "bert");
        keys.set("general.name", name);
        let mut size = |key: &str, value: usize| keys.set(format!("bert.{key}"), value as u32);
        size("block_count", self.layers);
        size("context_length", self.context);
        size("embedding_length", self.width);
        size("feed_forward_length", self.ffn);
        size("attention.head_count", self.heads);
        size("pooling_type", if self.pooling == Pooling::First { 2 } else { 1 });
        keys.set("bert.attention.layer_norm_epsilon", self.norm_epsilon as f32);
        keys.set("bert.attention.causal", false);
        keys.set("tokenizer.ggml.token_type_count", self.token_types as u32);
        keys
    }

    /// The `config.json` of this encoder.
    pub fn hugging_face_config(&self) -> serde_json::Value {
        json!({
            "architectures": ["BertModel"],
            "model_type": "bert",
            "vocab_size": self.vocab,
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "intermediate_size": self.ffn,
            "hidden_act": self.activation,
            "max_position_embeddings": self.context,
            "type_vocab_size": self.token_types,
            "layer_norm_eps": self.norm_epsilon,
            "pad_token_id": 0,
            "position_embedding_type": "absolute",
        })
    }
}

fn size(get: &dyn Fn(&str) -> Option<Scalar>, key: &str) -> Option<usize> {
    match get(key) {
        Some(Scalar::Integer(value)) if value > 0 => usize::try_from(value).ok(),
        _ => None,
    }
}

fn real(get: &dyn Fn(&str) -> Option<Scalar>, key: &str) -> Option<f64> {
    match get(key) {
        Some(Scalar::Real(value)) => Some(value),
        Some(Scalar::Integer(value)) => Some(value as f64),
        _ => None,
    }
}
