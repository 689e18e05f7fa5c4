//! Checkpoints out: directories that `transformers` and `open_clip` open.

use std::path::Path;

use common::files;
use common::nn::checkpoint;
use serde_json::{Value, json};
use tch::Tensor;

use super::ModelFileError;
use super::names::to_hugging_face;
use crate::config::{Activation, ModelConfig};
use crate::model::Clip;
use crate::preprocess::{MEAN, STD};
use crate::tokenizer::Tokenizer;

/// Layouts that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `config.json`, `model.safetensors`, `preprocessor_config.json` and, with a tokenizer, its files.
    HuggingFace,
    /// `open_clip_config.json`, `open_clip_model.safetensors`.
    OpenClip,
}

/// Writes a model as a directory of one of the layouts; the weights come last.
///
/// # Errors
/// [`ModelFileError`] for a folder that cannot be written.
pub fn write(
    model: &Clip,
    folder: &Path,
    format: Format,
    tokenizer: Option<&Tokenizer>,
) -> Result<(), ModelFileError> {
    files::make_folder(folder)?;
    let put = |name: &str, value: &Value| {
        files::write_atomic(&folder.join(name), format!("{value:#}\n").as_bytes())
    };
    let plain: Vec<(String, Tensor)> = checkpoint::named(&model.store);
    let plain = plain.into_iter().map(|(name, tensor)| (name, tensor.detach().to_device(tch::Device::Cpu)));
    let config = &model.config;
    match format {
        Format::HuggingFace => {
            put("config.json", &hugging_face(config))?;
            put("preprocessor_config.json", &preprocessor(config.vision.image_px))?;
            if let Some(tokenizer) = tokenizer {
                write_tokenizer(tokenizer, config, folder)?;
            }
            checkpoint::save(&to_hugging_face(plain.collect()), &folder.join("model.safetensors"))?;
        }
        Format::OpenClip => {
            put("open_clip_config.json", &open_clip(config))?;
            let plain: Vec<_> = plain.collect();
            checkpoint::save(&plain, &folder.join("open_clip_model.safetensors"))?;
        }
    }
    Ok(())
}

fn hugging_face(config: &ModelConfig) -> Value {
    let ModelConfig { embed_dim, vision, text, activation, norm_epsilon } = config;
    let end = text.vocabulary - 1;
    json!({
        "architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": embed_dim, "logit_scale_init_value": 2.6592,
        "torch_dtype": "float32",
        "text_config": {
            "model_type": "clip_text_model", "vocab_size": text.vocabulary, "hidden_size": text.width, "intermediate_size": text.mlp_width,
            "num_hidden_layers": text.layers, "num_attention_heads": text.heads, "max_position_embeddings": text.context_length,
            "hidden_act": activation.to_string(), "layer_norm_eps": norm_epsilon, "projection_dim": embed_dim,
            "bos_token_id": end - 1, "eos_token_id": end, "pad_token_id": end,
        },
        "vision_config": {
            "model_type": "clip_vision_model", "hidden_size": vision.width, "intermediate_size": vision.mlp_width,
            "num_hidden_layers": vision.layers, "num_attention_heads": vision.heads, "image_size": vision.image_px,
            "patch_size": vision.patch_px, "num_channels": 3, "hidden_act": activation.to_string(), "layer_norm_eps": norm_epsilon,
            "projection_dim": embed_dim,
        },
    })
}

fn preprocessor(image_px: i64) -> Value {
    json!({
        "image_processor_type": "CLIPImageProcessor", "do_resize": true, "size": {"shortest_edge": image_px}, "resample": 3,
        "do_center_crop": true, "crop_size": {"height": image_px, "width": image_px}, "do_rescale": true,
        "rescale_factor": 1.0 / 255.0, "do_normalize": true, "image_mean": MEAN, "image_std": STD, "do_convert_rgb": true,
    })
}

fn open_clip(config: &ModelConfig) -> Value {
    let ModelConfig { embed_dim, vision, text, activation, .. } = config;
    json!({
        "model_cfg": {
            "embed_dim": embed_dim, "quick_gelu": *activation == Activation::QuickGelu,
            "vision_cfg": {
                "image_size": vision.image_px, "layers": vision.layers, "width": vision.width, "patch_size": vision.patch_px,
                "head_width": vision.width / vision.heads, "mlp_ratio": vision.mlp_width as f64 / vision.width as f64,
            },
            "text_cfg": {
                "context_length": text.context_length, "vocab_size": text.vocabulary, "width": text.width,
                "heads": text.heads, "layers": text.layers, "mlp_ratio": text.mlp_width as f64 / text.width as f64,
            },
        },
        "preprocess_cfg": {"mean": MEAN, "std": STD},
    })
}

/// `vocab.json`, `merges.txt` and settings of `CLIPTokenizer`, with the model's own length.
fn write_tokenizer(tokenizer: &Tokenizer, config: &ModelConfig, folder: &Path) -> Result<(), ModelFileError> {
    let put = |name: &str, text: &str| files::write_atomic(&folder.join(name), text.as_bytes());
    put("vocab.json", &format!("{}\n", tokenizer.vocabulary_json()))?;
    put("merges.txt", &tokenizer.merges_text())?;
    let settings = json!({
        "tokenizer_class": "CLIPTokenizer", "model_max_length": config.text.context_length, "do_lower_case": true,
        "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>",
    });
    put("tokenizer_config.json", &format!("{settings:#}\n"))?;
    Ok(())
}
