//! `reproduce`: the experiment, and the hidden `worker` that carries out its jobs.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use common::claims;
use common::cli::reproduce::{self, Conduct, Experiment, Options, WorkerOptions, missing_each};
use common::nn::gemm;
use common::outcome::{Outcome, Values, repeat_check};
use common::report::Report;
use tch::Device;

use crate::experiment::design::{Design, Job, Preset};
use crate::experiment::{Finished, Pairs, carry_out, choose, report};

/// Options of `reproduce`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How much to run; `cpu` takes about an hour on two idle cores
    #[arg(long, value_enum, default_value = "quick")]
    preset: Preset,
    #[command(flatten)]
    options: Options,
}

pub(super) fn work(arguments: &WorkerOptions) -> Result<()> {
    let device = arguments.device.open()?;
    let mut pairs: Option<Pairs> = None;
    reproduce::work(|job: &Job| {
        let new = || Pairs::below(arguments.data.clone(), arguments.generate, job.sizes, device);
        carry_out(job, pairs.get_or_insert_with(new), device)
    })
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut design = arguments.preset.choose(Design::quick, Design::cpu, Design::full);
    let declared = claims::parse(include_str!("../../claims.toml")).map_err(anyhow::Error::msg)?;
    let options = &arguments.options;
    let mut experiment =
        Experiment::of("transfer-ner", env!("CARGO_MANIFEST_DIR"), design.preset.name()).in_phases(2);
    design.seeds = experiment.seeded(options, &design.seeds, &design.tuning_seeds)?;
    let names = design.data_sets();
    let generated = missing_each(&options.data_root(&experiment), &names, design.preset == Preset::Quick)?;
    let device = options.device()?;
    let json = serde_json::to_string_pretty(&design)?;
    // Each worker would time the matrix libraries anew, and equal runs could get different bits.
    let variables = vec![(gemm::VARIABLE.to_owned(), gemm::active().to_string())];
    options.conduct(&experiment, &json, !generated.is_empty(), variables, |conduct| {
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
        let f1 = outcome.measured.iter().find(|measured| measured.metric == "dev_f1");
        format!("{} {} {:.3}", job.setting, job.arm, f1.map_or(0.0, |f1| f1.values[0]))
    };
    let phase = |name: &str, jobs: &[Job]| conduct.phase(name, jobs, message);
    let Some(candidates) = phase("choosing ε", &design.candidates())? else { return Ok(None) };
    let chosen = choose(&candidates);
    let Some(compared) = phase("compared runs", &design.compared(&chosen))? else { return Ok(None) };
    let (first, outcome) = &compared[0];
    let repeat_check = repeat_check(&conduct.workers, first, outcome, &conduct.folder)?;
    let values = Values::collect(compared.iter().map(|(_, outcome)| outcome));
    let finished = Finished { design, candidates, chosen, compared, values };
    let around = conduct.circumstances(experiment, generated, device, repeat_check);
    let report = report(declared, &finished, &around, &conduct.folder)?;
    report.write(&conduct.folder)?;
    Ok(Some(report))
}
