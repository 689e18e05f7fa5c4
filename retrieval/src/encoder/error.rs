//! What can go wrong between a directory and token vectors.

use std::path::PathBuf;

use common::files::FileError;
use common::nn::bert::{BertError, ConfigError};
use common::nn::checkpoint::CheckpointError;
use common::text::pieces::PiecesError;
use thiserror::Error;

use crate::tokenizer::TokenizerError;

/// An encoder that cannot be opened, saved or used.
#[derive(Debug, Error)]
pub enum EncoderError {
    /// Unreadable or unwritable.
    #[error(transparent)]
    File(#[from] FileError),
    /// `config.json`.
    #[error("{path}: {source}", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ConfigError,
    },
    /// Weights that are not those of the configuration.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Tokenizer files.
    #[error(transparent)]
    Pieces(#[from] PiecesError),
    /// A tokenizer of another model, or a text it cannot take.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A sequence that the network cannot take.
    #[error(transparent)]
    Bert(#[from] BertError),
    /// A file that was read and is of no use.
    #[error("{path}: {problem}", path = path.display())]
    Content {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, what is expected.
        problem: String,
    },
}

pub(super) fn content(path: impl Into<PathBuf>, problem: impl std::fmt::Display) -> EncoderError {
    EncoderError::Content { path: path.into(), problem: problem.to_string() }
}
