//! The linear layer, `y = x Wᵀ + b`.

use tch::Tensor;
use tch::nn::{Init, Path};

use super::gemm;

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

    /// New layer at `path` as BERT starts it: weights from N(0, `deviation`²), bias 0.
    pub fn normal(path: &Path, from: i64, to: i64, deviation: f64) -> Self {
        let weight = path.var("weight", &[to, from], Init::Randn { mean: 0.0, stdev: deviation });
        Self { weight, bias: path.var("bias", &[to], Init::Const(0.0)) }
    }

    /// `[.., in]` to `[.., out]`, through the faster matrix library, see [`gemm`].
    pub fn forward(&self, input: &Tensor) -> Tensor {
        gemm::linear(input, &self.weight, Some(&self.bias))
    }
}
