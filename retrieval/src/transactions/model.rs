//! A trained model on the disk: an encoder in the layout of PyLate, and beside it what makes it a coder of transactions.

use std::path::{Path, PathBuf};

use common::files::{self, FileError};
use common::nn::bert::Config;
use serde::{Deserialize, Serialize};
use tch::Device;
use thiserror::Error;

use super::coding::Rule;
use super::record::Template;
use crate::encoder::{ColBert, EncoderError, Options};
use crate::tokenizer::Layout;
use crate::tokenizer::train::{Kind, TrainError as VocabularyError, train as train_vocabulary};

/// Longest string in tokens, special ones included; what is behind is cut off.
pub const LENGTH: usize = 48;
const SETTINGS: &str = "transactions.json";
const VERSION: u32 = 1;

/// A model that cannot be made, read or written.
#[derive(Debug, Error)]
pub enum ModelError {
    /// Its encoder.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// Its vocabulary.
    #[error(transparent)]
    Vocabulary(#[from] VocabularyError),
    /// Its files.
    #[error(transparent)]
    File(#[from] FileError),
    /// Settings of another kind.
    #[error("{path}: {problem}; expected a folder that `transactions train` wrote", path = path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// Everything but the encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Of these settings.
    pub version: u32,
    /// How transactions become strings.
    pub template: Template,
    /// Columns of the ledger it was trained on, by what they hold: the default for other files.
    pub columns: Vec<(String, String)>,
    /// How suggestions are made.
    pub rule: Rule,
}

impl Settings {
    /// Settings before anything is learned.
    pub fn new(template: Template, columns: Vec<(String, String)>) -> Self {
        Self { version: VERSION, template, columns, rule: Rule::untaught() }
    }
}

/// Sizes of a new encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Layers.
    pub layers: i64,
    /// Width of the hidden states.
    pub hidden: i64,
    /// Values of a vector: small, for fast retrieval, as in the article.
    pub width: i64,
    /// Entries of the vocabulary.
    pub vocabulary: usize,
}

impl Size {
    /// Two layers of width 128, vectors of 64 values.
    pub fn small() -> Self {
        Self { layers: 2, hidden: 128, width: 64, vocabulary: 4000 }
    }
}

/// A new encoder with random weights and a vocabulary of these strings, without dropout.
///
/// # Errors
/// [`ModelError`] for sizes that no encoder has.
pub fn new_encoder(strings: &[String], size: Size, device: Device, seed: u64) -> Result<ColBert, ModelError> {
    let pieces =
        train_vocabulary(strings.iter().map(String::as_str), Kind::WordPiece { size: size.vocabulary })?;
    let config = Config {
        hidden_dropout_prob: 0.0,
        attention_probs_dropout_prob: 0.0,
        max_position_embeddings: LENGTH as i64,
        ..Config::new(pieces.len() as i64, size.hidden, size.layers, (size.hidden / 32).max(1))
    };
    Ok(ColBert::new(&config, pieces, Layout::plain(LENGTH), size.width, device, seed)?)
}

/// Vectors of length 1, `[strings, width]`; each distinct string is encoded once.
///
/// # Errors
/// [`EncoderError`].
pub fn encode(encoder: &ColBert, strings: &[&str]) -> Result<Vec<f32>, EncoderError> {
    Ok(encoder.encode_pooled(strings, false)?.values().to_vec())
}

/// Reads a model, and a name for its vectors that changes with its weights.
///
/// # Errors
/// [`ModelError`].
pub fn open(folder: &Path, device: Device) -> Result<(ColBert, Settings, String), ModelError> {
    let path = folder.join(SETTINGS);
    let fail = |problem: String| ModelError::Settings { path: path.clone(), problem };
    let settings: Settings =
        serde_json::from_str(&files::read_text(&path)?).map_err(|error| fail(error.to_string()))?;
    if settings.version != VERSION {
        return Err(fail(format!("version {}, this program reads {VERSION}", settings.version)));
    }
    let mut encoder = ColBert::open(folder, Options { device, ..Options::cpu() })?;
    encoder.set_layout(Layout::plain(LENGTH))?;
    let name = fingerprint(folder)?;
    Ok((encoder, settings, name))
}

/// Writes a model: the settings last, so that a folder with them is whole. Returns the name of its vectors.
///
/// # Errors
/// [`ModelError`].
pub fn save(folder: &Path, encoder: &ColBert, settings: &Settings) -> Result<String, ModelError> {
    encoder.save_pylate(folder)?;
    let json = serde_json::to_string_pretty(settings).expect("numbers and words") + "\n";
    files::write_atomic(&folder.join(SETTINGS), json.as_bytes())?;
    Ok(fingerprint(folder)?)
}

fn fingerprint(folder: &Path) -> Result<String, FileError> {
    let mut all = String::new();
    for file in ["model.safetensors", "1_Dense/model.safetensors", "tokenizer.json"] {
        all += &files::sha256_of(&folder.join(file))?;
    }
    Ok(files::sha256_hex(all.as_bytes())[..16].to_owned())
}
