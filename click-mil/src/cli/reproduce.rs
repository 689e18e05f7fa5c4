//! `reproduce`: the experiment, and the hidden `worker` that carries out its jobs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use common::claims;
use common::cli::reproduce::{self, Conduct, Experiment, Options, WorkerOptions, missing, steady};
use common::outcome::{Outcome, repeat_check};
use common::report::Report;
use tch::Device;

use crate::experiment::design::{Design, Job, Preset};
use crate::experiment::work::Lab;
use crate::experiment::{Finished, report, stand_in};

/// Options of `reproduce`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How much to run; `cpu` takes 45 minutes of processor time
    #[arg(long, value_enum, default_value = "quick")]
    preset: Preset,
    #[command(flatten)]
    options: Options,
}

/// Options of the hidden `worker`.
#[derive(Debug, Args)]
pub(super) struct WorkerArguments {
    #[command(flatten)]
    options: WorkerOptions,
    /// Folder of the run's features
    #[arg(long)]
    features: PathBuf,
}

pub(super) fn work(arguments: &WorkerArguments) -> Result<()> {
    let options = &arguments.options;
    let mut lab = Lab::new(options.data.clone(), arguments.features.clone(), options.device.open()?);
    reproduce::work(|job: &Job| lab.carry_out(job))
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let design = arguments.preset.choose(Design::quick, Design::cpu, Design::full);
    let declared = claims::parse(include_str!("../../claims.toml")).map_err(anyhow::Error::msg)?;
    let experiment = Experiment::of("click-mil", env!("CARGO_MANIFEST_DIR"), design.preset.name());
    let options = &arguments.options;
    let root = options.data_root(&experiment);
    let generated = missing(&root, &design.data_sets(), design.preset == Preset::Quick)?;
    let device = options.device()?;
    let json = serde_json::to_string_pretty(&design)?;
    options.conduct(&experiment, &json, !generated.is_empty(), steady(), |conduct| {
        if !generated.is_empty() {
            let root = conduct.folder.join("stand-in");
            stand_in::write(&root)?;
            conduct.read_from(root);
        }
        let features = conduct.folder.join("features");
        conduct.order(["--features".to_owned(), features.display().to_string()]);
        let report = carry_through(conduct, &experiment, design, &declared, generated, device)?;
        // Gigabytes that only the jobs needed.
        if report.is_some() && features.exists() {
            std::fs::remove_dir_all(&features).with_context(|| format!("removing {}", features.display()))?;
        }
        Ok(report)
    })
}

/// Learns, judges and writes the report into the run's folder; `None` when the run was asked to stop.
fn carry_through(
    conduct: &Conduct,
    experiment: &Experiment,
    design: Design,
    declared: &claims::Declared,
    generated: Vec<String>,
    device: Device,
) -> Result<Option<Report>> {
    let message = |job: &Job, outcome: &Outcome| {
        let corloc = outcome.measured.iter().find(|measured| measured.metric == "corloc");
        let corloc = corloc.and_then(|corloc| corloc.values.first());
        corloc.map_or(job.arm.clone(), |corloc| format!("{} {} {corloc:.3}", job.set.name, job.arm))
    };
    let phase = |name: &str, jobs: &[Job]| conduct.phase(name, jobs, message);
    let Some(described) = phase("features", &design.describing())? else { return Ok(None) };
    let Some(learned) = phase("learning", &design.learning())? else { return Ok(None) };
    // One with clicks, multiple-instance learning and detectors.
    let (job, outcome) =
        learned.iter().find(|(job, _)| job.arm == "click-1").context("a job of the design")?;
    let repeat_check = repeat_check(&conduct.workers, job, outcome, &conduct.folder)?;
    let finished = Finished::new(design, described, learned);
    let around = conduct.circumstances(experiment, generated, device, repeat_check);
    let report = report(declared, &finished, &around, &conduct.folder)?;
    report.write(&conduct.folder)?;
    Ok(Some(report))
}
