//! One training run: batches, steps, the development score of each epoch, the best weights kept; checkpoints from
//! which a stopped run goes on as if it had not been stopped. What is learned, and how, is a [`Learner`]'s.

mod buckets;
mod resume;
mod state;

use std::time::Instant;

use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use thiserror::Error;

use crate::optim::{AdamWConfig, clip_grad_norm};

pub use buckets::length_buckets;
pub use resume::{Checkpoints, Identity, Kept, ResumeError, digest};
use state::{Place, State};

/// What one epoch came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochPoint {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Optimiser steps so far.
    pub step: usize,
    /// Training sentences seen so far.
    pub examples: usize,
    /// Mean loss of the epoch's steps.
    pub train_loss: f64,
    /// Micro-averaged entity F1 on the development sentences.
    pub dev_f1: f64,
}

/// What a run came to; the model holds the weights of the best epoch, or the last ones before any epoch was over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Every epoch that was run.
    pub epochs: Vec<EpochPoint>,
    /// Epoch, from 1, with the best development F1, the first of equals; 0 before any was over.
    pub best_epoch: usize,
    /// Its development F1.
    pub best_dev_f1: f64,
    /// Seconds in the steps, batches included, development scores excluded.
    pub steps_s: f64,
    /// Training words seen.
    pub words: usize,
    /// Optimiser steps of the whole run, were it not stopped.
    pub steps: usize,
    /// Whether the run ended before its last epoch and without patience running out.
    pub stopped: bool,
}

/// What a run tells its observer.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A step was made.
    Step {
        /// Steps so far.
        step: usize,
        /// Steps of the whole run.
        steps: usize,
        /// Loss of this step.
        loss: f64,
    },
    /// An epoch is over.
    Epoch(&'a EpochPoint),
}

/// A run that could not go on. `E` is the learner's own error.
#[derive(Debug, Error)]
pub enum TrainError<E: std::error::Error + 'static> {
    /// Loss or gradient is not a number; the model holds the last weights, the folder the last checkpoint.
    #[error("epoch {epoch}, step {step}: {cause}")]
    Diverged {
        /// Epoch, from 1.
        epoch: usize,
        /// Step, from 0.
        step: usize,
        /// What was not finite, and what to do.
        cause: String,
    },
    /// The learner failed.
    #[error(transparent)]
    Learner(E),
    /// A checkpoint that was not written, or is not this run's.
    #[error(transparent)]
    Resume(#[from] ResumeError),
}

/// A step that could not be made.
#[derive(Debug)]
pub enum StepError<E> {
    /// A loss that is not a number; what, and what to do.
    Diverged(String),
    /// The learner failed.
    Failed(E),
}

impl<E> From<E> for StepError<E> {
    fn from(error: E) -> Self {
        Self::Failed(error)
    }
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learned {
    /// Its loss.
    pub loss: f64,
    /// Words of its batch.
    pub words: usize,
}

/// The numbers of a run that do not change while it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    /// Epochs: a development score follows each.
    pub epochs: usize,
    /// Optimiser steps of all epochs.
    pub steps: usize,
    /// Training sentences of an epoch.
    pub examples: usize,
    /// Largest norm of the gradient over all parameters.
    pub clip_norm: f64,
    /// Epochs without a better development F1 after which training stops; absent: never.
    pub patience: Option<usize>,
    /// Settings of the optimiser.
    pub optimiser: AdamWConfig,
}

/// What a training run learns, and how. Every random number follows from the number of the epoch or of the step, so that a resumed
/// run draws the same ones.
pub trait Learner {
    /// A batch of a plan.
    type Batch;
    /// What can go wrong besides divergence.
    type Error: std::error::Error + 'static;

    /// Parameters; those that require gradients are trained.
    fn store(&self) -> &VarStore;

    /// Epochs, steps and settings.
    fn course(&self) -> Course;

    /// What must be equal for a run to go on from a checkpoint.
    fn identity(&self) -> Identity;

    /// Batches of an epoch, from 1, in order.
    fn plan(&self, epoch: usize) -> Vec<Self::Batch>;

    /// Learning rate of a step.
    fn learning_rate(&self, epoch: usize, step: usize) -> f64;

    /// Leaves the gradients of a batch in the parameters, which have none before.
    ///
    /// # Errors
    /// [`StepError`].
    fn learn(&mut self, batch: &Self::Batch, step: usize) -> Result<Learned, StepError<Self::Error>>;

    /// Micro-averaged entity F1 on the development sentences.
    ///
    /// # Errors
    /// The learner's.
    fn score(&mut self) -> Result<f64, Self::Error>;
}

/// Trains, and keeps the weights of the epoch with the best development F1. `observe` is told of each step and each epoch and
/// returns `false` to stop there; a stopped run leaves a checkpoint.
///
/// Same learner and thread count give the same bits, whether or not the run was stopped and resumed in between.
///
/// # Errors
/// [`TrainError`].
pub fn fit<L: Learner>(
    learner: &mut L,
    checkpoints: &Checkpoints,
    mut observe: impl FnMut(Progress<'_>) -> bool,
) -> Result<History, TrainError<L::Error>> {
    let course = learner.course();
    let mut state = State::new(learner.store(), &course);
    let identity = learner.identity();
    if checkpoints.resume {
        state.read(checkpoints, &identity, learner.store())?;
    }
    while state.at.epoch <= course.epochs {
        let started = Instant::now();
        let batches = learner.plan(state.at.epoch);
        let mut go_on = true;
        for batch in &batches[state.at.in_epoch..] {
            let loss = take_step(learner, batch, &course, &mut state)?;
            go_on = observe(Progress::Step { step: state.at.step, steps: course.steps, loss });
            if !go_on && state.at.in_epoch < batches.len() {
                state.history.steps_s += started.elapsed().as_secs_f64();
                state.history.stopped = true;
                state.write(checkpoints, &identity, learner.store())?;
                state.keep_best(learner.store());
                return Ok(state.history);
            }
        }
        state.history.steps_s += started.elapsed().as_secs_f64();
        go_on &= state.end_epoch(learner, course.examples, &mut observe)?;
        let waited = state.at.epoch - 1 - state.history.best_epoch;
        let patient = course.patience.is_none_or(|patience| waited < patience);
        state.history.stopped = !go_on && patient && state.at.epoch <= course.epochs;
        if patient && state.at.epoch <= course.epochs {
            state.write(checkpoints, &identity, learner.store())?;
        }
        if !go_on || !patient {
            break;
        }
    }
    state.keep_best(learner.store());
    Ok(state.history)
}

fn take_step<L: Learner>(
    learner: &mut L,
    batch: &L::Batch,
    course: &Course,
    state: &mut State,
) -> Result<f64, TrainError<L::Error>> {
    state.optimiser.zero_grad();
    let (epoch, step) = (state.at.epoch, state.at.step);
    let diverged = |cause: String| TrainError::Diverged { epoch, step, cause };
    let Learned { loss, words } = learner.learn(batch, step).map_err(|error| match error {
        StepError::Diverged(cause) => diverged(cause),
        StepError::Failed(error) => TrainError::Learner(error),
    })?;
    clip_grad_norm(learner.store(), course.clip_norm).map_err(|error| diverged(error.to_string()))?;
    state.optimiser.step(learner.learning_rate(epoch, step));
    let Place { in_epoch, losses, .. } = state.at;
    state.at = Place { epoch, step: step + 1, in_epoch: in_epoch + 1, losses: losses + loss };
    state.history.words += words;
    Ok(loss)
}
