//! `reproduce`: the experiment, and the hidden `worker` that carries out its jobs; `report`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command talks to its user")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use common::device::{self, Choice};
use common::nn::gemm;
use common::outcome::{Outcome, repeat_check};
use common::report::{Report, claim_table, publish};
use common::run::{Run, Status};
use common::workers::{Job as _, Workers, serve};
use common::{claims, data, interrupt, progress};

use crate::transactions::experiment::design::{Job, Preset, Study};
use crate::transactions::experiment::{Circumstances, DATA_SETS, Finished, Worker, may_generate, report};

/// Options of `reproduce`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How much to run
    #[arg(long, value_enum, default_value = "quick")]
    preset: PresetName,
    /// Folder of the data sets [default: $BENKYOKAI_DATA, or `data` in the workspace]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Go on with an interrupted run
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Folder of the run directories [default: `runs/transactions` in the workspace]
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
    /// Where to train and encode: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// No progress on standard error
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PresetName {
    /// Few steps, one seed: within two minutes on two cores, indicative only
    Quick,
    /// The verdict preset: at most 20 minutes on two cores
    Cpu,
    /// A larger network, all rows, ten seeds: for a GPU
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
    generated: bool,
}

pub(super) fn work(arguments: &WorkerArguments) -> Result<()> {
    // The parent decides when to stop: a worker finishes its job.
    interrupt::listen();
    tch::set_num_threads(1);
    let device = arguments.device.open()?;
    let mut worker = Worker::default();
    let work = |job: &Job| {
        let outcome = worker.carry_out(job, &arguments.data, arguments.generated, device);
        outcome.map_err(|error| format!("{error:#}"))
    };
    Ok(serve(std::io::stdin().lock(), std::io::stdout(), work)?)
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let started = Instant::now();
    let preset = match arguments.preset {
        PresetName::Quick => Preset::Quick,
        PresetName::Cpu => Preset::Cpu,
        PresetName::Full => Preset::Full,
    };
    let environment = std::env::var("BENKYOKAI_DATA").ok();
    let root = data::root(arguments.data.as_deref(), environment.as_deref(), &workspace());
    let generated = missing(preset, &root)?;
    let jobs = preset.jobs();
    let run = open_run(arguments, preset, &jobs)?;
    let finished = carry_through(arguments, preset, jobs, (&root, generated), run.folder(), started);
    let status = match &finished {
        Ok(Some(_)) => Status::Complete,
        Ok(None) => Status::Stopped,
        Err(_) => Status::Failed,
    };
    let folder = run.folder().to_owned();
    run.finish(status, SystemTime::now())?;
    let Some(report) = finished? else {
        eprintln!("stopped early; go on with: {} --resume {}", command_line(preset), folder.display());
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

/// Runs the jobs, judges, writes the report into `folder`; `None` when the run was asked to stop.
fn carry_through(
    arguments: &Arguments,
    preset: Preset,
    jobs: Vec<Job>,
    (root, generated): (&Path, bool),
    folder: &Path,
    started: Instant,
) -> Result<Option<Report>> {
    let declared =
        claims::parse(include_str!("../../../claims-transactions.toml")).map_err(anyhow::Error::msg)?;
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
    let program = std::env::current_exe().context("finding this program's own file")?;
    let text = |path: &Path| path.display().to_string();
    let device = arguments.device.parse::<Choice>()?.open()?;
    let command = [
        text(&program),
        "worker".into(),
        "--data".into(),
        text(root),
        "--device".into(),
        arguments.device.clone(),
    ];
    let stand_in = generated.then(|| "--generated".to_owned());
    let workers = Workers {
        command: command.into_iter().chain(stand_in).collect(),
        // Each worker would time the matrix libraries anew, and equal runs could get different bits.
        // Without the others, the allocator gives training's buffers back and asks for them again at every step.
        variables: vec![
            (gemm::VARIABLE.to_owned(), gemm::active().to_string()),
            ("RAYON_NUM_THREADS".to_owned(), "1".to_owned()),
            ("MALLOC_MMAP_THRESHOLD_".to_owned(), "268435456".to_owned()),
            ("MALLOC_TRIM_THRESHOLD_".to_owned(), "268435456".to_owned()),
            ("MALLOC_TOP_PAD_".to_owned(), "67108864".to_owned()),
        ],
        count: arguments.workers.unwrap_or(cores),
        store: folder.join("jobs"),
    };
    interrupt::listen();
    let limit_s = arguments.max_minutes.map_or(f64::INFINITY, |minutes| minutes * 60.0);
    let bar = progress::bar("studies", jobs.len(), arguments.quiet);
    let outcomes = workers.run(&jobs, |job, _| {
        bar.inc(1);
        bar.set_message(job.describe());
        !interrupt::asked() && started.elapsed().as_secs_f64() < limit_s
    })?;
    bar.finish_and_clear();
    let Some(outcomes) = outcomes else { return Ok(None) };
    let jobs: Vec<(Job, Outcome)> = jobs.into_iter().zip(outcomes).collect();
    let around = Circumstances {
        command: command_line(preset),
        workspace: workspace(),
        data: root.to_owned(),
        generated,
        device: device::facts(device),
        workers: workers.count,
        repeat_check: repeat(&workers, &jobs, folder)?,
        wall_s: started.elapsed().as_secs_f64(),
    };
    let report = report(&declared, &Finished { preset, jobs }, &around, folder)?;
    report.write(folder)?;
    Ok(Some(report))
}

/// Whether the generated ledger must stand in for the public data, which only `quick` may do without.
fn missing(preset: Preset, root: &Path) -> Result<bool> {
    let missing = data::missing(root, &DATA_SETS)?;
    if !may_generate(preset) {
        missing.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))?;
        return Ok(false);
    }
    missing.iter().for_each(|(_, error)| eprintln!("warning: {error}"));
    if !missing.is_empty() {
        eprintln!("warning: the generated ledger stands in for it");
    }
    Ok(!missing.is_empty())
}

/// The workspace this program was built in: its data, runs and commit belong to the reports.
fn workspace() -> PathBuf {
    let crate_folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().map(PathBuf::from).unwrap_or(crate_folder)
}

fn command_line(preset: Preset) -> String {
    format!("cargo run -p retrieval --bin transactions -- reproduce --preset {}", preset.name())
}

fn open_run(arguments: &Arguments, preset: Preset, jobs: &[Job]) -> Result<Run> {
    let json = serde_json::to_string_pretty(jobs)?;
    let base = arguments.runs.clone().unwrap_or_else(|| workspace().join("runs/transactions"));
    let (now, argv) = (SystemTime::now(), std::env::args().collect());
    Ok(Run::of_design(&base, preset.name(), &json, arguments.resume.as_deref(), now, argv)?)
}

/// What repeating the first training job gave.
fn repeat(workers: &Workers, jobs: &[(Job, Outcome)], folder: &Path) -> Result<String> {
    let trained = jobs.iter().find(|(job, _)| matches!(job.study, Study::Train { .. }));
    let Some((job, outcome)) = trained else { return Ok("not run".to_owned()) };
    Ok(repeat_check(workers, job, outcome, folder)?)
}

/// Options of `report`.
#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// Folder with a report.json and its figures
    folder: PathBuf,
}

pub(super) fn report_again(arguments: &ReportArguments) -> Result<()> {
    let report = Report::read(&arguments.folder.join("report.json"))?;
    report.write(&arguments.folder)?;
    println!("{}", claim_table(&report));
    println!("{}", arguments.folder.join("report.html").display());
    Ok(())
}
