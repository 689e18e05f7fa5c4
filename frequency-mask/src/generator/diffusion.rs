//! A small denoising diffusion model on pixels (Ho et al. 2020), sampled in fewer steps without noise (Song et al. 2021).

use tch::nn::{Init, Path, VarStore};
use tch::{Kind, Tensor};

use super::upsample::{Doubling, Upsampler};
use super::{Budget, Trained, optimise};
use common::nn::vision::{Conv, Shape};

/// Steps of the noise schedule. Ours, as in the pilot.
const STEPS: i64 = 100;
/// Steps of sampling.
const SAMPLED: i64 = 25;
/// Channels at full, half and quarter resolution.
const WIDTHS: [i64; 3] = [16, 32, 64];

#[derive(Debug)]
struct Block {
    convs: [Conv; 2],
    time: Tensor,
}

impl Block {
    fn new(path: &Path, from: i64, to: i64) -> Self {
        let conv = |name: &str, from| Conv::biased(&(path / name), Shape::same(from, to, 3, 1));
        let time = path.var("time", &[STEPS, to], Init::Randn { mean: 0.0, stdev: 0.02 });
        Self { convs: [conv("conv1", from), conv("conv2", to)], time }
    }

    fn forward(&self, x: &Tensor, steps: &Tensor) -> Tensor {
        let time = self.time.index_select(0, steps).unsqueeze(-1).unsqueeze(-1);
        let inner = (self.convs[0].forward(x) + time).silu();
        self.convs[1].forward(&inner).silu()
    }
}

/// A U-Net of three resolutions that predicts the noise.
#[derive(Debug)]
pub struct Diffusion {
    down: Vec<Block>,
    halvings: Vec<Conv>,
    up: Vec<Block>,
    doublings: Vec<Doubling>,
    last: Conv,
}

/// Shares of signal, `ᾱ(t)`, of the cosine schedule (Nichol and Dhariwal 2021).
fn kept() -> Vec<f64> {
    let f = |t: f64| ((t / STEPS as f64 + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
    (1..=STEPS).map(|t| (f(t as f64) / f(0.0)).clamp(1e-4, 0.9999)).collect()
}

impl Diffusion {
    fn new(store: &VarStore) -> Self {
        let root = store.root();
        let path = |name: &str, at: usize| &root / format!("{name}{at}");
        let halving = |at: usize| {
            let shape = Shape { from: WIDTHS[at], to: WIDTHS[at], kernel: 4, stride: 2, padding: 1 };
            Conv::biased(&path("half", at), shape)
        };
        let from = [3, WIDTHS[0], WIDTHS[1]];
        Self {
            down: (0..3).map(|at| Block::new(&path("down", at), from[at], WIDTHS[at])).collect(),
            halvings: (0..2).map(halving).collect(),
            up: (0..2).map(|at| Block::new(&path("up", at), 2 * WIDTHS[at], WIDTHS[at])).collect(),
            doublings: (0..2)
                .map(|at| Doubling::new(&path("double", at), Upsampler::Nearest, WIDTHS[at + 1], WIDTHS[at]))
                .collect(),
            last: Conv::biased(&(&root / "last"), Shape::same(WIDTHS[0], 3, 3, 1)),
        }
    }

    /// The noise in noisy images `[batch, 3, height, width]` at `steps` `[batch]`.
    fn forward(&self, images: &Tensor, steps: &Tensor) -> Tensor {
        let full = self.down[0].forward(images, steps);
        let half = self.down[1].forward(&self.halvings[0].forward(&full), steps);
        let quarter = self.down[2].forward(&self.halvings[1].forward(&half), steps);
        let wide = Tensor::cat(&[self.doublings[1].forward(&quarter), half], 1);
        let half = self.up[1].forward(&wide, steps);
        let wide = Tensor::cat(&[self.doublings[0].forward(&half), full], 1);
        self.last.forward(&self.up[0].forward(&wide, steps))
    }

    /// Learns to predict the noise; `draw` gives images `[batch, 3, height, width]` in -1..1.
    pub fn train(budget: &Budget, seed: u64, mut draw: impl FnMut(usize) -> Tensor) -> Trained<Self> {
        tch::manual_seed(seed as i64);
        let store = VarStore::new(budget.device);
        let model = Self::new(&store);
        let kept = Tensor::from_slice(&kept()).to_kind(Kind::Float).to_device(budget.device);
        let curve = optimise(&store, budget, |step| {
            let images = draw(step);
            let steps = Tensor::randint(STEPS, [images.size()[0]], (Kind::Int64, budget.device));
            let share = kept.index_select(0, &steps).view([-1, 1, 1, 1]);
            let noise = images.randn_like();
            let noisy = share.sqrt() * images + (1.0_f64 - &share).sqrt() * &noise;
            (model.forward(&noisy, &steps) - noise).square().mean(Kind::Float)
        });
        Trained { model, store, curve }
    }

    /// Samples `[n, 3, side, side]` in -1..1, drawn from libtorch's stream; `side` is divisible by 4.
    pub fn sample(&self, n: i64, side: i64, budget: &Budget) -> Tensor {
        let _guard = tch::no_grad_guard();
        let kept = kept();
        let mut x = Tensor::randn([n, 3, side, side], (Kind::Float, budget.device));
        let times: Vec<i64> = (0..SAMPLED).map(|k| STEPS - 1 - k * STEPS / SAMPLED).collect();
        for (at, &time) in times.iter().enumerate() {
            let now = kept[time as usize];
            let next = times.get(at + 1).map_or(1.0, |&time| kept[time as usize]);
            let noise = self.forward(&x, &Tensor::full([n], time, (Kind::Int64, budget.device)));
            let clean = ((&x - &noise * (1.0 - now).sqrt()) / now.sqrt()).clamp(-1.0, 1.0);
            x = clean * next.sqrt() + noise * (1.0 - next).sqrt();
        }
        x
    }
}
