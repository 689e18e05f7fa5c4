//! What the JSON files beside the weights say.

use std::path::Path;

use crate::encoder::{self, Pooling};
use crate::gptq_layout::QuantizeConfig;
use crate::llama::{self, Config, LlamaError};
use crate::model_file::ModelFileError;
use crate::model_file::metadata::json_scalar;
use crate::safetensors::Sharded;

pub(in crate::model_file) fn read_json(path: &Path) -> Result<Option<serde_json::Value>, ModelFileError> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = common::files::read_text(path)?;
    let json = serde_json::from_str(&text).map_err(|error| {
        ModelFileError::content(path, format!("{error}; expected the JSON of a Hugging Face configuration"))
    })?;
    Ok(Some(json))
}

pub(super) fn read_config(
    json: &serde_json::Value,
    has: &dyn Fn(&str) -> bool,
) -> Result<Config, LlamaError> {
    let get = |key: &str| json.get(key).and_then(json_scalar);
    if !has("blk.0.attn_q.weight") {
        return Err(LlamaError::Unsupported {
            key: "model_type".to_owned(),
            found: get("model_type").map_or("missing".to_owned(), |value| format!("{value:?}")),
            expected: "a Llama-architecture model with tensors such as model.layers.0.self_attn.q_proj.weight",
        });
    }
    Config::from_hugging_face(&get, has)
}

/// Whether there is an encoder's first block, plain or packed.
pub(super) fn holds_encoder(sharded: &Sharded) -> bool {
    let first = |name: &str| encoder::gguf_name(name).as_deref() == Some("blk.0.attn_q.weight");
    sharded.tensors().any(|(_, tensor)| {
        first(&tensor.name)
            || tensor.name.strip_suffix("qweight").is_some_and(|prefix| first(&format!("{prefix}weight")))
    })
}

/// How sentence-transformers pools the encoder's states; the mean where it says nothing.
pub(super) fn pooling(folder: Option<&Path>) -> Result<Pooling, ModelFileError> {
    let said = folder.map(|folder| read_json(&folder.join("1_Pooling/config.json"))).transpose()?.flatten();
    let first = said.is_some_and(|said| said.get("pooling_mode_cls_token") == Some(&true.into()));
    Ok(if first { Pooling::First } else { Pooling::Mean })
}

pub(super) fn quantize_config(
    folder: Option<&Path>,
    json: Option<&serde_json::Value>,
) -> Result<Option<QuantizeConfig>, ModelFileError> {
    let Some(folder) = folder else { return Ok(None) };
    let is_gptq = |json: &serde_json::Value| {
        json.get("quantization_config").and_then(|inner| inner.get("quant_method"))
            == Some(&serde_json::Value::from("gptq"))
    };
    let own = folder.join("quantize_config.json");
    if own.is_file() {
        return Ok(Some(QuantizeConfig::read(&own)?));
    }
    if json.is_some_and(is_gptq) {
        return Ok(Some(QuantizeConfig::read(&folder.join("config.json"))?));
    }
    Ok(None)
}

/// Whether there is a tensor with this GGUF name, plain or packed.
pub(super) fn has_tensor(sharded: &Sharded, gguf_name: &str) -> bool {
    let Some(name) = llama::hugging_face_name(gguf_name) else { return false };
    let packed = || name.strip_suffix(".weight").map(|prefix| format!("{prefix}.qweight"));
    sharded.tensor(&name).is_some() || packed().is_some_and(|name| sharded.tensor(&name).is_some())
}
