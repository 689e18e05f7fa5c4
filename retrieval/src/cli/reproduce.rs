//! `reproduce`: the experiment, and the hidden `worker` that carries out its jobs.
#![expect(clippy::print_stderr, reason = "the command talks to its user")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use common::claims;
use common::cli::reproduce::{self, Conduct, Experiment, Options, WorkerOptions, missing, steady};
use common::outcome::{Outcome, repeat_check};
use common::report::Report;
use common::workers::{Job as _, Workers};

use crate::experiment::design::{self, Job, Preset, Study};
use crate::experiment::{DATA_SETS, ENCODER, Finished, Places, Worker, generate, report};

/// Options of `reproduce`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How much to run; `cpu` takes at most 45 minutes on two cores
    #[arg(long, value_enum, default_value = "quick")]
    preset: Preset,
    /// Folder of all-MiniLM-L6-v2 or another BERT encoder, for the claims on a pretrained one [default: `all-minilm-l6-v2`
    /// among the data sets]
    #[arg(long, value_name = "FOLDER")]
    encoder: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

/// Options of `worker`.
#[derive(Debug, Args)]
pub(super) struct WorkerArguments {
    #[command(flatten)]
    options: WorkerOptions,
    #[arg(long)]
    encoder: Option<PathBuf>,
}

pub(super) fn work(arguments: &WorkerArguments) -> Result<()> {
    let WorkerOptions { data, device, .. } = &arguments.options;
    let mut places = Places {
        root: data.clone(),
        encoder: arguments.encoder.clone(),
        device: device.open()?,
        seeds: vec![],
    };
    let mut worker = Worker::default();
    reproduce::work(|job: &Job| {
        places.seeds = arguments.options.seeds(design::seeds(job.preset));
        worker.carry_out(job, &places)
    })
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let preset = arguments.preset;
    let mut experiment = Experiment::of("retrieval", env!("CARGO_MANIFEST_DIR"), preset.name());
    let options = &arguments.options;
    let root = options.data_root(&experiment);
    let generated = missing(&root, &DATA_SETS, preset == Preset::Quick)?;
    let mut places = Places::find(&root, arguments.encoder.as_deref(), options.device()?);
    places.seeds = experiment.seeded(options, &design::seeds(preset), &[])?;
    if places.encoder.is_none() {
        eprintln!("note: no `{ENCODER}` among the data sets: the claims on a pretrained encoder are not run");
    }
    let jobs = design::jobs(preset, &places.seeds, places.encoder.is_some());
    let design = serde_json::to_string_pretty(&jobs)?;
    options.conduct(&experiment, &design, false, steady(), |conduct| {
        carry_through(conduct, &experiment, preset, &jobs, (places, generated))
    })
}

/// Runs the jobs, judges, writes the report into the run's folder; `None` when the run was asked to stop.
fn carry_through(
    conduct: &mut Conduct,
    experiment: &Experiment,
    preset: Preset,
    jobs: &[Job],
    (places, generated): (Places, Vec<String>),
) -> Result<Option<Report>> {
    let declared = claims::parse(include_str!("../../claims.toml")).map_err(anyhow::Error::msg)?;
    if !generated.is_empty() {
        conduct.generated(generate)?;
    }
    if let Some(encoder) = &places.encoder {
        conduct.order(["--encoder".to_owned(), encoder.display().to_string()]);
    }
    let Some(jobs) = conduct.phase("studies", jobs, |job, _| job.describe())? else { return Ok(None) };
    let around = conduct.circumstances(
        experiment,
        generated,
        places.device,
        repeat(&conduct.workers, &jobs, &conduct.folder)?,
    );
    let report =
        report(&declared, &Finished { preset, seeds: places.seeds, jobs }, &around, &conduct.folder)?;
    report.write(&conduct.folder)?;
    Ok(Some(report))
}

/// What repeating the first training job gave.
fn repeat(workers: &Workers, jobs: &[(Job, Outcome)], folder: &Path) -> Result<String> {
    let trained = jobs.iter().find(|(job, _)| matches!(job.study, Study::Train { .. }));
    let Some((job, outcome)) = trained else { return Ok("not run".to_owned()) };
    Ok(repeat_check(workers, job, outcome, folder)?)
}
