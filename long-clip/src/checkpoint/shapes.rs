//! Sizes of a model from the shapes of its tensors, as OpenAI's `build_model` derives them.

use std::collections::BTreeMap;

use tch::Tensor;

use super::Options;
use super::settings::Settings;
use crate::config::{Activation, HEAD_WIDTH, ModelConfig, TextConfig, VisionConfig};

pub(super) fn config(
    tensors: &BTreeMap<String, Tensor>,
    settings: &Settings,
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<ModelConfig, String> {
    let [vision_width, 3, patch, patch_width] = sizes(tensors, "visual.conv1.weight")? else {
        return Err("`visual.conv1.weight` takes other than 3 colours".to_owned());
    };
    if patch != patch_width {
        return Err(format!("patches of {patch} × {patch_width} pixels, expected squares"));
    }
    let [places, _] = sizes(tensors, "visual.positional_embedding")?;
    let grid = ((places - 1).max(0) as f64).sqrt().round() as i64;
    if grid * grid + 1 != places {
        return Err(format!("`visual.positional_embedding` has {places} rows, expected a square plus 1"));
    }
    let [_, embed_dim] = sizes(tensors, "visual.proj")?;
    let [context_length, text_width] = sizes(tensors, super::names::POSITIONS)?;
    let [vocabulary, _] = sizes(tensors, "token_embedding.weight")?;
    let mlp = |prefix: &str| {
        sizes(tensors, &format!("{prefix}resblocks.0.mlp.c_fc.weight")).map(|[inner, _]| inner)
    };
    let heads = |given: Option<i64>, said: Option<i64>, width: i64| {
        given.or(said).unwrap_or((width / HEAD_WIDTH).max(1))
    };
    let activation = match (options.activation, settings.activation) {
        (Some(given), Some(said)) if given != said => {
            notes.push(format!("activation {given} as ordered; the settings say {said}"));
            given
        }
        (Some(given), _) => given,
        (None, Some(said)) => said,
        (None, None) => {
            let other = Activation::Gelu;
            notes.push(format!(
                "activation {}: the weights do not tell; for a model that was trained with {other}, say --activation {other}",
                Activation::QuickGelu
            ));
            Activation::QuickGelu
        }
    };
    let vision_heads = heads(options.vision_heads, settings.vision_heads, vision_width);
    let text_heads = heads(options.text_heads, settings.text_heads, text_width);
    Ok(ModelConfig {
        embed_dim,
        vision: VisionConfig {
            image_px: grid * patch,
            patch_px: patch,
            width: vision_width,
            layers: layers(tensors, "visual.transformer."),
            heads: vision_heads,
            mlp_width: mlp("visual.transformer.")?,
        },
        text: TextConfig {
            context_length,
            vocabulary,
            width: text_width,
            layers: layers(tensors, "transformer."),
            heads: text_heads,
            mlp_width: mlp("transformer.")?,
        },
        activation,
        norm_epsilon: settings.norm_epsilon.unwrap_or(1e-5),
    })
}

fn sizes<const N: usize>(tensors: &BTreeMap<String, Tensor>, name: &str) -> Result<[i64; N], String> {
    let tensor = tensors.get(name).ok_or_else(|| format!("`{name}` is missing"))?;
    let shape = tensor.size();
    shape.clone().try_into().map_err(|_| format!("`{name}` has shape {shape:?}, expected {N} dimensions"))
}

fn layers(tensors: &BTreeMap<String, Tensor>, prefix: &str) -> i64 {
    let start = format!("{prefix}resblocks.");
    let blocks =
        tensors.keys().filter(|name| name.starts_with(&start) && name.ends_with(".attn.in_proj_weight"));
    blocks.count() as i64
}
