//! Files in and out: PASCAL VOC, COCO, clicks.

pub mod clicks;
pub mod coco;
pub mod voc;

use std::path::{Path, PathBuf};

use common::files::FileError;
use thiserror::Error;

/// A file that does not hold what it should.
#[derive(Debug, Error)]
pub enum FormatError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Something in it is wrong.
    #[error("{path}: {at}: {problem}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where in it.
        at: String,
        /// What was found, what was expected, how to mend it.
        problem: String,
    },
}

impl FormatError {
    fn at(path: &Path, at: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), at: at.into(), problem: problem.into() }
    }
}
