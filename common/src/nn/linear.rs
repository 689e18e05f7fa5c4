//! The linear layer, `y = x Wᵀ + b`.

use tch::Tensor;
use tch::nn::{Init, Path};

/// `y = x Wᵀ + b` with `weight` `[out, in]` and `bias` `[out]`.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// New layer at `path`: both parameters uniform in ±1/√in, as PyTorch's `nn.Linear`.
    pub fn new(path: &Path, from: i64, to: i64) -> Self {
        let bound = 1.0 / (from as f64).sqrt();
        let uniform = Init::Uniform { lo: -bound, up: bound };
        Self { weight: path.var("weight", &[to, from], uniform), bias: path.var("bias", &[to], uniform) }
    }

    /// `[.., in]` to `[.., out]`.
    pub fn forward(&self, input: &Tensor) -> Tensor {
        input.linear(&self.weight, Some(&self.bias))
    }
}
