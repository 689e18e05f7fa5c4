//! Training of bases and arms.

use std::path::Path;

use anyhow::{Context, Result};
use common::nn::checkpoint::{self, named};
use common::{files, seed};
use tch::{Device, Tensor};

use super::arm::{Arm, BASE_LENGTH, LENGTH, ShortText};
use super::data::{StepData, to_tensor};
use super::design::{Job, Schedule};
use crate::model::Clip;
use crate::step::{Batch, Objective, Optimiser, cosine_rate, gradients};
use crate::world::END;

/// Steps whose losses are averaged to one point of a curve. Ours.
const POINT_STEPS: usize = 10;

/// A trained model with the means of its losses, `[step, loss]`.
pub(super) struct Trained {
    pub(super) model: Clip,
    pub(super) curve: Vec<[f64; 2]>,
}

/// The base of a job: read from `folder` where it was trained before, else trained and kept there.
///
/// # Errors
/// Diverged training, unreadable or unwritable files.
pub(super) fn base(job: &Job, folder: &Path, device: Device) -> Result<Trained> {
    let path = folder.join(job.base_file());
    tch::manual_seed(seed::derive(job.seed, "init", 0) as i64);
    let mut model = Clip::new(job.scale.model.clone(), device)?;
    if path.exists() {
        checkpoint::load_checked(&model.store, &path)?;
        return Ok(Trained { model, curve: vec![] });
    }
    let scale = &job.scale;
    let objective = Objective::contrastive();
    let step = |step: usize| {
        let (images, texts) = scale.world.base_step(scale.base.batch, job.tail, job.seed, step);
        (to_tensor(&images, scale.world.look.side_px, device), texts, vec![])
    };
    let curve = run(&mut model, &objective, &scale.base, scale.base.learning_rate, step, |_, _| Ok(()))?;
    files::make_folder(folder)?;
    checkpoint::save(&named(&model.store), &path).context("keeping a base")?;
    Ok(Trained { model, curve })
}

/// An arm before training: the base with its stretched table.
///
/// # Errors
/// A stretching that does not fit.
pub fn start(base: &Clip, arm: &Arm) -> Result<Clip> {
    let table = base.positions();
    let table = match &arm.stretch {
        Some(stretch) => stretch.apply(&table)?,
        None => table,
    };
    Ok(base.with_positions(&table))
}

/// Trains an arm on the steps' data; `look` is called with the number of steps made, before the first and after each.
///
/// # Errors
/// Diverged training, and those of `look`.
pub fn tune(
    model: &mut Clip,
    arm: &Arm,
    schedule: &Schedule,
    side_px: usize,
    data: &[StepData],
    look: impl FnMut(usize, &Clip) -> Result<()>,
) -> Result<Vec<[f64; 2]>> {
    let Some(objective) = &arm.objective else { return Ok(vec![]) };
    let device = model.store.device();
    let longest = if arm.stretch.is_some() { LENGTH } else { BASE_LENGTH };
    let step = |step: usize| {
        let StepData { images, long, first, random } = &data[step];
        let long = long.iter().map(|ids| cut(ids, longest)).collect();
        let short = match arm.short_text {
            ShortText::FirstSentence => first.clone(),
            ShortText::RandomSentences => random.clone(),
        };
        (to_tensor(images, side_px, device), long, short)
    };
    run(model, objective, schedule, schedule.learning_rate, step, look)
}

/// The first `longest` ids; the end is kept.
pub(super) fn cut(ids: &[i64], longest: usize) -> Vec<i64> {
    if ids.len() <= longest {
        return ids.to_vec();
    }
    let mut cut = ids[..longest].to_vec();
    cut[longest - 1] = END;
    cut
}

fn run(
    model: &mut Clip,
    objective: &Objective,
    schedule: &Schedule,
    learning_rate: f64,
    data: impl Fn(usize) -> (Tensor, Vec<Vec<i64>>, Vec<Vec<i64>>),
    mut look: impl FnMut(usize, &Clip) -> Result<()>,
) -> Result<Vec<[f64; 2]>> {
    let mut optimiser = Optimiser::new(model, objective, schedule.weight_decay);
    let (mut curve, mut sum) = (Vec::new(), 0.0);
    look(0, model)?;
    for step in 0..schedule.steps {
        let (images, long, short) = data(step);
        optimiser.zero_grad();
        let batch = Batch { images: &images, long: &long, short: &short };
        sum += gradients(model, &batch, objective).with_context(|| format!("step {step}"))?.total;
        let rate = cosine_rate(step, schedule.steps, (schedule.steps / 10).max(1));
        optimiser.step(model, learning_rate * rate);
        if (step + 1) % POINT_STEPS == 0 {
            curve.push([(step + 1) as f64, sum / POINT_STEPS as f64]);
            sum = 0.0;
        }
        look(step + 1, model)?;
    }
    Ok(curve)
}
