//! Self-attention over the states of a BiLSTM: the forms of Xie et al. 2018 and of Cao et al. 2018.

use common::nn::linear::Linear;
use common::nn::norm::LayerNorm;
use tch::nn::Path;
use tch::{Kind, Tensor};

use crate::config::Attention;

/// One of the two forms, or none.
#[derive(Debug)]
pub enum SelfAttention {
    /// States as they are.
    None,
    /// `q = tanh(W h + b)`, context `softmax(q qᵀ) H` beside the states (Xie et al. 2018, released code).
    Tanh {
        /// W and b.
        query: Linear,
    },
    /// Heads with ReLU projections, residual and layer norm (Cao et al. 2018, released code).
    Heads {
        /// Queries, keys, values.
        projections: [Linear; 3],
        /// Over the sum of states and context.
        norm: LayerNorm,
        /// Number of heads.
        heads: i64,
    },
}

impl SelfAttention {
    /// New layer at `path` over states of this width.
    pub fn new(path: &Path, kind: Attention, width: i64) -> Self {
        match kind {
            Attention::None => Self::None,
            Attention::SelfTanh => Self::Tanh { query: Linear::new(&(path / "query"), width, width) },
            Attention::MultiHead(heads) => Self::Heads {
                projections: ["query", "key", "value"].map(|name| Linear::new(&(path / name), width, width)),
                norm: LayerNorm::new(&(path / "norm"), width, 1e-5),
                heads,
            },
        }
    }

    /// Width of what comes out for states of this width.
    pub fn width(&self, width: i64) -> i64 {
        if matches!(self, Self::Tanh { .. }) { 2 * width } else { width }
    }

    /// `[batch, tokens, width]`; `keep` is `[batch, tokens]`, bool. Padding takes no part: the released code of Xie et al. lets
    /// it into the soft-max and clears its rows and columns afterwards, so that a sentence there depends on its batch.
    pub fn forward(&self, states: &Tensor, keep: &Tensor, dropout: f64, train: bool) -> Tensor {
        let kind = states.kind();
        match self {
            Self::None => states.shallow_clone(),
            Self::Tanh { query } => {
                let query = query.forward(states).tanh();
                let scores = query.matmul(&query.transpose(1, 2)); // [batch, tokens, tokens]
                let tokens = scores.size()[1];
                let diagonal = Tensor::eye(tokens, (kind, states.device()));
                let scores = scores * (-diagonal + 1.0); // a word's logit to itself is 0, not −∞
                let weights = softmax_over(&scores, &keep.unsqueeze(1));
                Tensor::cat(&[states.shallow_clone(), weights.matmul(states).dropout(dropout, train)], -1)
            }
            Self::Heads { projections, norm, heads } => {
                let [batch, tokens, width] = [0, 1, 2].map(|axis| states.size()[axis]);
                let [query, key, value] = projections.each_ref().map(|projection| {
                    let projected = projection.forward(states).relu();
                    projected.view([batch, tokens, *heads, width / heads]).transpose(1, 2)
                });
                let scale = ((width / heads) as f64).sqrt();
                let scores = query.matmul(&key.transpose(2, 3)) / scale; // [batch, heads, tokens, tokens]
                let weights = softmax_over(&scores, &keep.unsqueeze(1).unsqueeze(1)).dropout(dropout, train);
                let context =
                    weights.matmul(&value).transpose(1, 2).contiguous().view([batch, tokens, width]);
                norm.forward(&(states + context))
            }
        }
    }
}

/// Soft-max over the last axis among kept places; 0 everywhere where none is kept.
pub fn softmax_over(scores: &Tensor, keep: &Tensor) -> Tensor {
    let kind = scores.kind();
    let lowest = if kind == Kind::Double { f64::MIN } else { f64::from(f32::MIN) };
    let weights = scores.masked_fill(&keep.logical_not(), lowest).softmax(-1, kind);
    weights * keep.to_kind(kind)
}
