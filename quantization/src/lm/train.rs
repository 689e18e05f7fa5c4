//! Training on random windows of a text.

use std::cell::RefCell;

use common::optim::{AdamW, AdamWConfig, clip_grad_norm};
use common::seed;
use tch::Tensor;

use super::config::TrainConfig;
use super::data::{draw, ids};
use super::{LmError, Mode, Model};

/// What a run came to.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// Mean loss of the batch before each step, nats per byte.
    pub losses: Vec<f64>,
    /// Bytes predicted in training.
    pub bytes: usize,
}

impl History {
    /// Mean loss of the last tenth of the steps, at least one.
    pub fn last_loss(&self) -> f64 {
        let count = (self.losses.len() / 10).max(1).min(self.losses.len());
        self.losses[self.losses.len() - count..].iter().sum::<f64>() / count as f64
    }
}

/// Trains `model` on random windows of `text`. `observe` is told of each step and its loss and returns `false` to stop.
///
/// Windows, dropout and stochastic rounding come from generators of `run_seed`: the same seed and thread count give the
/// same bits, and the same windows for every kind of projection.
///
/// # Errors
/// [`LmError`] for unusable settings, a text shorter than a window, or a gradient that is not a number.
pub fn train(
    model: &Model,
    text: &[u8],
    config: &TrainConfig,
    run_seed: u64,
    mut observe: impl FnMut(usize, f64) -> bool,
) -> Result<History, LmError> {
    config.check(model.config())?;
    let length = config.context + 1;
    if text.len() < length {
        return Err(LmError::Text { found: text.len(), expected: length });
    }
    // The decay changes on the way and must not touch learned steps: it is applied here, not by the optimiser.
    let mut optimiser = AdamW::new(model.store(), AdamWConfig { beta2: config.beta2, ..AdamWConfig::adam() });
    let decayed = decayed(model);
    let mut batches = seed::rng(run_seed, "windows", 0);
    let chance = RefCell::new(seed::rng(run_seed, "dropout", 0));
    let mut history = History { losses: Vec::with_capacity(config.steps), bytes: 0 };
    for step in 0..config.steps {
        let windows = draw(text, length, config.batch, &mut batches);
        optimiser.zero_grad();
        let losses = model.losses(&ids(&windows), Mode::Train(&chance));
        let loss = losses.mean(losses.kind());
        loss.backward();
        clip_grad_norm(model.store(), config.clip_norm)
            .map_err(|source| LmError::Diverged { step, source })?;
        let rate = config.rate(step);
        shrink(&decayed, rate * config.decay_at(step));
        optimiser.step(rate);
        history.losses.push(loss.double_value(&[]));
        history.bytes += config.batch * config.context;
        if !observe(step, history.losses[step]) {
            break;
        }
    }
    Ok(history)
}

/// Matrices of the model, not the steps of its fake quantizers.
fn decayed(model: &Model) -> Vec<Tensor> {
    let variables = common::nn::checkpoint::named(model.store()).into_iter();
    variables.filter(|(name, w)| name.ends_with(".weight") && w.dim() == 2).map(|(_, w)| w).collect()
}

fn shrink(matrices: &[Tensor], share: f64) {
    if share > 0.0 {
        let _guard = tch::no_grad_guard();
        for matrix in matrices {
            let _ = matrix.shallow_clone().g_mul_scalar_(1.0 - share);
        }
    }
}
