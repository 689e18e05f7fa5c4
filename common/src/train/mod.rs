//! One training run: batches, steps, the development score of each epoch, the best weights kept; checkpoints from
//! which a stopped run goes on as if it had not been stopped. What is learned, and how, is a [`Learner`]'s.

mod buckets;
mod resume;

use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::VarStore;
use thiserror::Error;

use crate::nn::checkpoint::named;
use crate::optim::{AdamW, AdamWConfig, clip_grad_norm};

pub use buckets::length_buckets;
pub use resume::{Identity, ResumeError, digest};

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

/// Where a run keeps its checkpoints, and from which of them it goes on.
#[derive(Clone, Debug, Default)]
pub struct Checkpoints {
    /// Folder; absent: none are written.
    pub folder: Option<PathBuf>,
    /// Goes on from the checkpoint in the folder.
    pub resume: bool,
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

/// A run under way: everything that a checkpoint has to bring back.
struct State {
    optimiser: AdamW,
    history: History,
    /// Weights of the best epoch in the order of their names; empty before any epoch was over.
    best: Vec<Tensor>,
    /// Epoch under way, from 1.
    epoch: usize,
    /// Steps made.
    step: usize,
    /// Steps made in this epoch, and the sum of their losses.
    in_epoch: usize,
    losses: f64,
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
        resume::read(checkpoints, &identity, learner.store(), &mut state)?;
    }
    while state.epoch <= course.epochs {
        let started = Instant::now();
        let batches = learner.plan(state.epoch);
        let mut go_on = true;
        for batch in &batches[state.in_epoch..] {
            let loss = take_step(learner, batch, &course, &mut state)?;
            go_on = observe(Progress::Step { step: state.step, steps: course.steps, loss });
            if !go_on && state.in_epoch < batches.len() {
                state.history.steps_s += started.elapsed().as_secs_f64();
                state.history.stopped = true;
                resume::write(checkpoints, &identity, learner.store(), &state)?;
                state.keep_best(learner.store());
                return Ok(state.history);
            }
        }
        state.history.steps_s += started.elapsed().as_secs_f64();
        go_on &= state.end_epoch(learner, course.examples, &mut observe)?;
        let waited = state.epoch - 1 - state.history.best_epoch;
        let patient = course.patience.is_none_or(|patience| waited < patience);
        state.history.stopped = !go_on && patient && state.epoch <= course.epochs;
        if patient && state.epoch <= course.epochs {
            resume::write(checkpoints, &identity, learner.store(), &state)?;
        }
        if !go_on || !patient {
            break;
        }
    }
    state.keep_best(learner.store());
    Ok(state.history)
}

impl State {
    fn new(store: &VarStore, course: &Course) -> Self {
        let history = History {
            epochs: vec![],
            best_epoch: 0,
            best_dev_f1: -1.0,
            steps_s: 0.0,
            words: 0,
            steps: course.steps,
            stopped: false,
        };
        let optimiser = AdamW::new(store, course.optimiser);
        Self { optimiser, history, best: vec![], epoch: 1, step: 0, in_epoch: 0, losses: 0.0 }
    }

    /// Scores the development sentences, keeps the weights when they are the best so far, moves to the next epoch.
    fn end_epoch<L: Learner>(
        &mut self,
        learner: &mut L,
        examples: usize,
        observe: &mut impl FnMut(Progress<'_>) -> bool,
    ) -> Result<bool, TrainError<L::Error>> {
        let point = EpochPoint {
            epoch: self.epoch,
            step: self.step,
            examples: self.epoch * examples,
            train_loss: self.losses / self.in_epoch as f64,
            dev_f1: learner.score().map_err(TrainError::Learner)?,
        };
        if point.dev_f1 > self.history.best_dev_f1 {
            (self.history.best_epoch, self.history.best_dev_f1) = (point.epoch, point.dev_f1);
            self.best = named(learner.store()).iter().map(|(_, tensor)| tensor.detach().copy()).collect();
        }
        let go_on = observe(Progress::Epoch(&point));
        self.history.epochs.push(point);
        (self.epoch, self.in_epoch, self.losses) = (self.epoch + 1, 0, 0.0);
        Ok(go_on)
    }

    /// Puts the best weights into the model.
    fn keep_best(&self, store: &VarStore) {
        let _guard = tch::no_grad_guard();
        for ((_, mut variable), kept) in named(store).into_iter().zip(&self.best) {
            variable.copy_(kept);
        }
    }
}

fn take_step<L: Learner>(
    learner: &mut L,
    batch: &L::Batch,
    course: &Course,
    state: &mut State,
) -> Result<f64, TrainError<L::Error>> {
    state.optimiser.zero_grad();
    let (epoch, step) = (state.epoch, state.step);
    let diverged = |cause: String| TrainError::Diverged { epoch, step, cause };
    let Learned { loss, words } = learner.learn(batch, step).map_err(|error| match error {
        StepError::Diverged(cause) => diverged(cause),
        StepError::Failed(error) => TrainError::Learner(error),
    })?;
    clip_grad_norm(learner.store(), course.clip_norm).map_err(|error| diverged(error.to_string()))?;
    state.optimiser.step(learner.learning_rate(epoch, step));
    (state.step, state.in_epoch, state.losses) = (step + 1, state.in_epoch + 1, state.losses + loss);
    state.history.words += words;
    Ok(loss)
}
