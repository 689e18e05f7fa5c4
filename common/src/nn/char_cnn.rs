//! Character CNN over words (Ma and Hovy 2016), once per distinct word.

use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

use super::embedding::Embedding;

/// Character embedding, convolution, maximum over the places of a word.
#[derive(Debug)]
pub struct CharCnn {
    embedding: Embedding,
    weight: Tensor,
    bias: Tensor,
    kernel: i64,
}

impl CharCnn {
    /// New network at `path`; `kernel` is odd, the number of characters that a filter sees.
    pub fn new(path: &Path, n_characters: i64, width: i64, filters: i64, kernel: i64) -> Self {
        let bound = 1.0 / ((width * kernel) as f64).sqrt();
        let uniform = Init::Uniform { lo: -bound, up: bound };
        let convolution = path / "convolution";
        Self {
            embedding: Embedding::new(&(path / "embedding"), n_characters, width),
            weight: convolution.var("weight", &[filters, width, kernel], uniform),
            bias: convolution.var("bias", &[filters], uniform),
            kernel,
        }
    }

    /// Vectors of words, `[words, filters]`, from character ids `[words, characters]`; id 0 is padding, whose
    /// vector counts as zero beside a word and whose places never win the maximum.
    pub fn forward(&self, characters: &Tensor) -> Tensor {
        let keep = characters.not_equal(0); // [words, characters]
        let embedded = self.embedding.forward(characters) * keep.unsqueeze(-1); // [words, characters, width]
        let windows = embedded
            .constant_pad_nd([0, 0, self.kernel / 2, self.kernel / 2])
            .unfold(1, self.kernel, 1) // [words, characters, width, kernel]
            .flatten(2, 3);
        let scores = windows.linear(&self.weight.flatten(1, 2), Some(&self.bias)); // [words, characters, filters]
        let padding = keep.logical_not().unsqueeze(-1);
        let floor = match scores.kind() {
            Kind::Double => f64::MIN,
            _ => f32::MIN as f64,
        };
        scores.masked_fill(&padding, floor).amax([1], false)
    }
}
