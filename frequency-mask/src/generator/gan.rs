//! A small GAN in the manner of DCGAN (Radford et al. 2016), with either upsampler: fakes of other subjects.

use common::optim::{AdamW, AdamWConfig};
use tch::nn::{Init, Path, VarStore};
use tch::{Kind, Tensor};

use super::upsample::{Doubling, Upsampler};
use super::{Budget, Trained};
use common::nn::vision::{BatchNorm, Conv, Shape};

/// Numbers that a sample is made from.
const LATENT: i64 = 64;
/// Channels before each doubling. Ours: small.
const WIDTHS: [i64; 5] = [96, 64, 32, 24, 16];
/// Side of the first map; samples are 16 times as large.
const FIRST: i64 = 5;

/// The generating half.
#[derive(Debug)]
pub struct Gan {
    weight: Tensor,
    bias: Tensor,
    norms: Vec<BatchNorm>,
    doublings: Vec<Doubling>,
    last: Conv,
}

#[derive(Debug)]
struct Critic {
    convs: Vec<Conv>,
    norms: Vec<BatchNorm>,
    last: Conv,
}

impl Critic {
    fn new(path: &Path) -> Self {
        let widths = [3, 16, 32, 48, 64];
        let conv = |at: usize| {
            let shape = Shape { from: widths[at], to: widths[at + 1], kernel: 4, stride: 2, padding: 1 };
            Conv::biased(&(path / format!("conv{at}")), shape)
        };
        Self {
            convs: (0..4).map(conv).collect(),
            norms: (1..4).map(|at| BatchNorm::new(&(path / format!("norm{at}")), widths[at + 1])).collect(),
            last: Conv::biased(
                &(path / "last"),
                Shape { from: 64, to: 1, kernel: FIRST, stride: 1, padding: 0 },
            ),
        }
    }

    fn forward(&self, images: &Tensor) -> Tensor {
        let mut x = images.shallow_clone();
        for (at, conv) in self.convs.iter().enumerate() {
            x = conv.forward(&x);
            if at > 0 {
                x = self.norms[at - 1].forward(&x, true);
            }
            x = x.maximum(&(&x * 0.2));
        }
        self.last.forward(&x).flatten(0, -1)
    }
}

impl Gan {
    fn new(store: &VarStore, upsampler: Upsampler) -> Self {
        let root = store.root();
        let first = WIDTHS[0] * FIRST * FIRST;
        Self {
            weight: root.var("fc_weight", &[first, LATENT], Init::Randn { mean: 0.0, stdev: 0.1 }),
            bias: root.var("fc_bias", &[first], Init::Const(0.0)),
            norms: WIDTHS
                .iter()
                .enumerate()
                .map(|(at, width)| BatchNorm::new(&(&root / format!("norm{at}")), *width))
                .collect(),
            doublings: (0..4)
                .map(|at| Doubling::new(&(&root / format!("up{at}")), upsampler, WIDTHS[at], WIDTHS[at + 1]))
                .collect(),
            last: Conv::biased(&(&root / "last"), Shape::same(WIDTHS[4], 3, 3, 1)),
        }
    }

    /// Latent numbers `[batch, 64]` to images `[batch, 3, 80, 80]` in -1..1. Normalised over the batch, as in training.
    fn forward(&self, latent: &Tensor) -> Tensor {
        let flat = latent.linear(&self.weight, Some(&self.bias));
        let mut x = self.norms[0].forward(&flat.view([-1, WIDTHS[0], FIRST, FIRST]), true).relu();
        for (doubling, norm) in self.doublings.iter().zip(&self.norms[1..]) {
            x = norm.forward(&doubling.forward(&x), true).relu();
        }
        self.last.forward(&x).tanh()
    }

    /// Samples, `[n, 3, 80, 80]` in -1..1, drawn from libtorch's stream.
    pub fn sample(&self, n: i64, budget: &Budget) -> Tensor {
        let _guard = tch::no_grad_guard();
        self.forward(&Tensor::randn([n, LATENT], (Kind::Float, budget.device)))
    }

    /// Learns against a critic; `draw` gives real images `[batch, 3, 80, 80]`.
    pub fn train(
        upsampler: Upsampler,
        budget: &Budget,
        seed: u64,
        mut draw: impl FnMut(usize) -> Tensor,
    ) -> Trained<Self> {
        tch::manual_seed(seed as i64);
        let (store, critics) = (VarStore::new(budget.device), VarStore::new(budget.device));
        let (model, critic) = (Self::new(&store, upsampler), Critic::new(&critics.root()));
        // DCGAN: β₁ 0.5, learning rate 2e-4; ours is larger for the short schedule.
        let settings = AdamWConfig { beta1: 0.5, ..AdamWConfig::adam() };
        let (mut ours, mut theirs) = (AdamW::new(&store, settings), AdamW::new(&critics, settings));
        let mut curve = Vec::new();
        for step in 0..budget.steps {
            let real = draw(step);
            let latent = Tensor::randn([real.size()[0], LATENT], (Kind::Float, budget.device));
            let fake = model.forward(&latent);
            theirs.zero_grad();
            // log(1 + e^-x) of the real, log(1 + e^x) of the fake
            let judged = critic.forward(&real).neg().softplus().mean(Kind::Float)
                + critic.forward(&fake.detach()).softplus().mean(Kind::Float);
            judged.backward();
            theirs.step(budget.learning_rate);
            ours.zero_grad();
            let loss = critic.forward(&fake).neg().softplus().mean(Kind::Float);
            loss.backward();
            ours.step(budget.learning_rate);
            curve.push([step as f64, loss.double_value(&[])]);
        }
        Trained { model, store, curve }
    }
}
