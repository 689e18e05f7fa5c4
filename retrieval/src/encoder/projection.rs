//! The linear maps between the encoder's hidden states and the token vectors.

use common::nn::gemm;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::{Init, Path};

/// `config.json` of a `Dense` module; other keys are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DenseConfig {
    pub(super) in_features: i64,
    pub(super) out_features: i64,
    #[serde(default = "yes")]
    pub(super) bias: bool,
    #[serde(default = "identity")]
    pub(super) activation_function: String,
    #[serde(default)]
    pub(super) use_residual: bool,
}

fn yes() -> bool {
    true
}

pub(super) const IDENTITY: &str = "torch.nn.modules.linear.Identity";

fn identity() -> String {
    // `sentence_transformers.models.Dense` without the key applies tanh.
    "torch.nn.modules.activation.Tanh".to_owned()
}

/// A function between two linear maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activation {
    Identity,
    Tanh,
    Relu,
    Gelu,
}

impl DenseConfig {
    /// ColBERT's projection: no bias, no activation.
    pub(super) fn plain(in_features: i64, out_features: i64) -> Self {
        let activation_function = IDENTITY.to_owned();
        Self { in_features, out_features, bias: false, activation_function, use_residual: false }
    }

    fn activation(&self) -> Option<Activation> {
        match self.activation_function.rsplit('.').next().unwrap_or_default() {
            "Identity" => Some(Activation::Identity),
            "Tanh" => Some(Activation::Tanh),
            "ReLU" => Some(Activation::Relu),
            "GELU" => Some(Activation::Gelu),
            _ => None,
        }
    }

    /// What keeps this module from being built.
    pub(super) fn problem(&self) -> Option<String> {
        if self.in_features < 1 || self.out_features < 1 {
            return Some("`in_features` and `out_features` must be at least 1".to_owned());
        }
        let name = &self.activation_function;
        let unknown = || format!("`activation_function` is `{name}`, expected Identity, Tanh, ReLU or GELU");
        self.activation().is_none().then(unknown)
    }
}

/// `activation(x Wᵀ + b)`, with `x` or `x Rᵀ` added where the checkpoint says so.
#[derive(Debug)]
pub(super) struct Dense {
    pub(super) config: DenseConfig,
    activation: Activation,
    weight: Tensor,
    bias: Option<Tensor>,
    residual: Option<Tensor>,
}

impl Dense {
    /// New map at `path`, weights from N(0, `deviation`²); the configuration was checked.
    pub(super) fn new(path: &Path<'_>, config: DenseConfig, deviation: f64) -> Self {
        let shape = [config.out_features, config.in_features];
        let normal = Init::Randn { mean: 0.0, stdev: deviation };
        let linear = path / "linear";
        let weight = linear.var("weight", &shape, normal);
        let bias = config.bias.then(|| linear.var("bias", &shape[..1], Init::Const(0.0)));
        let other = config.use_residual && shape[0] != shape[1];
        let residual = other.then(|| (path / "residual").var("weight", &shape, normal));
        let activation = config.activation().unwrap_or(Activation::Identity);
        Self { config, activation, weight, bias, residual }
    }

    /// `[rows, in_features]` to `[rows, out_features]`.
    pub(super) fn forward(&self, input: &Tensor) -> Tensor {
        let linear = gemm::linear(input, &self.weight, self.bias.as_ref());
        let output = match self.activation {
            Activation::Identity => linear,
            Activation::Tanh => linear.tanh(),
            Activation::Relu => linear.relu(),
            Activation::Gelu => linear.gelu("none"),
        };
        match &self.residual {
            Some(weight) => output + gemm::linear(input, weight, None),
            None if self.config.use_residual => output + input,
            None => output,
        }
    }
}
