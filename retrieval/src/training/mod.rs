//! Training: n-way distillation from a teacher's scores (JaColBERTv2.5, section 3).
//!
//! | paper | here |
//! |---|---|
//! | 3.3 in-batch negatives | [`loss::in_batch_negatives`] |
//! | 3.4 min-max normalisation, equation 2 | [`loss::min_max`] |
//! | 3.6 losses, schedule-free optimiser | [`loss`], [`config`] |
//! | 3.8 post-training with replay | [`data::TrainingData::with_replay`] |
//! | 3.9 checkpoint averaging | [`average`] |
//!
//! Weights and steps are f32 on every device, products may be bfloat16 ([`config::Precision`]); [`ColBert::to_bfloat16`] is for
//! encoding.

pub mod average;
mod batch;
pub mod config;
pub mod data;
pub mod loss;
pub mod maxsim;

use std::time::Instant;

use common::nn::checkpoint::{fill, named};
use common::optim::{
    AdamW, AdamWConfig, Diverged, ScheduleFree, ScheduleFreeConfig, StateError, clip_grad_norm, warmup_decay,
};
use common::seed;
pub use common::train::{Checkpoints, ResumeError};
use common::train::{Identity, digest};
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Kind, Tensor};
use thiserror::Error;

use crate::encoder::{ColBert, EncoderError};
pub use batch::Batch;
use config::{ConfigError, Optimiser, TrainConfig};
use data::{DataError, TrainingData, order};

/// Beginnings of the names of a checkpoint's tensors.
const WEIGHTS: &str = "weights.";
const OPTIMISER: &str = "opt.";

/// A run that could not start or go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// Its configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its examples.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Texts that the encoder cannot take.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// Loss or gradient is not a number.
    #[error("step {step}: {source}")]
    Diverged {
        /// Step, from 0.
        step: usize,
        /// What to do.
        source: Diverged,
    },
    /// A checkpoint that was not written, or is not this run's.
    #[error(transparent)]
    Resume(#[from] ResumeError),
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Loss of each step.
    pub losses: Vec<f64>,
    /// Seconds in the steps, tokenising included, evaluations excluded.
    pub steps_s: f64,
    /// Tokens that went through the encoder.
    pub tokens: usize,
    /// Whether the run ended before its last step.
    pub stopped: bool,
}

/// What a run tells its observer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// A step was made.
    Step {
        /// Steps so far.
        step: usize,
        /// Steps of the whole run.
        steps: usize,
        /// Loss of this step.
        loss: f64,
    },
    /// A step of `evaluate_at`, or the last one: the model holds the weights to evaluate and save (the
    /// averaged ones of the schedule-free optimiser) while the observer runs.
    Evaluate {
        /// Steps so far.
        step: usize,
    },
}

/// A run under way: everything that a checkpoint brings back, beside the weights.
struct State {
    optimiser: Running,
    history: History,
    step: usize,
}

enum Running {
    ScheduleFree(ScheduleFree),
    LinearDecay { adam: AdamW, learning_rate: f64, warmup: f64 },
}

/// Trains `model` in place. `observe` gets the model and returns `false` to stop there; a stopped run leaves
/// a checkpoint. At the end the model holds the weights to evaluate.
///
/// Same model, data, configuration, seed and thread count give the same bits, whether or not the run was
/// stopped and resumed in between.
///
/// # Errors
/// [`TrainError`]; the model then holds the weights of the last step.
pub fn train(
    model: &ColBert,
    data: &TrainingData,
    config: &TrainConfig,
    run_seed: u64,
    checkpoints: &Checkpoints,
    mut observe: impl FnMut(&ColBert, Progress) -> bool,
) -> Result<History, TrainError> {
    config.check()?;
    data.check(config.n_ways, config.loss.needs_teacher())?;
    let mut state =
        State { optimiser: Running::new(model.store(), config), history: History::default(), step: 0 };
    let identity = identity(config, data, run_seed);
    if checkpoints.resume {
        state.read(checkpoints, &identity, model.store())?;
    }
    let mut epochs =
        Epochs { n: data.examples.len(), together: config.together, run_seed, epoch: 0, order: Vec::new() };
    epochs.order = order(epochs.n, epochs.together, run_seed, 0);
    let mut go_on = true;
    while go_on && state.step < config.steps {
        let started = Instant::now();
        let loss = take_step(model, data, config, run_seed, &mut epochs, &mut state)?;
        state.history.steps_s += started.elapsed().as_secs_f64();
        go_on = observe(model, Progress::Step { step: state.step, steps: config.steps, loss });
        if config.evaluate_at.contains(&state.step) || state.step == config.steps {
            state.optimiser.begin_evaluation();
            go_on &= observe(model, Progress::Evaluate { step: state.step });
            state.optimiser.end_evaluation();
        }
        state.history.stopped = !go_on && state.step < config.steps;
        let due = config.checkpoint_every.is_some_and(|every| state.step.is_multiple_of(every));
        if state.history.stopped || due || state.step == config.steps {
            state.write(checkpoints, &identity, model.store())?;
        }
    }
    state.optimiser.begin_evaluation();
    Ok(state.history)
}

/// What must be equal for a run to go on.
fn identity(config: &TrainConfig, data: &TrainingData, seed: u64) -> Identity {
    // How often a run is saved or looked at does not change its steps.
    let config = TrainConfig { checkpoint_every: None, evaluate_at: Vec::new(), ..config.clone() };
    Identity::new([
        ("configuration", digest(&config)),
        ("set of examples", digest(data)),
        ("seed", seed.to_string()),
    ])
}

impl State {
    fn write(
        &self,
        checkpoints: &Checkpoints,
        identity: &Identity,
        store: &VarStore,
    ) -> Result<(), ResumeError> {
        let weights = named(store).into_iter().map(|(name, tensor)| (format!("{WEIGHTS}{name}"), tensor));
        let tensors: Vec<(String, Tensor)> = weights.chain(self.optimiser.state()).collect();
        checkpoints.write(identity, self.step, &tensors, &(self.step, &self.history))
    }

    fn read(
        &mut self,
        checkpoints: &Checkpoints,
        identity: &Identity,
        store: &VarStore,
    ) -> Result<(), ResumeError> {
        let Some(kept) = checkpoints.read::<(usize, History)>(identity)? else { return Ok(()) };
        fill(store, kept.part(WEIGHTS), &kept.path).map_err(ResumeError::from)?;
        self.optimiser.load_state(&kept.named(OPTIMISER))?;
        let (step, history) = kept.progress;
        (self.step, self.history) = (step, History { stopped: false, ..history });
        Ok(())
    }
}

/// One step. Every random number follows from the run's seed and the number of the step, so that a resumed
/// run draws the same ones.
fn take_step(
    model: &ColBert,
    data: &TrainingData,
    config: &TrainConfig,
    run_seed: u64,
    epochs: &mut Epochs,
    state: &mut State,
) -> Result<f64, TrainError> {
    let step = state.step;
    tch::manual_seed(seed::derive(run_seed, "dropout", step as u64) as i64);
    let mut rng = seed::rng(run_seed, "ways", step as u64);
    state.optimiser.zero_grad();
    let mut total = 0.0;
    for part in 0..config.accumulation {
        let first = (step * config.accumulation + part) * config.batch;
        let examples: Vec<usize> = (first..first + config.batch).map(|place| epochs.example(place)).collect();
        let batch = Batch::new(model, data, &examples, config.n_ways, &mut rng)?;
        let loss = batch.loss(model, config, true)? / config.accumulation as f64;
        loss.backward();
        total += loss.to_kind(Kind::Double).double_value(&[]);
        state.history.tokens += batch.n_tokens();
    }
    let diverged = |source| TrainError::Diverged { step, source };
    if !total.is_finite() {
        return Err(diverged(Diverged));
    }
    if let Some(norm) = config.clip_norm {
        clip_grad_norm(model.store(), norm).map_err(diverged)?;
    }
    state.optimiser.step(step, config.steps);
    state.history.losses.push(total);
    state.step += 1;
    Ok(total)
}

/// The examples in the order of all epochs, one after the other.
struct Epochs {
    n: usize,
    together: usize,
    run_seed: u64,
    epoch: usize,
    order: Vec<usize>,
}

impl Epochs {
    fn example(&mut self, place: usize) -> usize {
        let epoch = place / self.n;
        if epoch != self.epoch {
            (self.epoch, self.order) = (epoch, order(self.n, self.together, self.run_seed, epoch));
        }
        self.order[place % self.n]
    }
}

impl Running {
    fn new(store: &VarStore, config: &TrainConfig) -> Self {
        let weight_decay = config.weight_decay;
        match config.optimiser {
            Optimiser::ScheduleFree { learning_rate, warmup } => {
                let warmup_steps = (warmup * config.steps as f64).round() as u32;
                let settings = ScheduleFreeConfig {
                    warmup_steps,
                    weight_decay,
                    ..ScheduleFreeConfig::new(learning_rate)
                };
                Self::ScheduleFree(ScheduleFree::new(store, settings))
            }
            Optimiser::LinearDecay { learning_rate, warmup } => {
                let adam = AdamW::new(store, AdamWConfig { weight_decay, ..AdamWConfig::adam() });
                Self::LinearDecay { adam, learning_rate, warmup }
            }
        }
    }

    fn zero_grad(&mut self) {
        match self {
            Self::ScheduleFree(optimiser) => optimiser.zero_grad(),
            Self::LinearDecay { adam, .. } => adam.zero_grad(),
        }
    }

    fn step(&mut self, step: usize, steps: usize) {
        match self {
            Self::ScheduleFree(optimiser) => optimiser.step(),
            Self::LinearDecay { adam, learning_rate, warmup } => {
                adam.step(*learning_rate * warmup_decay(step, steps, *warmup));
            }
        }
    }

    fn begin_evaluation(&mut self) {
        if let Self::ScheduleFree(optimiser) = self {
            optimiser.begin_evaluation();
        }
    }

    fn end_evaluation(&mut self) {
        if let Self::ScheduleFree(optimiser) = self {
            optimiser.end_evaluation();
        }
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        match self {
            Self::ScheduleFree(optimiser) => optimiser.state(),
            Self::LinearDecay { adam, .. } => adam.state(),
        }
    }

    fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<(), StateError> {
        match self {
            Self::ScheduleFree(optimiser) => optimiser.load_state(state),
            Self::LinearDecay { adam, .. } => adam.load_state(state),
        }
    }
}
