//! `reproduce`: the experiment, and the hidden `worker` that carries out its jobs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use common::claims;
use common::cli::reproduce::{self, Conduct, Experiment, Options, WorkerOptions, missing_each, steady};
use common::outcome::{Outcome, repeat_check};
use common::report::Report;
use tch::Device;

use crate::experiment::design::{Design, Job, Preset};
use crate::experiment::work::Lab;
use crate::experiment::{Finished, report};

/// Options of `reproduce`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How much to run; `cpu` takes an hour of processor time
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
    /// Folder of the run's fakes
    #[arg(long)]
    fakes: PathBuf,
}

pub(super) fn work(arguments: &WorkerArguments) -> Result<()> {
    let options = &arguments.options;
    let device = options.device.open()?;
    let mut lab = Lab::new(options.data.clone(), options.generate, arguments.fakes.clone(), device);
    reproduce::work(|job: &Job| lab.carry_out(job))
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut design = arguments.preset.choose(Design::quick, Design::cpu, Design::full);
    let declared = claims::parse(include_str!("../../claims.toml")).map_err(anyhow::Error::msg)?;
    let options = &arguments.options;
    let mut experiment =
        Experiment::of("frequency-mask", env!("CARGO_MANIFEST_DIR"), design.preset.name()).in_phases(2);
    design.seeds = experiment.seeded(options, &design.seeds, &[])?;
    let names = design.data_sets();
    let generated = missing_each(&options.data_root(&experiment), &names, design.preset == Preset::Quick)?;
    let device = options.device()?;
    let json = serde_json::to_string_pretty(&design)?;
    options.conduct(&experiment, &json, !generated.is_empty(), steady(), |conduct| {
        conduct.order(["--fakes".to_owned(), conduct.folder.join("fakes").display().to_string()]);
        carry_through(conduct, &experiment, design, &declared, generated, device)
    })
}

/// Trains, judges and writes the report into the run's folder; `None` when the run was asked to stop.
fn carry_through(
    conduct: &Conduct,
    experiment: &Experiment,
    design: Design,
    declared: &claims::Declared,
    generated: Vec<String>,
    device: Device,
) -> Result<Option<Report>> {
    let message = |job: &Job, outcome: &Outcome| {
        let map = outcome.measured.iter().find(|measured| measured.metric == "map_unseen");
        let map = map.and_then(|map| map.values.first());
        map.map_or(job.arm.clone(), |map| format!("{} {} {map:.3}", job.generator.name(), job.arm))
    };
    let phase = |name: &str, jobs: &[Job]| conduct.phase(name, jobs, message);
    let Some(made) = phase("generators", &design.makers())? else { return Ok(None) };
    let Some(detected) = phase("detectors", &design.detectors())? else { return Ok(None) };
    let (first, outcome) = &detected[0];
    let repeat_check = repeat_check(&conduct.workers, first, outcome, &conduct.folder)?;
    let finished = Finished::new(design, made, detected);
    let around = conduct.circumstances(experiment, generated, device, repeat_check);
    let report = report(declared, &finished, &around, &conduct.folder)?;
    report.write(&conduct.folder)?;
    Ok(Some(report))
}
