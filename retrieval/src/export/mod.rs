//! Token vectors as distributed engines with multi-vector MaxSim take them, for collections that outgrow one machine.
//!
//! | engine | files | load with |
//! |---|---|---|
//! | Qdrant | `collection.json`, `points-00000.json` … | `PUT /collections/NAME`, `PUT /collections/NAME/points` |
//! | Vespa | `document.sd`, `feed.jsonl` | the schema in an application package, `vespa feed feed.jsonl` |

mod qdrant;
mod vespa;

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use common::files::{self, FileError};
use serde::Serialize;
use thiserror::Error;

/// A document with its vectors.
#[derive(Clone, Debug)]
pub struct Exported<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its text, where the index keeps texts.
    pub text: Option<&'a str>,
    /// Its token vectors, `[tokens, width]`.
    pub rows: Cow<'a, [f32]>,
}

/// An engine to export for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Qdrant from 1.10 on.
    Qdrant,
    /// Vespa 8.
    Vespa,
}

/// An export that failed.
#[derive(Debug, Error)]
pub enum ExportError {
    /// A file that cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder holds something already.
    #[error("{path} is not empty; choose another folder or empty it", path = path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A document whose vectors do not fit.
    #[error("document `{id}` has {values} values, expected rows of {width}")]
    Width {
        /// The document.
        id: String,
        /// Its number of values.
        values: usize,
        /// Width of the collection.
        width: usize,
    },
}

/// Writes documents for an engine into a new or empty folder, one at a time, and gives their number. Documents without
/// tokens are left out: they cannot be found.
///
/// # Errors
/// [`ExportError`]; what was written before stays, without the last file's name.
pub fn export<'a>(
    engine: Engine,
    width: usize,
    documents: impl IntoIterator<Item = Exported<'a>>,
    folder: &Path,
) -> Result<usize, ExportError> {
    files::make_folder(folder)?;
    if !files::names_in(folder)?.is_empty() {
        return Err(ExportError::Occupied { path: folder.to_owned() });
    }
    let checked = documents.into_iter().map(|document| match document.rows.len().is_multiple_of(width) {
        true => Ok(document),
        false => Err(ExportError::Width { id: document.id.to_owned(), values: document.rows.len(), width }),
    });
    let found = checked.filter(|document| !matches!(document, Ok(document) if document.rows.is_empty()));
    match engine {
        Engine::Qdrant => qdrant::write(width, found, folder),
        Engine::Vespa => vespa::write(width, found, folder),
    }
}

/// `value` as JSON, one line.
fn json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}
