//! `reproduce`: the experiment, and the hidden `worker` that carries out its jobs.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use common::claims;
use common::cli::reproduce::{self, Conduct, Experiment, Options, WorkerOptions, missing, steady};
use common::outcome::{Outcome, repeat_check};
use common::report::Report;
use common::workers::{Job as _, Workers};
use tch::Device;

use crate::transactions::experiment::design::{self, Job, Preset, Study};
use crate::transactions::experiment::{DATA_SETS, Finished, Worker, may_generate, report};

/// Options of `reproduce`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How much to run; `cpu` takes at most 20 minutes on two cores
    #[arg(long, value_enum, default_value = "quick")]
    preset: Preset,
    #[command(flatten)]
    options: Options,
}

pub(super) fn work(arguments: &WorkerOptions) -> Result<()> {
    let device = arguments.device.open()?;
    let mut worker = Worker::default();
    reproduce::work(|job: &Job| {
        let seeds = arguments.seeds(design::seeds(job.preset));
        worker.carry_out((job, &seeds), &arguments.data, arguments.generate, device)
    })
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let preset = arguments.preset;
    let mut experiment = Experiment::of("transactions", env!("CARGO_MANIFEST_DIR"), preset.name());
    experiment.program = "-p retrieval --bin transactions".to_owned();
    let options = &arguments.options;
    let generated = missing(&options.data_root(&experiment), &DATA_SETS, may_generate(preset))?;
    let device = options.device()?;
    let seeds = experiment.seeded(options, &design::seeds(preset), &[])?;
    let jobs = design::jobs(preset, &seeds);
    let design = serde_json::to_string_pretty(&jobs)?;
    options.conduct(&experiment, &design, !generated.is_empty(), steady(), |conduct| {
        carry_through(conduct, &experiment, (preset, seeds), &jobs, (generated, device))
    })
}

/// Runs the jobs, judges, writes the report into the run's folder; `None` when the run was asked to stop.
fn carry_through(
    conduct: &Conduct,
    experiment: &Experiment,
    (preset, seeds): (Preset, Vec<u64>),
    jobs: &[Job],
    (generated, device): (Vec<String>, Device),
) -> Result<Option<Report>> {
    let declared =
        claims::parse(include_str!("../../../claims-transactions.toml")).map_err(anyhow::Error::msg)?;
    let Some(jobs) = conduct.phase("studies", jobs, |job, _| job.describe())? else { return Ok(None) };
    let around = conduct.circumstances(
        experiment,
        generated,
        device,
        repeat(&conduct.workers, &jobs, &conduct.folder)?,
    );
    let report = report(&declared, &Finished { preset, seeds, jobs }, &around, &conduct.folder)?;
    report.write(&conduct.folder)?;
    Ok(Some(report))
}

/// What repeating the first training job gave.
fn repeat(workers: &Workers, jobs: &[(Job, Outcome)], folder: &std::path::Path) -> Result<String> {
    let trained = jobs.iter().find(|(job, _)| matches!(job.study, Study::Train { .. }));
    let Some((job, outcome)) = trained else { return Ok("not run".to_owned()) };
    Ok(repeat_check(workers, job, outcome, folder)?)
}
