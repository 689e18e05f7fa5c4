//! The resource discriminator's network: from which of the two resources does a sentence come?

use common::nn::linear::Linear;
use common::tensor::reverse_gradient;
use tch::Tensor;
use tch::nn::{Init, Path};

use super::attention::softmax_over;
use crate::config::Pooling;

/// Gradient reversal, pooling over the words, one dense layer.
#[derive(Debug)]
pub struct ResourceNetwork {
    pooling: Pooling,
    attention: Option<(Linear, Tensor)>,
    output: Linear,
    reverse: f64,
}

impl ResourceNetwork {
    /// New network at `path` over states of this width.
    pub fn new(path: &Path, width: i64, pooling: Pooling, reverse: f64) -> Self {
        let bound = 1.0 / (width as f64).sqrt();
        let attention = (pooling == Pooling::Attention).then(|| {
            let vector = path.var("attention_vector", &[width, 1], Init::Uniform { lo: -bound, up: bound });
            (Linear::new(&(path / "attention"), width, width), vector)
        });
        Self { pooling, attention, output: Linear::new(&(path / "output"), width, 1), reverse }
    }

    /// Logits of `r`, the probability that a sentence comes from the source, `[batch]`:
    ///
    /// ```text
    /// u_t = tanh(W_a h_t);  a = softmax_t(v · u_t), padding masked;  s = Σ_t a_t h_t;  logit = w · s + b
    /// ```
    /// The gradient that goes back to `states` (`[batch, tokens, width]`) is multiplied with −λ_r. `keep` is `[batch, tokens]`, bool.
    pub fn forward(&self, states: &Tensor, keep: &Tensor) -> Tensor {
        let states = reverse_gradient(states, self.reverse);
        let kind = states.kind();
        let real = keep.unsqueeze(-1);
        let pooled = match (&self.attention, self.pooling) {
            (Some((attention, vector)), _) => {
                let scores = attention.forward(&states).tanh().matmul(vector).squeeze_dim(-1); // [batch, tokens]
                let weights = softmax_over(&scores, keep);
                (states * weights.unsqueeze(-1)).sum_dim_intlist([1].as_slice(), false, kind)
            }
            (None, Pooling::Max) => {
                let padding = real.logical_not();
                // A sentence without words has no maximum; its states count as 0.
                let masked = states.masked_fill(&padding, f64::NEG_INFINITY).amax([1], false);
                masked.masked_fill(&keep.any_dim(1, true).logical_not(), 0.0)
            }
            (None, _) => (states * real.to_kind(kind)).sum_dim_intlist([1].as_slice(), false, kind),
        };
        self.output.forward(&pooled).squeeze_dim(-1)
    }
}
