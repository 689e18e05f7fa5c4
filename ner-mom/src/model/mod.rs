//! The tagger's network, forward only: words in, a state per word, entities out.

mod embedding;
mod head;
mod saved;
mod transformer;

use common::formats::Span;
use common::nn::bert::{Bert, BertError};
use common::nn::lstm::Lstm;
use tch::Tensor;
use tch::nn::Path;

use crate::batch::{Batch, Input, Row};
use crate::config::{EncoderConfig, TrainConfig};
use crate::loss::Loss;
use crate::vocabulary::Vocabulary;
use common::tagging::label::LabelSet;
use embedding::WordInput;
pub use head::Gold;
use head::Head;
pub use saved::{Model, ModelError};
use transformer::Transformer;

/// An encoder of words in context and a head that finds the entities.
#[derive(Debug)]
pub struct Tagger {
    encoder: Encoder,
    head: Head,
    dropout: f64,
}

#[derive(Debug)]
enum Encoder {
    Bilstm(WordInput, Lstm),
    Transformer(WordInput, Transformer),
    Bert(Bert),
}

impl Tagger {
    /// New network at `path` with freshly drawn parameters.
    ///
    /// # Panics
    /// When encoder and vocabulary are not of one kind: [`Model`] brings them together.
    pub fn new(path: &Path, config: &TrainConfig, vocabulary: &Vocabulary, n_classes: i64) -> Self {
        let below = path / "encoder";
        let dropout = config.dropout;
        let (encoder, width) = match (&config.encoder, vocabulary) {
            (EncoderConfig::Bert { config }, Vocabulary::Pieces { .. }) => {
                (Encoder::Bert(Bert::new(&below, config)), config.hidden_size)
            }
            (encoder, Vocabulary::Words(lexicon)) => {
                let input = |word_width, char_filters| {
                    let (words, characters) = (lexicon.n_words(), lexicon.n_characters());
                    WordInput::new(&(path / "input"), words, characters, word_width, char_filters)
                };
                match *encoder {
                    EncoderConfig::Bilstm { word_width, char_filters, hidden, layers } => {
                        let input = input(word_width, char_filters);
                        let lstm = Lstm::new(&below, input.width(), hidden, layers, dropout);
                        (Encoder::Bilstm(input, lstm), 2 * hidden)
                    }
                    EncoderConfig::Transformer { word_width, char_filters, width, layers, heads } => {
                        let input = input(word_width, char_filters);
                        let transformer = Transformer::new(&below, input.width(), width, layers, heads);
                        (Encoder::Transformer(input, transformer), width)
                    }
                    EncoderConfig::Bert { .. } => unreachable!("BERT reads word pieces"),
                }
            }
            (_, Vocabulary::Pieces { .. }) => unreachable!("from-scratch encoders read words"),
        };
        Self { encoder, head: Head::new(&(path / "output"), config.head, width, n_classes), dropout }
    }

    /// Loss of a batch, a scalar, with dropout.
    ///
    /// # Errors
    /// [`BertError`] for word pieces that do not fit the encoder.
    pub fn loss(&self, batch: &Batch, rows: &[Row], gold: &Gold, loss: &Loss) -> Result<Tensor, BertError> {
        Ok(self.head.loss(&self.states(batch, true)?, batch, rows, gold, loss))
    }

    /// Entities of the batch's sentences; where the head answers queries, every query of a sentence is in the batch.
    ///
    /// # Errors
    /// As [`Tagger::loss`].
    pub fn decode(&self, batch: &Batch, labels: &LabelSet) -> Result<Vec<Vec<Span>>, BertError> {
        Ok(self.head.decode(&self.states(batch, false)?, batch, labels))
    }

    /// States of the batch's words, row by row, `[words, width]`.
    fn states(&self, batch: &Batch, train: bool) -> Result<Tensor, BertError> {
        let states = match (&self.encoder, &batch.input) {
            (Encoder::Bert(bert), Input::Pieces(pieces)) => bert.forward(pieces, train)?,
            (Encoder::Bilstm(input, _) | Encoder::Transformer(input, _), Input::Words(padded)) => {
                let words = input.forward(padded).dropout(self.dropout, train);
                let lengths = &padded.lengths;
                let states = match &self.encoder {
                    Encoder::Transformer(_, layers) => layers.forward(&words, lengths, self.dropout, train),
                    Encoder::Bilstm(_, lstm) => lstm.forward(&words, lengths, train),
                    Encoder::Bert(_) => unreachable!("matched above"),
                };
                states.flatten(0, 1)
            }
            _ => unreachable!("a batch is made for its model's encoder"),
        };
        Ok(states.index_select(0, &batch.valid).dropout(self.dropout, train))
    }
}
