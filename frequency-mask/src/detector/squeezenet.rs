//! SqueezeNet 1.1 (Iandola et al. 2016), its convolutional part as published, with one output.

use tch::Tensor;
use tch::nn::{Init, Path};

use super::layers::{Conv, Shape};

#[derive(Debug)]
struct Fire {
    squeeze: Conv,
    expand1x1: Conv,
    expand3x3: Conv,
}

impl Fire {
    fn new(path: &Path, from: i64, squeeze: i64, expand: i64) -> Self {
        let conv =
            |name: &str, from, to, kernel| Conv::biased(&(path / name), Shape::same(from, to, kernel, 1));
        Self {
            squeeze: conv("squeeze", from, squeeze, 1),
            expand1x1: conv("expand1x1", squeeze, expand, 1),
            expand3x3: conv("expand3x3", squeeze, expand, 3),
        }
    }

    fn forward(&self, input: &Tensor) -> Tensor {
        let squeezed = self.squeeze.forward(input).relu();
        Tensor::cat(&[self.expand1x1.forward(&squeezed).relu(), self.expand3x3.forward(&squeezed).relu()], 1)
    }
}

/// Names of the fire modules among torchvision's layers, with inputs, squeezed and expanded width; pools stand before 3, 6, 9.
const FIRES: [(i64, i64, i64, i64); 8] = [
    (3, 64, 16, 64),
    (4, 128, 16, 64),
    (6, 128, 32, 128),
    (7, 256, 32, 128),
    (9, 256, 48, 192),
    (10, 384, 48, 192),
    (11, 384, 64, 256),
    (12, 512, 64, 256),
];

#[derive(Debug)]
pub(super) struct SqueezeNet {
    first: Conv,
    fires: Vec<(i64, Fire)>,
    weight: Tensor,
    bias: Tensor,
}

impl SqueezeNet {
    pub(super) fn new(path: &Path) -> Self {
        let features = path / "features";
        let shape = Shape { from: 3, to: 64, kernel: 3, stride: 2, padding: 0 };
        let fire = |(at, from, squeeze, expand)| (at, Fire::new(&(&features / at), from, squeeze, expand));
        let head = path / "fc";
        Self {
            first: Conv::biased(&(&features / 0), shape),
            fires: FIRES.map(fire).into(),
            weight: head.var("weight", &[1, 512], Init::Randn { mean: 0.0, stdev: 0.02 }),
            bias: head.var("bias", &[1], Init::Const(0.0)),
        }
    }

    /// `[batch, 3, height, width]`, blue first and mean subtracted, to logits `[batch]`.
    pub(super) fn forward(&self, images: &Tensor) -> Tensor {
        let mut features = self.first.forward(images).relu();
        for (at, fire) in &self.fires {
            if [3, 6, 9].contains(at) {
                features = features.max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], true);
            }
            features = fire.forward(&features);
        }
        let pooled = features.mean_dim([2_i64, 3].as_slice(), false, features.kind());
        pooled.linear(&self.weight, Some(&self.bias)).squeeze_dim(1)
    }
}
