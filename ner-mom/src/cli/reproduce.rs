//! `reproduce`: the experiment, and the hidden `worker` that carries out its jobs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use common::data::DataError;
use common::device::{self, Choice};
use common::nn::gemm;
use common::report::{Report, claim_table, publish};
use common::run::{Run, Status};
use common::workers::{Workers, serve};
use common::{claims, data, interrupt, progress};
use tch::Device;

use super::workspace;
use crate::experiment::design::{Design, Job, Preset};
use crate::experiment::outcome::Outcome;
use crate::experiment::{Circumstances, Corpora, Finished, carry_out, choose, report};

/// Options of `reproduce`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How much to train
    #[arg(long, value_enum, default_value = "quick")]
    preset: PresetName,
    /// Folder of the data sets [default: $BENKYOKAI_DATA, or `data` in the workspace]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Go on with an interrupted run
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Folder of the run directories [default: `runs/ner-mom` in the workspace]
    #[arg(long, value_name = "FOLDER")]
    runs: Option<PathBuf>,
    /// Also copy the finished report here
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Worker processes, each with one thread [default: the number of cores, at most 4]
    #[arg(long)]
    workers: Option<usize>,
    /// Stop cleanly after this many minutes; `--resume` goes on
    #[arg(long)]
    max_minutes: Option<f64>,
    /// Device of the workers: auto, cpu, cuda or cuda:NUMBER
    #[arg(long, default_value = "cpu")]
    device: String,
    /// No progress on standard error
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PresetName {
    /// Two corpora, three seeds: within two minutes on two cores, indicative only
    Quick,
    /// The verdict preset: at most 45 minutes on two cores
    Cpu,
    /// All training sentences, ten seeds, wide networks: for a GPU
    Full,
}

/// Options of `worker`.
#[derive(Debug, Args)]
pub(super) struct WorkerArguments {
    #[arg(long)]
    data: PathBuf,
    #[arg(long)]
    device: Choice,
    #[arg(long)]
    generate: bool,
}

pub(super) fn work(arguments: &WorkerArguments) -> Result<()> {
    // The parent decides when to stop: a worker finishes its job.
    interrupt::listen();
    tch::set_num_threads(1);
    let device = arguments.device.open()?;
    let mut corpora = Corpora::below(arguments.data.clone(), arguments.generate);
    let work = |job: &Job| carry_out(job, &mut corpora, device).map_err(|error| format!("{error:#}"));
    Ok(serve(std::io::stdin().lock(), std::io::stdout(), work)?)
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let started = Instant::now();
    let design = match arguments.preset {
        PresetName::Quick => Design::quick(),
        PresetName::Cpu => Design::cpu(),
        PresetName::Full => Design::full(),
    };
    let declared = claims::parse(include_str!("../../claims.toml")).map_err(anyhow::Error::msg)?;
    let environment = std::env::var("BENKYOKAI_DATA").ok();
    let root = data::root(arguments.data.as_deref(), environment.as_deref(), &workspace());
    let generated = missing(&design, &root)?;
    let device = arguments.device.parse::<Choice>()?.open()?;
    let run = run_folder(arguments, &design)?;
    let finished =
        carry_through(arguments, design, &declared, root, generated, device, run.folder(), started);
    let status = match &finished {
        Ok(Some(_)) => Status::Complete,
        Ok(None) => Status::Stopped,
        Err(_) => Status::Failed,
    };
    let folder = run.folder().to_owned();
    run.finish(status, SystemTime::now())?;
    let Some(report) = finished? else {
        eprintln!("stopped early; go on with: {} --resume {}", command_line(arguments), folder.display());
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    };
    let published = match &arguments.out {
        Some(out) => publish(&folder, out)?,
        None => folder,
    };
    println!("{}", claim_table(&report));
    println!("{}", published.join("report.html").display());
    Ok(ExitCode::SUCCESS)
}

/// Trains, judges and writes the report into `folder`; `None` when the run was asked to stop.
#[expect(clippy::too_many_arguments, reason = "what `run` found out, handed on once")]
fn carry_through(
    arguments: &Arguments,
    design: Design,
    declared: &claims::Declared,
    root: PathBuf,
    generated: Vec<String>,
    device: Device,
    folder: &Path,
    started: Instant,
) -> Result<Option<Report>> {
    let count = arguments
        .workers
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get().min(4)));
    let program = std::env::current_exe().context("finding this program's own file")?;
    let text = |path: &Path| path.display().to_string();
    let command = [
        text(&program),
        "worker".into(),
        "--data".into(),
        text(&root),
        "--device".into(),
        arguments.device.clone(),
    ];
    let generate = (!generated.is_empty()).then(|| "--generate".to_owned());
    let command: Vec<String> = command.into_iter().chain(generate).collect();
    // Each worker would time the matrix libraries anew, and equal runs could get different bits.
    let variables = vec![(gemm::VARIABLE.to_owned(), gemm::active().to_string())];
    let workers = Workers { command, variables, count, store: folder.join("jobs") };
    interrupt::listen();
    let limit_s = arguments.max_minutes.map_or(f64::INFINITY, |minutes| minutes * 60.0);
    let phase = |name: &str, jobs: &[Job]| {
        let bar = progress::bar(name, jobs.len(), arguments.quiet);
        let outcomes = workers.run(jobs, |job, outcome| {
            bar.inc(1);
            bar.set_message(format!("{} {} F1 {:.3}", job.setting, outcome.loss, outcome.dev_micro_f1));
            !interrupt::asked() && started.elapsed().as_secs_f64() < limit_s
        })?;
        bar.finish_and_clear();
        Ok::<_, anyhow::Error>(
            outcomes.map(|outcomes| jobs.iter().cloned().zip(outcomes).collect::<Vec<_>>()),
        )
    };
    let Some(candidates) = phase("choosing settings", &design.candidates())? else { return Ok(None) };
    let chosen = choose(candidates.iter().map(|(job, outcome)| (job, outcome)));
    let Some(compared) = phase("compared runs", &design.compared(&chosen))? else { return Ok(None) };
    let repeat_check = repeat(&workers, &compared[0], folder)?;
    let finished = Finished { design, candidates, chosen, compared };
    let around = Circumstances {
        command: command_line(arguments),
        workspace: workspace(),
        data: root,
        generated,
        device: device::facts(device),
        workers: count,
        wall_s: started.elapsed().as_secs_f64(),
        repeat_check,
    };
    let report = report(declared, &finished, &around, folder)?;
    report.write(folder)?;
    Ok(Some(report))
}

/// Data sets of the design that are not below `root`. Only `quick` may go on without them, on generated text.
fn missing(design: &Design, root: &Path) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for cell in &design.cells {
        match data::locate(root, cell.corpus.data_set()) {
            Err(error @ DataError::Missing { .. }) if design.preset == Preset::Quick => {
                eprintln!("warning: {error}; generated text stands in for it");
                missing.push(cell.corpus.data_set().to_owned());
            }
            found => drop(found?),
        }
    }
    Ok(missing)
}

fn command_line(arguments: &Arguments) -> String {
    let preset =
        arguments.preset.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
    format!("cargo run -p ner-mom -- reproduce --preset {preset}")
}

/// `runs/ner-mom/<UTC time>-<preset>-<hash of the design>`, new, or the one to resume when its design is this one.
fn run_folder(arguments: &Arguments, design: &Design) -> Result<Run> {
    let json = serde_json::to_string_pretty(design)?;
    let base = arguments.runs.clone().unwrap_or_else(|| workspace().join("runs/ner-mom"));
    let (now, argv) = (SystemTime::now(), std::env::args().collect());
    Ok(Run::of_design(&base, design.preset.name(), &json, arguments.resume.as_deref(), now, argv)?)
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
