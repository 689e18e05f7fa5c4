//! Detectors: an image in, one logit out; positive is "generated".

mod probe;
mod resnet;
mod saved;
mod squeezenet;

use std::path::Path;

use common::nn::checkpoint::{self, CheckpointError};
use image::RgbImage;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use resnet::{ResNet, Variant};
pub use saved::{Description, SavedError, threshold};

/// Which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// ResNet-50 with one output, the paper's.
    Resnet50,
    /// ResNet-50 whose first layers keep the resolution (Gragnaniello et al. 2021), pooled instead of judged place by place.
    Resnet50NoDown,
    /// Three residual blocks of 8 to 32 channels, first at full resolution.
    SmallResnet,
    /// SqueezeNet 1.1, to be fine-tuned.
    Squeezenet,
    /// Linear probe on the averaged logarithm of the power spectrum.
    Spectrum,
}

impl Architecture {
    /// Every architecture.
    pub const EACH: [Self; 5] =
        [Self::Resnet50, Self::Resnet50NoDown, Self::SmallResnet, Self::Squeezenet, Self::Spectrum];

    /// Name as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resnet50 => "resnet50",
            Self::Resnet50NoDown => "resnet50-no-down",
            Self::SmallResnet => "small-resnet",
            Self::Squeezenet => "squeezenet",
            Self::Spectrum => "spectrum",
        }
    }

    /// Smallest side of an image that the network can read, in pixels.
    pub fn smallest_side(self) -> u32 {
        match self {
            Self::Squeezenet => 17,
            Self::Spectrum => 16,
            _ => 1,
        }
    }
}

impl std::str::FromStr for Architecture {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = Self::EACH.map(Self::name).join(", ");
        let found = Self::EACH.into_iter().find(|architecture| architecture.name() == name);
        found.ok_or_else(|| format!("`{name}` is no detector; expected one of {names}"))
    }
}

/// How bytes become numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Normalisation {
    mean: [f32; 3],
    deviation: [f32; 3],
    blue_first: bool,
}

/// ImageNet's, of bytes. torchvision.
const IMAGENET: Normalisation =
    Normalisation { mean: [123.675, 116.28, 103.53], deviation: [58.395, 57.12, 57.375], blue_first: false };
/// Caffe's, of the published SqueezeNet.
const CAFFE: Normalisation =
    Normalisation { mean: [123.68, 116.779, 103.939], deviation: [1.0; 3], blue_first: true };

#[derive(Debug)]
enum Network {
    ResNet(Box<ResNet>),
    SqueezeNet(Box<squeezenet::SqueezeNet>),
    Probe(Box<probe::Probe>),
}

/// A network with its weights.
#[derive(Debug)]
pub struct Detector {
    /// Which network.
    pub architecture: Architecture,
    /// Its weights.
    pub store: VarStore,
    network: Network,
}

impl Detector {
    /// A detector with weights drawn from `seed`.
    pub fn new(architecture: Architecture, seed: u64, device: Device) -> Self {
        tch::manual_seed(seed as i64);
        let store = VarStore::new(device);
        let root = store.root();
        let resnet = |variant| Network::ResNet(Box::new(ResNet::new(&root, variant)));
        let network = match architecture {
            Architecture::Resnet50 => resnet(Variant::Fifty),
            Architecture::Resnet50NoDown => resnet(Variant::FiftyNoDown),
            Architecture::SmallResnet => resnet(Variant::Small),
            Architecture::Squeezenet => Network::SqueezeNet(Box::new(squeezenet::SqueezeNet::new(&root))),
            Architecture::Spectrum => Network::Probe(Box::new(probe::Probe::new(&root))),
        };
        Self { architecture, store, network }
    }

    /// Takes over pre-trained weights in torchvision's names; the last layer stays as it was drawn.
    ///
    /// # Errors
    /// Names and shapes that do not fit, each named.
    pub fn load_pretrained(&self, path: &Path) -> Result<(), CheckpointError> {
        let own: Vec<(String, Tensor)> = checkpoint::named(&self.store);
        let mut tensors = checkpoint::read(path)?;
        tensors.retain(|name, _| {
            !name.starts_with("fc.")
                && !name.starts_with("classifier.")
                && !name.ends_with("num_batches_tracked")
        });
        for (name, tensor) in own.into_iter().filter(|(name, _)| name.starts_with("fc.")) {
            tensors.insert(name, tensor.detach().copy());
        }
        checkpoint::fill(&self.store, tensors, path)
    }

    /// `[batch, 3, height, width]` numbers of [`Detector::batch`] to logits `[batch]`; positive is "generated".
    pub fn forward(&self, images: &Tensor, train: bool) -> Tensor {
        match &self.network {
            Network::ResNet(network) => network.forward(images, train),
            Network::SqueezeNet(network) => network.forward(images),
            Network::Probe(network) => network.forward(images, train),
        }
    }

    /// Images of one size as `[batch, 3, height, width]`, normalised as the network expects them.
    ///
    /// # Panics
    /// Without images, or with images of several sizes.
    pub fn batch(&self, images: &[RgbImage]) -> Tensor {
        let (width, height) = images[0].dimensions();
        assert!(images.iter().all(|image| image.dimensions() == (width, height)), "images of one size");
        let pixels = width as usize * height as usize;
        let Normalisation { mean, deviation, blue_first } =
            if self.architecture == Architecture::Squeezenet { CAFFE } else { IMAGENET };
        let mut numbers = vec![0.0_f32; images.len() * 3 * pixels];
        for (image, planes) in images.iter().zip(numbers.chunks_mut(3 * pixels)) {
            for channel in 0..3 {
                let plane = if blue_first { 2 - channel } else { channel };
                let (scale, offset) = (1.0 / deviation[channel], mean[channel] / deviation[channel]);
                let plane = &mut planes[plane * pixels..(plane + 1) * pixels];
                for (number, pixel) in plane.iter_mut().zip(image.chunks_exact(3)) {
                    *number = f32::from(pixel[channel]) * scale - offset;
                }
            }
        }
        let shape = [images.len() as i64, 3, i64::from(height), i64::from(width)];
        Tensor::from_slice(&numbers).view(shape).to_device(self.store.device())
    }

    /// Logits of images of one size, in batches of `size`.
    pub fn score(&self, images: &[RgbImage], size: usize) -> Vec<f64> {
        let _guard = tch::no_grad_guard();
        let logits = images.chunks(size).flat_map(|images| {
            let logits = self.forward(&self.batch(images), false).to_kind(Kind::Double);
            Vec::<f64>::try_from(logits).expect("one dimension of f64")
        });
        logits.collect()
    }

    /// Number of trained parameters.
    pub fn n_parameters(&self) -> usize {
        self.store.trainable_variables().iter().map(Tensor::numel).sum()
    }
}
