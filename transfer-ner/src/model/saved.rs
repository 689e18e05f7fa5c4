//! A tagger with everything it needs to read text: the unit that is trained, saved and loaded.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use common::files::{self, FileError};
use common::formats::{Scheme, Sentence, Span};
use common::nn::checkpoint::{self, CheckpointError, named};
use common::seed;
use common::tagging::label::{LabelSet, UnknownType};
use common::text::segment::SPACES;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Tensor};
use thiserror::Error;

use super::network::{Network, Surroundings};
use crate::batch::{Prepared, Resource};
use crate::config::{Config, ConfigError, Part};
use crate::contextual::{Contextual, ContextualError};
use crate::vectors::Vectors;
use crate::vocabulary::{Vocabulary, WidthMismatch};

/// Sentences per batch at prediction; they are sorted by length, so padding is rare. Ours.
const PREDICT_SENTENCES: usize = 64;
const WEIGHTS: &str = "model.safetensors";
const DESCRIPTION: &str = "model.json";
const ENCODER: &str = "encoder";

/// A tagger of the target, its classes, its vocabulary and the configuration it was made with.
#[derive(Debug)]
pub struct Model {
    /// How it is or was trained.
    pub config: Config,
    /// Entity types of source and target; equal where both go through one output layer.
    pub labels: [LabelSet; 2],
    /// Known words and characters.
    pub vocabulary: Vocabulary,
    /// Parameters.
    pub store: VarStore,
    /// Network.
    pub network: Network,
    /// Pre-trained encoder in place of the table of words.
    pub encoder: Option<Rc<Contextual>>,
    /// How text is cut into words: `spaces` or `characters`.
    pub segmentation: String,
    given_width: Option<i64>,
}

/// What a model is made from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Training<'a> {
    /// Source sentences; may be empty.
    pub source: &'a [Sentence],
    /// Target sentences; may be empty.
    pub target: &'a [Sentence],
    /// Word vectors of source and target, both or none.
    pub vectors: Option<[&'a Vectors; 2]>,
    /// A BERT in place of word vectors.
    pub encoder: Option<&'a Rc<Contextual>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    schema: u32,
    labels: [LabelSet; 2],
    config: Config,
    vocabulary: Vocabulary,
    given_width: Option<i64>,
    encoder: bool,
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
    /// Its configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Vectors of different widths.
    #[error(transparent)]
    Vectors(#[from] WidthMismatch),
    /// An entity type that is not known.
    #[error(transparent)]
    Label(#[from] UnknownType),
    /// Its pre-trained encoder.
    #[error(transparent)]
    Encoder(#[from] ContextualError),
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
    /// An untrained model whose words and entity types come from the training sentences.
    ///
    /// # Errors
    /// A configuration out of range, vectors of different widths.
    pub fn new(
        config: Config,
        training: Training<'_>,
        run_seed: u64,
        device: Device,
    ) -> Result<Self, ModelError> {
        config.validate()?;
        let Training { source, target, vectors, encoder } = training;
        let encoder = encoder.cloned();
        let share = config.network.share_words;
        let (vocabulary, table) = match vectors {
            _ if encoder.is_some() => (Vocabulary::characters_only(source, target), None),
            None => (Vocabulary::learned(source, target, share), None),
            Some(vectors) => {
                let (vocabulary, table) = Vocabulary::given(source, target, vectors, share)?;
                (vocabulary, Some(table))
            }
        };
        let own = |sentences: &[Sentence]| LabelSet::of_scheme(sentences, config.scheme);
        let labels = match config.method.one_output() {
            true => {
                let all = own(&[source, target].concat());
                [all.clone(), all]
            }
            false => [own(source), own(target)],
        };
        let given_width = match (&encoder, vectors) {
            (Some(encoder), _) => Some(encoder.width()),
            (None, vectors) => vectors.map(|[vectors, _]| vectors.width as i64),
        };
        tch::manual_seed(seed::derive(run_seed, "init", 0) as i64);
        let model = Self::with(config, labels, vocabulary, given_width, encoder, device);
        if let Some(table) = table {
            let _guard = tch::no_grad_guard();
            let mut words = model.variable("words.weight");
            words.copy_(&Tensor::from_slice(&table).view_as(&words));
        }
        Ok(model)
    }

    fn with(
        config: Config,
        labels: [LabelSet; 2],
        vocabulary: Vocabulary,
        given_width: Option<i64>,
        encoder: Option<Rc<Contextual>>,
        device: Device,
    ) -> Self {
        let store = VarStore::new(device);
        let around = Surroundings {
            n_words: vocabulary.n_words(),
            given_width,
            encoder: encoder.is_some(),
            n_characters: vocabulary.lexicon.n_characters(),
            labels: labels.each_ref(),
        };
        let network = Network::new(&store.root(), &config, &around);
        let segmentation = SPACES.to_owned();
        let model = Self { config, labels, vocabulary, store, network, encoder, segmentation, given_width };
        if !model.config.network.crf_ends {
            let _guard = tch::no_grad_guard();
            for (name, mut variable) in named(&model.store) {
                if is_crf_end(&name) {
                    let _ = variable.fill_(0.0);
                }
            }
        }
        model.freeze(&[]);
        model
    }

    fn variable(&self, name: &str) -> Tensor {
        self.store.variables().remove(name).expect("a variable of the network")
    }

    /// Trains all parameters but those of `parts`, given word vectors, and scores of first and last tags where the CRF has none.
    pub fn freeze(&self, parts: &[Part]) {
        for (name, variable) in named(&self.store) {
            let fixed = (is_crf_end(&name) && !self.config.network.crf_ends)
                || (name == "words.weight" && self.given_width.is_some())
                || parts.iter().any(|part| belongs(&name, *part));
            let _ = variable.set_requires_grad(!fixed);
        }
    }

    /// Draws the parameters of `parts` anew.
    pub fn draw_anew(&self, parts: &[Part], run_seed: u64) {
        let fresh = VarStore::new(self.store.device());
        tch::manual_seed(seed::derive(run_seed, "init", 1) as i64);
        let around = Surroundings {
            n_words: self.vocabulary.n_words(),
            given_width: self.given_width,
            encoder: self.encoder.is_some(),
            n_characters: self.vocabulary.lexicon.n_characters(),
            labels: self.labels.each_ref(),
        };
        let _network = Network::new(&fresh.root(), &self.config, &around);
        let _guard = tch::no_grad_guard();
        let chosen = |name: &str| {
            let given = name == "words.weight" && self.given_width.is_some();
            !given && !is_crf_end(name) && parts.iter().any(|part| belongs(name, *part))
        };
        for ((name, mut variable), (_, new)) in named(&self.store).into_iter().zip(named(&fresh)) {
            if chosen(&name) {
                variable.copy_(&new);
            }
        }
    }

    /// Copies the source's output layer to the target's, whose classes are the same.
    pub fn copy_output(&self) {
        let _guard = tch::no_grad_guard();
        let variables = self.store.variables();
        for (name, mut variable) in named(&self.store) {
            let source = name.strip_prefix("target.output.").map(|rest| format!("source.output.{rest}"));
            if let Some(source) = source.and_then(|source| variables.get(&source)) {
                variable.copy_(source);
            }
        }
    }

    /// Sentences of a resource as ids, with their gold classes where `gold`.
    ///
    /// # Errors
    /// An entity type that is not known, sentences that the encoder cannot take.
    pub fn prepare(
        &self,
        sentences: &[Sentence],
        resource: Resource,
        gold: bool,
    ) -> Result<Prepared, ModelError> {
        let features = self.encoder.as_ref().map(|encoder| encoder.features(sentences)).transpose()?;
        let labels = gold.then_some(&self.labels[self.output(resource).index()]);
        Ok(Prepared::new(sentences, resource, &self.vocabulary, labels, features)?)
    }

    /// The resource whose output layer serves this one.
    pub fn output(&self, resource: Resource) -> Resource {
        if self.config.method.one_output() { Resource::Target } else { resource }
    }

    /// Entities of target sentences, in their order.
    ///
    /// # Errors
    /// Sentences that the encoder cannot take.
    pub fn predict(&self, sentences: &[Sentence]) -> Result<Vec<Vec<Span>>, ModelError> {
        Ok(self.tag(&self.prepare(sentences, Resource::Target, false)?))
    }

    /// Entities of sentences that are prepared.
    pub fn tag(&self, data: &Prepared) -> Vec<Vec<Span>> {
        let _guard = tch::no_grad_guard();
        let output = self.output(data.resource);
        let labels = &self.labels[output.index()];
        let tags = labels.tags();
        let allowed = |from: Option<usize>, to: Option<usize>| {
            let text = |tag: Option<usize>| tag.map_or("O", |tag| &*tags[tag]);
            may_follow(self.config.scheme, text(from), text(to))
        };
        let allowed: Option<&dyn Fn(Option<usize>, Option<usize>) -> bool> =
            if self.config.network.constrained { Some(&allowed) } else { None };
        let lengths = data.lengths();
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&sentence| lengths[sentence]);
        let mut predicted = vec![Vec::new(); lengths.len()];
        for places in order.chunks(PREDICT_SENTENCES) {
            let batch = data.batch(places, None, self.store.device());
            for (&place, classes) in places.iter().zip(self.network.decode(&batch, output, allowed)) {
                let classes: Vec<i64> = classes.into_iter().map(|class| class as i64).collect();
                predicted[place] = labels.decode(&classes);
            }
        }
        predicted
    }

    /// Number of trained parameters.
    pub fn n_parameters(&self) -> u64 {
        let trained = named(&self.store).into_iter().filter(|(_, variable)| variable.requires_grad());
        trained.map(|(_, variable)| variable.numel() as u64).sum()
    }

    /// Writes the model into a folder, which is made if need be. Nothing outside the folder is needed to use it.
    ///
    /// # Errors
    /// [`ModelError`]; files of an older model stay whole.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        files::make_folder(folder)?;
        if let Some(encoder) = &self.encoder {
            encoder.write(&folder.join(ENCODER))?;
        }
        let description = Description {
            schema: 1,
            labels: self.labels.clone(),
            config: self.config.clone(),
            vocabulary: self.vocabulary.clone(),
            given_width: self.given_width,
            encoder: self.encoder.is_some(),
            segmentation: self.segmentation.clone(),
        };
        let json = serde_json::to_vec(&description).expect("a description has only strings and numbers");
        checkpoint::save(&named(&self.store), &folder.join(WEIGHTS))?;
        Ok(files::write_atomic(&folder.join(DESCRIPTION), &json)?)
    }

    /// Reads a model from its folder.
    ///
    /// # Errors
    /// [`ModelError`] for missing files, weights that do not fit, a description of another version.
    pub fn load(folder: &Path, device: Device) -> Result<Self, ModelError> {
        let path = folder.join(DESCRIPTION);
        let text = files::read_text(&path)?;
        let description: Description = serde_json::from_str(&text)
            .map_err(|error| ModelError::Description { path, problem: error.to_string() })?;
        let Description { labels, config, vocabulary, given_width, encoder, segmentation, .. } = description;
        let encoder =
            encoder.then(|| Contextual::read(&folder.join(ENCODER), device).map(Rc::new)).transpose()?;
        let model = Self::with(config, labels, vocabulary, given_width, encoder, device);
        let model = Self { segmentation, ..model };
        checkpoint::load_checked(&model.store, &folder.join(WEIGHTS))?;
        Ok(model)
    }
}

fn is_crf_end(name: &str) -> bool {
    name.ends_with(".crf.start_transitions") || name.ends_with(".crf.end_transitions")
}

/// Whether a variable belongs to a part. Adaptation layers belong to none: they are always new.
fn belongs(name: &str, part: Part) -> bool {
    match part {
        Part::Embeddings => name.starts_with("words.") || name.starts_with("characters."),
        Part::Hidden => {
            let private = name.starts_with("source.") || name.starts_with("target.");
            name.starts_with("shared.") || (private && !name.contains(".output."))
        }
        Part::Output => name.starts_with("target.output."),
    }
}

/// Whether one tag of a scheme, IOB2 or IOBES, may follow another; `O` stands for the beginning and the end of a sentence.
fn may_follow(scheme: Scheme, from: &str, to: &str) -> bool {
    let within = |tag: &str, prefixes: &str| prefixes.contains(&tag[..1]);
    let same = from.get(2..) == to.get(2..);
    let open = within(from, "BI");
    let goes_on = within(to, "IE");
    match scheme {
        Scheme::Iobes => open == goes_on && (!open || same),
        _ => !goes_on || (open && same),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_begin_go_on_and_end_as_their_scheme_says() {
        let iobes = |from, to| may_follow(Scheme::Iobes, from, to);
        assert!(
            iobes("O", "B-PER") && iobes("B-PER", "E-PER") && iobes("E-PER", "S-LOC") && iobes("S-LOC", "O")
        );
        assert!(
            !iobes("O", "I-PER")
                && !iobes("B-PER", "O")
                && !iobes("B-PER", "E-LOC")
                && !iobes("I-PER", "S-PER")
        );
        let iob2 = |from, to| may_follow(Scheme::Iob2, from, to);
        assert!(iob2("B-PER", "O") && iob2("I-PER", "B-PER") && iob2("B-PER", "I-PER"));
        assert!(!iob2("O", "I-PER") && !iob2("B-LOC", "I-PER"));
    }
}
