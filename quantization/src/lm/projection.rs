//! The linear layer `y = x Wᵀ` in its four kinds.

use common::nn::gemm;
use tch::Tensor;
use tch::nn::{Init, Path};

use super::config::ProjectionKind;
use super::model::Mode;
use crate::bitnet::{binary_weight, ternary_weight};
use crate::qat::WeightQuantizer;

/// A linear layer without bias; its latent weight `[out, in]` is always f32.
#[derive(Debug)]
pub struct Projection {
    weight: Tensor,
    kind: ProjectionKind,
    quantizer: Option<WeightQuantizer>,
}

impl Projection {
    /// A layer at `path` of zeros; the model fills it.
    pub(super) fn new(path: &Path, from: i64, to: i64, kind: ProjectionKind) -> Self {
        let weight = path.var("weight", &[to, from], Init::Const(0.0));
        let quantizer = match kind {
            ProjectionKind::FakeQuant(config) => Some(WeightQuantizer::new(path, &weight, config.weights)),
            _ => None,
        };
        Self { weight, kind, quantizer }
    }

    /// `[.., in]`, quantized as the kind asks for, to `[.., out]`.
    pub(super) fn forward(&self, input: &Tensor, mode: Mode<'_>) -> Tensor {
        gemm::linear(input, &self.effective(mode), None)
    }

    fn effective(&self, mode: Mode<'_>) -> Tensor {
        match (self.kind, &self.quantizer) {
            (ProjectionKind::Bitnet1(_), _) => binary_weight(&self.weight),
            (ProjectionKind::BitnetB158, _) => ternary_weight(&self.weight),
            (_, Some(quantizer)) => mode.with_rng(|rng| quantizer.forward(&self.weight, rng)),
            (_, None) => self.weight.shallow_clone(),
        }
    }

    /// Latent weight `[out, in]`.
    pub fn latent(&self) -> &Tensor {
        &self.weight
    }

    /// The weight that inference multiplies with, `[out, in]`: `W`, `β·W_b`, `γ·W_t` or the fake-quantized one.
    pub fn deployed(&self) -> Tensor {
        let _guard = tch::no_grad_guard();
        self.effective(Mode::Evaluate).detach()
    }

    /// The fake quantizer.
    pub fn quantizer(&self) -> Option<&WeightQuantizer> {
        self.quantizer.as_ref()
    }
}
