//! The tagger's network, forward only: words in, one row of class scores per word out.

mod embedding;
mod saved;
mod transformer;

use common::nn::linear::Linear;
use common::nn::lstm::Lstm;
use tch::Tensor;
use tch::nn::Path;

use crate::batch::Batch;
use crate::config::EncoderConfig;
use crate::lexicon::Lexicon;
use embedding::WordInput;
pub use saved::{Model, ModelError};
use transformer::Transformer;

/// Word vectors, an encoder, and a linear layer to class scores.
#[derive(Debug)]
pub struct Tagger {
    input: WordInput,
    encoder: Encoder,
    output: Linear,
    dropout: f64,
}

#[derive(Debug)]
enum Encoder {
    Bilstm(Lstm),
    Transformer(Transformer),
}

impl Tagger {
    /// New network at `path` with freshly drawn parameters.
    pub fn new(path: &Path, config: &EncoderConfig, dropout: f64, lexicon: &Lexicon, n_classes: i64) -> Self {
        let (EncoderConfig::Bilstm { word_width, char_filters, .. }
        | EncoderConfig::Transformer { word_width, char_filters, .. }) = *config;
        let (words, characters) = (lexicon.n_words(), lexicon.n_characters());
        let input = WordInput::new(&(path / "input"), words, characters, word_width, char_filters);
        let below = path / "encoder";
        let (encoder, width) = match *config {
            EncoderConfig::Bilstm { hidden, layers, .. } => {
                (Encoder::Bilstm(Lstm::new(&below, input.width(), hidden, layers, dropout)), 2 * hidden)
            }
            EncoderConfig::Transformer { width, layers, heads, .. } => {
                (Encoder::Transformer(Transformer::new(&below, input.width(), width, layers, heads)), width)
            }
        };
        Self { input, encoder, output: Linear::new(&(path / "output"), width, n_classes), dropout }
    }

    /// Class scores of the batch's real words, row by row, `[words, classes]`.
    pub fn forward(&self, batch: &Batch, train: bool) -> Tensor {
        let words = self.input.forward(batch).dropout(self.dropout, train); // [batch, tokens, width]
        let states = match &self.encoder {
            Encoder::Bilstm(lstm) => lstm.forward(&words, &batch.lengths, train),
            Encoder::Transformer(layers) => layers.forward(&words, &batch.lengths, self.dropout, train),
        };
        let states = states.flatten(0, 1).index_select(0, &batch.valid); // [words, width]
        self.output.forward(&states.dropout(self.dropout, train))
    }
}
