//! The encoder: BERT, projections, rows of length 1 (ColBERT, section 3; JaColBERTv2.5, section 2).
//!
//! ```text
//! E = normalise(BERT(sequence) Wᵀ)        one row per kept token
//! ```
//! Rows of skipped tokens are left out rather than set to 0, which is the same to a maximum over tokens.

mod directory;
mod encode;
mod error;
mod open;
mod projection;
mod save;

use std::path::Path;

use common::nn::bert::{Bert, Config, Packed};
use common::nn::checkpoint::{fill, named};
use common::text::pieces::Pieces;
use common::text::segment::Segmenter;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::tokenizer::{Augmentation, Layout, Sequence, Tokenizer};
pub use encode::Places;
pub use error::EncoderError;
use error::content;
use projection::{Dense, DenseConfig};

/// Smallest norm by which a row is divided, as in PyTorch's `normalize`.
const SMALLEST_NORM: f64 = 1e-12;
/// Weights of the encoder in the store, and those of projection `i`.
const ENCODER: &str = "bert.";
const PROJECTION: &str = "projection";

/// How a directory is opened.
#[derive(Debug)]
pub struct Options {
    /// Where the weights go.
    pub device: Device,
    /// Words of the text, for a `BertJapaneseTokenizer`.
    pub segmenter: Option<Segmenter>,
    /// Width of a new projection with random weights, for an encoder that has none: the start of a ColBERT.
    /// Absent: the hidden states are the token vectors of such an encoder.
    pub new_projection: Option<i64>,
    /// Seed of those weights.
    pub seed: u64,
}

impl Options {
    /// Opens what is there, on the CPU.
    pub fn cpu() -> Self {
        Self { device: Device::Cpu, segmenter: None, new_projection: None, seed: 0 }
    }
}

/// An encoder of token vectors with its tokenizer.
#[derive(Debug)]
pub struct ColBert {
    store: VarStore,
    bert: Bert,
    projections: Vec<Dense>,
    projecting: bool,
    tokenizer: Tokenizer,
    /// Tokenizer files as they were found, for saving.
    files: Vec<(String, Vec<u8>)>,
}

impl ColBert {
    /// A new encoder with BERT's initialisation and a projection to `width`.
    ///
    /// # Errors
    /// [`EncoderError`] when the configuration is none of a BERT, or the layout asks for tokens that the
    /// vocabulary lacks.
    pub fn new(
        config: &Config,
        pieces: Pieces,
        layout: Layout,
        width: i64,
        device: Device,
        seed: u64,
    ) -> Result<Self, EncoderError> {
        let config = Config { vocab_size: config.vocab_size.max(pieces.len() as i64), ..config.clone() };
        config.check().map_err(|source| EncoderError::Config { path: "configuration".into(), source })?;
        let projection = DenseConfig::plain(config.hidden_size, width);
        if let Some(problem) = projection.problem() {
            return Err(content("configuration", problem));
        }
        let tokenizer = Tokenizer::new(pieces, None, within(layout, config.max_position_embeddings))?;
        Ok(Self::build(&config, vec![projection], tokenizer, device, seed))
    }

    fn build(
        config: &Config,
        projections: Vec<DenseConfig>,
        tokenizer: Tokenizer,
        device: Device,
        seed: u64,
    ) -> Self {
        tch::manual_seed(common::seed::derive(seed, "weights", 0) as i64);
        let store = VarStore::new(device);
        let bert = Bert::new(&(store.root() / "bert"), config);
        let path = store.root() / PROJECTION;
        let dense = |(i, projection)| Dense::new(&(&path / i), projection, config.initializer_range);
        let projections = (0i64..).zip(projections).map(dense).collect();
        Self { store, bert, projections, projecting: true, tokenizer, files: Vec::new() }
    }

    /// Whether the projections are used. Without them the token vectors are the hidden states, as in the evaluator that
    /// measured the paper's JQaRA column.
    pub fn set_projecting(&mut self, projecting: bool) {
        self.projecting = projecting;
    }

    /// Values per token vector.
    pub fn width(&self) -> usize {
        let hidden = self.bert.config().hidden_size;
        if !self.projecting {
            return hidden as usize;
        }
        self.projections.last().map_or(hidden, |dense| dense.config.out_features) as usize
    }

    /// Configuration of the BERT inside.
    pub fn config(&self) -> &Config {
        self.bert.config()
    }

    /// All weights.
    pub fn store(&self) -> &VarStore {
        &self.store
    }

    /// A copy of all weights, sorted by name: what checkpoint averaging takes.
    pub fn weights(&self) -> Vec<(String, Tensor)> {
        named(&self.store).into_iter().map(|(name, tensor)| (name, tensor.detach().copy())).collect()
    }

    /// Puts weights of [`ColBert::weights`] into the model; `origin` is named in the error.
    ///
    /// # Errors
    /// [`EncoderError::Checkpoint`] listing every difference; the model is as before then.
    pub fn set_weights(&self, weights: Vec<(String, Tensor)>, origin: &Path) -> Result<(), EncoderError> {
        Ok(fill(&self.store, weights.into_iter().collect(), origin)?)
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.store.device()
    }

    /// How texts become sequences.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Another augmentation, other lengths or another skiplist; lengths are cut to the model's positions.
    ///
    /// # Errors
    /// [`EncoderError::Tokenizer`] for a length without room for a word.
    pub fn set_layout(&mut self, layout: Layout) -> Result<(), EncoderError> {
        Ok(self.tokenizer.set_layout(within(layout, self.bert.config().max_position_embeddings))?)
    }

    /// Changes the weights to bfloat16, for encoding on a GPU that computes faster in it; token vectors stay
    /// f32.
    pub fn to_bfloat16(&mut self) {
        self.store.bfloat16();
    }

    /// Token vectors of the kept tokens, sequence by sequence, `[kept_tokens, width]`, rows of length 1;
    /// gradients flow unless a guard is held.
    ///
    /// # Errors
    /// [`EncoderError::Bert`] for sequences longer than the model's positions and ids outside its vocabulary.
    pub fn forward(&self, sequences: &[&Sequence], train: bool) -> Result<Tensor, EncoderError> {
        let hidden = self.hidden(sequences, train)?;
        let keep: Vec<bool> = sequences.iter().flat_map(|sequence| sequence.keep.iter().copied()).collect();
        let kept = if keep.iter().all(|keep| *keep) { hidden } else { select(&hidden, &keep) };
        Ok(normalised(&self.project(&kept)))
    }

    /// One vector of length 1 per sequence, `[sequences, width]`: the mean of the hidden states of the tokens
    /// before any added ones, projected.
    ///
    /// # Errors
    /// As [`ColBert::forward`].
    pub fn forward_pooled(&self, sequences: &[&Sequence], train: bool) -> Result<Tensor, EncoderError> {
        let hidden = self.hidden(sequences, train)?;
        let real =
            sequences.iter().flat_map(|sequence| (0..sequence.ids.len()).map(|place| place < sequence.real));
        let real = select(&hidden, &real.collect::<Vec<bool>>());
        let owner = (0i64..).zip(sequences).flat_map(|(i, sequence)| std::iter::repeat_n(i, sequence.real));
        let owner = Tensor::from_slice(&owner.collect::<Vec<i64>>()).to_device(hidden.device());
        let counts: Vec<f32> = sequences.iter().map(|sequence| sequence.real as f32).collect();
        let counts =
            Tensor::from_slice(&counts).to_device(hidden.device()).to_kind(hidden.kind()).unsqueeze(1);
        let empty =
            Tensor::zeros([sequences.len() as i64, hidden.size()[1]], (hidden.kind(), hidden.device()));
        Ok(normalised(&self.project(&(empty.index_add(0, &owner, &real) / counts))))
    }

    fn hidden(&self, sequences: &[&Sequence], train: bool) -> Result<Tensor, EncoderError> {
        let ids: Vec<Vec<i64>> = sequences.iter().map(|sequence| sequence.ids.clone()).collect();
        let visible: Vec<usize> = sequences.iter().map(|sequence| sequence.visible).collect();
        Ok(self.bert.forward(&Packed::with_visible(&ids, &visible, self.device()), train)?)
    }

    fn project(&self, hidden: &Tensor) -> Tensor {
        if !self.projecting {
            return hidden.shallow_clone();
        }
        self.projections.iter().fold(hidden.shallow_clone(), |rows, dense| dense.forward(&rows))
    }
}

/// `x / max(|x|, 1e-12)` row by row.
fn normalised(rows: &Tensor) -> Tensor {
    let rows = if rows.kind() == Kind::BFloat16 { rows.to_kind(Kind::Float) } else { rows.shallow_clone() };
    let norm =
        rows.square().sum_dim_intlist([-1].as_slice(), true, rows.kind()).sqrt().clamp_min(SMALLEST_NORM);
    rows / norm
}

/// The rows with a `true`.
fn select(rows: &Tensor, keep: &[bool]) -> Tensor {
    let places: Vec<i64> = (0i64..).zip(keep).filter(|(_, keep)| **keep).map(|(place, _)| place).collect();
    rows.index_select(0, &Tensor::from_slice(&places).to_device(rows.device()))
}

/// The layout with lengths that the model's positions can hold.
fn within(layout: Layout, positions: i64) -> Layout {
    let limit = positions as usize;
    let augmentation = match layout.augmentation {
        Augmentation::Fixed(total) => Augmentation::Fixed(total.min(limit)),
        Augmentation::Padding(total) => Augmentation::Padding(total.min(limit)),
        Augmentation::AtLeast(total) => Augmentation::AtLeast(total.min(limit)),
        other => other,
    };
    let (query_length, document_length) = (layout.query_length.min(limit), layout.document_length.min(limit));
    Layout { augmentation, query_length, document_length, ..layout }
}
