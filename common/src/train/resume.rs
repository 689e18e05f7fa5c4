//! Checkpoints of a run under way: `<step>.safetensors` with weights, best weights and optimiser, and `last.json`, which
//! names it and is written last, so that a failure at any moment leaves the older pair whole.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::VarStore;
use thiserror::Error;

use super::{Checkpoints, History, State};
use crate::files::{self, FileError};
use crate::nn::checkpoint::{self, CheckpointError, named};
use crate::optim::StateError;

const DESCRIPTION: &str = "last.json";
const WEIGHTS: &str = "weights.";
const BEST: &str = "best.";
const OPTIMISER: &str = "opt.";

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
        what: &'static str,
    },
}

/// What must be equal for a run to go on from a checkpoint; the texts are [`digest`]s.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Of the configuration.
    pub configuration: String,
    /// Of the training sentences.
    pub training_data: String,
    /// Of the development sentences.
    pub development_data: String,
    /// Run seed.
    pub seed: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    schema: u32,
    identity: Identity,
    tensors: String,
    epoch: usize,
    step: usize,
    in_epoch: usize,
    losses: f64,
    history: History,
}

impl Identity {
    fn difference(&self, other: &Self) -> Option<&'static str> {
        [
            ("configuration", self.configuration == other.configuration),
            ("set of training sentences", self.training_data == other.training_data),
            ("set of development sentences", self.development_data == other.development_data),
            ("seed", self.seed == other.seed),
        ]
        .into_iter()
        .find_map(|(what, equal)| (!equal).then_some(what))
    }
}

/// Sha256 of a value's JSON.
///
/// # Panics
/// For a value that is no JSON, as maps with keys other than strings are not.
pub fn digest(value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).expect("configurations and sentences have only strings and numbers");
    files::sha256_hex(&json)
}

/// Writes a checkpoint, then forgets the older ones.
pub(super) fn write(
    checkpoints: &Checkpoints,
    identity: &Identity,
    store: &VarStore,
    state: &State,
) -> Result<(), ResumeError> {
    let Some(folder) = &checkpoints.folder else { return Ok(()) };
    files::make_folder(folder)?;
    let weights = named(store);
    let best = weights
        .iter()
        .zip(&state.best)
        .map(|((name, _), best)| (format!("{BEST}{name}"), best.shallow_clone()));
    let tensors: Vec<(String, Tensor)> = (weights.iter())
        .map(|(name, tensor)| (format!("{WEIGHTS}{name}"), tensor.shallow_clone()))
        .chain(best)
        .chain(state.optimiser.state())
        .collect();
    let name = format!("{}.safetensors", state.step);
    checkpoint::save(&tensors, &folder.join(&name))?;
    let description = Description {
        schema: 1,
        identity: identity.clone(),
        tensors: name.clone(),
        epoch: state.epoch,
        step: state.step,
        in_epoch: state.in_epoch,
        losses: state.losses,
        history: state.history.clone(),
    };
    let json = serde_json::to_vec_pretty(&description).expect("a checkpoint's numbers are finite");
    files::write_atomic(&folder.join(DESCRIPTION), &json)?;
    forget_others(folder, &name);
    Ok(())
}

/// Removes the tensors of older checkpoints. One that cannot be removed costs space, nothing else.
fn forget_others(folder: &Path, kept: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".safetensors") && name != kept {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Brings back model and state from the folder's checkpoint.
pub(super) fn read(
    checkpoints: &Checkpoints,
    identity: &Identity,
    store: &VarStore,
    state: &mut State,
) -> Result<(), ResumeError> {
    let Some(folder) = &checkpoints.folder else { return Ok(()) };
    let path = folder.join(DESCRIPTION);
    let text = files::read_text(&path)?;
    let description: Description = serde_json::from_str(&text)
        .map_err(|error| ResumeError::Content { path: path.clone(), problem: error.to_string() })?;
    if let Some(what) = identity.difference(&description.identity) {
        return Err(ResumeError::Other { path, what });
    }
    let path = folder.join(&description.tensors);
    let tensors = checkpoint::read(&path)?;
    let part = |prefix: &str| -> HashMap<String, Tensor> {
        let own = tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)));
        own.map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone())).collect()
    };
    checkpoint::fill(store, part(WEIGHTS), &path)?;
    let mut best = part(BEST);
    state.best = named(store).iter().filter_map(|(name, _)| best.remove(name)).collect();
    let optimiser: Vec<(String, Tensor)> = tensors
        .iter()
        .filter(|(name, _)| name.starts_with(OPTIMISER))
        .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
        .collect();
    state.optimiser.load_state(&optimiser)?;
    state.history = History { stopped: false, ..description.history };
    (state.epoch, state.step) = (description.epoch, description.step);
    (state.in_epoch, state.losses) = (description.in_epoch, description.losses);
    Ok(())
}
