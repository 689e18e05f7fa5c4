//! Residual networks (He et al. 2016): ResNet-50 in torchvision's layout, the variant without early down-sampling of
//! Gragnaniello et al. 2021, and a small one that trains from scratch on processors.

use common::nn::vision::{Residual, Shape, Unit};
use tch::Tensor;
use tch::nn::{Init, Path};

/// Which residual network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    /// ResNet-50, stem of stride 4.
    Fifty,
    /// ResNet-50 with a stem of stride 1.
    FiftyNoDown,
    /// Three blocks of growing width at strides 1, 2, 4.
    Small,
}

/// A residual network with one output.
#[derive(Debug)]
pub(super) struct ResNet {
    stem: Unit,
    pool: bool,
    blocks: Vec<Residual>,
    weight: Tensor,
    bias: Tensor,
}

/// Widths of the small network. Ours.
const SMALL: [i64; 3] = [8, 16, 32];
/// Widths and depths of ResNet-50.
const FIFTY: [(i64, i64); 4] = [(64, 3), (128, 4), (256, 6), (512, 3)];

impl ResNet {
    pub(super) fn new(path: &Path, variant: Variant) -> Self {
        let mut blocks = Vec::new();
        let (stem, from) = match variant {
            Variant::Small => {
                let mut from = SMALL[0];
                for (layer, width) in SMALL.into_iter().enumerate() {
                    let place = path / format!("layer{}", layer + 1) / 0;
                    blocks.push(Residual::basic(&place, from, width, if layer == 0 { 1 } else { 2 }));
                    from = width;
                }
                (Shape::same(3, SMALL[0], 3, 1), from)
            }
            Variant::Fifty | Variant::FiftyNoDown => {
                let stride = if variant == Variant::Fifty { 2 } else { 1 };
                let mut from = 64;
                for (layer, (width, depth)) in FIFTY.into_iter().enumerate() {
                    for block in 0..depth {
                        let place = path / format!("layer{}", layer + 1) / block;
                        let stride = if layer > 0 && block == 0 { 2 } else { 1 };
                        blocks.push(Residual::bottleneck(&place, from, width, stride));
                        from = 4 * width;
                    }
                }
                (Shape::same(3, 64, 7, stride), from)
            }
        };
        let head = path / "fc";
        let weight = head.var("weight", &[1, from], Init::Randn { mean: 0.0, stdev: 0.02 });
        let bias = head.var("bias", &[1], Init::Const(0.0));
        Self {
            stem: Unit::new(path, "conv1", "bn1", stem),
            pool: variant == Variant::Fifty,
            blocks,
            weight,
            bias,
        }
    }

    /// `[batch, 3, height, width]` to logits `[batch]`.
    pub(super) fn forward(&self, images: &Tensor, train: bool) -> Tensor {
        let mut features = self.stem.forward(images, train).relu_();
        if self.pool {
            features = features.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
        }
        for block in &self.blocks {
            features = block.forward(&features, train);
        }
        let pooled = features.mean_dim([2_i64, 3].as_slice(), false, features.kind());
        pooled.linear(&self.weight, Some(&self.bias)).squeeze_dim(1)
    }
}
