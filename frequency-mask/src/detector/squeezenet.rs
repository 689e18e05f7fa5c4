//! SqueezeNet 1.1 (Iandola et al. 2016), its convolutional part as published, with one output.

use common::nn::vision;
use tch::Tensor;
use tch::nn::{Init, Path};

#[derive(Debug)]
pub(super) struct SqueezeNet {
    features: vision::SqueezeNet,
    weight: Tensor,
    bias: Tensor,
}

impl SqueezeNet {
    pub(super) fn new(path: &Path) -> Self {
        let head = path / "fc";
        Self {
            features: vision::SqueezeNet::new(path),
            weight: head.var("weight", &[1, 512], Init::Randn { mean: 0.0, stdev: 0.02 }),
            bias: head.var("bias", &[1], Init::Const(0.0)),
        }
    }

    /// `[batch, 3, height, width]`, blue first and mean subtracted, to logits `[batch]`.
    pub(super) fn forward(&self, images: &Tensor) -> Tensor {
        let features = self.features.forward(images);
        let pooled = features.mean_dim([2_i64, 3].as_slice(), false, features.kind());
        pooled.linear(&self.weight, Some(&self.bias)).squeeze_dim(1)
    }
}
