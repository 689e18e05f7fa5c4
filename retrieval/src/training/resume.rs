//! Checkpoints of a run under way: `<step>.safetensors` with the weights of training and the optimiser, and
//! `last.json`, which names it and is written last, so that a failure at any moment leaves the older pair
//! whole.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::files::{self, FileError};
use common::nn::checkpoint::{self, CheckpointError, named};
use common::optim::StateError;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::VarStore;
use thiserror::Error;

use super::config::TrainConfig;
use super::data::TrainingData;
use super::{Checkpoints, History, State};

const DESCRIPTION: &str = "last.json";
const WEIGHTS: &str = "weights.";
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

/// What must be equal for a run to go on from a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    configuration: String,
    data: String,
    seed: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    schema: u32,
    identity: Identity,
    tensors: String,
    step: usize,
    history: History,
}

impl Identity {
    pub(super) fn new(config: &TrainConfig, data: &TrainingData, seed: u64) -> Self {
        // How often a run is saved or looked at does not change its steps.
        let config = TrainConfig { checkpoint_every: None, evaluate_at: Vec::new(), ..config.clone() };
        Self { configuration: digest(&config), data: digest(data), seed }
    }

    fn difference(&self, other: &Self) -> Option<&'static str> {
        [
            ("configuration", self.configuration == other.configuration),
            ("set of examples", self.data == other.data),
            ("seed", self.seed == other.seed),
        ]
        .into_iter()
        .find_map(|(what, equal)| (!equal).then_some(what))
    }
}

fn digest(value: &impl Serialize) -> String {
    let json =
        serde_json::to_vec(value).expect("configurations and examples have only strings and finite numbers");
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
    let weights = named(store).into_iter().map(|(name, tensor)| (format!("{WEIGHTS}{name}"), tensor));
    let tensors: Vec<(String, Tensor)> = weights.chain(state.optimiser.state()).collect();
    let name = format!("{}.safetensors", state.step);
    checkpoint::save(&tensors, &folder.join(&name))?;
    let description = Description {
        schema: 1,
        identity: identity.clone(),
        tensors: name.clone(),
        step: state.step,
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
        let step = name.strip_suffix(".safetensors").is_some_and(|stem| stem.parse::<usize>().is_ok());
        if step && name != kept {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Brings back weights and state from the folder's checkpoint.
pub(super) fn read(
    checkpoints: &Checkpoints,
    identity: &Identity,
    store: &VarStore,
    state: &mut State,
) -> Result<(), ResumeError> {
    let Some(folder) = &checkpoints.folder else { return Ok(()) };
    let path = folder.join(DESCRIPTION);
    let description: Description = serde_json::from_str(&files::read_text(&path)?)
        .map_err(|error| ResumeError::Content { path: path.clone(), problem: error.to_string() })?;
    if let Some(what) = identity.difference(&description.identity) {
        return Err(ResumeError::Other { path, what });
    }
    let path = folder.join(&description.tensors);
    let tensors = checkpoint::read(&path)?;
    let weights: HashMap<String, Tensor> = tensors
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix(WEIGHTS)?.to_owned(), tensor.shallow_clone())))
        .collect();
    checkpoint::fill(store, weights, &path)?;
    let optimiser: Vec<(String, Tensor)> =
        tensors.into_iter().filter(|(name, _)| name.starts_with(OPTIMISER)).collect();
    state.optimiser.load_state(&optimiser)?;
    state.history = History { stopped: false, ..description.history };
    state.step = description.step;
    Ok(())
}
