//! BitNet: linear layers of one bit (arXiv 2310.11453) and of three values (b1.58, arXiv 2402.17764).
//!
//! ```text
//! b1      α = mean W   W_b = sign(W − α), sign 0 = −1   β = mean|W|   y = (W_b x_q)·βγ/Q_b
//! b1.58   γ = mean|W|  W_t = clamp(round(W/γ), −1, 1)   weights decode as γ·W_t
//! ```
//! Latent weights stay in full precision; rounding, sign and clipping have the gradient of the identity.

use common::tensor::straight_through;
use tch::{Kind, Tensor};

/// Smallest scale, from the authors' code (Training Tips note, March 2024).
const SMALLEST: f64 = 1e-5;
/// `Q_b` of 8-bit activations, `2^(b−1)`.
const ACTIVATION_LEVELS: f64 = 128.0;

/// A ternary matrix: codes −1, 0, 1 and the one scale that multiplies them.
#[derive(Clone, Debug, PartialEq)]
pub struct Ternary {
    /// Codes in row order.
    pub codes: Vec<i8>,
    /// Scale γ.
    pub scale: f32,
}

impl Ternary {
    /// Codes and scale of a latent matrix by absmean, as the training forward uses them.
    ///
    /// # Panics
    /// When `weight` is not f32: a model's parameters are.
    pub fn absmean(weight: &Tensor) -> Self {
        let _guard = tch::no_grad_guard();
        let (codes, scale) = absmean_codes(weight);
        let codes = Vec::<f32>::try_from(codes.to_kind(Kind::Float).flatten(0, -1)).expect("codes are f32");
        Self {
            codes: codes.into_iter().map(|code| code as i8).collect(),
            scale: scale.double_value(&[]) as f32,
        }
    }

    /// `γ·W_t` in row order.
    pub fn values(&self) -> Vec<f32> {
        self.codes.iter().map(|&code| f32::from(code) * self.scale).collect()
    }

    /// Share of weights that are 0.
    pub fn zeros(&self) -> f64 {
        self.codes.iter().filter(|&&code| code == 0).count() as f64 / self.codes.len().max(1) as f64
    }
}

/// `W_t` and γ: `s = 1 / max(mean|W|, 1e-5)`, `W_t = clamp(round(W·s), −1, 1)`, `γ = 1/s`.
fn absmean_codes(weight: &Tensor) -> (Tensor, Tensor) {
    let weight = weight.detach();
    let scale = weight.abs().mean(weight.kind()).clamp_min(SMALLEST);
    let codes = (weight * scale.reciprocal()).round().clamp(-1.0, 1.0);
    (codes, scale)
}

/// `γ·W_t` with the gradient of the identity towards `W`; γ carries none.
///
/// ```
/// use quantization::bitnet::ternary_weight;
/// use tch::Tensor;
/// let weight = Tensor::from_slice(&[0.1_f32, -1.0, 0.9, 0.0]); // mean|W| = 0.5
/// assert_eq!(Vec::<f32>::try_from(ternary_weight(&weight)).unwrap(), [0.0, -0.5, 0.5, 0.0]);
/// ```
pub fn ternary_weight(weight: &Tensor) -> Tensor {
    let (codes, scale) = absmean_codes(weight);
    straight_through(&(codes * scale), weight)
}

/// `β·sign(W − α)` with the gradient of the identity towards `W`.
///
/// ```
/// use quantization::bitnet::binary_weight;
/// use tch::Tensor;
/// let weight = Tensor::from_slice(&[1.0_f32, -1.0, 3.0, 1.0]); // α = 1, β = 1.5, sign(0) = −1
/// assert_eq!(Vec::<f32>::try_from(binary_weight(&weight)).unwrap(), [-1.5, -1.5, 1.5, -1.5]);
/// ```
pub fn binary_weight(weight: &Tensor) -> Tensor {
    let latent = weight.detach();
    let alpha = latent.mean(latent.kind());
    let beta = latent.abs().mean(latent.kind());
    let signs = latent.gt_tensor(&alpha).to_kind(latent.kind()) * 2.0 - 1.0;
    straight_through(&(signs * beta), weight)
}

/// Activations of b1.58, per token: `s = 127 / max(max|x|, 1e-5)`, `x̃ = clamp(round(x·s), −128, 127) / s`, gradient of
/// the identity.
pub fn absmax_activation(x: &Tensor) -> Tensor {
    let values = x.detach();
    let scale = (values.abs().amax([-1], true).clamp_min(SMALLEST) / 127.0).reciprocal();
    straight_through(&((&values * &scale).round().clamp(-128.0, 127.0) / scale), x)
}

/// Activations of b1, per token: `x_q = clip(x·Q_b/γ, −Q_b + ε, Q_b − ε)`, `γ = max|x|`, decoded as `x_q·γ/Q_b`, gradient
/// of the identity. The paper's ε stands for "no overflow"; the integers are −128 … 127. It takes γ of the whole tensor
/// in training, which lets a position see later ones; here it is each token's own, as in its inference.
pub fn binary_activation(x: &Tensor) -> Tensor {
    let values = x.detach();
    let scale = ACTIVATION_LEVELS / values.abs().amax([-1], true).clamp_min(SMALLEST);
    let codes = (&values * &scale).round().clamp(-ACTIVATION_LEVELS, ACTIVATION_LEVELS - 1.0);
    straight_through(&(codes / scale), x)
}

/// Activations of b1 before a non-linear function, per token: `η = min x`, `x_q = clip((x − η)·Q_b/γ, ε, Q_b − ε)`,
/// decoded as `x_q·γ/Q_b` (η is not added back, as in the paper), gradient of the identity. The integers are 0 … 127.
pub fn shifted_activation(x: &Tensor) -> Tensor {
    let values = x.detach();
    let scale = ACTIVATION_LEVELS / values.abs().amax([-1], true).clamp_min(SMALLEST);
    let least = values.amin([-1], true);
    let codes = ((&values - least) * &scale).round().clamp(0.0, ACTIVATION_LEVELS - 1.0);
    straight_through(&(codes / scale), x)
}

/// `x` over its root mean square along the last axis, without a gain: the normalisation before the quantizer.
pub fn unit_rms(x: &Tensor, epsilon: f64) -> Tensor {
    let width = x.size()[x.dim() - 1];
    x.rms_norm([width], None::<&Tensor>, epsilon)
}

#[cfg(test)]
mod tests;
