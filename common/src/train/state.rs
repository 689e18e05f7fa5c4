//! A run under way: everything that a checkpoint has to bring back.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::VarStore;

use super::resume::{Checkpoints, Identity, ResumeError};
use super::{Course, EpochPoint, History, Learner, Progress, TrainError};
use crate::nn::checkpoint::{self, named};
use crate::optim::AdamW;

const WEIGHTS: &str = "weights.";
const BEST: &str = "best.";
const OPTIMISER: &str = "opt.";

pub(super) struct State {
    pub(super) optimiser: AdamW,
    pub(super) history: History,
    /// Weights of the best epoch in the order of their names; empty before any epoch was over.
    best: Vec<Tensor>,
    pub(super) at: Place,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// Epoch under way, from 1.
    pub(super) epoch: usize,
    /// Steps made.
    pub(super) step: usize,
    /// Steps made in this epoch, and the sum of their losses.
    pub(super) in_epoch: usize,
    pub(super) losses: f64,
}

impl State {
    pub(super) fn new(store: &VarStore, course: &Course) -> Self {
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
        Self { optimiser, history, best: vec![], at: Place { epoch: 1, step: 0, in_epoch: 0, losses: 0.0 } }
    }

    /// Scores the development sentences, keeps the weights when they are the best so far, moves to the next epoch.
    pub(super) fn end_epoch<L: Learner>(
        &mut self,
        learner: &mut L,
        examples: usize,
        observe: &mut impl FnMut(Progress<'_>) -> bool,
    ) -> Result<bool, TrainError<L::Error>> {
        let Place { epoch, step, in_epoch, losses } = self.at;
        let point = EpochPoint {
            epoch,
            step,
            examples: epoch * examples,
            train_loss: losses / in_epoch as f64,
            dev_f1: learner.score().map_err(TrainError::Learner)?,
        };
        if point.dev_f1 > self.history.best_dev_f1 {
            (self.history.best_epoch, self.history.best_dev_f1) = (point.epoch, point.dev_f1);
            self.best = named(learner.store()).iter().map(|(_, tensor)| tensor.detach().copy()).collect();
        }
        let go_on = observe(Progress::Epoch(&point));
        self.history.epochs.push(point);
        self.at = Place { epoch: epoch + 1, step, in_epoch: 0, losses: 0.0 };
        Ok(go_on)
    }

    /// Puts the best weights into the model.
    pub(super) fn keep_best(&self, store: &VarStore) {
        let _guard = tch::no_grad_guard();
        for ((_, mut variable), kept) in named(store).into_iter().zip(&self.best) {
            variable.copy_(kept);
        }
    }

    /// Writes a checkpoint.
    pub(super) fn write(
        &self,
        checkpoints: &Checkpoints,
        identity: &Identity,
        store: &VarStore,
    ) -> Result<(), ResumeError> {
        let weights = named(store);
        let best = weights
            .iter()
            .zip(&self.best)
            .map(|((name, _), best)| (format!("{BEST}{name}"), best.shallow_clone()));
        let tensors: Vec<(String, Tensor)> = (weights.iter())
            .map(|(name, tensor)| (format!("{WEIGHTS}{name}"), tensor.shallow_clone()))
            .chain(best)
            .chain(self.optimiser.state())
            .collect();
        checkpoints.write(identity, self.at.step, &tensors, &(self.at, &self.history))
    }

    /// Brings back model and state from the folder's checkpoint.
    pub(super) fn read(
        &mut self,
        checkpoints: &Checkpoints,
        identity: &Identity,
        store: &VarStore,
    ) -> Result<(), ResumeError> {
        let Some(kept) = checkpoints.read::<(Place, History)>(identity)? else { return Ok(()) };
        checkpoint::fill(store, kept.part(WEIGHTS), &kept.path)?;
        let mut best = kept.part(BEST);
        self.best = named(store).iter().filter_map(|(name, _)| best.remove(name)).collect();
        self.optimiser.load_state(&kept.named(OPTIMISER))?;
        let (at, history) = kept.progress;
        (self.at, self.history) = (at, History { stopped: false, ..history });
        Ok(())
    }
}
