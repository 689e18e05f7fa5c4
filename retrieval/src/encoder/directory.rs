//! The layouts of model directories: what is where, and how texts become sequences.
//!
//! | layout | known by | encoder's tensors | projection |
//! |---|---|---|---|
//! | Stanford ColBERT | `artifact.metadata`, or `HF_ColBERT` among the architectures | `bert.…` | `linear.weight` in the same file |
//! | PyLate, sentence-transformers 5 and 6 | `modules.json` | without prefix | one folder per `Dense`, in order |
//! | BERT of Hugging Face | `config.json` alone | with or without prefix | none |

use std::path::{Path, PathBuf};

use common::files;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::{EncoderError, content};
use super::projection::DenseConfig;
use crate::tokenizer::{Augmentation, Layout, punctuation};

pub(super) const METADATA: &str = "artifact.metadata";
pub(super) const MODULES: &str = "modules.json";
pub(super) const SETTINGS: &str = "config_sentence_transformers.json";
/// Our own key in both kinds of settings, for the arms that they cannot express.
pub(super) const AUGMENTATION: &str = "query_augmentation";

/// Where a projection's tensors are.
#[derive(Debug)]
pub(super) enum Source {
    /// `linear.weight` in the encoder's file.
    Inside,
    /// A folder of its own.
    Folder(PathBuf, DenseConfig),
}

/// A model directory, as found.
#[derive(Debug)]
pub(super) struct Directory {
    /// Folder with `config.json`, weights and tokenizer.
    pub(super) encoder: PathBuf,
    pub(super) projections: Vec<Source>,
    /// Absent: not an encoder of token vectors.
    pub(super) layout: Option<Layout>,
}

/// What is in a directory.
pub(super) fn read(path: &Path) -> Result<Directory, EncoderError> {
    if !path.is_dir() {
        return Err(content(
            path,
            "no such folder; expected a model directory with `config.json` and `model.safetensors`",
        ));
    }
    if path.join(METADATA).exists() {
        return stanford(path, &object(&path.join(METADATA))?);
    }
    if path.join(MODULES).exists() {
        return modules(path);
    }
    let config = object(&path.join("config.json"))?;
    let colbert = |names: &Vec<Value>| names.iter().any(|name| name == "HF_ColBERT");
    if config.get("architectures").and_then(Value::as_array).is_some_and(colbert) {
        return stanford(path, &Map::new());
    }
    Ok(Directory { encoder: path.to_owned(), projections: Vec::new(), layout: None })
}

/// A JSON file.
pub(super) fn json<T: DeserializeOwned>(path: &Path) -> Result<T, EncoderError> {
    serde_json::from_str(&files::read_text(path)?).map_err(|error| content(path, error))
}

fn object(path: &Path) -> Result<Map<String, Value>, EncoderError> {
    json(path)
}

/// A key's value in its type, or the default where it is absent or null.
fn key<T: DeserializeOwned>(
    path: &Path,
    settings: &Map<String, Value>,
    name: &str,
    default: T,
) -> Result<T, EncoderError> {
    match settings.get(name) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => {
            serde_json::from_value(value.clone()).map_err(|error| content(path, format!("`{name}`: {error}")))
        }
    }
}

fn own_augmentation(
    path: &Path,
    settings: &Map<String, Value>,
) -> Result<Option<Augmentation>, EncoderError> {
    let name: Option<String> = key(path, settings, AUGMENTATION, None)?;
    let parse =
        |name: String| name.parse().map_err(|error| content(path, format!("`{AUGMENTATION}`: {error}")));
    name.map(parse).transpose()
}

fn stanford(path: &Path, metadata: &Map<String, Value>) -> Result<Directory, EncoderError> {
    let file = path.join(METADATA);
    let published = Layout::colbert();
    let similarity: String = key(&file, metadata, "similarity", "cosine".to_owned())?;
    if similarity != "cosine" {
        return Err(content(&file, format!("`similarity` is `{similarity}`, expected `cosine`")));
    }
    let fixed = Augmentation::Fixed(key(&file, metadata, "query_maxlen", 32)?);
    let layout = Layout {
        query_marker: key(&file, metadata, "query_token_id", published.query_marker)?,
        document_marker: key(&file, metadata, "doc_token_id", published.document_marker)?,
        augmentation: own_augmentation(&file, metadata)?.unwrap_or(fixed),
        attend_to_expansion: key(&file, metadata, "attend_to_mask_tokens", false)?,
        query_length: published.query_length,
        document_length: key(&file, metadata, "doc_maxlen", 220)?,
        skiplist: if key(&file, metadata, "mask_punctuation", true)? { punctuation() } else { Vec::new() },
    };
    Ok(Directory { encoder: path.to_owned(), projections: vec![Source::Inside], layout: Some(layout) })
}

/// An entry of `modules.json`.
#[derive(serde::Deserialize)]
struct Module {
    path: String,
    r#type: String,
}

fn modules(path: &Path) -> Result<Directory, EncoderError> {
    let file = path.join(MODULES);
    let mut found = Directory { encoder: path.to_owned(), projections: Vec::new(), layout: None };
    let mut mask = None;
    let list: Vec<Module> = json(&file)?;
    for Module { path: name, r#type: kind } in list {
        let folder = path.join(&name);
        // The packages move their classes from release to release; the last component stays.
        match kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" => found.encoder = folder,
            "Dense" => {
                let config: DenseConfig = json(&folder.join("config.json"))?;
                if let Some(problem) = config.problem() {
                    return Err(content(folder.join("config.json"), problem));
                }
                found.projections.push(Source::Folder(folder, config));
            }
            "MultiVectorMask" => mask = Some(object(&folder.join("config.json"))?),
            "Pooling" => mean_only(&folder.join("config.json"))?,
            "Normalize" => {}
            other => {
                let known = "expected Transformer, Dense, MultiVectorMask, Pooling or Normalize";
                return Err(content(&file, format!("module `{other}` is not known; {known}")));
            }
        }
    }
    found.layout = sequences(path, &found.encoder, mask.as_ref())?;
    Ok(found)
}

fn mean_only(file: &Path) -> Result<(), EncoderError> {
    let config = object(file)?;
    let mode: Option<String> = key(file, &config, "pooling_mode", None)?;
    let mean =
        mode.as_deref() == Some("mean") || config.get("pooling_mode_mean_tokens") == Some(&Value::Bool(true));
    if mean {
        Ok(())
    } else {
        Err(content(file, "the pooling is not the mean over tokens, the only one that is known here"))
    }
}

/// The sequences of a directory with `modules.json`; `None` for one without any word of token vectors.
fn sequences(
    path: &Path,
    encoder: &Path,
    mask: Option<&Map<String, Value>>,
) -> Result<Option<Layout>, EncoderError> {
    let file = path.join(SETTINGS);
    let settings = if file.exists() { object(&file)? } else { Map::new() };
    if let Some(mask) = mask {
        return multi_vector(path, &file, &settings, encoder, mask).map(Some);
    }
    if !["query_prefix", "document_prefix", "query_length"].iter().any(|name| settings.contains_key(*name)) {
        return Ok(None);
    }
    let prefix = |name, default: &str| -> Result<Option<String>, EncoderError> {
        let text: String = key(&file, &settings, name, default.to_owned())?;
        Ok((!text.is_empty()).then_some(text))
    };
    let length = key(&file, &settings, "query_length", 32)?;
    let expansion = key(&file, &settings, "do_query_expansion", true)?;
    let augmentation = if expansion { Augmentation::Fixed(length) } else { Augmentation::None };
    let augmentation = own_augmentation(&file, &settings)?.unwrap_or(augmentation);
    let fixed = matches!(augmentation, Augmentation::Fixed(_)) || augmentation == Augmentation::None;
    Ok(Some(Layout {
        query_marker: prefix("query_prefix", "[Q] ")?,
        document_marker: prefix("document_prefix", "[D] ")?,
        augmentation,
        attend_to_expansion: expansion && key(&file, &settings, "attend_to_expansion_tokens", false)?,
        query_length: if fixed { length } else { 512 },
        document_length: key(&file, &settings, "document_length", 180)?,
        skiplist: key(&file, &settings, "skiplist_words", punctuation())?,
    }))
}

/// sentence-transformers 6: lengths and expansion stand with the encoder, prompts are texts, the skiplist has
/// a module.
fn multi_vector(
    path: &Path,
    file: &Path,
    settings: &Map<String, Value>,
    encoder: &Path,
    mask: &Map<String, Value>,
) -> Result<Layout, EncoderError> {
    let own = encoder.join("sentence_bert_config.json");
    let lengths = if own.exists() { object(&own)? } else { Map::new() };
    let prompts: Map<String, Value> = key(file, settings, "prompts", Map::new())?;
    let prompt = |name: &str| -> Result<Option<String>, EncoderError> {
        let text: String = key(file, &prompts, name, String::new())?;
        Ok((!text.is_empty()).then_some(text))
    };
    let limit = key(&own, &lengths, "max_seq_length", 512)?;
    let query_length = key(&own, &lengths, "query_length", limit)?;
    let expansion: Map<String, Value> = key(&own, &lengths, "query_expansion", Map::new())?;
    let strategy: String = key(&own, &expansion, "strategy", String::new())?;
    let length = key(&own, &expansion, "length", 32)?;
    let augmentation = match strategy.as_str() {
        "" => Augmentation::None,
        "fixed" => Augmentation::Fixed(length),
        "min" => Augmentation::AtLeast(length),
        other => {
            return Err(content(
                &own,
                format!("query expansion `{other}` is not known, expected `fixed` or `min`"),
            ));
        }
    };
    let keep_only: Vec<i64> = key(&own, mask, "keep_only_token_ids", Vec::new())?;
    if !keep_only.is_empty() {
        return Err(content(
            path,
            "`keep_only_token_ids` belongs to models of images, which are not known here",
        ));
    }
    Ok(Layout {
        query_marker: prompt("query")?,
        document_marker: prompt("document")?,
        augmentation,
        attend_to_expansion: key(&own, &expansion, "attend", false)?,
        query_length: if augmentation == Augmentation::Fixed(length) { length } else { query_length },
        document_length: key(&own, &lengths, "document_length", limit)?,
        skiplist: key(&own, mask, "skiplist_words", Vec::new())?,
    })
}
