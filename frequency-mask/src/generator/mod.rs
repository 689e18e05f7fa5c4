//! Generators of fakes, trained by the crate itself: autoencoders with five upsamplers, small GANs, a pixel diffusion model.

pub mod autoencoder;
pub mod diffusion;
pub mod gan;
mod upsample;

use common::optim::{AdamW, AdamWConfig, clip_grad_norm};
use image::RgbImage;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

pub use upsample::Upsampler;

/// A source of fakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generator {
    /// Autoencoder, transposed convolutions of kernel 4.
    T4,
    /// Autoencoder, transposed convolutions of kernel 3.
    T3,
    /// Autoencoder, nearest neighbours.
    N,
    /// Autoencoder, bilinear.
    B,
    /// Autoencoder, pixel shuffle.
    P,
    /// GAN, transposed convolutions of kernel 4.
    GanT4,
    /// GAN, nearest neighbours.
    GanN,
    /// Diffusion model on pixels.
    D,
}

impl Generator {
    /// Every generator.
    pub const EACH: [Self; 8] =
        [Self::T4, Self::T3, Self::N, Self::B, Self::P, Self::GanT4, Self::GanN, Self::D];

    /// Name in settings and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::T4 => "t4",
            Self::T3 => "t3",
            Self::N => "n",
            Self::B => "b",
            Self::P => "p",
            Self::GanT4 => "gan-t4",
            Self::GanN => "gan-n",
            Self::D => "d",
        }
    }

    /// The upsampler, and whether it is an autoencoder's.
    pub fn upsampler(self) -> Option<Upsampler> {
        match self {
            Self::T4 | Self::GanT4 => Some(Upsampler::Transposed4),
            Self::T3 => Some(Upsampler::Transposed3),
            Self::N | Self::GanN => Some(Upsampler::Nearest),
            Self::B => Some(Upsampler::Bilinear),
            Self::P => Some(Upsampler::Shuffle),
            Self::D => None,
        }
    }

    /// Whether it rebuilds photographs instead of inventing images.
    pub fn is_autoencoder(self) -> bool {
        matches!(self, Self::T4 | Self::T3 | Self::N | Self::B | Self::P)
    }
}

/// How long a generator learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Steps.
    pub steps: usize,
    /// Adam's learning rate, constant.
    pub learning_rate: f64,
    /// Where.
    pub device: Device,
}

/// A generator after training.
#[derive(Debug)]
pub struct Trained<M> {
    /// The network.
    pub model: M,
    /// Its weights.
    pub store: VarStore,
    /// Loss over training, `[step, loss]`.
    pub curve: Vec<[f64; 2]>,
}

/// Adam on a loss of each step.
fn optimise(store: &VarStore, budget: &Budget, mut loss: impl FnMut(usize) -> Tensor) -> Vec<[f64; 2]> {
    let mut optimiser = AdamW::new(store, AdamWConfig::adam());
    let mut curve = Vec::new();
    for step in 0..budget.steps {
        optimiser.zero_grad();
        let loss = loss(step);
        loss.backward();
        if clip_grad_norm(store, 1.0).is_err() {
            break; // the curve shows how far it came; the caller judges the samples
        }
        // The last third anneals: shorter schedules end on a noisy step otherwise.
        let left = (budget.steps - step) as f64 / budget.steps as f64;
        optimiser.step(budget.learning_rate * (3.0 * left).min(1.0));
        curve.push([step as f64, loss.double_value(&[])]);
    }
    curve
}

/// Images of one size to `[batch, 3, height, width]` in -1..1.
///
/// # Panics
/// Without images, or with images of several sizes.
pub fn to_tensor(images: &[RgbImage], device: Device) -> Tensor {
    let (width, height) = images[0].dimensions();
    let bytes: Vec<u8> = images.iter().flat_map(|image| image.as_raw()).copied().collect();
    let shape = [images.len() as i64, i64::from(height), i64::from(width), 3];
    let numbers = Tensor::from_slice(&bytes).view(shape).permute([0, 3, 1, 2]).to_device(device);
    numbers.to_kind(Kind::Float).contiguous() / 127.5 - 1.0
}

/// `[batch, 3, height, width]` in -1..1 to images, rounded and clamped to bytes.
///
/// # Panics
/// For another number of dimensions or channels.
pub fn to_images(tensor: &Tensor) -> Vec<RgbImage> {
    let bytes = ((tensor + 1.0) * 127.5).round().clamp(0.0, 255.0).to_kind(Kind::Uint8);
    let bytes = bytes.permute([0, 2, 3, 1]).contiguous().to_device(Device::Cpu);
    let (height, width) = (bytes.size()[1] as u32, bytes.size()[2] as u32);
    let all = Vec::<u8>::try_from(bytes.flatten(0, -1)).expect("one dimension of bytes");
    let image = |bytes: &[u8]| RgbImage::from_raw(width, height, bytes.to_vec()).expect("as many bytes");
    all.chunks((height * width * 3) as usize).map(image).collect()
}
