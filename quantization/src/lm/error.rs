//! What can go wrong with the language model.

use std::path::PathBuf;

use common::nn::checkpoint::CheckpointError;
use common::optim::Diverged;
use thiserror::Error;

use crate::qat::QatError;

/// A model, its data or its files that cannot be used.
#[derive(Debug, Error)]
pub enum LmError {
    /// A setting without meaning.
    #[error("configuration: `{field}` is {found}; expected {expected}")]
    Config {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What is possible.
        expected: &'static str,
    },
    /// Fake quantization that does not fit the layers.
    #[error("configuration: {0}")]
    Qat(#[from] QatError),
    /// Text shorter than one window.
    #[error("the text has {found} bytes, expected at least {expected}; use a longer one or shorter windows")]
    Text {
        /// Bytes given.
        found: usize,
        /// Bytes needed.
        expected: usize,
    },
    /// Training has diverged.
    #[error("step {step}: {source}")]
    Diverged {
        /// Step, from 0.
        step: usize,
        /// What to do.
        source: Diverged,
    },
    /// Two models that share no weights.
    #[error("`{name}` has shape {found:?}, expected {expected:?}; both models need the same sizes")]
    Shape {
        /// The parameter.
        name: String,
        /// Shape in the source.
        found: Vec<i64>,
        /// Shape in this model.
        expected: Vec<i64>,
    },
    /// Weights on disk.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A file that cannot be read or written.
    #[error("{path}: {problem}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system or the parser said.
        problem: String,
    },
    /// Weights that no file of this layout can hold.
    #[error(
        "a model with `norm_position` each-projection has no export: its gains come after the shared norm"
    )]
    NoExport,
}
