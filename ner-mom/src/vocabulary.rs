//! What a model knows of words: a lexicon learned from scratch, or the word pieces of a pre-trained BERT.

use common::text::pieces::Pieces;

use common::tagging::lexicon::Lexicon;

/// The word between a query and a sentence of a from-scratch encoder, as BERT has it between its two segments.
pub const SEPARATOR: &str = "[SEP]";

/// What a model knows of words.
#[derive(Debug, Clone)]
pub enum Vocabulary {
    /// Words and characters of the training sentences.
    Words(Lexicon),
    /// Word pieces, with the number of positions of the encoder that reads them.
    Pieces {
        /// Tokenizer.
        pieces: Box<Pieces>,
        /// Most pieces of a row, special tokens included.
        positions: usize,
    },
}
