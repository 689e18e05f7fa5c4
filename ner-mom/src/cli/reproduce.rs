//! `reproduce`: the experiment, and the hidden `worker` that carries out its jobs.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use common::claims;
use common::cli::reproduce::{self, Conduct, Experiment, Options, WorkerOptions, missing_each};
use common::nn::gemm;
use common::report::Report;
use common::workers::Workers;
use tch::Device;

use crate::experiment::design::{Design, Job, Preset};
use crate::experiment::outcome::Outcome;
use crate::experiment::{Corpora, Finished, carry_out, choose, report};

/// Options of `reproduce`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How much to run; `cpu` takes at most 45 minutes on two cores
    #[arg(long, value_enum, default_value = "quick")]
    preset: Preset,
    #[command(flatten)]
    options: Options,
}

pub(super) fn work(arguments: &WorkerOptions) -> Result<()> {
    let device = arguments.device.open()?;
    let mut corpora = Corpora::below(arguments.data.clone(), arguments.generate);
    reproduce::work(|job: &Job| carry_out(job, &mut corpora, device))
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut design = arguments.preset.choose(Design::quick, Design::cpu, Design::full);
    let declared = claims::parse(include_str!("../../claims.toml")).map_err(anyhow::Error::msg)?;
    let options = &arguments.options;
    let mut experiment =
        Experiment::of("ner-mom", env!("CARGO_MANIFEST_DIR"), design.preset.name()).in_phases(2);
    design.seeds = experiment.seeded(options, &design.seeds, &[design.tuning_seed])?;
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
        format!("{} {} F1 {:.3}", job.setting, outcome.loss, outcome.dev_micro_f1)
    };
    let phase = |name: &str, jobs: &[Job]| conduct.phase(name, jobs, message);
    let Some(candidates) = phase("choosing settings", &design.candidates())? else { return Ok(None) };
    let chosen = choose(candidates.iter().map(|(job, outcome)| (job, outcome)));
    let Some(compared) = phase("compared runs", &design.compared(&chosen))? else { return Ok(None) };
    let repeat_check = repeat(&conduct.workers, &compared[0], &conduct.folder)?;
    let finished = Finished { design, candidates, chosen, compared };
    let around = conduct.circumstances(experiment, generated, device, repeat_check);
    let report = report(declared, &finished, &around, &conduct.folder)?;
    report.write(&conduct.folder)?;
    Ok(Some(report))
}

/// Runs the first compared job once more in a store of its own and compares the weights.
fn repeat(workers: &Workers, first: &(Job, Outcome), folder: &Path) -> Result<String> {
    let store = folder.join("repeat");
    let again = Workers { count: 1, store, ..workers.clone() };
    let Some(outcomes) = again.run(std::slice::from_ref(&first.0), |_, _| true)? else {
        return Ok("not run".to_owned());
    };
    let name = format!("{} {} seed {}", first.0.setting, first.0.arm, first.0.seed);
    let (one, two) = (&first.1.weights, &outcomes[0].weights);
    Ok(if one == two {
        format!("equal bits: {name}, weights {one}")
    } else {
        format!("different bits: {name}, {one} and {two}")
    })
}
