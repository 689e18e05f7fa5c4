//! `reproduce`: the experiment, and the hidden `worker` that carries out its jobs.
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use common::claims;
use common::cli::reproduce::{self, Conduct, Experiment, Options, WorkerOptions, missing_each, steady};
use common::outcome::{Outcome, Values, repeat_check};
use common::report::Report;
use common::workers::Job as _;
use tch::Device;

use crate::experiment::design::{Design, Job, Preset};
use crate::experiment::{CHOOSING, DATA_SETS, Finished, Worker, choose, companion, report};

/// Options of `reproduce`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How much to run; `cpu` takes a quarter of an hour on two idle cores
    #[arg(long, value_enum, default_value = "quick")]
    preset: Preset,
    #[command(flatten)]
    options: Options,
}

/// Options of `worker`.
#[derive(Debug, Args)]
pub(super) struct WorkerArguments {
    #[command(flatten)]
    options: WorkerOptions,
    /// Folder of trained bases
    #[arg(long)]
    bases: PathBuf,
}

/// Serves jobs on standard input until it ends.
///
/// # Errors
/// A device that is not there, broken pipes.
pub(super) fn work(arguments: &WorkerArguments) -> Result<()> {
    let device = arguments.options.device.open()?;
    let mut worker = Worker::new(arguments.bases.clone());
    reproduce::work(|job: &Job| worker.carry_out(job, device))
}

/// Carries the experiment out and writes its report.
///
/// # Errors
/// Missing data, failed jobs, an unwritable folder.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut design = arguments.preset.choose(Design::quick, Design::cpu, Design::full);
    let declared = claims::parse(include_str!("../../claims.toml")).map_err(anyhow::Error::msg)?;
    let options = &arguments.options;
    let mut experiment =
        Experiment::of("long-clip", env!("CARGO_MANIFEST_DIR"), design.preset.name()).in_phases(3);
    design.seeds = experiment.seeded(options, &design.seeds, &design.tuning_seeds)?;
    let root = options.data_root(&experiment);
    let missing = missing_each(&root, &DATA_SETS, design.preset == Preset::Quick)?;
    if !missing.is_empty() {
        eprintln!("note: the comparison with real data is left out where its data are missing");
    }
    let device = options.device()?;
    let json = serde_json::to_string_pretty(&design)?;
    options.conduct(&experiment, &json, false, steady(), |conduct| {
        carry_through(conduct, &experiment, design, &declared, missing, device)
    })
}

/// Trains, judges and writes the report into the run's folder; `None` when the run was asked to stop.
fn carry_through(
    conduct: &mut Conduct,
    experiment: &Experiment,
    design: Design,
    declared: &claims::Declared,
    missing: Vec<String>,
    device: Device,
) -> Result<Option<Report>> {
    let bases = conduct.folder.join("bases");
    conduct.order(["--bases".to_owned(), bases.display().to_string()]);
    let phase = |name: &str, jobs: &[Job]| conduct.phase(name, jobs, message);
    let Some(bases) = phase("bases", &design.bases())? else { return Ok(None) };
    let Some(candidates) = phase("choosing learning rates", &design.candidates())? else { return Ok(None) };
    let chosen = choose(&candidates);
    let Some(compared) = phase("compared runs", &design.compared(&chosen))? else { return Ok(None) };
    let trained = compared.iter().find(|(_, outcome)| !outcome.curve.is_empty());
    let repeated = match trained {
        Some((job, outcome)) => repeat_check(&conduct.workers, job, outcome, &conduct.folder)?,
        None => "not run".to_owned(),
    };
    let companion = companion(&conduct.data, &missing, &made(&design), &conduct.folder)?;
    let Some(pictures) = phase("position tables", &design.pictures(&chosen))? else { return Ok(None) };
    let values = Values::collect(bases.iter().chain(&compared).chain(&pictures).map(|(_, outcome)| outcome));
    let finished = Finished { design, bases, candidates, chosen, compared, values };
    let around = conduct.circumstances(experiment, missing, device, repeated);
    let report = report(declared, &finished, (companion, &DATA_SETS), &around, &conduct.folder)?;
    report.write(&conduct.folder)?;
    Ok(Some(report))
}

/// Long captions of the world, for their lengths.
fn made(design: &Design) -> Vec<String> {
    design.scale.world.gallery(1000, 0, "lengths").items.iter().map(|item| item.long.text()).collect()
}

/// What a job did, and how well on validation scenes.
fn message(job: &Job, outcome: &Outcome) -> String {
    let value = |name: &str| {
        let own = |m: &&common::outcome::Measured| m.setting == name && m.metric.starts_with("validation");
        outcome.measured.iter().rfind(own).map(|measured| format!("{name} {:.3}", measured.values[0]))
    };
    let values: Vec<String> = CHOOSING.iter().step_by(2).filter_map(|name| value(name)).collect();
    format!("{} {}", job.describe(), values.join(" "))
}
