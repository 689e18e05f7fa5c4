//! A tagger with everything it needs to read text: the unit that is trained, saved and loaded.

use std::path::{Path, PathBuf};

use common::files::{self, FileError};
use common::formats::{Sentence, Span};
use common::nn::checkpoint::{self, CheckpointError};
use common::seed;
use serde::{Deserialize, Serialize};
use tch::Device;
use tch::nn::VarStore;
use thiserror::Error;

use super::Tagger;
use crate::batch::Prepared;
use crate::config::TrainConfig;
use crate::label::LabelSet;
use crate::lexicon::Lexicon;

/// Sentences per batch at prediction; they are sorted by length, so padding is rare. Ours.
const PREDICT_SENTENCES: usize = 64;
const WEIGHTS: &str = "model.safetensors";
const DESCRIPTION: &str = "model.json";

/// A tagger, its classes, its lexicon and the configuration it was made with.
#[derive(Debug)]
pub struct Model {
    /// How it is or was trained.
    pub config: TrainConfig,
    /// Entity types.
    pub labels: LabelSet,
    /// Known words and characters.
    pub lexicon: Lexicon,
    /// Parameters.
    pub store: VarStore,
    /// Network.
    pub tagger: Tagger,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    schema: u32,
    labels: LabelSet,
    config: TrainConfig,
    lexicon: Lexicon,
}

/// A model directory that cannot be read or written.
#[derive(Debug, Error)]
pub enum ModelError {
    /// A file of the directory.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its weights.
    #[error(transparent)]
    Weights(#[from] CheckpointError),
    /// Its description.
    #[error("{path}: not a model description of this version: {problem}; train the model again", path = path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl Model {
    /// An untrained model whose lexicon and entity types come from the training sentences.
    pub fn new(config: TrainConfig, train: &[Sentence], run_seed: u64, device: Device) -> Self {
        let (labels, lexicon) = (LabelSet::of(train), Lexicon::of(train));
        tch::manual_seed(seed::derive(run_seed, "init", 0) as i64);
        Self::with(config, labels, lexicon, device)
    }

    fn with(config: TrainConfig, labels: LabelSet, lexicon: Lexicon, device: Device) -> Self {
        let store = VarStore::new(device);
        let tagger =
            Tagger::new(&store.root(), &config.encoder, config.dropout, &lexicon, labels.n_classes());
        Self { config, labels, lexicon, store, tagger }
    }

    /// Entities of each sentence, in the order of `sentences`.
    pub fn predict(&self, sentences: &[Sentence]) -> Vec<Vec<Span>> {
        let _guard = tch::no_grad_guard();
        let data = Prepared::new(sentences, &self.lexicon);
        let mut rows: Vec<usize> = (0..sentences.len()).collect();
        rows.sort_by_key(|&row| sentences[row].words.len());
        let mut predicted = vec![Vec::new(); sentences.len()];
        for rows in rows.chunks(PREDICT_SENTENCES) {
            let batch = data.batch(rows, None, self.store.device());
            let best = self.tagger.forward(&batch, false).argmax(-1, false);
            let classes = Vec::<i64>::try_from(&best).expect("argmax gives i64 in one dimension");
            let mut rest = &classes[..];
            for &row in rows {
                let (own, after) = rest.split_at(sentences[row].words.len());
                predicted[row] = self.labels.decode(own);
                rest = after;
            }
        }
        predicted
    }

    /// Number of trained parameters.
    pub fn n_parameters(&self) -> u64 {
        self.store.trainable_variables().iter().map(|variable| variable.numel() as u64).sum()
    }

    /// Writes the model into a folder, which is made if need be: weights, and a description with lexicon and types.
    ///
    /// # Errors
    /// [`ModelError`]; files of an older model stay whole.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        files::make_folder(folder)?;
        let (labels, config) = (self.labels.clone(), self.config.clone());
        let description = Description { schema: 1, labels, config, lexicon: self.lexicon.clone() };
        let json = serde_json::to_vec(&description).expect("a description has only strings and numbers");
        checkpoint::save(&checkpoint::named(&self.store), &folder.join(WEIGHTS))?;
        Ok(files::write_atomic(&folder.join(DESCRIPTION), &json)?)
    }

    /// Reads a model from its folder.
    ///
    /// # Errors
    /// [`ModelError`] for missing files, weights that do not fit, a description of another version.
    pub fn load(folder: &Path, device: Device) -> Result<Self, ModelError> {
        let path = folder.join(DESCRIPTION);
        let text = files::read_text(&path)?;
        let Description { labels, config, lexicon, .. } = serde_json::from_str(&text)
            .map_err(|error| ModelError::Description { path, problem: error.to_string() })?;
        let model = Self::with(config, labels, lexicon, device);
        checkpoint::load_checked(&model.store, &folder.join(WEIGHTS))?;
        Ok(model)
    }
}
