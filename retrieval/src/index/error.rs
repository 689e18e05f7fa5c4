//! What can go wrong with an index on disk.

use std::io;
use std::path::{Path, PathBuf};

use common::files::FileError;
use common::residual::ResidualError;
use thiserror::Error;

/// An index that cannot be made, changed or read.
#[derive(Debug, Error)]
pub enum IndexError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The vectors or settings are unusable.
    #[error("learning the codec: {0}")]
    Codec(#[from] ResidualError),
    /// The caller's source of documents failed.
    #[error("reading the documents: {0}")]
    Source(Box<dyn std::error::Error + Send + Sync>),
    /// No index in this folder.
    #[error("{path}: no index (no `manifest.json`); build one first, or check the path", path = path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// An index of another format.
    #[error(
        "{path}: version {found} of the format, expected {expected}; build the index again with this program",
        path = path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The version that is read.
        expected: u64,
    },
    /// A file that is not what the manifest says.
    #[error(
        "{path}: {problem}; restore it from a copy, or build the index again",
        path = path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Somebody else is writing.
    #[error("{path}: another program is writing to this index; wait until it is done", path = path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// An empty id.
    #[error("document {position} of the source has an empty id; every document needs one")]
    EmptyId {
        /// Number of the document in the source, from 0.
        position: usize,
    },
    /// An id that is there already.
    #[error("document id `{id}` occurs twice; ids are unique (to replace a document, delete it first)")]
    DuplicateId {
        /// The id.
        id: String,
    },
    /// An id that is not there.
    #[error("no document has the id `{id}`")]
    UnknownId {
        /// The id.
        id: String,
    },
    /// Vectors of another width.
    #[error("document `{id}` has vectors of width {found}, expected {expected}; encode all with one model")]
    Width {
        /// The document.
        id: String,
        /// Width of its vectors.
        found: usize,
        /// Width of the others.
        expected: usize,
    },
    /// Vectors that are not finite.
    #[error(
        "document `{id}`: token {token} holds a number that is not finite; the model or its input is broken"
    )]
    NotFinite {
        /// The document.
        id: String,
        /// Its first such token.
        token: usize,
    },
    /// Ids, texts and vectors of different numbers.
    #[error(
        "a batch has {ids} ids, {texts} texts and {vectors} documents of vectors; expected equal numbers"
    )]
    Batch {
        /// Number of ids.
        ids: usize,
        /// Number of texts.
        texts: usize,
        /// Number of documents.
        vectors: usize,
    },
    /// Nothing to learn centroids from.
    #[error("the documents have no token at all; there is nothing to learn centroids from")]
    NoVectors,
    /// A file of another program that this one does not read.
    #[error("{path}: {problem}", path = path.display())]
    Foreign {
        /// The file or folder.
        path: PathBuf,
        /// What it is and how to mend it.
        problem: String,
    },
    /// A setting out of range.
    #[error("`{name}` is {found}, expected {expected}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
}

impl IndexError {
    pub(crate) fn corrupt(path: &Path, problem: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), problem: problem.into() }
    }

    /// Words for a failed system call on `path`.
    pub(crate) fn io(path: &Path, doing: &str, source: &io::Error) -> Self {
        let problem = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "the disk is full; nothing was changed; free some space and run again".to_owned()
            }
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => "no permission".to_owned(),
            io::ErrorKind::NotFound => "no such file or folder".to_owned(),
            _ => source.to_string(),
        };
        Self::File(FileError::content(path, format!("{doing}: {problem}")))
    }
}
