//! Sizes and options of a Llama-architecture model, from GGUF keys or a Hugging Face `config.json`.

use super::error::LlamaError;

/// A value of a configuration file; an array answers with [`Scalar::Length`].
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// A whole number.
    Integer(u64),
    /// A real number.
    Real(f64),
    /// `true` or `false`.
    Flag(bool),
    /// Text.
    Text(String),
    /// The number of elements of an array or object.
    Length(usize),
}

/// Where RMSNorms sit besides the one before the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Norms {
    /// Before attention and before the feed-forward part (`attn_norm`, `ffn_norm`): Llama.
    pub block: bool,
    /// Before the output and the down projection (`attn_sub_norm`, `ffn_sub_norm`): BitNet b1.58 2B4T.
    pub sub: bool,
    /// Before each of the seven projections (`attn_q.norm`, …): the recipe of BitNet b1.58's BitLinear.
    pub projection: bool,
}

/// The nonlinearity on the gate of the feed-forward part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// `x·σ(x)`: SwiGLU.
    Silu,
    /// `max(x, 0)²`: BitNet b1.58 2B4T.
    SquaredRelu,
}

/// Sizes and options of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Width of the hidden state.
    pub dim: usize,
    /// Width of the feed-forward part.
    pub ffn: usize,
    /// Blocks.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Tokens in the vocabulary.
    pub vocab: usize,
    /// Positions that the model was trained for.
    pub context: usize,
    /// ε of the RMSNorms.
    pub norm_epsilon: f32,
    /// Base of the rotary angles.
    pub rope_base: f32,
    /// Leading entries of a head that are rotated; even.
    pub rope_dims: usize,
    /// Whether the head is the embedding.
    pub tied: bool,
    /// Where the norms sit.
    pub norms: Norms,
    /// Nonlinearity on the gate.
    pub gate: Gate,
}

impl Config {
    /// The configuration in the keys of a GGUF file (`get`) with these tensors (`has_tensor`, GGUF names).
    ///
    /// # Errors
    /// [`LlamaError::MissingKey`], [`LlamaError::Unsupported`] or [`LlamaError::Size`].
    pub fn from_gguf(
        get: &dyn Fn(&str) -> Option<Scalar>,
        has_tensor: &dyn Fn(&str) -> bool,
    ) -> Result<Self, LlamaError> {
        let architecture = match get("general.architecture") {
            Some(Scalar::Text(name)) => name,
            _ => return Err(LlamaError::MissingKey { key: "general.architecture".into() }),
        };
        if !["llama", "bitnet", "bitnet-b1.58"].contains(&architecture.as_str()) {
            return Err(unsupported("general.architecture", &architecture, "llama or bitnet"));
        }
        let key = |name: &str| format!("{architecture}.{name}");
        refuse_text(get, &key("rope.scaling.type"), "none")?;
        let keys = Keys(get);
        let heads = keys.size(&key("attention.head_count"))?;
        let dim = keys.size(&key("embedding_length"))?;
        let head_dim = keys.optional(&key("attention.key_length"))?.unwrap_or(dim / heads.max(1));
        let vocab = match keys.optional(&key("vocab_size"))? {
            Some(vocab) => vocab,
            None => keys.size("tokenizer.ggml.tokens")?,
        };
        let config = Self {
            dim,
            ffn: keys.size(&key("feed_forward_length"))?,
            layers: keys.size(&key("block_count"))?,
            heads,
            kv_heads: keys.optional(&key("attention.head_count_kv"))?.unwrap_or(heads),
            head_dim,
            vocab,
            context: keys.size(&key("context_length"))?,
            norm_epsilon: keys.real(&key("attention.layer_norm_rms_epsilon"))?.unwrap_or(1e-5),
            rope_base: keys.real(&key("rope.freq_base"))?.unwrap_or(10_000.0),
            rope_dims: keys.optional(&key("rope.dimension_count"))?.unwrap_or(head_dim),
            tied: !has_tensor("output.weight"),
            norms: norms(has_tensor),
            gate: if architecture == "llama" { Gate::Silu } else { Gate::SquaredRelu },
        };
        config.checked()
    }

    /// The configuration in a Hugging Face `config.json` (`get`: top-level keys) with these tensors (GGUF names).
    ///
    /// # Errors
    /// [`LlamaError::MissingKey`], [`LlamaError::Unsupported`] or [`LlamaError::Size`]; biases and scaled rotary
    /// angles are not supported.
    pub fn from_hugging_face(
        get: &dyn Fn(&str) -> Option<Scalar>,
        has_tensor: &dyn Fn(&str) -> bool,
    ) -> Result<Self, LlamaError> {
        for key in ["attention_bias", "mlp_bias"] {
            if get(key) == Some(Scalar::Flag(true)) {
                return Err(unsupported(key, "true", "a model without biases"));
            }
        }
        if get("rope_scaling").is_some() {
            return Err(unsupported("rope_scaling", "a value", "unscaled rotary angles (null)"));
        }
        let gate = match get("hidden_act") {
            None => Gate::Silu,
            Some(Scalar::Text(name)) if name == "silu" => Gate::Silu,
            Some(Scalar::Text(name)) if name == "relu2" => Gate::SquaredRelu,
            other => return Err(unsupported("hidden_act", &format!("{other:?}"), "silu or relu2")),
        };
        let keys = Keys(get);
        let heads = keys.size("num_attention_heads")?;
        let dim = keys.size("hidden_size")?;
        let head_dim = keys.optional("head_dim")?.unwrap_or(dim / heads.max(1));
        let tied = match get("tie_word_embeddings") {
            Some(Scalar::Flag(tied)) => tied,
            _ => !has_tensor("output.weight"),
        };
        let config = Self {
            dim,
            ffn: keys.size("intermediate_size")?,
            layers: keys.size("num_hidden_layers")?,
            heads,
            kv_heads: keys.optional("num_key_value_heads")?.unwrap_or(heads),
            head_dim,
            vocab: keys.size("vocab_size")?,
            context: keys.size("max_position_embeddings")?,
            norm_epsilon: keys.real("rms_norm_eps")?.unwrap_or(1e-6),
            rope_base: keys.real("rope_theta")?.unwrap_or(10_000.0),
            rope_dims: head_dim,
            tied,
            norms: norms(has_tensor),
            gate,
        };
        config.checked()
    }

    /// Itself, when its sizes fit together.
    ///
    /// # Errors
    /// [`LlamaError::Size`] with the first size that does not.
    pub fn checked(self) -> Result<Self, LlamaError> {
        let problem = |found: String, expected: &'static str| Err(LlamaError::Size { found, expected });
        let sizes = [self.dim, self.ffn, self.heads, self.kv_heads, self.head_dim, self.vocab, self.context];
        if sizes.contains(&0) {
            return problem(
                format!("a size of 0 in {sizes:?}"),
                "positive dim, ffn, heads, kv_heads, head_dim, vocab and context",
            );
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return problem(
                format!("{} heads over {} key/value heads", self.heads, self.kv_heads),
                "heads to be a multiple of the key/value heads",
            );
        }
        if self.rope_dims > self.head_dim || !self.rope_dims.is_multiple_of(2) {
            return problem(
                format!("{} rotary entries in heads of {}", self.rope_dims, self.head_dim),
                "an even number, at most the width of a head",
            );
        }
        Ok(self)
    }

    /// Width of all query heads together.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all key heads together.
    pub fn key_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}

/// The positions of the norms, told from the tensors of block 0.
fn norms(has_tensor: &dyn Fn(&str) -> bool) -> Norms {
    Norms {
        block: has_tensor("blk.0.attn_norm.weight"),
        sub: has_tensor("blk.0.attn_sub_norm.weight"),
        projection: has_tensor("blk.0.attn_q.norm.weight"),
    }
}

fn unsupported(key: &str, found: &str, expected: &'static str) -> LlamaError {
    LlamaError::Unsupported { key: key.to_owned(), found: found.to_owned(), expected }
}

fn refuse_text(
    get: &dyn Fn(&str) -> Option<Scalar>,
    key: &str,
    allowed: &'static str,
) -> Result<(), LlamaError> {
    match get(key) {
        Some(Scalar::Text(text)) if text != allowed => Err(unsupported(key, &text, allowed)),
        _ => Ok(()),
    }
}

struct Keys<'a>(&'a dyn Fn(&str) -> Option<Scalar>);

impl Keys<'_> {
    fn optional(&self, key: &str) -> Result<Option<usize>, LlamaError> {
        match (self.0)(key) {
            None => Ok(None),
            Some(Scalar::Length(length)) => Ok(Some(length)),
            Some(Scalar::Integer(value)) if usize::try_from(value).is_ok() => Ok(Some(value as usize)),
            Some(other) => Err(unsupported(key, &format!("{other:?}"), "a whole number")),
        }
    }

    fn size(&self, key: &str) -> Result<usize, LlamaError> {
        self.optional(key)?.ok_or_else(|| LlamaError::MissingKey { key: key.to_owned() })
    }

    fn real(&self, key: &str) -> Result<Option<f32>, LlamaError> {
        match (self.0)(key) {
            None => Ok(None),
            Some(Scalar::Real(value)) => Ok(Some(value as f32)),
            Some(Scalar::Integer(value)) => Ok(Some(value as f32)),
            Some(other) => Err(unsupported(key, &format!("{other:?}"), "a number")),
        }
    }
}
