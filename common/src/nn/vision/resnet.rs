//! Residual networks (He et al. 2016) in torchvision's layout.

use tch::Tensor;
use tch::nn::Path;

use super::conv::{BatchNorm, Conv, Shape};

/// Convolution and batch normalisation.
#[derive(Debug)]
pub struct Unit {
    conv: Conv,
    norm: BatchNorm,
}

impl Unit {
    /// New unit whose layers are named `conv` and `norm` below `path`.
    pub fn new(path: &Path, conv: &str, norm: &str, shape: Shape) -> Self {
        Self { conv: Conv::plain(&(path / conv), shape), norm: BatchNorm::new(&(path / norm), shape.to) }
    }

    /// `[batch, from, ..]` to `[batch, to, ..]`; in evaluation as one convolution.
    pub fn forward(&self, input: &Tensor, train: bool) -> Tensor {
        match train {
            true => self.norm.forward(&self.conv.forward(input), true),
            false => self.conv.forward_normalised(input, &self.norm),
        }
    }
}

/// A residual block of any number of units.
#[derive(Debug)]
pub struct Residual {
    units: Vec<Unit>,
    shortcut: Option<Unit>,
}

impl Residual {
    /// 1x1, 3x3, 1x1, four times as wide at the end; the stride is in the middle, as torchvision has it.
    pub fn bottleneck(path: &Path, from: i64, width: i64, stride: i64) -> Self {
        let units = vec![
            Unit::new(path, "conv1", "bn1", Shape::same(from, width, 1, 1)),
            Unit::new(path, "conv2", "bn2", Shape::same(width, width, 3, stride)),
            Unit::new(path, "conv3", "bn3", Shape::same(width, 4 * width, 1, 1)),
        ];
        Self { units, shortcut: Self::shortcut(path, from, 4 * width, stride) }
    }

    /// 3x3, 3x3.
    pub fn basic(path: &Path, from: i64, width: i64, stride: i64) -> Self {
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

    /// `[batch, from, ..]` to `[batch, to, ..]`.
    pub fn forward(&self, input: &Tensor, train: bool) -> Tensor {
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

/// Number of layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// ResNet-18.
    Eighteen,
    /// ResNet-34.
    ThirtyFour,
    /// ResNet-50.
    Fifty,
    /// ResNet-101.
    HundredOne,
}

impl Depth {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Eighteen, Self::ThirtyFour, Self::Fifty, Self::HundredOne];

    /// Name as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eighteen => "resnet18",
            Self::ThirtyFour => "resnet34",
            Self::Fifty => "resnet50",
            Self::HundredOne => "resnet101",
        }
    }

    /// Blocks of the first three stages.
    fn blocks(self) -> [i64; 3] {
        match self {
            Self::Eighteen => [2, 2, 2],
            Self::ThirtyFour | Self::Fifty => [3, 4, 6],
            Self::HundredOne => [3, 4, 23],
        }
    }

    fn has_bottlenecks(self) -> bool {
        matches!(self, Self::Fifty | Self::HundredOne)
    }

    /// Channels after the third stage.
    pub(super) fn channels(self) -> i64 {
        if self.has_bottlenecks() { 1024 } else { 256 }
    }
}

/// A residual network up to its third stage, stride 16.
#[derive(Debug)]
pub struct ResNetTrunk {
    stem: Unit,
    blocks: Vec<Residual>,
}

impl ResNetTrunk {
    /// New network at `path`.
    pub fn new(path: &Path, depth: Depth) -> Self {
        let (mut blocks, mut from) = (Vec::new(), 64);
        for (stage, (width, n)) in [64, 128, 256].into_iter().zip(depth.blocks()).enumerate() {
            for block in 0..n {
                let place = path / format!("layer{}", stage + 1) / block;
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                if depth.has_bottlenecks() {
                    blocks.push(Residual::bottleneck(&place, from, width, stride));
                    from = 4 * width;
                } else {
                    blocks.push(Residual::basic(&place, from, width, stride));
                    from = width;
                }
            }
        }
        Self { stem: Unit::new(path, "conv1", "bn1", Shape::same(3, 64, 7, 2)), blocks }
    }

    /// `[batch, 3, height, width]` to the map of stride 16.
    pub fn forward(&self, images: &Tensor, train: bool) -> Tensor {
        let stem = self.stem.forward(images, train).relu();
        let pooled = stem.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
        self.blocks.iter().fold(pooled, |features, block| block.forward(&features, train))
    }
}
