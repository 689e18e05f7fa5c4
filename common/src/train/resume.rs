//! Checkpoints of a run under way: `<step>.safetensors` with its tensors, and `last.json`, which names it and is written last,
//! so that a failure at any moment leaves the older pair whole.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use thiserror::Error;

use crate::files::{self, FileError};
use crate::nn::checkpoint::{self, CheckpointError};
use crate::optim::StateError;

const DESCRIPTION: &str = "last.json";
const SCHEMA: u32 = 2;

/// A checkpoint that was not written, or does not belong to this run.
#[derive(Debug, Error)]
pub enum ResumeError {
    /// The description.
    #[error(transparent)]
    File(#[from] FileError),
    /// The tensors.
    #[error(transparent)]
    Tensors(#[from] CheckpointError),
    /// The optimiser's part of them.
    #[error(transparent)]
    Optimiser(#[from] StateError),
    /// Unreadable.
    #[error("{path}: not a checkpoint of this version: {problem}; train anew without --resume", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Another configuration, other data or another seed.
    #[error("{path}: the checkpoint has another {what} than this run; train anew without --resume", path = path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
    },
}

/// Where a run keeps its checkpoints, and whether it goes on from the last of them.
#[derive(Clone, Debug, Default)]
pub struct Checkpoints {
    /// Folder; absent: none are written.
    pub folder: Option<PathBuf>,
    /// Goes on from the checkpoint in the folder.
    pub resume: bool,
}

/// What must be equal for a run to go on from a checkpoint: names, and [`digest`]s or numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(Vec<(String, String)>);

impl Identity {
    /// These things, in the order in which a difference is looked for.
    pub fn new<const N: usize>(parts: [(&str, String); N]) -> Self {
        Self(parts.map(|(name, value)| (name.to_owned(), value)).into())
    }

    fn difference(&self, other: &Self) -> Option<&str> {
        let differs = |(name, value): &&(String, String)| {
            !other.0.iter().any(|(known, there)| known == name && there == value)
        };
        self.0.iter().find(differs).map(|(name, _)| name.as_str())
    }
}

/// Sha256 of a value's JSON.
///
/// # Panics
/// For a value that is no JSON, as maps with keys other than strings are not.
pub fn digest(value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).expect("configurations and texts have only strings and numbers");
    files::sha256_hex(&json)
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description<P> {
    schema: u32,
    identity: Identity,
    tensors: String,
    progress: P,
}

impl Checkpoints {
    /// Writes what a run has to bring back after `step` steps, then forgets the older checkpoints; nothing without a folder.
    ///
    /// # Errors
    /// [`ResumeError`]; the older checkpoint is whole then.
    pub fn write<P: Serialize>(
        &self,
        identity: &Identity,
        step: usize,
        tensors: &[(String, Tensor)],
        progress: &P,
    ) -> Result<(), ResumeError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        files::make_folder(folder)?;
        let name = format!("{step}.safetensors");
        checkpoint::save(tensors, &folder.join(&name))?;
        let description =
            Description { schema: SCHEMA, identity: identity.clone(), tensors: name.clone(), progress };
        let json = serde_json::to_vec_pretty(&description).expect("a checkpoint's numbers are finite");
        files::write_atomic(&folder.join(DESCRIPTION), &json)?;
        forget_others(folder, &name);
        Ok(())
    }

    /// What the folder's checkpoint brings back; `None` without a folder.
    ///
    /// # Errors
    /// [`ResumeError`], also for the checkpoint of another run.
    pub fn read<P: DeserializeOwned>(&self, identity: &Identity) -> Result<Option<Kept<P>>, ResumeError> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let path = folder.join(DESCRIPTION);
        let text = files::read_text(&path)?;
        let description: Description<P> = serde_json::from_str(&text)
            .map_err(|error| ResumeError::Content { path: path.clone(), problem: error.to_string() })?;
        if let Some(what) = identity.difference(&description.identity) {
            return Err(ResumeError::Other { path, what: what.to_owned() });
        }
        let path = folder.join(&description.tensors);
        let tensors = checkpoint::read(&path)?;
        Ok(Some(Kept { progress: description.progress, path, tensors }))
    }
}

/// What a checkpoint brings back.
#[derive(Debug)]
pub struct Kept<P> {
    /// Its numbers.
    pub progress: P,
    /// File of its tensors, for messages.
    pub path: PathBuf,
    tensors: HashMap<String, Tensor>,
}

impl<P> Kept<P> {
    /// The tensors whose names begin with `prefix`, by the rest of their names.
    pub fn part(&self, prefix: &str) -> HashMap<String, Tensor> {
        let own = self.tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)));
        own.map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone())).collect()
    }

    /// The tensors whose names begin with `prefix`, by their names.
    pub fn named(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let own = self.tensors.iter().filter(|(name, _)| name.starts_with(prefix));
        own.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
    }
}

/// Removes the tensors of older checkpoints. One that cannot be removed costs space, nothing else.
fn forget_others(folder: &Path, kept: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let step = name.strip_suffix(".safetensors").is_some_and(|stem| stem.parse::<usize>().is_ok());
        if step && name != kept {
            let _ = fs::remove_file(entry.path());
        }
    }
}
