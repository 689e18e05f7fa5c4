//! Names of an encoder's tensors in GGUF files and in Hugging Face checkpoints.

/// GGUF's and Hugging Face's names of a block's layers, without `blk.N.` and `encoder.layer.N.`.
const BLOCK: [(&str, &str); 8] = [
    ("attn_q", "attention.self.query"),
    ("attn_k", "attention.self.key"),
    ("attn_v", "attention.self.value"),
    ("attn_output", "attention.output.dense"),
    ("attn_output_norm", "attention.output.LayerNorm"),
    ("ffn_up", "intermediate.dense"),
    ("ffn_down", "output.dense"),
    ("layer_output_norm", "output.LayerNorm"),
];

/// The same for layers outside the blocks.
const OUTSIDE: [(&str, &str); 4] = [
    ("token_embd", "embeddings.word_embeddings"),
    ("position_embd", "embeddings.position_embeddings"),
    ("token_types", "embeddings.token_type_embeddings"),
    ("token_embd_norm", "embeddings.LayerNorm"),
];

/// The Hugging Face name of the tensor with this GGUF name, `None` for a name that BERT encoders do not have.
///
/// ```
/// use quantization::encoder::hugging_face_name;
/// assert_eq!(hugging_face_name("blk.3.ffn_down.bias").unwrap(), "encoder.layer.3.output.dense.bias");
/// ```
pub fn hugging_face_name(gguf: &str) -> Option<String> {
    let (layer, part) = gguf.rsplit_once('.').filter(|(_, part)| is_part(part))?;
    if let Some((_, name)) = OUTSIDE.iter().find(|pair| pair.0 == layer) {
        return Some(format!("{name}.{part}"));
    }
    let (number, layer) = layer.strip_prefix("blk.")?.split_once('.')?;
    let number: usize = number.parse().ok()?;
    let (_, name) = BLOCK.iter().find(|pair| pair.0 == layer)?;
    Some(format!("encoder.layer.{number}.{name}.{part}"))
}

/// The GGUF name of the tensor with this Hugging Face name, as `convert_hf_to_gguf.py` gives it. `None` for tensors that it
/// leaves out: the pooler, heads, tables that can be computed. The prefix `bert.` and the old names `gamma` and `beta` are
/// understood.
///
/// ```
/// use quantization::encoder::gguf_name;
/// assert_eq!(gguf_name("bert.embeddings.LayerNorm.gamma").unwrap(), "token_embd_norm.weight");
/// assert_eq!(gguf_name("pooler.dense.weight"), None);
/// ```
pub fn gguf_name(hugging_face: &str) -> Option<String> {
    let plain = hugging_face.strip_prefix("bert.").unwrap_or(hugging_face);
    let (layer, part) = plain.rsplit_once('.')?;
    let part = match part {
        "gamma" => "weight",
        "beta" => "bias",
        other => Some(other).filter(|part| is_part(part))?,
    };
    if let Some((name, _)) = OUTSIDE.iter().find(|pair| pair.1 == layer) {
        return Some(format!("{name}.{part}"));
    }
    let (number, layer) = layer.strip_prefix("encoder.layer.")?.split_once('.')?;
    let number: usize = number.parse().ok()?;
    let (name, _) = BLOCK.iter().find(|pair| pair.1 == layer)?;
    Some(format!("blk.{number}.{name}.{part}"))
}

fn is_part(part: &str) -> bool {
    ["weight", "bias"].contains(&part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_translate_both_ways() {
        let blocks = BLOCK.map(|(name, _)| format!("blk.11.{name}.weight"));
        let outside = OUTSIDE.map(|(name, _)| format!("{name}.bias"));
        for name in blocks.into_iter().chain(outside) {
            assert_eq!(gguf_name(&hugging_face_name(&name).unwrap()), Some(name));
        }
        for other in ["embeddings.position_ids", "cls.predictions.bias", "bert.pooler.dense.bias"] {
            assert_eq!(gguf_name(other), None, "{other}");
        }
    }
}
