//! Weights of other programs.

use std::fs;
use std::path::Path;

use common::nn::checkpoint;
use serde::Deserialize;
use tch::{Device, Kind};

use super::config::{LmConfig, NormPosition, ProjectionKind};
use super::export::to_pairs;
use super::{LmError, Model};

/// The fields of `config.json` that decide the architecture.
#[derive(Debug, Deserialize)]
struct HuggingFaceConfig {
    model_type: String,
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    num_key_value_heads: Option<i64>,
    vocab_size: i64,
    max_position_embeddings: i64,
    rms_norm_eps: f64,
    #[serde(default = "default_base")]
    rope_theta: f64,
    #[serde(default)]
    tie_word_embeddings: bool,
    head_dim: Option<i64>,
}

fn default_base() -> f64 {
    10_000.0
}

impl HuggingFaceConfig {
    fn architecture(&self) -> Result<LmConfig, LmError> {
        let refuse = |field, found: String, expected| Err(LmError::Config { field, found, expected });
        if self.model_type != "llama" {
            return refuse("model_type", format!("`{}`", self.model_type), "`llama`");
        }
        let heads = self.num_attention_heads;
        let config = LmConfig {
            vocabulary: self.vocab_size,
            width: self.hidden_size,
            ffn_width: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads,
            kv_heads: self.num_key_value_heads.unwrap_or(heads),
            context: self.max_position_embeddings,
            rms_epsilon: self.rms_norm_eps,
            rope_base: self.rope_theta,
            tied: self.tie_word_embeddings,
            dropout: 0.0,
            projection: ProjectionKind::FullPrecision,
            norm_position: NormPosition::Block,
        };
        config.check()?;
        match self.head_dim {
            Some(found) if found != config.head_width() => {
                refuse("head_dim", found.to_string(), "`hidden_size` over `num_attention_heads`")
            }
            _ => Ok(config),
        }
    }
}

/// The full-precision model in a folder of `config.json` and `model.safetensors` in Hugging Face's layout; 16-bit
/// numbers are widened, rows of rotary pairs brought together.
///
/// # Errors
/// [`LmError`] for missing files, another architecture, or weights that do not fit it.
pub fn load_hugging_face(folder: &Path) -> Result<Model, LmError> {
    load_hugging_face_on(Device::Cpu, folder)
}

/// The same on a device.
///
/// # Errors
/// As [`load_hugging_face`].
pub fn load_hugging_face_on(device: Device, folder: &Path) -> Result<Model, LmError> {
    let path = folder.join("config.json");
    let file = |problem: String| LmError::File { path: path.clone(), problem };
    let text = fs::read_to_string(&path).map_err(|error| file(error.to_string()))?;
    let parsed: HuggingFaceConfig = serde_json::from_str(&text).map_err(|error| file(error.to_string()))?;
    let config = parsed.architecture()?;
    let model = Model::on(device, &config, 0)?;
    let path = folder.join("model.safetensors");
    let mut weights = checkpoint::read(&path)?;
    for (name, tensor) in &mut weights {
        if matches!(tensor.kind(), Kind::Half | Kind::BFloat16) {
            *tensor = tensor.to_kind(Kind::Float);
        }
        let fits = tensor.dim() == 2 && tensor.size()[0] % config.head_width() == 0;
        match name.rsplit('.').nth(1) {
            Some("q_proj") if fits => *tensor = to_pairs(tensor, config.heads),
            Some("k_proj") if fits => *tensor = to_pairs(tensor, config.kv_heads),
            _ => {}
        }
    }
    checkpoint::fill(model.store(), weights, &path)?;
    Ok(model)
}
