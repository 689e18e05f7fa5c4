//! `reproduce`: the experiment, and the hidden `worker` that carries out its jobs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use common::cli::reproduce::{self, Conduct, Experiment, Options, WorkerOptions, missing, steady};
use common::outcome::{Outcome, repeat_check};
use common::report::Report;
use common::workers::{Job as _, Workers};
use common::{claims, data};

use crate::experiment::design::{self, Job, Preset, Study};
use crate::experiment::{DATA_SETS, ENCODER, Finished, Places, QUESTIONS, carry_out, generate, report};

/// Options of `reproduce`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How much to run; `cpu` takes at most 45 minutes on two cores
    #[arg(long, value_enum, default_value = "quick")]
    preset: Preset,
    /// Folder of all-MiniLM-L6-v2 or another BERT sentence encoder, for the studies on one [default: `all-minilm-l6-v2` among
    /// the data sets, where it is there]
    #[arg(long, value_name = "FOLDER")]
    minilm: Option<PathBuf>,
    /// Only the studies whose description contains this, such as `gptq` or `subject stories`; claims on others are not run
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    #[command(flatten)]
    options: Options,
}

/// Options of `worker`.
#[derive(Debug, Args)]
pub(super) struct WorkerArguments {
    #[command(flatten)]
    options: WorkerOptions,
    #[arg(long)]
    minilm: Option<PathBuf>,
}

pub(super) fn work(arguments: &WorkerArguments) -> Result<()> {
    let WorkerOptions { data, device, .. } = &arguments.options;
    let places = Places { root: data.clone(), encoder: arguments.minilm.clone(), device: device.open()? };
    reproduce::work(|job: &Job| carry_out(job, &places))
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let preset = arguments.preset;
    let mut experiment = Experiment::of("quantization", env!("CARGO_MANIFEST_DIR"), preset.name());
    let options = &arguments.options;
    let root = options.data_root(&experiment);
    let generated = missing(&root, &DATA_SETS, preset == Preset::Quick)?;
    if arguments.minilm.is_some() {
        data::locate(&root, QUESTIONS)?;
    }
    let mut places = Places::find(&root, arguments.minilm.as_deref(), options.device()?);
    if !generated.is_empty() {
        places.encoder = None; // stand-ins are for all data sets, and no encoder is among them
    }
    let seeds = experiment.seeded(options, &design::seeds(preset), &[])?;
    let mut jobs = design::jobs(preset, &seeds);
    if places.encoder.is_some() {
        jobs.extend(design::encoder_jobs(preset));
    }
    let wanted = |job: &Job| {
        arguments.only.is_empty() || arguments.only.iter().any(|text| job.describe().contains(text))
    };
    jobs.retain(wanted);
    if jobs.is_empty() {
        bail!("--only {}: no study of this preset is described so", arguments.only.join(" --only "));
    }
    if places.encoder.is_none() {
        eprintln!(
            "note: no `{ENCODER}` and `{QUESTIONS}` among the data sets: the claims on an encoder are not run"
        );
    }
    let design = serde_json::to_string_pretty(&jobs)?;
    options.conduct(&experiment, &design, false, steady(), |conduct| {
        carry_through(conduct, &experiment, (preset, seeds), &jobs, (places, generated))
    })
}

/// Runs the jobs, judges, writes the report into the run's folder; `None` when the run was asked to stop.
fn carry_through(
    conduct: &mut Conduct,
    experiment: &Experiment,
    (preset, seeds): (Preset, Vec<u64>),
    jobs: &[Job],
    (mut places, generated): (Places, Vec<String>),
) -> Result<Option<Report>> {
    let declared = claims::parse(include_str!("../../claims.toml")).map_err(anyhow::Error::msg)?;
    if !generated.is_empty() {
        places.root = conduct.generated(generate)?;
    }
    if let Some(encoder) = &places.encoder {
        conduct.order(["--minilm".to_owned(), encoder.display().to_string()]);
    }
    let Some(jobs) = conduct.phase("studies", jobs, |job, _| job.describe())? else { return Ok(None) };
    let around = conduct.circumstances(
        experiment,
        generated,
        places.device,
        repeat(&conduct.workers, &jobs, &conduct.folder)?,
    );
    let report = report(&declared, &Finished { preset, seeds, jobs }, (&around, &places), &conduct.folder)?;
    report.write(&conduct.folder)?;
    Ok(Some(report))
}

/// What repeating the first training job gave.
fn repeat(workers: &Workers, jobs: &[(Job, Outcome)], folder: &Path) -> Result<String> {
    let trained = jobs.iter().find(|(job, _)| matches!(job.study, Study::Bitnet { .. }));
    let Some((job, outcome)) = trained else { return Ok("not run".to_owned()) };
    Ok(repeat_check(workers, job, outcome, folder)?)
}
