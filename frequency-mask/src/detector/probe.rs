//! The floor: a linear probe on the spectrum of the image.

use tch::Tensor;
use tch::nn::{Init, Path};

use common::nn::vision::BatchNorm;

/// Rows and columns to which the logarithm of the power spectrum is averaged. Ours.
pub(super) const CELLS: [i64; 2] = [16, 9];

#[derive(Debug)]
pub(super) struct Probe {
    norm: BatchNorm,
    weight: Tensor,
    bias: Tensor,
}

impl Probe {
    pub(super) fn new(path: &Path) -> Self {
        let width = CELLS[0] * CELLS[1];
        let head = path / "fc";
        Self {
            norm: BatchNorm::new(&(path / "norm"), width),
            weight: head.var("weight", &[1, width], Init::Const(0.0)),
            bias: head.var("bias", &[1], Init::Const(0.0)),
        }
    }

    /// `[batch, 3, height, width]` to logits `[batch]`.
    pub(super) fn forward(&self, images: &Tensor, train: bool) -> Tensor {
        let grey = images.mean_dim([1_i64].as_slice(), false, images.kind());
        let grey = &grey - grey.mean_dim([1_i64, 2].as_slice(), true, grey.kind());
        let spectrum = grey.fft_rfft2(None::<&[i64]>, [-2, -1], "ortho").abs(); // [batch, height, width / 2 + 1]
        let power = (spectrum.square() + 1e-4).log();
        // Rows shifted, so that a cell holds neighbours only.
        let height = power.size()[1];
        let shifted = power.roll([height / 2], [1_i64]);
        let cells = shifted.unsqueeze(1).adaptive_avg_pool2d(CELLS).flatten(1, -1);
        self.norm.forward(&cells, train).linear(&self.weight, Some(&self.bias)).squeeze_dim(1)
    }
}
