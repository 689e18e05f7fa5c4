//! A pre-trained BERT in place of word vectors: each word is read as the state of its first piece, in its sentence. Its
//! parameters are frozen, as release B of DATNet does with ELMo.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use common::formats::Sentence;
use common::nn::bert::{self, Bert, BertError, Packed};
use common::nn::checkpoint::{self, CheckpointError, named};
use common::text::pieces::{Pieces, PiecesError};
use tch::nn::VarStore;
use tch::{Device, Tensor};
use thiserror::Error;

/// Sentences that the encoder reads at once. Ours.
const SENTENCES: usize = 32;

/// A frozen encoder with its tokenizer.
#[derive(Debug)]
pub struct Contextual {
    pieces: Pieces,
    config: bert::Config,
    store: VarStore,
    encoder: Bert,
    read: Option<RefCell<HashMap<Vec<String>, Tensor>>>,
}

/// An encoder that cannot be read or used.
#[derive(Debug, Error)]
pub enum ContextualError {
    /// Its configuration.
    #[error(transparent)]
    Config(#[from] bert::ConfigError),
    /// Its tokenizer.
    #[error(transparent)]
    Pieces(#[from] PiecesError),
    /// Its weights.
    #[error(transparent)]
    Weights(#[from] CheckpointError),
    /// A sentence that it cannot take.
    #[error("sentence {sentence}: {source}")]
    Sentence {
        /// Place, from 1.
        sentence: usize,
        /// Why.
        source: BertError,
    },
    /// Its folder.
    #[error(transparent)]
    File(#[from] common::files::FileError),
}

impl Contextual {
    /// The encoder of a Hugging Face directory: `config.json`, `model.safetensors`, `tokenizer.json` or `vocab.txt`.
    ///
    /// # Errors
    /// [`ContextualError`] naming the file and what is wrong with it.
    pub fn read(folder: &Path, device: Device) -> Result<Self, ContextualError> {
        let config = bert::Config::read(&folder.join("config.json"))?;
        let pieces = Pieces::read(folder)?;
        let mut store = VarStore::new(device);
        let encoder = Bert::new(&(store.root() / "encoder"), &config);
        bert::load_pretrained(&store, "encoder.", folder)?;
        store.freeze();
        Ok(Self { pieces, config, store, encoder, read: None })
    }

    /// The same encoder, which keeps the vectors of every sentence that it reads: for runs that share sentences.
    pub fn remembering(self) -> Self {
        Self { read: Some(RefCell::default()), ..self }
    }

    /// Width of a word's vector.
    pub fn width(&self) -> i64 {
        self.config.hidden_size
    }

    /// Vectors of the words of each sentence, `[words, width]`.
    ///
    /// # Errors
    /// [`ContextualError::Sentence`] for one with more pieces than the encoder has positions.
    pub fn features(&self, sentences: &[Sentence]) -> Result<Vec<Tensor>, ContextualError> {
        let _guard = tch::no_grad_guard();
        let limit = self.config.max_position_embeddings;
        let mut features: Vec<Option<Tensor>> =
            sentences.iter().map(|sentence| self.known(sentence)).collect();
        let mut order: Vec<usize> = (0..sentences.len()).filter(|&place| features[place].is_none()).collect();
        order.sort_by_key(|&place| sentences[place].words.len());
        for places in order.chunks(SENTENCES) {
            let (mut rows, mut firsts, mut start) = (Vec::new(), Vec::new(), 0);
            for &place in places {
                let (row, first) = self.row(&sentences[place]);
                if row.len() as i64 > limit {
                    let source = BertError::TooLong { found: row.len() as i64, limit };
                    return Err(ContextualError::Sentence { sentence: place + 1, source });
                }
                firsts.push(first.into_iter().map(|at| start + at).collect::<Vec<i64>>());
                start += row.len() as i64;
                rows.push(row);
            }
            let states = self
                .encoder
                .forward(&Packed::new(&rows, self.store.device()), false)
                .map_err(|source| ContextualError::Sentence { sentence: places[0] + 1, source })?;
            for (&place, first) in places.iter().zip(firsts) {
                let own = Tensor::from_slice(&first).to_device(self.store.device());
                let own = states.index_select(0, &own);
                if let Some(read) = &self.read {
                    read.borrow_mut().insert(sentences[place].words.clone(), own.shallow_clone());
                }
                features[place] = Some(own);
            }
        }
        Ok(features.into_iter().flatten().collect())
    }

    fn known(&self, sentence: &Sentence) -> Option<Tensor> {
        self.read.as_ref()?.borrow().get(&sentence.words).map(Tensor::shallow_clone)
    }

    /// `[CLS] pieces [SEP]` and the place of each word's first piece; a word without pieces is unknown.
    fn row(&self, sentence: &Sentence) -> (Vec<i64>, Vec<i64>) {
        let (mut row, mut firsts) = (vec![self.pieces.classify()], Vec::new());
        for word in &sentence.words {
            firsts.push(row.len() as i64);
            let ids = self.pieces.ids(word);
            if ids.is_empty() {
                row.push(self.pieces.unknown());
            }
            row.extend(ids);
        }
        row.push(self.pieces.separate());
        (row, firsts)
    }

    /// Writes the encoder as a Hugging Face directory.
    ///
    /// # Errors
    /// [`ContextualError`].
    pub fn write(&self, folder: &Path) -> Result<(), ContextualError> {
        common::files::make_folder(folder)?;
        self.config.write(&folder.join("config.json"))?;
        self.pieces.write(folder)?;
        let tensors: Vec<(String, Tensor)> = named(&self.store)
            .into_iter()
            .map(|(name, tensor)| (name.replacen("encoder.", "bert.", 1), tensor))
            .collect();
        Ok(checkpoint::save(&tensors, &folder.join("model.safetensors"))?)
    }
}
