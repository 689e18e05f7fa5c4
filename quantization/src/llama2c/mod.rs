//! llama2.c's "legacy" checkpoint and its tokenizer file.
//!
//! ```text
//! checkpoint: i32 dim, hidden, layers, heads, kv heads, vocabulary (negative: own output matrix), context | f32 tensors
//! tokenizer:  u32 longest piece | pieces × { f32 score | i32 length | bytes }
//! ```
//! Everything is little-endian. Source: llama2.c, `run.c` and `export.py` (version 0).

mod checkpoint;
mod config;
mod tokenizer;

use std::io;
use std::path::PathBuf;

use thiserror::Error;

pub use checkpoint::Checkpoint;
pub use config::{Config, Tensor};
pub use tokenizer::{Piece, Tokenizer};

pub use common::files::FileError;

/// A file of llama2.c that could not be read or written.
#[derive(Debug, Error)]
pub enum Llama2cError {
    /// The file cannot be opened or read.
    #[error("{path}: {problem}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        problem: io::Error,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// The file is something else or damaged.
    #[error("{path}: {problem}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: FormatError,
    },
}

/// Content that is no checkpoint or tokenizer of llama2.c.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FormatError {
    /// The newer checkpoint format.
    #[error(
        "starts with `ak42`: this is version 1 or 2 of llama2.c's format, expected the legacy version 0; export with `--version 0`"
    )]
    Version,
    /// A number of the header that cannot be.
    #[error("byte {at}: {what} is {found}, expected {expected}: this is not a llama2.c checkpoint")]
    Field {
        /// Where.
        at: usize,
        /// Name of the number.
        what: &'static str,
        /// The number.
        found: i32,
        /// What it should be.
        expected: String,
    },
    /// A file of another length than the header says.
    #[error("has {found} bytes, its header takes {expected}: the file is truncated or of another format")]
    Size {
        /// Bytes of the file.
        found: u64,
        /// Bytes by the header.
        expected: u64,
    },
    /// A tokenizer that ends early or whose piece is too long.
    #[error("byte {at}: piece {piece} {problem}: this is not a llama2.c tokenizer, or it is truncated")]
    Piece {
        /// Where.
        at: usize,
        /// Number of the piece.
        piece: usize,
        /// What is wrong.
        problem: String,
    },
    /// Another number of pieces than the model's vocabulary.
    #[error(
        "has {found} pieces, the model's vocabulary {expected}: take the tokenizer that the model was trained with"
    )]
    Vocabulary {
        /// Pieces in the file.
        found: usize,
        /// Pieces that the model has.
        expected: usize,
    },
    /// Weights of the wrong number.
    #[error("{tensor:?} comes with {found} weights, expected {expected}")]
    Weights {
        /// The tensor.
        tensor: Tensor,
        /// Weights that came.
        found: usize,
        /// Weights by the header.
        expected: usize,
    },
}
