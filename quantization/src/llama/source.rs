//! Where weights come from: the trait that file readers implement, and Hugging Face names and row order.

use std::borrow::Cow;

use super::config::Config;
use super::error::BoxError;
use crate::ggml::GgmlType;

/// A tensor as it lies in a file.
#[derive(Clone, Debug)]
pub struct LoadedTensor<'a> {
    /// Type of its blocks.
    pub kind: GgmlType,
    /// Dimensions, innermost first: a matrix of `rows` rows has `[columns, rows]`.
    pub dims: Vec<usize>,
    /// Its blocks, row after row.
    pub bytes: Cow<'a, [u8]>,
}

/// A model's configuration and tensors under GGUF names (`token_embd.weight`, `blk.N.attn_q.weight`, …), with the
/// rows of `attn_q` and `attn_k` ordered for rotation of adjacent pairs.
pub trait TensorSource {
    /// The configuration.
    ///
    /// # Errors
    /// Whatever keeps the source from telling it.
    fn config(&self) -> Result<Config, BoxError>;

    /// Whether there is a tensor with this GGUF name.
    fn has_tensor(&self, name: &str) -> bool;

    /// The tensor with this GGUF name.
    ///
    /// # Errors
    /// Whatever keeps the source from reading it, its absence included.
    fn tensor(&self, name: &str) -> Result<LoadedTensor<'_>, BoxError>;
}

/// GGUF's and Hugging Face's names of a block's tensors, without `blk.N.` and `model.layers.N.`.
const BLOCK: [(&str, &str); 18] = [
    ("attn_norm.weight", "input_layernorm.weight"),
    ("attn_q.weight", "self_attn.q_proj.weight"),
    ("attn_k.weight", "self_attn.k_proj.weight"),
    ("attn_v.weight", "self_attn.v_proj.weight"),
    ("attn_sub_norm.weight", "self_attn.attn_sub_norm.weight"),
    ("attn_output.weight", "self_attn.o_proj.weight"),
    ("ffn_norm.weight", "post_attention_layernorm.weight"),
    ("ffn_gate.weight", "mlp.gate_proj.weight"),
    ("ffn_up.weight", "mlp.up_proj.weight"),
    ("ffn_sub_norm.weight", "mlp.ffn_sub_norm.weight"),
    ("ffn_down.weight", "mlp.down_proj.weight"),
    ("attn_q.norm.weight", "self_attn.q_proj.norm.weight"),
    ("attn_k.norm.weight", "self_attn.k_proj.norm.weight"),
    ("attn_v.norm.weight", "self_attn.v_proj.norm.weight"),
    ("attn_output.norm.weight", "self_attn.o_proj.norm.weight"),
    ("ffn_gate.norm.weight", "mlp.gate_proj.norm.weight"),
    ("ffn_up.norm.weight", "mlp.up_proj.norm.weight"),
    ("ffn_down.norm.weight", "mlp.down_proj.norm.weight"),
];

/// The same for tensors outside the blocks.
const OUTSIDE: [(&str, &str); 3] = [
    ("token_embd.weight", "model.embed_tokens.weight"),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
];

/// The Hugging Face name of the tensor with this GGUF name, `None` for a name that Llama models do not have.
///
/// ```
/// use quantization::llama::hugging_face_name;
/// assert_eq!(hugging_face_name("blk.3.attn_q.weight").unwrap(), "model.layers.3.self_attn.q_proj.weight");
/// ```
pub fn hugging_face_name(gguf: &str) -> Option<String> {
    if let Some((_, name)) = OUTSIDE.iter().find(|pair| pair.0 == gguf) {
        return Some((*name).to_owned());
    }
    let (layer, rest) = gguf.strip_prefix("blk.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let (_, name) = BLOCK.iter().find(|pair| pair.0 == rest)?;
    Some(format!("model.layers.{layer}.{name}"))
}

/// The GGUF name of the tensor with this Hugging Face name, `None` for a name that Llama models do not have.
///
/// ```
/// use quantization::llama::gguf_name;
/// assert_eq!(gguf_name("model.layers.0.mlp.down_proj.weight").unwrap(), "blk.0.ffn_down.weight");
/// ```
pub fn gguf_name(hugging_face: &str) -> Option<String> {
    if let Some((name, _)) = OUTSIDE.iter().find(|pair| pair.1 == hugging_face) {
        return Some((*name).to_owned());
    }
    let (layer, rest) = hugging_face.strip_prefix("model.layers.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let (name, _) = BLOCK.iter().find(|pair| pair.1 == rest)?;
    Some(format!("blk.{layer}.{name}"))
}

/// Heads by which the rows of the tensor with this GGUF name are permuted between the conventions; `None`: not at all.
pub fn permuted_heads(gguf: &str, config: &Config) -> Option<usize> {
    if gguf.ends_with(".attn_q.weight") {
        Some(config.heads)
    } else if gguf.ends_with(".attn_k.weight") {
        Some(config.kv_heads)
    } else {
        None
    }
}

/// The rows of `attn_q` or `attn_k`, Hugging Face order in (rotated halves), GGUF order out (rotated adjacent pairs).
///
/// ```text
/// (heads, 2, d/2, row) → (heads, d/2, 2, row)
/// ```
/// Rows move as whole blocks of bytes, so that quantized tensors can be permuted too.
///
/// ```
/// use quantization::llama::halves_to_pairs;
/// assert_eq!(halves_to_pairs(b"0123", 1, 4), b"0213");
/// ```
///
/// # Panics
/// If `bytes` is not `rows` rows of equal length, or `rows` not a multiple of `2·heads`.
pub fn halves_to_pairs(bytes: &[u8], heads: usize, rows: usize) -> Vec<u8> {
    permute(bytes, heads, rows, |within, width| (within % 2) * (width / 2) + within / 2)
}

/// The inverse of [`halves_to_pairs`].
///
/// # Panics
/// As [`halves_to_pairs`].
pub fn pairs_to_halves(bytes: &[u8], heads: usize, rows: usize) -> Vec<u8> {
    permute(bytes, heads, rows, |within, width| 2 * (within % (width / 2)) + within / (width / 2))
}

/// Row `within` of each head comes from row `from(within, width of a head)`.
fn permute(bytes: &[u8], heads: usize, rows: usize, from: fn(usize, usize) -> usize) -> Vec<u8> {
    assert!(
        rows.is_multiple_of(2 * heads) && bytes.len().is_multiple_of(rows),
        "rows of equal length in even heads"
    );
    let (row_bytes, width) = (bytes.len() / rows, rows / heads);
    let mut out = Vec::with_capacity(bytes.len());
    for row in 0..rows {
        let source = row / width * width + from(row % width, width);
        out.extend_from_slice(&bytes[source * row_bytes..][..row_bytes]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_translate_both_ways() {
        for (gguf, _) in BLOCK {
            let gguf = format!("blk.12.{gguf}");
            assert_eq!(gguf_name(&hugging_face_name(&gguf).unwrap()), Some(gguf));
        }
        for (gguf, hugging_face) in OUTSIDE {
            assert_eq!(gguf_name(hugging_face).as_deref(), Some(gguf));
        }
        assert_eq!(gguf_name("model.layers.0.self_attn.rotary_emb.inv_freq"), None);
    }

    #[test]
    fn permutations_of_rows_are_inverse() {
        let bytes: Vec<u8> = (0..48).collect();
        let pairs = halves_to_pairs(&bytes, 2, 16);
        assert_eq!(pairs[..12], [0, 1, 2, 12, 13, 14, 3, 4, 5, 15, 16, 17]);
        assert_eq!(pairs_to_halves(&pairs, 2, 16), bytes);
    }
}
