//! Names of tensors: every layout's become OpenAI's.

use std::collections::{BTreeMap, HashMap};

use tch::Tensor;

use super::LONG_CLIP_KEPT;
use crate::position::PositionTable;

/// Whose names and nesting a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Plain names: OpenAI's, Long-CLIP's, open_clip's `CLIP`.
    Plain,
    /// open_clip's `CustomTextCLIP`: the text tower's names start with `text.`.
    CustomText,
    /// Hugging Face's `CLIPModel`.
    HuggingFace,
}

impl std::fmt::Display for Layout {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Plain => "OpenAI, open_clip or Long-CLIP",
            Self::CustomText => "open_clip with its own text class",
            Self::HuggingFace => "Hugging Face",
        })
    }
}

/// Tensors by OpenAI's names.
pub(super) struct Plain {
    pub(super) tensors: BTreeMap<String, Tensor>,
    pub(super) layout: Layout,
    pub(super) notes: Vec<String>,
}

/// Second table of Long-CLIP's files.
pub(super) const RESIDUAL: &str = "positional_embedding_res";
/// The table of every layout.
pub(super) const POSITIONS: &str = "positional_embedding";

/// Buffers that say what the shapes say too.
const BUFFERS: [&str; 5] = ["input_resolution", "context_length", "vocab_size", "attn_mask", "position_ids"];

/// Tensors under OpenAI's names, whatever layout and nesting they came in.
pub(super) fn plain(tensors: Vec<(String, Tensor)>) -> Result<Plain, String> {
    let mut notes = Vec::new();
    let tensors = unnested(tensors)?;
    let is_buffer = |name: &str| BUFFERS.contains(&name.rsplit('.').next().unwrap_or(name));
    let tensors: BTreeMap<String, Tensor> =
        tensors.into_iter().filter(|(name, _)| !is_buffer(name)).collect();
    let has = |name: &str| tensors.contains_key(name);
    if has("visual.conv1.weight") {
        let custom = has("text.token_embedding.weight");
        let layout = if custom { Layout::CustomText } else { Layout::Plain };
        let rename = |name: String| match name.strip_prefix("text.") {
            Some(rest) if custom => rest.to_owned(),
            _ => name,
        };
        let tensors = tensors.into_iter().map(|(name, tensor)| (rename(name), tensor)).collect();
        return Ok(Plain { tensors, layout, notes });
    }
    if has("vision_model.embeddings.patch_embedding.weight") {
        let tensors = from_hugging_face(tensors, &mut notes)?;
        return Ok(Plain { tensors, layout: Layout::HuggingFace, notes });
    }
    if tensors.keys().any(|name| name.starts_with("visual.layer1.")) {
        return Err("the image tower is a ResNet, expected a vision transformer (ViT-…)".to_owned());
    }
    let first: Vec<&str> = tensors.keys().take(3).map(String::as_str).collect();
    let found =
        if first.is_empty() { "no tensors".to_owned() } else { format!("`{}`, …", first.join("`, `")) };
    Err(format!(
        "{found}, expected a CLIP with `visual.conv1.weight` (OpenAI, open_clip, Long-CLIP) or \
         `vision_model.embeddings.patch_embedding.weight` (Hugging Face)"
    ))
}

/// The tensors of the model, without what lies around them: `state_dict.` of a training state, `module.` of a
/// distributed one. Optimiser states and other company are left out.
fn unnested(tensors: Vec<(String, Tensor)>) -> Result<Vec<(String, Tensor)>, String> {
    const MARKS: [&str; 2] = ["visual.conv1.weight", "vision_model.embeddings.patch_embedding.weight"];
    let mark = tensors.iter().find_map(|(name, _)| {
        let prefix = MARKS.iter().find_map(|mark| name.strip_suffix(mark))?;
        (prefix.is_empty() || prefix.ends_with('.')).then(|| prefix.to_owned())
    });
    let Some(prefix) = mark.filter(|prefix| !prefix.is_empty()) else { return Ok(tensors) };
    let stripped = tensors.into_iter();
    Ok(stripped
        .filter_map(|(name, tensor)| Some((name.strip_prefix(&*prefix)?.to_owned(), tensor)))
        .collect())
}

/// One table of Long-CLIP's two: the first rows of the frozen one, the others of the trained one.
pub(super) fn merge_positions(
    tensors: &mut BTreeMap<String, Tensor>,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    let Some(residual) = tensors.remove(RESIDUAL) else {
        if let Some(table) = tensors.get(POSITIONS)
            && table.size().first() == Some(&248)
        {
            notes.push(format!("248 positions without `{RESIDUAL}`: `{POSITIONS}` is used as it is"));
        }
        return Ok(());
    };
    let frozen = tensors.get(POSITIONS).ok_or_else(|| format!("`{RESIDUAL}` without `{POSITIONS}`"))?;
    let table = |name: &str, tensor: &Tensor| {
        PositionTable::from_tensor(tensor).map_err(|error| format!("`{name}`: {error}"))
    };
    let merged = table(POSITIONS, frozen)?
        .with_tail_of(&table(RESIDUAL, &residual)?, LONG_CLIP_KEPT)
        .map_err(|_| format!("`{RESIDUAL}` has shape {:?}, expected {:?}", residual.size(), frozen.size()))?;
    notes.push(format!("Long-CLIP: positions 0 to 19 of `{POSITIONS}`, the others of `{RESIDUAL}`"));
    tensors.insert(POSITIONS.to_owned(), merged.to_tensor());
    Ok(())
}

/// Whether official loaders round this weight to half precision: convolution, linear, attention, projections.
pub(super) fn is_product(name: &str) -> bool {
    !(name.ends_with("embedding")
        || name.contains(".ln_")
        || name.starts_with("ln_")
        || name == "token_embedding.weight"
        || name == "logit_scale")
}

const TOWERS: [(&str, &str); 2] = [
    ("text_model.encoder.layers.", "transformer.resblocks."),
    ("vision_model.encoder.layers.", "visual.transformer.resblocks."),
];

/// Hugging Face's name, OpenAI's, and whether the matrix is transposed.
const OTHERS: [(&str, &str, bool); 15] = [
    ("text_model.embeddings.token_embedding.weight", "token_embedding.weight", false),
    ("text_model.embeddings.position_embedding.weight", POSITIONS, false),
    ("text_model.embeddings.position_embedding", POSITIONS, false),
    ("text_model.embeddings.position_embedding_res", RESIDUAL, false),
    ("text_model.final_layer_norm", "ln_final", false),
    ("text_projection.weight", "text_projection", true),
    ("vision_model.embeddings.class_embedding", "visual.class_embedding", false),
    ("vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight", false),
    ("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding", false),
    ("vision_model.pre_layrnorm", "visual.ln_pre", false),
    ("vision_model.post_layernorm", "visual.ln_post", false),
    ("visual_projection.weight", "visual.proj", true),
    ("logit_scale", "logit_scale", false),
    ("text_model.embeddings.position_embedding_res.weight", RESIDUAL, false),
    ("vision_model.pre_layernorm", "visual.ln_pre", false),
];

/// Names of a block, Hugging Face's and OpenAI's.
const BLOCK: [(&str, &str); 5] = [
    ("layer_norm1.", "ln_1."),
    ("layer_norm2.", "ln_2."),
    ("self_attn.out_proj.", "attn.out_proj."),
    ("mlp.fc1.", "mlp.c_fc."),
    ("mlp.fc2.", "mlp.c_proj."),
];

fn from_hugging_face(
    tensors: BTreeMap<String, Tensor>,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, Tensor>, String> {
    let mut plain = BTreeMap::new();
    let mut thirds: HashMap<String, [Option<Tensor>; 3]> = HashMap::new();
    for (name, tensor) in tensors {
        if let Some((whole, part)) = third_of(&name) {
            thirds.entry(whole).or_default()[part] = Some(tensor);
        } else if let Some(new) = block_name(&name) {
            plain.insert(new, tensor);
        } else {
            let (new, transposed) = other_name(&name).unwrap_or((name, false));
            plain
                .insert(new, if transposed && tensor.dim() == 2 { tensor.tr().contiguous() } else { tensor });
        }
    }
    for (whole, parts) in thirds {
        let [Some(query), Some(key), Some(value)] = parts else {
            return Err(format!("`{whole}` needs q_proj, k_proj and v_proj, of which one is missing"));
        };
        if query.size() != key.size() || query.size() != value.size() || query.dim() == 0 {
            return Err(format!("`{whole}`: q_proj, k_proj and v_proj have different shapes"));
        }
        plain.insert(whole, Tensor::cat(&[query, key, value], 0));
    }
    if plain.contains_key(RESIDUAL) {
        notes.push("a Hugging Face file with both of Long-CLIP's tables".to_owned());
    }
    Ok(plain)
}

fn third_of(name: &str) -> Option<(String, usize)> {
    let (block, rest) = block_parts(name)?;
    let rest = rest.strip_prefix("self_attn.")?;
    let (part, kind) = rest.split_once('.')?;
    let part = ["q_proj", "k_proj", "v_proj"].iter().position(|known| *known == part)?;
    Some((format!("{block}attn.in_proj_{kind}"), part))
}

fn block_name(name: &str) -> Option<String> {
    let (block, rest) = block_parts(name)?;
    let (from, to) = BLOCK.iter().find(|(from, _)| rest.starts_with(from))?;
    Some(format!("{block}{to}{}", &rest[from.len()..]))
}

/// `transformer.resblocks.3.` and what follows.
fn block_parts(name: &str) -> Option<(String, &str)> {
    let (from, to) = TOWERS.iter().find(|(from, _)| name.starts_with(from))?;
    let (number, rest) = name[from.len()..].split_once('.')?;
    Some((format!("{to}{number}."), rest))
}

fn other_name(name: &str) -> Option<(String, bool)> {
    OTHERS.iter().find_map(|(from, to, transposed)| {
        let rest = name.strip_prefix(from)?;
        let fits = rest.is_empty() || (rest == ".weight" || rest == ".bias") && !from.ends_with("weight");
        fits.then(|| (format!("{to}{rest}"), *transposed))
    })
}

/// Tensors by Hugging Face's names: the inverse.
pub(super) fn to_hugging_face(tensors: Vec<(String, Tensor)>) -> Vec<(String, Tensor)> {
    let mut out = Vec::new();
    for (name, tensor) in tensors {
        let tower = TOWERS.iter().find_map(|(to, from)| Some((to, name.strip_prefix(from)?)));
        let Some((tower, (number, rest))) = tower.and_then(|(to, rest)| Some((to, rest.split_once('.')?)))
        else {
            out.push(hugging_face_other(&name, tensor));
            continue;
        };
        if let Some(kind) = rest.strip_prefix("attn.in_proj_") {
            for (part, third) in ["q_proj", "k_proj", "v_proj"].iter().zip(tensor.chunk(3, 0)) {
                out.push((format!("{tower}{number}.self_attn.{part}.{kind}"), third.contiguous()));
            }
            continue;
        }
        let renamed = BLOCK.iter().find_map(|(to, from)| Some((to, rest.strip_prefix(from)?)));
        if let Some((to, kind)) = renamed {
            out.push((format!("{tower}{number}.{to}{kind}"), tensor));
        }
    }
    out
}

fn hugging_face_other(name: &str, tensor: Tensor) -> (String, Tensor) {
    let found = OTHERS.iter().find_map(|(to, from, transposed)| {
        let rest = name.strip_prefix(from)?;
        (rest.is_empty() || rest.starts_with('.')).then(|| (format!("{to}{rest}"), *transposed))
    });
    match found {
        Some((name, true)) => (name, tensor.tr().contiguous()),
        Some((name, false)) => (name, tensor),
        None => (name.to_owned(), tensor),
    }
}
