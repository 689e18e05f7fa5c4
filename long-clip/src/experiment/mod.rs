//! The experiment: bases are trained in a world where the truth is known, learning rates are chosen on validation scenes, arms are
//! fine-tuned from the same base on the same data, claims are judged, the report is written.

mod analysis;
pub mod arm;
mod companion;
pub mod data;
pub mod design;
mod examples;
pub mod learn;
mod measure;
pub mod recall;
mod report;
mod sets;
mod tables;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use common::files;
use common::nn::checkpoint::named;
use common::outcome::Outcome;
use cpu_time::ProcessTime;
use tch::{Device, Kind};

use crate::model::Clip;
pub(crate) use analysis::CHOOSING;
pub use analysis::{Finished, choose};
use arm::arm;
pub(crate) use companion::{DATA_SETS, sections as companion};
use data::StepData;
use design::{Job, Schedule, Work};
use measure::Old;
pub use report::report;
use sets::Sets;

/// Carries out jobs, and keeps what jobs of one seed share.
#[derive(Default)]
pub struct Worker {
    /// Folder that keeps trained bases.
    pub bases: PathBuf,
    shared: Option<Shared>,
}

/// What the arms of one seed share.
struct Shared {
    key: String,
    base: Clip,
    sets: Sets,
    looks: Sets,
    old: Old,
    data: Vec<StepData>,
}

/// Stream of the scenes that learning rates are chosen on and runs are looked at while they train.
const VALIDATION: &str = "validation";
/// Stream of the scenes that are reported.
const TEST: &str = "test";
/// First rows of a position table whose cosines are kept.
const TABLE_ROWS: usize = 48;
/// Every so many of them.
const TABLE_STEP: usize = 2;

impl Worker {
    /// A worker that keeps bases in `bases`.
    pub fn new(bases: PathBuf) -> Self {
        Self { bases, shared: None }
    }

    /// Carries out one job.
    ///
    /// # Errors
    /// Diverged training, files that cannot be read or written.
    pub fn carry_out(&mut self, job: &Job, device: Device) -> Result<Outcome> {
        let (started, processor) = (Instant::now(), ProcessTime::now());
        let mut outcome = match &job.work {
            Work::Oracle => oracle(job),
            Work::Base { name } => self.base(job, name, device)?,
            Work::Arm { name, learning_rate } => self.arm(job, name, *learning_rate, device)?,
            Work::Positions { arms } => self.positions(job, arms, device)?,
        };
        (outcome.wall_s, outcome.cpu_s) =
            (started.elapsed().as_secs_f64(), processor.elapsed().as_secs_f64());
        Ok(outcome)
    }

    fn base(&self, job: &Job, name: &str, device: Device) -> Result<Outcome> {
        let trained = learn::base(job, &self.bases, device)?;
        let model = &trained.model;
        let mut outcome = Outcome { curve: trained.curve, ..Outcome::default() };
        if job.test {
            let sets = Sets::new(&job.scale, job.seed, TEST);
            measure::all(model, &sets, &job.scale.sets.lengths, None, name, &mut outcome)?;
        }
        let looks = Sets::new(&job.scale, job.seed, VALIDATION);
        for (measure, value) in measure::few(model, &looks)? {
            outcome.put(measure, name, VALIDATION, vec![value]);
        }
        outcome.put("model", name, "parameters", vec![model.n_parameters() as f64]);
        Ok(outcome)
    }

    fn arm(&mut self, job: &Job, name: &str, learning_rate: f64, device: Device) -> Result<Outcome> {
        let scale = &job.scale;
        let arm =
            arm(name, scale.components, scale.tune.batch as i64).context("an arm of this experiment")?;
        let shared = self.shared(job, device)?;
        let mut outcome = Outcome::default();
        let mut model = learn::start(&shared.base, &arm)?;
        let schedule = Schedule { learning_rate, ..scale.tune.clone() };
        let look = |step: usize, model: &Clip, outcome: &mut Outcome| -> Result<()> {
            for (measure, value) in measure::few(model, &shared.looks)? {
                outcome.put(measure, name, &format!("{VALIDATION}@{step}"), vec![value]);
            }
            Ok(())
        };
        let every = (scale.tune.steps / scale.sets.looks.max(1)).max(1);
        let side = scale.world.look.side_px;
        outcome.curve = learn::tune(&mut model, &arm, &schedule, side, &shared.data, |step, model| {
            if (job.test && step % every == 0) || step == scale.tune.steps {
                look(step, model, &mut outcome)
            } else {
                Ok(())
            }
        })?;
        outcome.put("model", name, "learning-rate", vec![learning_rate]);
        if job.test {
            measure::all(&model, &shared.sets, &scale.sets.lengths, Some(&shared.old), name, &mut outcome)?;
        }
        outcome.text = vec![format!("weights {}", digest(&model))];
        Ok(outcome)
    }

    /// Position tables of arms, after training where they have one.
    fn positions(&mut self, job: &Job, arms: &[(String, f64)], device: Device) -> Result<Outcome> {
        let scale = &job.scale;
        let shared = self.shared(job, device)?;
        let mut outcome = Outcome::default();
        for (name, learning_rate) in arms {
            let arm =
                arm(name, scale.components, scale.tune.batch as i64).context("an arm of this experiment")?;
            let mut model = learn::start(&shared.base, &arm)?;
            let schedule = Schedule { learning_rate: *learning_rate, ..scale.tune.clone() };
            learn::tune(&mut model, &arm, &schedule, scale.world.look.side_px, &shared.data, |_, _| Ok(()))?;
            cosines(&model, name, &mut outcome);
        }
        Ok(outcome)
    }

    fn shared(&mut self, job: &Job, device: Device) -> Result<&Shared> {
        let key = format!("{} {}", job.base_file(), job.test);
        if self.shared.as_ref().is_none_or(|shared| shared.key != key) {
            self.shared = None;
            self.shared = Some(Shared::new(key, job, &self.bases, device)?);
        }
        self.shared.as_ref().context("made above")
    }
}

impl Shared {
    fn new(key: String, job: &Job, bases: &std::path::Path, device: Device) -> Result<Self> {
        let scale = &job.scale;
        let base = learn::base(job, bases, device)?.model;
        let sets = Sets::new(scale, job.seed, TEST);
        let data = (0..scale.tune.steps).map(|step| scale.world.tune_step(scale.tune.batch, job.seed, step));
        Ok(Self {
            old: measure::old(&base, &sets)?,
            data: data.collect(),
            looks: Sets::new(scale, job.seed, VALIDATION),
            sets,
            base,
            key,
        })
    }
}

fn oracle(job: &Job) -> Outcome {
    let mut outcome = Outcome::default();
    measure::oracles(&Sets::new(&job.scale, job.seed, TEST), &job.scale.sets.lengths, &mut outcome);
    outcome
}

/// Cosines between the first rows of the position table of texts, row by row.
fn cosines(model: &Clip, arm: &str, outcome: &mut Outcome) {
    let table = model.positions();
    let rows: Vec<usize> = (0..TABLE_ROWS.min(table.rows())).step_by(TABLE_STEP).collect();
    for &row in &rows {
        let cosines = rows.iter().map(|&other| table.cosine(row, other)).collect();
        outcome.put("position-table", arm, &format!("row-{row}"), cosines);
    }
}

/// First 16 hex digits of the sha256 over all weights in the order of their names.
fn digest(model: &Clip) -> String {
    let bytes = named(&model.store).into_iter().flat_map(|(_, tensor)| {
        let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).flatten(0, -1);
        let values = Vec::<f32>::try_from(&flat).expect("f32 in one dimension");
        values.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>()
    });
    files::sha256_hex(&bytes.collect::<Vec<u8>>())[..16].to_owned()
}
