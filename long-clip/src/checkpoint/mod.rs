//! Checkpoints of CLIP: OpenAI's, Hugging Face's, open_clip's and Long-CLIP's in; Hugging Face's and open_clip's out.

mod names;
mod settings;
mod shapes;
mod source;
mod write;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use common::files::FileError;
use common::nn::checkpoint::{self, CheckpointError};
use tch::{Device, Kind, Tensor};
use thiserror::Error;

pub use names::Layout;
pub use write::{Format, write};

use crate::config::{Activation, ConfigError, ModelConfig};
use crate::model::Clip;

/// Rows of Long-CLIP's frozen table, behind which its trained one begins (official code: `mask1`, `mask2`).
pub const LONG_CLIP_KEPT: usize = 20;

/// What a file does not say, or says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Activation; absent: as the settings beside the weights say, else quick_gelu.
    pub activation: Option<Activation>,
    /// Heads of the image tower; absent: as the settings say, else width / 64.
    pub vision_heads: Option<i64>,
    /// Heads of the text tower; absent: as the settings say, else width / 64.
    pub text_heads: Option<i64>,
    /// Rounds products' weights to half precision, as the official loaders of OpenAI's and Long-CLIP's files do before
    /// they compute in f32 on a CPU.
    pub round_to_half: bool,
}

/// A model and where it came from.
#[derive(Debug)]
pub struct Loaded {
    /// The model.
    pub model: Clip,
    /// Layout of the file.
    pub layout: Layout,
    /// What was assumed or left out, for the user to know.
    pub notes: Vec<String>,
}

/// A checkpoint that cannot be read or written.
#[derive(Debug, Error)]
pub enum ModelFileError {
    /// A missing or unreadable file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that is broken or asks for more than tensors, or weights that do not fit their own sizes.
    #[error(transparent)]
    Weights(#[from] CheckpointError),
    /// Settings beside the weights.
    #[error("{path}: {problem}", path = path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what is expected.
        problem: String,
    },
    /// Sizes that make no model.
    #[error("{path}: {source}; heads are no part of the weights: give --vision-heads or --text-heads", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: ConfigError,
    },
    /// Tensors of no CLIP.
    #[error("{path}: {problem}", path = path.display())]
    Tensors {
        /// The file.
        path: PathBuf,
        /// What is missing or odd.
        problem: String,
    },
}

/// Reads a model: a directory of Hugging Face or open_clip, or a file `.pt`, `.bin` or `.safetensors` of any layout. Sizes
/// come from the tensors' shapes; what these do not tell, from the settings beside them and from `options`.
///
/// # Errors
/// [`ModelFileError`]: also for every tensor that is missing, additional or of another shape.
pub fn read(path: &Path, options: &Options, device: Device) -> Result<Loaded, ModelFileError> {
    let source = source::open(path)?;
    let fail = |problem: String| ModelFileError::Tensors { path: source.path.clone(), problem };
    let names::Plain { mut tensors, layout, mut notes } = names::plain(source.tensors).map_err(fail)?;
    names::merge_positions(&mut tensors, &mut notes).map_err(fail)?;
    let settings = settings::beside(&source.path)?;
    let config = shapes::config(&tensors, &settings, options, &mut notes).map_err(fail)?;
    config.check().map_err(|error| ModelFileError::Config { path: source.path.clone(), source: error })?;
    let model = Clip::new(config, device)
        .map_err(|error| ModelFileError::Config { path: source.path.clone(), source: error })?;
    let widened = |(name, tensor): (String, Tensor)| {
        let rounded = if options.round_to_half && names::is_product(&name) {
            tensor.to_kind(Kind::Half)
        } else {
            tensor
        };
        (name, rounded.to_kind(Kind::Float))
    };
    let tensors: HashMap<String, Tensor> = tensors.into_iter().map(widened).collect();
    checkpoint::fill(&model.store, tensors, &source.path)?;
    Ok(Loaded { model, layout, notes })
}

/// The sizes that tensors of one of the layouts have, without making a model: names and shapes suffice.
///
/// # Errors
/// What is missing or odd.
pub fn config_of(tensors: Vec<(String, Tensor)>) -> Result<(ModelConfig, Layout), String> {
    let names::Plain { mut tensors, layout, mut notes } = names::plain(tensors)?;
    names::merge_positions(&mut tensors, &mut notes)?;
    let config = shapes::config(&tensors, &settings::Settings::default(), &Options::default(), &mut notes)?;
    Ok((config, layout))
}
