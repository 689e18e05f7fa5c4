//! An autoencoder whose decoder ends in one of the upsamplers: its reconstructions are fakes of the same subjects.

use tch::Tensor;
use tch::nn::VarStore;

use super::upsample::{Doubling, Upsampler};
use super::{Budget, Trained, optimise};
use common::nn::vision::{Conv, Shape};

/// Channels after the first and the second halving. Ours: wide, so that fakes are not simply blurred.
const WIDTHS: [i64; 2] = [24, 48];

/// Encoder, and decoder with one kind of upsampler.
#[derive(Debug)]
pub struct Autoencoder {
    encoder: [Conv; 2],
    doublings: [Doubling; 2],
    last: Conv,
}

impl Autoencoder {
    fn new(store: &VarStore, upsampler: Upsampler) -> Self {
        let root = store.root();
        let halving = |name: &str, from, to| {
            Conv::biased(&(&root / name), Shape { from, to, kernel: 4, stride: 2, padding: 1 })
        };
        Self {
            encoder: [halving("down1", 3, WIDTHS[0]), halving("down2", WIDTHS[0], WIDTHS[1])],
            doublings: [
                Doubling::new(&(&root / "up1"), upsampler, WIDTHS[1], WIDTHS[0]),
                Doubling::new(&(&root / "up2"), upsampler, WIDTHS[0], 16),
            ],
            last: Conv::biased(&(&root / "last"), Shape::same(16, 3, 3, 1)),
        }
    }

    /// Images `[batch, 3, height, width]` in -1..1, sides divisible by 4, rebuilt.
    pub fn forward(&self, images: &Tensor) -> Tensor {
        let code = self.encoder.iter().fold(images.shallow_clone(), |x, conv| conv.forward(&x).relu());
        let wide = self.doublings.iter().fold(code, |x, doubling| doubling.forward(&x).relu());
        self.last.forward(&wide)
    }

    /// Learns to rebuild images that `draw` gives, batch after batch, by the mean absolute error.
    pub fn train(
        upsampler: Upsampler,
        budget: &Budget,
        seed: u64,
        mut draw: impl FnMut(usize) -> Tensor,
    ) -> Trained<Self> {
        tch::manual_seed(seed as i64);
        let store = VarStore::new(budget.device);
        let model = Self::new(&store, upsampler);
        let curve = optimise(&store, budget, |step| {
            let images = draw(step);
            (model.forward(&images) - images).abs().mean(tch::Kind::Float)
        });
        Trained { model, store, curve }
    }
}
