//! A tagger with everything it needs to read text: the unit that is trained, saved and loaded.

use std::path::{Path, PathBuf};
use std::{fs, io};

use common::files::{self, FileError};
use common::formats::{Sentence, Span};
use common::nn::bert::{self, BertError};
use common::nn::checkpoint::{self, CheckpointError};
use common::seed;
use common::text::pieces::{Pieces, PiecesError};
use common::text::segment::{self, CHARACTERS, SPACES};
use serde::{Deserialize, Serialize};
use tch::Device;
use tch::nn::VarStore;
use thiserror::Error;

use super::Tagger;
use crate::batch::{Prepared, Row, TooLong};
use crate::config::{EncoderConfig, HeadKind, TrainConfig};
use crate::vocabulary::{SEPARATOR, Vocabulary};
use common::tagging::label::LabelSet;
use common::tagging::lexicon::Lexicon;

/// Sentences per batch at prediction; they are sorted by length, so padding is rare. Ours.
const PREDICT_SENTENCES: usize = 64;
const WEIGHTS: &str = "model.safetensors";
const DESCRIPTION: &str = "model.json";
const DICTIONARY: &str = "dictionary";

/// A tagger, its classes, its vocabulary and the configuration it was made with.
#[derive(Debug)]
pub struct Model {
    /// How it is or was trained.
    pub config: TrainConfig,
    /// Entity types.
    pub labels: LabelSet,
    /// Known words or word pieces.
    pub vocabulary: Vocabulary,
    /// How the training texts were cut into words: `characters`, `spaces`, or the path of a dictionary.
    pub segmentation: String,
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
    /// Absent for a model of word pieces, whose tokenizer has a file of its own.
    lexicon: Option<Lexicon>,
    /// `characters`, `spaces`, or `dictionary`, which is beside this file.
    segmentation: String,
}

/// A model that cannot be made, read, written or used.
#[derive(Debug, Error)]
pub enum ModelError {
    /// A file of the directory.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its weights.
    #[error(transparent)]
    Weights(#[from] CheckpointError),
    /// Its tokenizer.
    #[error(transparent)]
    Pieces(#[from] PiecesError),
    /// Its description.
    #[error("{path}: not a model description of this version: {problem}; train the model again", path = path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// BERT without its files.
    #[error("a BERT encoder starts from a pre-trained directory; give one with `--checkpoint`")]
    NoCheckpoint,
    /// A sentence that the encoder cannot take.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// Word pieces that the encoder cannot take.
    #[error(transparent)]
    Bert(#[from] BertError),
}

impl Model {
    /// An untrained model whose lexicon and entity types come from the training sentences.
    ///
    /// # Errors
    /// [`ModelError::NoCheckpoint`] for a configuration of BERT, see [`Model::pretrained`].
    pub fn new(
        config: TrainConfig,
        train: &[Sentence],
        run_seed: u64,
        device: Device,
    ) -> Result<Self, ModelError> {
        if matches!(config.encoder, EncoderConfig::Bert { .. }) {
            return Err(ModelError::NoCheckpoint);
        }
        let labels = LabelSet::of(train);
        let queries = queries(&config, &labels);
        let words = queries.iter().flat_map(|query| query.split_whitespace().chain([SEPARATOR]));
        let vocabulary = Vocabulary::Words(Lexicon::of(train, words));
        tch::manual_seed(seed::derive(run_seed, "init", 0) as i64);
        Ok(Self::with(config, labels, vocabulary, device))
    }

    /// A model on the encoder of a Hugging Face BERT directory, the head untrained. `config.encoder` is replaced by
    /// the directory's `config.json`.
    ///
    /// # Errors
    /// [`ModelError`] naming the file and what is wrong with it.
    pub fn pretrained(
        config: TrainConfig,
        checkpoint: &Path,
        train: &[Sentence],
        run_seed: u64,
        device: Device,
    ) -> Result<Self, ModelError> {
        let path = checkpoint.join("config.json");
        let bert = bert::Config::read(&path);
        let bert = bert.map_err(|error| ModelError::Description { path, problem: error.to_string() })?;
        let vocabulary = word_pieces(checkpoint, &bert)?;
        let config = TrainConfig { encoder: EncoderConfig::Bert { config: Box::new(bert) }, ..config };
        tch::manual_seed(seed::derive(run_seed, "init", 0) as i64);
        let model = Self::with(config, LabelSet::of(train), vocabulary, device);
        bert::load_pretrained(&model.store, "encoder.", checkpoint)?;
        Ok(model)
    }

    fn with(config: TrainConfig, labels: LabelSet, vocabulary: Vocabulary, device: Device) -> Self {
        let store = VarStore::new(device);
        let tagger = Tagger::new(&store.root(), &config, &vocabulary, labels.n_classes());
        Self { config, labels, vocabulary, segmentation: SPACES.to_owned(), store, tagger }
    }

    /// The ids of sentences, from which batches are cut.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn prepare(&self, sentences: &[Sentence]) -> Result<Prepared, TooLong> {
        Prepared::new(sentences, &queries(&self.config, &self.labels), &self.vocabulary)
    }

    /// Entities of each sentence, in the order of `sentences`.
    ///
    /// # Errors
    /// [`ModelError::TooLong`], [`ModelError::Bert`].
    pub fn predict(&self, sentences: &[Sentence]) -> Result<Vec<Vec<Span>>, ModelError> {
        let _guard = tch::no_grad_guard();
        let data = self.prepare(sentences)?;
        let mut order: Vec<usize> = (0..sentences.len()).collect();
        order.sort_by_key(|&sentence| sentences[sentence].words.len());
        let rows = data.rows();
        let per_sentence = rows.len() / sentences.len().max(1);
        let mut predicted = vec![Vec::new(); sentences.len()];
        for places in order.chunks(PREDICT_SENTENCES) {
            let own = |&sentence: &usize| &rows[sentence * per_sentence..(sentence + 1) * per_sentence];
            let rows: Vec<Row> = places.iter().flat_map(own).copied().collect();
            let batch = data.batch(&rows, None, self.store.device());
            for (&sentence, spans) in places.iter().zip(self.tagger.decode(&batch, &self.labels)?) {
                predicted[sentence] = spans;
            }
        }
        Ok(predicted)
    }

    /// Number of trained parameters.
    pub fn n_parameters(&self) -> u64 {
        self.store.trainable_variables().iter().map(|variable| variable.numel() as u64).sum()
    }

    /// Writes the model into a folder, which is made if need be: weights, a description with entity types, and the
    /// lexicon or the tokenizer. Nothing outside the folder is needed to use it.
    ///
    /// # Errors
    /// [`ModelError`]; files of an older model stay whole.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        files::make_folder(folder)?;
        let lexicon = match &self.vocabulary {
            Vocabulary::Words(lexicon) => Some(lexicon.clone()),
            Vocabulary::Pieces { pieces, .. } => {
                pieces.write(folder)?;
                None
            }
        };
        let segmentation = match &*self.segmentation {
            name @ (CHARACTERS | SPACES) => name,
            path => {
                copy_dictionary(Path::new(path), &folder.join(DICTIONARY))?;
                DICTIONARY
            }
        };
        let (labels, config) = (self.labels.clone(), self.config.clone());
        let description =
            Description { schema: 2, labels, config, lexicon, segmentation: segmentation.to_owned() };
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
        let wrong = |problem: String| ModelError::Description { path: path.clone(), problem };
        let Description { labels, config, lexicon, segmentation, .. } =
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let vocabulary = match (&config.encoder, lexicon) {
            (EncoderConfig::Bert { config }, None) => word_pieces(folder, config)?,
            (EncoderConfig::Bilstm { .. } | EncoderConfig::Transformer { .. }, Some(lexicon)) => {
                Vocabulary::Words(lexicon)
            }
            _ => return Err(wrong("encoder and lexicon do not belong together".to_owned())),
        };
        let mut model = Self::with(config, labels, vocabulary, device);
        checkpoint::load_checked(&model.store, &folder.join(WEIGHTS))?;
        model.segmentation = match &*segmentation {
            DICTIONARY => folder.join(DICTIONARY).to_string_lossy().into_owned(),
            name => name.to_owned(),
        };
        Ok(model)
    }
}

/// Copies a dictionary, a file or a folder of files, into the model's folder, which so needs nothing outside it.
fn copy_dictionary(from: &Path, to: &Path) -> Result<(), FileError> {
    let copy = |from: &Path, to: &Path| {
        let mut source = fs::File::open(from).map_err(|error| FileError::content(from, error.to_string()))?;
        files::write_atomic_with(to, |file| io::copy(&mut source, file).map(drop))
    };
    let same = fs::canonicalize(from).is_ok_and(|from| fs::canonicalize(to).is_ok_and(|to| from == to));
    if same {
        return Ok(()); // the model was read from this folder
    }
    if from.is_file() {
        return copy(from, to);
    }
    files::make_folder(to)?;
    segment::COMPILED.iter().try_for_each(|name| copy(&from.join(name), &to.join(name)))
}

/// The query of each entity type in the order of the types, for a head that answers queries; none for the others.
fn queries(config: &TrainConfig, labels: &LabelSet) -> Vec<String> {
    let query = |label: &String| config.queries.get(label).unwrap_or(label).clone();
    match config.head {
        HeadKind::Mrc => labels.types().iter().map(query).collect(),
        HeadKind::Softmax | HeadKind::Crf => Vec::new(),
    }
}

fn word_pieces(directory: &Path, config: &bert::Config) -> Result<Vocabulary, PiecesError> {
    let pieces = Pieces::read(directory)?;
    Ok(Vocabulary::Pieces { pieces: Box::new(pieces), positions: config.max_position_embeddings as usize })
}
