//! Sentence vectors of an encoder in any model file, its weights decoded to f32.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use common::nn::bert::{Activation, Bert, BertError, Config, Packed};
use common::nn::checkpoint::{CheckpointError, fill, named};
use common::text::pieces::{Pieces, PiecesError};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use thiserror::Error;

use super::{EncoderConfig, Pooling, hugging_face_name};
use crate::gguf::Metadata;
use crate::model_file::{ModelFile, ModelFileError, RowOrder};

/// Tokens of a sentence that are read at most, special ones included: as all-MiniLM-L6-v2 is published.
pub const LONGEST: usize = 256;

/// Sentences that go through the network together.
const BATCH: usize = 64;

/// An encoder that cannot be used.
#[derive(Debug, Error)]
pub enum EncoderError {
    /// The model cannot be read.
    #[error(transparent)]
    Model(#[from] ModelFileError),
    /// Its tokenizer cannot be read.
    #[error(transparent)]
    Pieces(#[from] PiecesError),
    /// Its tensors are not those of its configuration.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Tokens that it does not know.
    #[error(transparent)]
    Bert(#[from] BertError),
    /// The file is no encoder, or one that is not computed here.
    #[error("{path}: {problem}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and how to mend it.
        problem: String,
    },
}

/// An encoder, ready for sentences.
#[derive(Debug)]
pub struct Encoder {
    store: VarStore,
    bert: Bert,
    config: EncoderConfig,
}

impl Encoder {
    /// The encoder in a model file.
    ///
    /// # Errors
    /// [`EncoderError`] for a file that is no BERT encoder, cannot be read or lacks tensors.
    pub fn load(file: &ModelFile, device: Device) -> Result<Self, EncoderError> {
        Self::load_with(file, device, |_, weights| Ok(weights))
    }

    /// The encoder with other weights: `change` gets the place of a tensor in the file, and its weights.
    ///
    /// # Errors
    /// As [`Self::load`], and what `change` says.
    pub fn load_with<E: From<EncoderError>>(
        file: &ModelFile,
        device: Device,
        mut change: impl FnMut(usize, Vec<f32>) -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        let config = file.encoder().ok_or_else(|| content(file, EXPECTED.to_owned()))?;
        let store = VarStore::new(device);
        let bert = Bert::new(&store.root(), &network(file, &config)?);
        let shapes: HashMap<String, Vec<i64>> =
            named(&store).into_iter().map(|(name, variable)| (name, variable.size())).collect();
        let mut tensors = HashMap::new();
        for (place, entry) in file.tensors().iter().enumerate() {
            let Some(name) = entry.gguf_name.as_deref().and_then(hugging_face_name) else { continue };
            let weights = file.weights(place, RowOrder::Pairs).map_err(EncoderError::from)?;
            let weights = change(place, weights)?;
            let shape: Vec<i64> = entry.dims.iter().rev().map(|&size| size as i64).collect();
            let known =
                shapes.get(&name).filter(|known| known.iter().product::<i64>() == weights.len() as i64);
            // GGUF drops leading dimensions of one.
            let tensor = Tensor::from_slice(&weights).view(known.unwrap_or(&shape).as_slice());
            tensors.insert(name, tensor.to_device(device));
        }
        fill(&store, tensors, file.path()).map_err(EncoderError::from)?;
        Ok(Self { store, bert, config })
    }

    /// Its configuration.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// The unit vectors of sentences, `[sentences][width]`: pooled over the tokens, special ones included. Of long
    /// sentences the first [`LONGEST`] tokens count.
    ///
    /// # Errors
    /// [`EncoderError`] when tokenizer and model do not belong together.
    pub fn vectors(&self, sentences: &[String], pieces: &Pieces) -> Result<Vec<Vec<f32>>, EncoderError> {
        let _guard = tch::no_grad_guard();
        let longest = LONGEST.min(self.config.context);
        let ids: Vec<Vec<i64>> = sentences.iter().map(|sentence| ids(pieces, sentence, longest)).collect();
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_by_key(|&place| ids[place].len());
        let mut vectors = vec![Vec::new(); ids.len()];
        for places in order.chunks(BATCH) {
            let batch: Vec<Vec<i64>> = places.iter().map(|&place| ids[place].clone()).collect();
            let states = self.bert.forward(&Packed::new(&batch, self.store.device()), false)?;
            let mut start = 0;
            for (&place, ids) in places.iter().zip(&batch) {
                let own = states.narrow(0, start, ids.len() as i64); // [tokens, width]
                start += ids.len() as i64;
                vectors[place] = unit(&self.pooled(&own));
            }
        }
        Ok(vectors)
    }

    fn pooled(&self, states: &Tensor) -> Tensor {
        match self.config.pooling {
            Pooling::Mean => states.mean_dim([0].as_slice(), false, Kind::Double),
            Pooling::First => states.get(0).to_kind(Kind::Double),
        }
    }
}

const EXPECTED: &str = "is no BERT encoder; expected a Hugging Face folder whose config.json has the model_type `bert`, or \
                        a GGUF file of the architecture `bert`";

fn content(file: &ModelFile, problem: String) -> EncoderError {
    EncoderError::Content { path: file.path().to_owned(), problem }
}

/// The network's configuration.
fn network(file: &ModelFile, config: &EncoderConfig) -> Result<Config, EncoderError> {
    let sizes = [config.vocab, config.width, config.layers, config.heads].map(|size| size as i64);
    let [vocab, width, layers, heads] = sizes;
    let activation = match config.activation.as_str() {
        "gelu" => Activation::Gelu,
        "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluNew,
        "relu" => Activation::Relu,
        other => {
            let expected = "expected `gelu`, `gelu_new` or `relu`";
            return Err(content(file, format!("`hidden_act` is `{other}`, {expected}")));
        }
    };
    let network = Config {
        intermediate_size: config.ffn as i64,
        max_position_embeddings: config.context as i64,
        type_vocab_size: config.token_types as i64,
        layer_norm_eps: config.norm_epsilon,
        hidden_act: activation,
        ..Config::new(vocab, width, layers, heads)
    };
    network.check().map_err(|problem| content(file, problem.to_string()))?;
    Ok(network)
}

/// `[CLS] … [SEP]`, at most `longest` ids.
fn ids(pieces: &Pieces, sentence: &str, longest: usize) -> Vec<i64> {
    let mut ids = vec![pieces.classify()];
    ids.extend(pieces.ids(sentence).into_iter().take(longest.saturating_sub(2)));
    ids.push(pieces.separate());
    ids
}

fn unit(vector: &Tensor) -> Vec<f32> {
    let length = vector.square().sum(Kind::Double).sqrt().clamp_min(1e-12);
    Vec::try_from((vector / length).to_kind(Kind::Float).to_device(Device::Cpu)).unwrap_or_default()
}

/// The word pieces of a model: of its folder, else of a GGUF file's vocabulary; `None` for a model without any.
///
/// # Errors
/// [`EncoderError`] when they cannot be read.
pub fn vocabulary(file: &ModelFile) -> Result<Option<Pieces>, EncoderError> {
    if let Some(folder) = file.folder() {
        let has = |name: &str| folder.join(name).is_file();
        if has("tokenizer.json") || has("vocab.txt") {
            return Ok(Some(Pieces::read(folder)?));
        }
        return Ok(None);
    }
    let keys = file.gguf_metadata()?;
    if keys.get_str("tokenizer.ggml.model").ok() != Some("bert") {
        return Ok(None);
    }
    from_keys(&keys, file.path()).map(Some)
}

/// Word pieces as GGUF holds them: `▁` in front of those that begin a word, nothing in front of those that go on.
fn from_keys(keys: &Metadata, path: &Path) -> Result<Pieces, EncoderError> {
    let wrong = |problem: String| EncoderError::Content { path: path.to_owned(), problem };
    let tokens = keys.get_strings("tokenizer.ggml.tokens").map_err(|error| wrong(error.to_string()))?;
    let kinds = keys.get_i32s("tokenizer.ggml.token_type").unwrap_or(&[]);
    let control = |id: usize| kinds.get(id) == Some(&3);
    let piece = |(id, token): (usize, &[u8])| {
        let text = String::from_utf8_lossy(token).into_owned();
        match text.strip_prefix('\u{2581}') {
            Some(word) => word.to_owned(),
            None if control(id) => text,
            None => format!("##{text}"),
        }
    };
    // Files of older converters do not say it; llama.cpp takes all for lower-casing.
    let lower = keys.get_bool("tokenizer.ggml.normalizer.lowercase").unwrap_or(true);
    Ok(Pieces::from_vocabulary(tokens.iter().enumerate().map(piece), lower, path)?)
}
