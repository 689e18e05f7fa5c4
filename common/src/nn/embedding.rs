//! Embedding table.

use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

/// One row per id.
#[derive(Debug)]
pub struct Embedding {
    weight: Tensor,
}

impl Embedding {
    /// New table at `path`, rows drawn from N(0, 1) as PyTorch's `nn.Embedding`.
    pub fn new(path: &Path, rows: i64, width: i64) -> Self {
        Self::normal(path, rows, width, 1.0)
    }

    /// New table at `path`, rows drawn from N(0, `deviation`²).
    pub fn normal(path: &Path, rows: i64, width: i64, deviation: f64) -> Self {
        Self { weight: path.var("weight", &[rows, width], Init::Randn { mean: 0.0, stdev: deviation }) }
    }

    /// Rows of ids `[..]`, `[.., width]`.
    ///
    /// # Panics
    /// For ids outside the table: the caller made them from its vocabulary.
    pub fn forward(&self, ids: &Tensor) -> Tensor {
        debug_assert_eq!(ids.kind(), Kind::Int64);
        Tensor::embedding(&self.weight, ids, -1, false, false)
    }
}
