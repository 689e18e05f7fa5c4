//! Convolutional networks for images in torchvision's layout: their weights load by name.

mod conv;
mod plain;
mod resnet;
mod squeezenet;

use std::str::FromStr;

use tch::Tensor;
use tch::nn::Path;

pub use conv::{BatchNorm, Conv, Shape};
pub use plain::Plain;
pub use resnet::{Depth, ResNetTrunk, Residual, Unit};
pub use squeezenet::SqueezeNet;

/// Which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrunkName {
    /// SqueezeNet 1.1 (Iandola et al. 2016): 512 channels.
    SqueezeNet,
    /// AlexNet (Krizhevsky 2014): 256 channels.
    AlexNet,
    /// VGG-16 (Simonyan and Zisserman 2015): 512 channels.
    Vgg16,
    /// A residual network up to its third stage: 256 channels, or 1,024 with bottlenecks.
    ResNet(Depth),
}

/// A network from images to a map of stride 16, without its classifier.
#[derive(Debug)]
pub enum Trunk {
    /// SqueezeNet 1.1.
    SqueezeNet(SqueezeNet),
    /// Convolutions one after the other.
    Plain(Plain),
    /// Residual.
    ResNet(ResNetTrunk),
}

impl TrunkName {
    /// Name as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::SqueezeNet => "squeezenet1_1",
            Self::AlexNet => "alexnet",
            Self::Vgg16 => "vgg16",
            Self::ResNet(depth) => depth.name(),
        }
    }

    /// Channels of its map.
    pub fn channels(self) -> i64 {
        match self {
            Self::SqueezeNet | Self::Vgg16 => 512,
            Self::AlexNet => 256,
            Self::ResNet(depth) => depth.channels(),
        }
    }
}

impl FromStr for TrunkName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all =
            [Self::SqueezeNet, Self::AlexNet, Self::Vgg16].into_iter().chain(Depth::ALL.map(Self::ResNet));
        let names: Vec<&str> = all.clone().map(Self::name).collect();
        let found = all.into_iter().find(|trunk| trunk.name() == name);
        found.ok_or_else(|| format!("`{name}` is not a network; expected one of {}", names.join(", ")))
    }
}

impl Trunk {
    /// New network at `path`.
    pub fn new(path: &Path, name: TrunkName) -> Self {
        match name {
            TrunkName::SqueezeNet => Self::SqueezeNet(SqueezeNet::new(path)),
            TrunkName::AlexNet => Self::Plain(Plain::alexnet(path)),
            TrunkName::Vgg16 => Self::Plain(Plain::vgg16(path)),
            TrunkName::ResNet(depth) => Self::ResNet(ResNetTrunk::new(path, depth)),
        }
    }

    /// `[batch, 3, height, width]` to `[batch, channels, ≈ height / 16, ≈ width / 16]`, batch normalisation as at evaluation.
    pub fn forward(&self, images: &Tensor) -> Tensor {
        match self {
            Self::SqueezeNet(net) => net.forward(images),
            Self::Plain(net) => net.forward(images),
            Self::ResNet(net) => net.forward(images, false),
        }
    }
}
