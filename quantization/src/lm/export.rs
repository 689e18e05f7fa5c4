//! Weights for other programs: plain f32 tensors under the names of Hugging Face or GGUF.

use std::fs;
use std::path::Path;

use common::nn::checkpoint::{self, named};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use super::config::{LmConfig, NormPosition};
use super::{LmError, Model};

/// Names and order of the rotary rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `model.layers.0.self_attn.q_proj.weight`; a pair's components lie half a head apart.
    HuggingFace,
    /// `blk.0.attn_q.weight`; a pair's components are neighbours.
    Gguf,
}

/// Which weights of the projections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// The full-precision ones that training moves.
    Latent,
    /// The ones that inference multiplies with: `γ·W_t`, `β·W_b`, fake-quantized.
    Deployed,
}

/// A named tensor in row order.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// Name in the layout.
    pub name: String,
    /// Sizes, outermost first (GGUF's `ne` is the reverse).
    pub shape: Vec<usize>,
    /// Numbers.
    pub values: Vec<f32>,
}

/// All weights of the model, in the order of their names. Norms inside the projections become the sub-norms of the
/// BitNet architectures (`attn_sub_norm`, `ffn_sub_norm`) with a gain of 1.
///
/// # Errors
/// [`LmError::NoExport`] for norms with a gain per projection.
pub fn tensors(model: &Model, layout: Layout, weights: Weights) -> Result<Vec<NamedTensor>, LmError> {
    let named = layout_tensors(model, layout, weights)?.into_iter().map(|(name, tensor)| NamedTensor {
        name,
        shape: tensor.size().into_iter().map(|size| size as usize).collect(),
        values: Vec::try_from(tensor.flatten(0, -1)).expect("parameters are f32"),
    });
    Ok(named.collect())
}

/// Writes `model.safetensors` (f32) and `config.json` in Hugging Face's layout.
///
/// # Errors
/// [`LmError::NoExport`], or what went wrong with which file.
pub fn write_hugging_face(model: &Model, folder: &Path, weights: Weights) -> Result<(), LmError> {
    let tensors = layout_tensors(model, Layout::HuggingFace, weights)?;
    let path = folder.join("config.json");
    let text = format!("{:#}\n", hugging_face_config(model.config()));
    fs::write(&path, text).map_err(|error| LmError::File { path, problem: error.to_string() })?;
    Ok(checkpoint::save(&tensors, &folder.join("model.safetensors"))?)
}

/// Contents of a Hugging Face `config.json` for this architecture.
pub fn hugging_face_config(config: &LmConfig) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": config.width,
        "intermediate_size": config.ffn_width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_width(),
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.context,
        "rms_norm_eps": config.rms_epsilon,
        "rope_theta": config.rope_base,
        "hidden_act": "silu",
        "tie_word_embeddings": config.tied,
        "attention_bias": false,
        "mlp_bias": false,
        "torch_dtype": "float32",
        "bos_token_id": null,
        "eos_token_id": null,
    })
}

/// Rows `[heads · head_width, inputs]` whose pairs are neighbours, with pairs half a head apart.
pub fn to_halves(rows: &Tensor, heads: i64) -> Tensor {
    reorder(rows, heads, |half| [heads, half, 2, -1])
}

/// The inverse of [`to_halves`].
pub fn to_pairs(rows: &Tensor, heads: i64) -> Tensor {
    reorder(rows, heads, |half| [heads, 2, half, -1])
}

fn reorder(rows: &Tensor, heads: i64, shape: impl Fn(i64) -> [i64; 4]) -> Tensor {
    let half = rows.size()[0] / heads / 2;
    rows.reshape(shape(half)).transpose(1, 2).reshape(rows.size())
}

fn layout_tensors(model: &Model, layout: Layout, weights: Weights) -> Result<Vec<(String, Tensor)>, LmError> {
    let config = model.config();
    if config.norm_position == NormPosition::EachProjection {
        return Err(LmError::NoExport);
    }
    let _guard = tch::no_grad_guard();
    let mut tensors: Vec<(String, Tensor)> = named(model.store());
    tensors.retain(|(name, _)| name.ends_with(".weight"));
    if weights == Weights::Deployed {
        for (name, projection) in model.projections() {
            let name = format!("{name}.weight");
            if let Some(entry) = tensors.iter_mut().find(|(known, _)| *known == name) {
                entry.1 = projection.deployed();
            }
        }
    }
    if config.norm_position == NormPosition::Inside {
        tensors.extend(unit_norms(config));
    }
    for (name, tensor) in &mut tensors {
        if layout == Layout::HuggingFace {
            match name.rsplit('.').nth(1) {
                Some("q_proj") => *tensor = to_halves(tensor, config.heads),
                Some("k_proj") => *tensor = to_halves(tensor, config.kv_heads),
                _ => {}
            }
        } else {
            *name = gguf_name(name);
        }
        *tensor = tensor.detach().contiguous();
    }
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(tensors)
}

fn unit_norms(config: &LmConfig) -> impl Iterator<Item = (String, Tensor)> {
    let (width, ffn_width) = (config.width, config.ffn_width);
    (0..config.layers).flat_map(move |layer| {
        [
            ("input_layernorm", width),
            ("post_attention_layernorm", width),
            ("self_attn.attn_sub_norm", width),
            ("mlp.ffn_sub_norm", ffn_width),
        ]
        .map(|(part, size)| {
            let ones = Tensor::ones([size], (Kind::Float, tch::Device::Cpu));
            (format!("model.layers.{layer}.{part}.weight"), ones)
        })
    })
}

/// GGUF's name of a Hugging Face tensor.
///
/// ```
/// use quantization::lm::export::gguf_name;
/// assert_eq!(gguf_name("model.layers.3.mlp.down_proj.weight"), "blk.3.ffn_down.weight");
/// assert_eq!(gguf_name("model.embed_tokens.weight"), "token_embd.weight");
/// ```
pub fn gguf_name(name: &str) -> String {
    const PARTS: [(&str, &str); 15] = [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("model.layers", "blk"),
        ("self_attn.attn_sub_norm", "attn_sub_norm"),
        ("mlp.ffn_sub_norm", "ffn_sub_norm"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ];
    PARTS.iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}
