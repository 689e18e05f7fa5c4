//! Word vectors of the from-scratch encoders: word embedding and character CNN, side by side.

use common::nn::char_cnn::CharCnn;
use common::nn::embedding::Embedding;
use common::tagging::words::PaddedWords;
use tch::Tensor;
use tch::nn::Path;

/// Width of a character embedding. Ours.
const CHARACTER_WIDTH: i64 = 16;
/// Characters that one filter sees. Ma and Hovy 2016 use 3.
const CHARACTER_KERNEL: i64 = 3;

/// Word embedding ‖ character CNN.
#[derive(Debug)]
pub(super) struct WordInput {
    words: Embedding,
    characters: Option<CharCnn>,
    width: i64,
}

impl WordInput {
    /// New embeddings at `path` for `n_words` words and `n_characters` characters, unknown and padding included.
    /// `char_filters` 0 leaves the character CNN out.
    pub(super) fn new(
        path: &Path,
        n_words: i64,
        n_characters: i64,
        word_width: i64,
        char_filters: i64,
    ) -> Self {
        let characters = (char_filters > 0).then(|| {
            CharCnn::new(
                &(path / "characters"),
                n_characters,
                CHARACTER_WIDTH,
                char_filters,
                CHARACTER_KERNEL,
            )
        });
        let words = Embedding::new(&(path / "words"), n_words, word_width);
        Self { words, characters, width: word_width + char_filters }
    }

    /// Width of one word's vector.
    pub(super) fn width(&self) -> i64 {
        self.width
    }

    /// Vectors of all words of a batch, `[batch, tokens, width]`.
    pub(super) fn forward(&self, batch: &PaddedWords) -> Tensor {
        let words = self.words.forward(&batch.words); // [batch, tokens, word_width]
        let Some(cnn) = &self.characters else { return words };
        let [rows, tokens] = [batch.words.size()[0], batch.words.size()[1]];
        let distinct = cnn.forward(&batch.characters); // [distinct, filters]
        let spread = distinct.index_select(0, &batch.surface).view([rows, tokens, -1]);
        Tensor::cat(&[words, spread], -1)
    }
}
