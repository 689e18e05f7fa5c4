//! A detector's folder: `detector.json` and `weights.safetensors`.

use std::path::{Path, PathBuf};

use common::files::{self, FileError};
use common::nn::checkpoint::{self, CheckpointError};
use serde::{Deserialize, Serialize};
use tch::Device;
use thiserror::Error;

use super::{Architecture, Detector};
use crate::train::Config;

const DESCRIPTION: &str = "detector.json";
const WEIGHTS: &str = "weights.safetensors";
/// Version of the folder's form.
const SCHEMA: u32 = 1;

/// What belongs to a detector besides its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Version of this form.
    pub schema: u32,
    /// Which network.
    pub architecture: Architecture,
    /// How it was trained; its crop is the side of the input.
    pub training: Config,
    /// Logit from which on an image counts as generated: the one with the best balanced accuracy on the validation images.
    pub threshold: f64,
}

/// A folder that holds no detector.
#[derive(Debug, Error)]
pub enum SavedError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Weights.
    #[error(transparent)]
    Weights(#[from] CheckpointError),
    /// Not a description of this version.
    #[error("{path}: not a detector of this version: {problem}; train one with `frequency-mask train`", path = path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl Description {
    /// Of a detector trained like this.
    pub fn new(architecture: Architecture, training: Config, threshold: f64) -> Self {
        Self { schema: SCHEMA, architecture, training, threshold }
    }
}

impl Detector {
    /// Writes the folder; an older detector in it stays whole until the new one is.
    ///
    /// # Errors
    /// [`SavedError`].
    pub fn save(&self, description: &Description, folder: &Path) -> Result<(), SavedError> {
        files::make_folder(folder)?;
        checkpoint::save(&checkpoint::named(&self.store), &folder.join(WEIGHTS))?;
        let json = serde_json::to_vec_pretty(description).unwrap_or_default(); // plain data
        files::write_atomic(&folder.join(DESCRIPTION), &json)?;
        Ok(())
    }

    /// Reads the folder.
    ///
    /// # Errors
    /// [`SavedError`].
    pub fn load(folder: &Path, device: Device) -> Result<(Self, Description), SavedError> {
        let path = folder.join(DESCRIPTION);
        let fail = |problem: String| SavedError::Form { path: path.clone(), problem };
        let text = files::read_text(&path)?;
        let description: Description =
            serde_json::from_str(&text).map_err(|error| fail(error.to_string()))?;
        if description.schema != SCHEMA {
            return Err(fail(format!("schema {}, expected {SCHEMA}", description.schema)));
        }
        let detector = Self::new(description.architecture, 0, device);
        checkpoint::load_checked(&detector.store, &folder.join(WEIGHTS))?;
        Ok((detector, description))
    }
}

/// The score with the best balanced accuracy on labelled scores, half-way between its neighbours; 0 where a class is missing.
///
/// ```
/// use frequency_mask::detector::threshold;
/// assert_eq!(threshold(&[-2.0, -1.0, 3.0, 1.0], &[false, false, true, true]), 0.0);
/// ```
pub fn threshold(scores: &[f64], labels: &[bool]) -> f64 {
    let mut order: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = labels.iter().filter(|label| **label).count() as f64;
    let negatives = labels.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return 0.0;
    }
    let (mut hits, mut rejected) = (positives, 0.0);
    let (mut best, mut at) = (f64::NEG_INFINITY, 0.0);
    for (index, (score, label)) in order.iter().enumerate() {
        let balanced = hits / positives + rejected / negatives;
        let before = index.checked_sub(1).map(|before| order[before].0);
        if balanced > best && before != Some(*score) {
            (best, at) = (balanced, before.map_or(score - 1.0, |before| (before + score) / 2.0));
        }
        if *label {
            hits -= 1.0;
        } else {
            rejected += 1.0;
        }
    }
    if rejected / negatives > best {
        at = order.last().map_or(0.0, |last| last.0 + 1.0);
    }
    at
}
