//! Layer normalisation (Ba et al. 2016).

use tch::Tensor;
use tch::nn::{Init, Path};

/// Normalises the last axis to mean 0 and variance 1, then scales by `weight` and adds `bias`.
#[derive(Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl LayerNorm {
    /// New layer at `path`: weight 1, bias 0.
    pub fn new(path: &Path, width: i64, epsilon: f64) -> Self {
        let weight = path.var("weight", &[width], Init::Const(1.0));
        Self { weight, bias: path.var("bias", &[width], Init::Const(0.0)), epsilon }
    }

    /// `[.., width]` to the same shape.
    pub fn forward(&self, input: &Tensor) -> Tensor {
        input.layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), self.epsilon, true)
    }
}
