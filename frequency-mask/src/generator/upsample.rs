//! The layers that double the resolution, and the traces they leave: what detectors of generated images look for.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::{Init, Path};

use common::nn::vision::{Conv, Shape};

/// How a decoder doubles the resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Upsampler {
    /// Transposed convolution, kernel 4, stride 2: even overlap.
    Transposed4,
    /// Transposed convolution, kernel 3, stride 2: uneven overlap, the checkerboard.
    Transposed3,
    /// Nearest neighbours, then a 3x3 convolution.
    Nearest,
    /// Bilinear, then a 3x3 convolution.
    Bilinear,
    /// A 3x3 convolution to four times the channels, laid out as pixels.
    Shuffle,
}

/// One doubling layer.
#[derive(Debug)]
pub(super) enum Doubling {
    Transposed { weight: Tensor, bias: Tensor, padding: i64, output_padding: i64 },
    Scaled { conv: Conv, smooth: bool },
    Shuffled(Conv),
}

impl Doubling {
    pub(super) fn new(path: &Path, upsampler: Upsampler, from: i64, to: i64) -> Self {
        let transposed = |kernel: i64, output_padding| {
            let bound = 1.0 / ((to * kernel * kernel) as f64).sqrt();
            let init = Init::Uniform { lo: -bound, up: bound };
            let weight = path.var("weight", &[from, to, kernel, kernel], init);
            Self::Transposed { weight, bias: path.var("bias", &[to], init), padding: 1, output_padding }
        };
        match upsampler {
            Upsampler::Transposed4 => transposed(4, 0),
            Upsampler::Transposed3 => transposed(3, 1),
            Upsampler::Nearest | Upsampler::Bilinear => {
                let conv = Conv::biased(path, Shape::same(from, to, 3, 1));
                Self::Scaled { conv, smooth: upsampler == Upsampler::Bilinear }
            }
            Upsampler::Shuffle => Self::Shuffled(Conv::biased(path, Shape::same(from, 4 * to, 3, 1))),
        }
    }

    /// `[batch, from, height, width]` to `[batch, to, 2 height, 2 width]`.
    pub(super) fn forward(&self, input: &Tensor) -> Tensor {
        match self {
            Self::Transposed { weight, bias, padding, output_padding } => {
                let (padding, output) = ([*padding; 2], [*output_padding; 2]);
                input.conv_transpose2d(weight, Some(bias), [2, 2], padding, output, 1, [1, 1])
            }
            Self::Scaled { conv, smooth } => {
                let size = [2 * input.size()[2], 2 * input.size()[3]];
                let larger = match smooth {
                    true => input.upsample_bilinear2d(size, false, None, None),
                    false => input.upsample_nearest2d(size, None, None),
                };
                conv.forward(&larger)
            }
            Self::Shuffled(conv) => conv.forward(input).pixel_shuffle(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;
    use tch::{Device, kind};

    use super::*;

    #[test]
    fn every_layer_doubles_the_resolution() {
        let store = VarStore::new(Device::Cpu);
        let all = [
            Upsampler::Transposed4,
            Upsampler::Transposed3,
            Upsampler::Nearest,
            Upsampler::Bilinear,
            Upsampler::Shuffle,
        ];
        for (at, upsampler) in all.into_iter().enumerate() {
            let layer = Doubling::new(&(store.root() / at), upsampler, 3, 5);
            assert_eq!(layer.forward(&Tensor::zeros([2, 3, 4, 6], kind::FLOAT_CPU)).size(), [2, 5, 8, 12]);
        }
    }
}
