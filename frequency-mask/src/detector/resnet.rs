//! Residual networks (He et al. 2016): ResNet-50 in torchvision's layout, the variant without early down-sampling of
//! Gragnaniello et al. 2021, and a small one that trains from scratch on processors.

use tch::Tensor;
use tch::nn::{Init, Path};

use super::layers::{BatchNorm, Conv, Shape};

/// Convolution and batch normalisation.
#[derive(Debug)]
struct Unit {
    conv: Conv,
    norm: BatchNorm,
}

impl Unit {
    fn new(path: &Path, conv: &str, norm: &str, shape: Shape) -> Self {
        Self { conv: Conv::plain(&(path / conv), shape), norm: BatchNorm::new(&(path / norm), shape.to) }
    }

    fn forward(&self, input: &Tensor, train: bool) -> Tensor {
        match train {
            true => self.norm.forward(&self.conv.forward(input), true),
            false => self.conv.forward_normalised(input, &self.norm),
        }
    }
}

/// A residual block of any number of units.
#[derive(Debug)]
struct Residual {
    units: Vec<Unit>,
    shortcut: Option<Unit>,
}

impl Residual {
    /// 1x1, 3x3, 1x1: torchvision strides in the middle.
    fn bottleneck(path: &Path, from: i64, width: i64, stride: i64) -> Self {
        let units = vec![
            Unit::new(path, "conv1", "bn1", Shape::same(from, width, 1, 1)),
            Unit::new(path, "conv2", "bn2", Shape::same(width, width, 3, stride)),
            Unit::new(path, "conv3", "bn3", Shape::same(width, 4 * width, 1, 1)),
        ];
        Self { units, shortcut: Self::shortcut(path, from, 4 * width, stride) }
    }

    /// 3x3, 3x3.
    fn basic(path: &Path, from: i64, width: i64, stride: i64) -> Self {
        let units = vec![
            Unit::new(path, "conv1", "bn1", Shape::same(from, width, 3, stride)),
            Unit::new(path, "conv2", "bn2", Shape::same(width, width, 3, 1)),
        ];
        Self { units, shortcut: Self::shortcut(path, from, width, stride) }
    }

    fn shortcut(path: &Path, from: i64, to: i64, stride: i64) -> Option<Unit> {
        let path = path / "downsample";
        (from != to || stride != 1).then(|| Unit::new(&path, "0", "1", Shape::same(from, to, 1, stride)))
    }

    fn forward(&self, input: &Tensor, train: bool) -> Tensor {
        let mut inner = input.shallow_clone();
        for (at, unit) in self.units.iter().enumerate() {
            inner = unit.forward(&inner, train);
            if at + 1 < self.units.len() {
                inner = inner.relu_();
            }
        }
        let through = self.shortcut.as_ref().map(|unit| unit.forward(input, train));
        (inner + through.unwrap_or_else(|| input.shallow_clone())).relu_()
    }
}

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
