//! Optimisers whose state can be saved, gradient clipping, learning-rate schedules.

mod schedule_free;

use tch::nn::VarStore;
use tch::{COptimizer, Kind, Tensor};
use thiserror::Error;

pub use schedule_free::{ScheduleFree, ScheduleFreeConfig};

/// Settings of [`AdamW`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWConfig {
    /// Decay of the mean of gradients, β₁.
    pub beta1: f64,
    /// Decay of the mean of squared gradients, β₂.
    pub beta2: f64,
    /// Added to the root, ε.
    pub epsilon: f64,
    /// Decoupled decay of matrices, λ; vectors (biases, norms) are not decayed.
    pub weight_decay: f64,
}

impl AdamWConfig {
    /// PyTorch's defaults without decay: β₁ 0.9, β₂ 0.999, ε 1e-8.
    pub fn adam() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), equal to `torch.optim.AdamW`.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    slots: Vec<Slot>,
    step: i32,
    gradients: Gradients,
}

#[derive(Debug)]
struct Slot {
    name: String,
    parameter: Tensor,
    mean: Tensor,
    square: Tensor,
}

/// Optimiser state that does not belong to these parameters.
#[derive(Debug, Error)]
pub enum StateError {
    /// A tensor that the state lacks.
    #[error("the optimiser state lacks `{0}`; it belongs to another model, or the file was cut off")]
    Missing(String),
    /// A tensor of another shape.
    #[error("the optimiser state `{0}`: {1}")]
    Shape(String, String),
}

impl AdamW {
    /// An optimiser of all trainable variables of `store`, in the order of their names.
    pub fn new(store: &VarStore, config: AdamWConfig) -> Self {
        let slot = |(name, parameter): (String, Tensor)| {
            let zeros = parameter.detach().zeros_like();
            Slot { name, mean: zeros.copy(), square: zeros, parameter }
        };
        let slots = trainable(store).into_iter().map(slot).collect();
        Self { config, slots, step: 0, gradients: Gradients::new(store) }
    }

    /// Forgets the gradients, see [`AdamW::step`].
    pub fn zero_grad(&mut self) {
        self.gradients.forget();
    }

    /// Moves every parameter that has a gradient by one step.
    pub fn step(&mut self, learning_rate: f64) {
        let _guard = tch::no_grad_guard();
        self.step += 1;
        let AdamWConfig { beta1, beta2, epsilon, weight_decay } = self.config;
        let size = learning_rate / (1.0 - beta1.powi(self.step));
        let root = (1.0 - beta2.powi(self.step)).sqrt();
        for Slot { parameter, mean, square, .. } in &mut self.slots {
            let gradient = parameter.grad();
            if !gradient.defined() {
                continue;
            }
            if weight_decay > 0.0 && parameter.dim() > 1 {
                let _ = parameter.g_mul_scalar_(1.0 - learning_rate * weight_decay);
            }
            let _ = mean.lerp_(&gradient, 1.0 - beta1);
            let _ = square.g_mul_scalar_(beta2);
            let _ = square.addcmul_(&(&gradient * (1.0 - beta2)), &gradient);
            // m / (√v / root + ε), the root moved into the numerator to save a pass over the parameters.
            let denominator = square.sqrt() + epsilon * root;
            let _ = parameter.addcdiv_(&(&*mean * (-size * root)), &denominator);
        }
    }

    /// Named state: `opt.m.<parameter>`, `opt.v.<parameter>`, `opt.step`.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = vec![("opt.step".to_owned(), Tensor::from(i64::from(self.step)))];
        for slot in &self.slots {
            state.push((format!("opt.m.{}", slot.name), slot.mean.shallow_clone()));
            state.push((format!("opt.v.{}", slot.name), slot.square.shallow_clone()));
        }
        state
    }

    /// Takes over a saved state.
    ///
    /// # Errors
    /// [`StateError`] for a missing tensor or one of another shape.
    pub fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<(), StateError> {
        let _guard = tch::no_grad_guard();
        let step = find_state(state, "opt.step", &[])?;
        for slot in &mut self.slots {
            for (prefix, target) in [("opt.m", &mut slot.mean), ("opt.v", &mut slot.square)] {
                let size = target.size();
                target.copy_(find_state(state, &format!("{prefix}.{}", slot.name), &size)?);
            }
        }
        self.step = step.int64_value(&[]) as i32;
        Ok(())
    }
}

/// Makes gradients undefined, as PyTorch does by default: a parameter that takes no part in the next loss then has none,
/// and keeps its value and state, rather than one of zeros, on which its momentum would carry it along.
struct Gradients(COptimizer);

impl Gradients {
    fn new(store: &VarStore) -> Self {
        let mut eraser = COptimizer::sgd(0.0, 0.0, 0.0, 0.0, false).expect("plain SGD is always available");
        for (_, parameter) in trainable(store) {
            eraser.add_parameters(&parameter, 0).expect("variables of a store are leaves");
        }
        Self(eraser)
    }

    fn forget(&mut self) {
        self.0.zero_grad().expect("undefining gradients cannot fail");
    }
}

impl std::fmt::Debug for Gradients {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Gradients")
    }
}

/// Trainable variables of a store in the order of their names.
fn trainable(store: &VarStore) -> Vec<(String, Tensor)> {
    let mut variables: Vec<_> = store.variables().into_iter().filter(|(_, v)| v.requires_grad()).collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    variables
}

/// The saved tensor of this name when it has this shape.
fn find_state<'a>(
    state: &'a [(String, Tensor)],
    name: &str,
    shape: &[i64],
) -> Result<&'a Tensor, StateError> {
    let found = state.iter().find(|(known, _)| known == name);
    let (_, tensor) = found.ok_or_else(|| StateError::Missing(name.to_owned()))?;
    if tensor.size() == shape {
        return Ok(tensor);
    }
    let problem = format!("has shape {:?}, expected {shape:?}", tensor.size());
    Err(StateError::Shape(name.to_owned(), problem))
}

/// A gradient that is not a number: training has diverged.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the gradient is not finite: training has diverged; lower the learning rate")]
pub struct Diverged;

/// Scales all gradients so that their norm is at most `largest`; returns the norm before. Without any gradient: 0.
///
/// # Errors
/// [`Diverged`] when the norm is not finite; the gradients are left alone.
pub fn clip_grad_norm(store: &VarStore, largest: f64) -> Result<f64, Diverged> {
    let _guard = tch::no_grad_guard();
    let mut variables: Vec<_> = store.variables().into_iter().collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    let mut gradients: Vec<Tensor> =
        variables.iter().map(|(_, v)| v.grad()).filter(Tensor::defined).collect();
    if gradients.is_empty() {
        return Ok(0.0);
    }
    let norms: Vec<Tensor> = gradients.iter().map(Tensor::norm).collect();
    let norm = Tensor::stack(&norms, 0).to_kind(Kind::Double).norm().double_value(&[]);
    if !norm.is_finite() {
        return Err(Diverged);
    }
    if norm > largest {
        for gradient in &mut gradients {
            let _ = gradient.g_mul_scalar_(largest / (norm + 1e-6));
        }
    }
    Ok(norm)
}

/// Share of the highest learning rate at `step` of `steps`: rises linearly over the first `warmup` share, then
/// falls linearly to 0.
///
/// ```
/// use common::optim::warmup_decay;
/// assert_eq!(warmup_decay(0, 100, 0.1), 0.1);
/// assert_eq!(warmup_decay(9, 100, 0.1), 1.0);
/// assert_eq!(warmup_decay(55, 100, 0.1), 0.5);
/// ```
pub fn warmup_decay(step: usize, steps: usize, warmup: f64) -> f64 {
    let rising = (steps as f64 * warmup).round();
    let step = step as f64;
    if step < rising {
        (step + 1.0) / rising
    } else {
        (steps as f64 - step) / (steps as f64 - rising).max(1.0)
    }
}
