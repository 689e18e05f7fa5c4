//! AdamW that needs no learning-rate schedule.

use tch::Tensor;
use tch::nn::VarStore;

use super::{Gradients, StateError, find_state, trainable};

/// Settings of [`ScheduleFree`], with the names of the `schedulefree` package.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScheduleFreeConfig {
    /// γ, step size after the warm-up.
    pub learning_rate: f64,
    /// β₁, how far the gradient is taken from the averaged weights.
    pub beta1: f64,
    /// β₂, memory of the mean squared gradient.
    pub beta2: f64,
    /// ε, added to the root.
    pub epsilon: f64,
    /// λ, decay of matrices at the point of the gradient.
    pub weight_decay: f64,
    /// Steps over which the step size grows linearly.
    pub warmup_steps: u32,
}

impl ScheduleFreeConfig {
    /// The package's defaults: β₁ 0.9, β₂ 0.999, ε 1e-8, no decay, no warm-up.
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, warmup_steps: 0 }
    }
}

/// Schedule-free AdamW (Defazio et al. 2024, algorithm 1), equal to `schedulefree.AdamWScheduleFree` with its defaults
/// `r = 0` and `weight_lr_power = 2`.
///
/// ```text
/// y = (1 − β₁) z + β₁ x                    the weights to train with; g is the gradient there
/// v ← β₂ v + (1 − β₂) g²                   u = g / (√(v / (1 − β₂ᵗ)) + ε) + λ y
/// z ← z − γₜ u                             x ← (1 − c) x + c z,   c = γ²_max / Σ γ²_max
/// ```
/// The variables hold `y`. [`ScheduleFree::begin_evaluation`] puts the averaged weights `x` in their place;
/// [`ScheduleFree::end_evaluation`] brings `y` back bit by bit, so measuring never changes the training.
#[derive(Debug)]
pub struct ScheduleFree {
    config: ScheduleFreeConfig,
    slots: Vec<Slot>,
    step: u32,
    weight_sum: f64,
    highest_rate: f64,
    /// `y` of each variable while the variables hold `x`.
    set_aside: Option<Vec<Tensor>>,
    gradients: Gradients,
}

#[derive(Debug)]
struct Slot {
    name: String,
    parameter: Tensor,
    z: Tensor,
    v: Tensor,
}

impl ScheduleFree {
    /// An optimiser of all trainable variables of `store`, which start as `x = y = z`.
    pub fn new(store: &VarStore, config: ScheduleFreeConfig) -> Self {
        let slot = |(name, parameter): (String, Tensor)| {
            let start = parameter.detach();
            Slot { name, z: start.copy(), v: start.zeros_like(), parameter }
        };
        let slots = trainable(store).into_iter().map(slot).collect();
        let gradients = Gradients::new(store);
        Self { config, slots, step: 0, weight_sum: 0.0, highest_rate: 0.0, set_aside: None, gradients }
    }

    /// Forgets the gradients.
    pub fn zero_grad(&mut self) {
        self.gradients.forget();
    }

    /// Moves every parameter that has a gradient by one step.
    ///
    /// # Panics
    /// Between `begin_evaluation` and `end_evaluation`: the gradients would be those of other weights.
    pub fn step(&mut self) {
        assert!(self.set_aside.is_none(), "a step during an evaluation: call `end_evaluation` first");
        let _guard = tch::no_grad_guard();
        let ScheduleFreeConfig { beta1, beta2, epsilon, weight_decay, warmup_steps, .. } = self.config;
        self.step += 1;
        let grown = (f64::from(self.step) / f64::from(warmup_steps.max(1))).min(1.0);
        let rate = self.config.learning_rate * grown;
        self.highest_rate = self.highest_rate.max(rate);
        let weight = self.highest_rate.powi(2);
        self.weight_sum += weight;
        let share = if self.weight_sum > 0.0 { weight / self.weight_sum } else { 0.0 };
        let correction = 1.0 - beta2.powi(self.step as i32);
        for Slot { parameter: y, z, v, .. } in &mut self.slots {
            let gradient = y.grad();
            if !gradient.defined() {
                continue;
            }
            let _ = v.g_mul_scalar_(beta2);
            let _ = v.addcmul_(&(&gradient * (1.0 - beta2)), &gradient);
            let mut u = gradient / ((&*v / correction).sqrt() + epsilon);
            if weight_decay > 0.0 && y.dim() > 1 {
                u += &*y * weight_decay;
            }
            let _ = y.lerp_(z, share);
            let _ = y.g_add_(&(&u * (rate * (beta1 * (1.0 - share) - 1.0))));
            let _ = z.g_sub_(&(u * rate));
        }
    }

    /// Puts the averaged weights `x = y + (1 − 1/β₁)(z − y)` into the variables, to measure or save them.
    pub fn begin_evaluation(&mut self) {
        if self.set_aside.is_some() {
            return;
        }
        let _guard = tch::no_grad_guard();
        let away = 1.0 - 1.0 / self.config.beta1;
        let average = |slot: &mut Slot| {
            let y = slot.parameter.detach().copy();
            let _ = slot.parameter.lerp_(&slot.z, away);
            y
        };
        self.set_aside = Some(self.slots.iter_mut().map(average).collect());
    }

    /// Puts the weights to train with back.
    pub fn end_evaluation(&mut self) {
        let _guard = tch::no_grad_guard();
        for (slot, y) in self.slots.iter_mut().zip(self.set_aside.take().unwrap_or_default()) {
            slot.parameter.copy_(&y);
        }
    }

    /// Named state: `opt.z.<parameter>`, `opt.v.<parameter>`, `opt.counters`. The variables are saved apart, as `y`.
    ///
    /// # Panics
    /// During an evaluation, when the variables are not those to train with.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        assert!(self.set_aside.is_none(), "a state during an evaluation: call `end_evaluation` first");
        let counters = [f64::from(self.step), self.weight_sum, self.highest_rate];
        let mut state = vec![("opt.counters".to_owned(), Tensor::from_slice(&counters))];
        for slot in &self.slots {
            state.push((format!("opt.z.{}", slot.name), slot.z.shallow_clone()));
            state.push((format!("opt.v.{}", slot.name), slot.v.shallow_clone()));
        }
        state
    }

    /// Takes over a saved state.
    ///
    /// # Errors
    /// [`StateError`] for a missing tensor or one of another shape.
    pub fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<(), StateError> {
        let _guard = tch::no_grad_guard();
        let counters = find_state(state, "opt.counters", &[3])?;
        for slot in &mut self.slots {
            for (prefix, target) in [("opt.z", &mut slot.z), ("opt.v", &mut slot.v)] {
                let size = target.size();
                target.copy_(find_state(state, &format!("{prefix}.{}", slot.name), &size)?);
            }
        }
        self.step = counters.double_value(&[0]) as u32;
        (self.weight_sum, self.highest_rate) = (counters.double_value(&[1]), counters.double_value(&[2]));
        Ok(())
    }
}
