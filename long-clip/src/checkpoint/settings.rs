//! What `config.json` of Hugging Face or `open_clip_config.json` say beside the weights.

use std::path::Path;

use common::files;
use serde_json::Value;

use super::ModelFileError;
use crate::config::Activation;

/// What shapes do not tell.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) activation: Option<Activation>,
    pub(super) vision_heads: Option<i64>,
    pub(super) text_heads: Option<i64>,
    pub(super) norm_epsilon: Option<f64>,
}

/// What reads a file of settings.
type Reader = fn(&Value) -> Result<Settings, String>;

/// The settings in the folder of a file of weights; none where there is no such file.
pub(super) fn beside(weights: &Path) -> Result<Settings, ModelFileError> {
    let folder = weights.parent().unwrap_or(Path::new(""));
    let readers: [(&str, Reader); 2] = [("open_clip_config.json", open_clip), ("config.json", hugging_face)];
    let is_open_clip =
        weights.file_name().is_some_and(|name| name.to_string_lossy().starts_with("open_clip"));
    for (name, read) in readers {
        // A folder can hold both layouts; each has its own settings.
        let path = folder.join(name);
        if !path.exists() || (is_open_clip && name == "config.json") {
            continue;
        }
        let fail = |problem: String| ModelFileError::Settings { path: path.clone(), problem };
        let json =
            serde_json::from_str(&files::read_text(&path)?).map_err(|error| fail(error.to_string()))?;
        return read(&json).map_err(fail);
    }
    Ok(Settings::default())
}

fn hugging_face(json: &Value) -> Result<Settings, String> {
    let (vision, text) = (&json["vision_config"], &json["text_config"]);
    let activation = |tower: &Value| match tower["hidden_act"].as_str() {
        None => Ok(None),
        Some(name) => name.parse::<Activation>().map(Some).map_err(|error| error.to_string()),
    };
    let (of_vision, of_text) = (activation(vision)?, activation(text)?);
    if let (Some(vision), Some(text)) = (of_vision, of_text)
        && vision != text
    {
        return Err(format!("images with {vision} and texts with {text}; expected one activation for both"));
    }
    let is_clip = json["model_type"].as_str().is_none_or(|kind| kind == "clip");
    if !is_clip {
        return Err(format!("a model of type {}, expected `clip`", json["model_type"]));
    }
    Ok(Settings {
        // The library's own default, which a shortened file leaves out.
        activation: of_vision.or(of_text).or(Some(Activation::QuickGelu)),
        vision_heads: vision["num_attention_heads"].as_i64(),
        text_heads: text["num_attention_heads"].as_i64(),
        norm_epsilon: vision["layer_norm_eps"].as_f64(),
    })
}

fn open_clip(json: &Value) -> Result<Settings, String> {
    let model = &json["model_cfg"];
    if !model.is_object() {
        return Err("no `model_cfg` in it, expected the settings of open_clip".to_owned());
    }
    let vision = &model["vision_cfg"];
    let quick = model["quick_gelu"].as_bool().unwrap_or(false);
    let head_width = vision["head_width"].as_i64().unwrap_or(64);
    let heads = vision["width"].as_i64().map(|width| width / head_width.max(1));
    Ok(Settings {
        activation: Some(if quick { Activation::QuickGelu } else { Activation::Gelu }),
        vision_heads: heads,
        text_heads: model["text_cfg"]["heads"].as_i64(),
        norm_epsilon: None,
    })
}
