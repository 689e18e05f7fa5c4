//! Fake quantizers with their state: steps, running ranges, counters, all variables of the model's store.

use rand_chacha::ChaCha8Rng;
use tch::Tensor;
use tch::nn::Path;

use super::surrogate::{absmax_step, grouped, mean_abs, uniform_noise};
use super::{
    ActivationConfig, Grid, RangeRule, Rounding, StepRule, Surrogate, WeightConfig, clipped, codes,
    learned_step, searched_step, straight,
};

/// Fake quantizer of one weight matrix.
#[derive(Debug)]
pub struct WeightQuantizer {
    config: WeightConfig,
    /// `[rows, groups, 1]`; unused for `Absmax`.
    step: Tensor,
    /// What a `Learned` step is multiplied by, starts as 1. Adam moves every parameter by about the learning rate
    /// whatever its gradient's scale: a ratio near 1 takes that, a step near 0.01 does not.
    ratio: Option<Tensor>,
    /// Training steps seen, `[1]`, for `Frozen`.
    seen: Tensor,
}

impl WeightQuantizer {
    /// A quantizer at `path` for `weight` `[rows, columns]`, its step chosen from the present weights.
    pub fn new(path: &Path, weight: &Tensor, config: WeightConfig) -> Self {
        let shape = absmax_step(&grouped(weight, config.granularity), &[-1], config.grid()).size();
        let step = path.ones_no_train("weight_step", &shape);
        let ratio = (config.step == StepRule::Learned).then(|| path.ones("weight_step_ratio", &shape));
        let quantizer = Self { config, step, ratio, seen: path.zeros_no_train("weight_steps_seen", &[1]) };
        quantizer.calibrate(weight);
        quantizer
    }

    /// Chooses the step anew from `weight` and forgets the training steps seen.
    pub fn calibrate(&self, weight: &Tensor) {
        let _guard = tch::no_grad_guard();
        let groups = grouped(weight, self.config.granularity);
        let step = match self.config.step {
            StepRule::Absmax | StepRule::Frozen { .. } => absmax_step(&groups, &[-1], self.config.grid()),
            StepRule::Searched | StepRule::Learned => searched_step(&groups, self.config.grid()),
        };
        self.step.shallow_clone().copy_(&step);
        let _ = self.seen.shallow_clone().zero_();
        if let Some(ratio) = &self.ratio {
            let _ = ratio.shallow_clone().fill_(1.0);
        }
    }

    /// Fake-quantized `weight` of the same shape; `rng` is given in training.
    pub fn forward(&self, weight: &Tensor, rng: Option<&mut ChaCha8Rng>) -> Tensor {
        let groups = grouped(weight, self.config.granularity);
        self.follow(&groups, rng.is_some());
        let stochastic = self.config.rounding == Rounding::Stochastic;
        let noise = rng.filter(|_| stochastic).map(|rng| uniform_noise(&groups, rng));
        let (step, grid, noise) = (self.step_of(&groups), self.config.grid(), noise.as_ref());
        let quantized = match (self.config.step, self.config.surrogate) {
            (StepRule::Learned, _) => learned_step(&groups, &step, grid, noise),
            (_, Surrogate::Straight) => straight(&groups, &step, grid, noise),
            (_, Surrogate::Clipped) => clipped(&groups, &step, grid, noise),
        };
        quantized.view_as(weight)
    }

    /// Integer codes `[rows, columns]` and steps `[rows, groups, 1]` of the deployed matrix.
    pub fn deployed(&self, weight: &Tensor) -> (Tensor, Tensor) {
        let _guard = tch::no_grad_guard();
        let groups = grouped(weight, self.config.granularity);
        let step = self.step_of(&groups).detach();
        (codes(&groups, &step, self.config.grid(), None).view_as(weight), step)
    }

    fn step_of(&self, groups: &Tensor) -> Tensor {
        match self.config.step {
            StepRule::Absmax => absmax_step(groups, &[-1], self.config.grid()),
            _ => match &self.ratio {
                Some(ratio) => &self.step * ratio,
                None => self.step.shallow_clone(),
            },
        }
    }

    /// Lets the range of `Frozen` follow the weights during its first training steps.
    fn follow(&self, groups: &Tensor, train: bool) {
        let StepRule::Frozen { after } = self.config.step else { return };
        if train && self.seen.double_value(&[0]) < after as f64 {
            let _guard = tch::no_grad_guard();
            self.step.shallow_clone().copy_(&absmax_step(groups, &[-1], self.config.grid()));
            let _ = self.seen.shallow_clone().g_add_scalar_(1.0);
        }
    }
}

/// Share of the old range in the running mean. Ours, as common in observers.
const MOMENTUM: f64 = 0.9;
/// Smallest learned step of an activation that is 0 throughout the first batch. Ours.
const SMALLEST: f64 = 1e-8;

/// Fake quantizer of one activation.
#[derive(Debug)]
pub struct ActivationQuantizer {
    config: ActivationConfig,
    /// `[1]`.
    step: Tensor,
    /// What a `Learned` step is multiplied by, `[1]`.
    ratio: Option<Tensor>,
    /// Training steps seen, `[1]`.
    seen: Tensor,
}

impl ActivationQuantizer {
    /// A quantizer at `path`; ranges other than `PerToken` are learned from the first training batches.
    pub fn new(path: &Path, config: ActivationConfig) -> Self {
        let ratio = (config.range == RangeRule::Learned).then(|| path.ones("activation_step_ratio", &[1]));
        let step = path.ones_no_train("activation_step", &[1]);
        Self { config, step, ratio, seen: path.zeros_no_train("activation_steps_seen", &[1]) }
    }

    /// Fake-quantized `x` `[.., width]`. Before any training batch the range is each token's own.
    pub fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let grid = Grid::symmetric(self.config.bits);
        if train {
            self.follow(x, grid);
        }
        let started = self.seen.double_value(&[0]) > 0.0;
        match (&self.ratio, self.config.range) {
            (Some(ratio), _) if started => learned_step(x, &(&self.step * ratio), grid, None),
            (None, RangeRule::Frozen { .. }) if started => clipped(x, &self.step, grid, None),
            _ => straight(x, &absmax_step(x, &[-1], grid), grid, None),
        }
    }

    /// Starts a learned step, lets the range of `Frozen` follow its first training steps.
    fn follow(&self, x: &Tensor, grid: Grid) {
        let seen = self.seen.double_value(&[0]);
        let step = match self.config.range {
            RangeRule::Learned if seen == 0.0 => {
                (2.0 * mean_abs(x) / (grid.high as f64).sqrt()).max(SMALLEST)
            }
            RangeRule::Frozen { after } if seen < after as f64 => {
                let now = absmax_step(&x.flatten(0, -1), &[-1], grid).double_value(&[0]);
                let old = if seen == 0.0 { now } else { self.step.double_value(&[0]) };
                MOMENTUM * old + (1.0 - MOMENTUM) * now
            }
            _ => return,
        };
        let _guard = tch::no_grad_guard();
        let _ = self.step.shallow_clone().fill_(step);
        let _ = self.seen.shallow_clone().g_add_scalar_(1.0);
    }
}
