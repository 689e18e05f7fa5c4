//! Configurations in the keys of GGUF and of `config.json`.

use serde_json::json;

use super::vocabulary::{BYTE, CONTROL, NORMAL, UNKNOWN};
use crate::gguf::{Metadata, Strings, Value};
use crate::llama::{Config, Gate, Scalar};
use crate::llama2c::Piece;

/// What a GGUF value says to [`Config::from_gguf`].
pub(super) fn scalar(value: &Value) -> Option<Scalar> {
    let integer = |value: i64| u64::try_from(value).ok().map(Scalar::Integer);
    match value {
        Value::U8(v) => Some(Scalar::Integer((*v).into())),
        Value::U16(v) => Some(Scalar::Integer((*v).into())),
        Value::U32(v) => Some(Scalar::Integer((*v).into())),
        Value::U64(v) => Some(Scalar::Integer(*v)),
        Value::I8(v) => integer((*v).into()),
        Value::I16(v) => integer((*v).into()),
        Value::I32(v) => integer((*v).into()),
        Value::I64(v) => integer(*v),
        Value::F32(v) => Some(Scalar::Real(f64::from(*v))),
        Value::F64(v) => Some(Scalar::Real(*v)),
        Value::Bool(v) => Some(Scalar::Flag(*v)),
        Value::String(text) => Some(Scalar::Text(text.clone())),
        Value::Array(array) => Some(Scalar::Length(array.len())),
    }
}

/// What a JSON value says to [`Config::from_hugging_face`]; `null` says nothing.
pub(super) fn json_scalar(value: &serde_json::Value) -> Option<Scalar> {
    match value {
        serde_json::Value::Null => None,
        serde_json::Value::Bool(flag) => Some(Scalar::Flag(*flag)),
        serde_json::Value::Number(number) => {
            number.as_u64().map(Scalar::Integer).or_else(|| number.as_f64().map(Scalar::Real))
        }
        serde_json::Value::String(text) => Some(Scalar::Text(text.clone())),
        serde_json::Value::Array(values) => Some(Scalar::Length(values.len())),
        serde_json::Value::Object(values) => Some(Scalar::Length(values.len())),
    }
}

/// The keys with which llama.cpp loads a Llama model, without vocabulary (`no_vocab`: token ids are given directly).
pub(super) fn llama_metadata(name: &str, config: &Config) -> Metadata {
    let architecture = if config.gate == Gate::Silu { "llama" } else { "bitnet" };
    let mut keys = Metadata::default();
    keys.set("general.architecture", architecture);
    keys.set("general.name", name);
    let mut size = |key: &str, value: usize| keys.set(format!("{architecture}.{key}"), value as u32);
    size("context_length", config.context);
    size("embedding_length", config.dim);
    size("block_count", config.layers);
    size("feed_forward_length", config.ffn);
    size("attention.head_count", config.heads);
    size("attention.head_count_kv", config.kv_heads);
    if config.head_dim * config.heads != config.dim {
        size("attention.key_length", config.head_dim);
        size("attention.value_length", config.head_dim);
    }
    size("rope.dimension_count", config.rope_dims);
    size("vocab_size", config.vocab);
    keys.set(format!("{architecture}.attention.layer_norm_rms_epsilon"), config.norm_epsilon);
    keys.set(format!("{architecture}.rope.freq_base"), config.rope_base);
    keys.set("tokenizer.ggml.model", "no_vocab");
    keys
}

/// Puts the vocabulary of llama2.c in place of `no_vocab`: SentencePiece with byte pieces, ids 0 to 2 being unknown,
/// beginning and end.
pub(super) fn set_sentence_pieces(keys: &mut Metadata, pieces: &[Piece]) {
    let is_byte = |id: usize| (3..259).contains(&id);
    let text = |(id, piece): (usize, &Piece)| -> Vec<u8> {
        match id {
            0 => b"<unk>".to_vec(),
            1 => b"<s>".to_vec(),
            2 => b"</s>".to_vec(),
            _ if is_byte(id) => format!("<0x{:02X}>", id - 3).into_bytes(),
            _ => {
                // Not through a string: a piece need not be UTF-8 on its own.
                let marked =
                    |&byte: &u8| if byte == b' ' { "\u{2581}".as_bytes().to_vec() } else { vec![byte] };
                piece.bytes.iter().flat_map(marked).collect()
            }
        }
    };
    let kind = |id: usize| match id {
        0 => UNKNOWN,
        1 | 2 => CONTROL,
        _ if is_byte(id) => BYTE,
        _ => NORMAL,
    };
    keys.set("tokenizer.ggml.model", "llama");
    keys.set("tokenizer.ggml.tokens", pieces.iter().enumerate().map(text).collect::<Strings>());
    keys.set("tokenizer.ggml.scores", pieces.iter().map(|piece| piece.score).collect::<Vec<f32>>());
    keys.set("tokenizer.ggml.token_type", (0..pieces.len()).map(kind).collect::<Vec<i32>>());
    keys.set("tokenizer.ggml.bos_token_id", 1_u32);
    keys.set("tokenizer.ggml.eos_token_id", 2_u32);
    keys.set("tokenizer.ggml.unknown_token_id", 0_u32);
    keys.set("tokenizer.ggml.add_bos_token", true);
    keys.set("tokenizer.ggml.add_eos_token", false);
}

/// The `config.json` of a Llama model.
pub(super) fn hugging_face_config(config: &Config) -> serde_json::Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": config.dim,
        "intermediate_size": config.ffn,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "vocab_size": config.vocab,
        "max_position_embeddings": config.context,
        "rms_norm_eps": shortest(config.norm_epsilon),
        "rope_theta": shortest(config.rope_base),
        "hidden_act": if config.gate == Gate::Silu { "silu" } else { "relu2" },
        "tie_word_embeddings": config.tied,
        "attention_bias": false,
        "mlp_bias": false,
    })
}

/// The f64 with the fewest digits that is this f32.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}
