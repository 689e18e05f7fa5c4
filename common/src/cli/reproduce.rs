//! What a `reproduce` does around its jobs: data root, run folder, worker processes, stopping, the finished report.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result, bail};
use clap::Args;
use tch::Device;

use super::seeds::Seeds;
use super::shard::{self, Part, Sharing};

use crate::device::{self, Choice};
use crate::nn::gemm;
use crate::report::{Circumstances, Report, claim_table, publish};
use crate::run::{Run, Status};
use crate::workers::{Job, Workers, serve};
use crate::{data, interrupt, progress};

/// Options of every `reproduce` besides its preset.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Folder of the data sets [default: $BENKYOKAI_DATA, or `data` in the workspace]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Go on with an interrupted run
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Seeds instead of the preset's, such as `1,2,3` or `1..=10`; the report says so
    #[arg(long, value_name = "LIST")]
    seeds: Option<Seeds>,
    #[command(flatten)]
    sharing: Sharing,
    /// Folder of the run directories [default: `runs/EXPERIMENT` in the workspace]
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

/// Options of the hidden `worker` that carries out jobs.
#[derive(Clone, Debug, Args)]
pub struct WorkerOptions {
    /// Data root
    #[arg(long)]
    pub data: PathBuf,
    /// Device
    #[arg(long)]
    pub device: Choice,
    /// Missing data sets are replaced by generated text
    #[arg(long)]
    pub generate: bool,
    /// Seeds instead of the preset's
    #[arg(long)]
    seeds: Option<Seeds>,
}

impl WorkerOptions {
    /// The seeds of the run: those that were typed, or the `declared` ones of its preset.
    pub fn seeds(&self, declared: Vec<u64>) -> Vec<u64> {
        self.seeds.clone().map_or(declared, |seeds| seeds.0)
    }
}

/// Carries out jobs from standard input until it ends, as the hidden `worker` does. The parent decides when to stop: a worker
/// finishes its job. One thread each: the parent starts as many as there are cores to use.
///
/// # Errors
/// Broken pipes; a job that fails is answered.
pub fn work<J: Job>(mut carry_out: impl FnMut(&J) -> Result<J::Outcome>) -> Result<()> {
    interrupt::listen();
    tch::set_num_threads(1);
    let answer = |job: &J| carry_out(job).map_err(|error| format!("{error:#}"));
    Ok(serve(std::io::stdin().lock(), std::io::stdout(), answer)?)
}

/// What workers that train need in their environment: each would time the matrix libraries anew, and equal runs could get
/// different bits; and the allocator would give training's buffers back and ask for them again at every step.
pub fn steady() -> Vec<(String, String)> {
    let variables = [
        (gemm::VARIABLE, gemm::active().to_string()),
        ("RAYON_NUM_THREADS", "1".to_owned()),
        ("MALLOC_MMAP_THRESHOLD_", "268435456".to_owned()),
        ("MALLOC_TRIM_THRESHOLD_", "268435456".to_owned()),
        ("MALLOC_TOP_PAD_", "67108864".to_owned()),
    ];
    variables.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Those of the data sets that are not below `root`, after a warning: only a preset that `may_generate` stand-ins goes on
/// without them.
///
/// # Errors
/// The command that fetches the first missing one.
pub fn missing(root: &Path, names: &[&str], may_generate: bool) -> Result<Vec<String>> {
    let missing = data::missing(root, names)?;
    if !may_generate {
        missing.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))?;
        return Ok(Vec::new());
    }
    missing.iter().for_each(|(_, error)| eprintln!("warning: {error}"));
    if !missing.is_empty() {
        eprintln!("warning: generated stand-ins are used for all data sets");
    }
    Ok(missing.into_iter().map(|(name, _)| name).collect())
}

/// Those of the data sets that are not below `root`, each after a warning: a preset that `may_generate` text goes on with it in
/// their place.
///
/// # Errors
/// The command that fetches the first missing one.
pub fn missing_each(root: &Path, names: &[&str], may_generate: bool) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for (name, error) in data::missing(root, names)? {
        if !may_generate {
            return Err(error.into());
        }
        eprintln!("warning: {error}; generated text stands in for it");
        missing.push(name);
    }
    Ok(missing)
}

/// Which experiment a run belongs to.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// Name of its report and of its run directories.
    pub name: &'static str,
    /// What cargo runs.
    pub program: String,
    /// Name of the preset.
    pub preset: String,
    /// The workspace: its data, runs and commit belong to the reports.
    pub workspace: PathBuf,
    /// Phases whose jobs a sweep divides; later ones are left to the run that writes the report.
    pub phases: usize,
    /// What was typed instead of the preset's seeds.
    seeds: Option<Seeds>,
}

/// Jobs with their outcomes.
pub type Done<J> = Vec<(J, <J as Job>::Outcome)>;

/// A run under way.
#[derive(Debug)]
pub struct Conduct {
    /// How workers are started.
    pub workers: Workers,
    /// Folder of the run.
    pub folder: PathBuf,
    /// Data root.
    pub data: PathBuf,
    started: Instant,
    limit_s: f64,
    quiet: bool,
    part: Part,
    /// Phases that were begun.
    begun: Cell<usize>,
}

impl Experiment {
    /// The experiment of the crate of this name, with this manifest folder, in one phase.
    pub fn of(name: &'static str, manifest: &str, preset: &str) -> Self {
        let folder = PathBuf::from(manifest);
        let workspace = folder.parent().map(PathBuf::from).unwrap_or(folder);
        let program = format!("-p {name}");
        Self { name, program, preset: preset.to_owned(), workspace, phases: 1, seeds: None }
    }

    /// With so many phases, each of which needs all of the one before.
    pub fn in_phases(self, phases: usize) -> Self {
        Self { phases, ..self }
    }

    /// With the seeds that were typed, if any, in place of `declared` ones; `tuning` are those that choose settings.
    /// Returns the seeds to use.
    ///
    /// # Errors
    /// A seed that stands twice or chooses settings.
    pub fn seeded(&mut self, options: &Options, declared: &[u64], tuning: &[u64]) -> Result<Vec<u64>> {
        let Some(seeds) = &options.seeds else { return Ok(declared.to_vec()) };
        if let Some(seed) = seeds.0.iter().find(|seed| tuning.contains(seed)) {
            bail!(
                "--seeds {seeds}: seed {seed} chooses settings in this preset; expected others than {tuning:?}"
            );
        }
        self.seeds = (seeds.0 != declared).then(|| seeds.clone());
        Ok(seeds.0.clone())
    }

    /// The command that a reader types to get this report.
    pub fn command(&self) -> String {
        let seeds = self.seeds.as_ref().map_or(String::new(), |seeds| format!(" --seeds {seeds}"));
        format!("cargo run {} -- reproduce --preset {}{seeds}", self.program, self.preset)
    }
}

impl Options {
    /// The data root: what was typed, what the environment names, or `data` in the workspace.
    pub fn data_root(&self, experiment: &Experiment) -> PathBuf {
        let environment = std::env::var("BENKYOKAI_DATA").ok();
        data::root(self.data.as_deref(), environment.as_deref(), &experiment.workspace)
    }

    /// The device that was ordered, for the facts of a report.
    ///
    /// # Errors
    /// A name that is none, a device that is not there.
    pub fn device(&self) -> Result<Device> {
        Ok(self.device.parse::<Choice>()?.open()?)
    }

    /// Carries out a run of a design: makes or reopens its folder, lets `body` do the work, records how it went, publishes
    /// the report. `variables` are set for each worker; `generate` tells workers to replace missing data.
    ///
    /// # Errors
    /// Those of `body`, an unwritable folder.
    pub fn conduct(
        &self,
        experiment: &Experiment,
        design: &str,
        generate: bool,
        variables: Vec<(String, String)>,
        body: impl FnOnce(&mut Conduct) -> Result<Option<Report>>,
    ) -> Result<ExitCode> {
        let started = Instant::now();
        let part = self.sharing.part(experiment)?;
        if matches!(part, Part::Nothing | Part::Shard { .. }) {
            let folder = shard::folder(self.resume.as_deref(), design)?;
            if part == Part::Nothing {
                println!("{}", experiment.phases);
                return Ok(ExitCode::SUCCESS);
            }
            let conduct = |folder| self.start(experiment, generate, variables, folder, started, part);
            return shard::run(&experiment.workspace, &folder, part, |folder| {
                let mut conduct = conduct(folder)?;
                body(&mut conduct).map(|_| conduct.is_stopped())
            });
        }
        let base =
            self.runs.clone().unwrap_or_else(|| experiment.workspace.join("runs").join(experiment.name));
        let argv = std::env::args().collect();
        let resume = self.resume.as_deref();
        let run = Run::of_design(&base, &experiment.preset, design, resume, SystemTime::now(), argv)?;
        let folder = run.folder().to_owned();
        let conduct = self.start(experiment, generate, variables, folder.clone(), started, part);
        let finished = conduct.and_then(|mut conduct| body(&mut conduct));
        let finished = finished.and_then(|report| with_other_seeds(report, experiment, &folder));
        let status = match &finished {
            Ok(Some(_)) => Status::Complete,
            Ok(None) => Status::Stopped,
            Err(_) => Status::Failed,
        };
        run.finish(status, SystemTime::now())?;
        let Some(report) = finished? else {
            eprintln!("stopped early; go on with: {} --resume {}", experiment.command(), folder.display());
            return Ok(ExitCode::from(interrupt::EXIT_CODE));
        };
        let published = match &self.out {
            Some(out) => publish(&folder, out)?,
            None => folder,
        };
        println!("{}", claim_table(&report));
        println!("{}", published.join("report.html").display());
        Ok(ExitCode::SUCCESS)
    }

    fn start(
        &self,
        experiment: &Experiment,
        generate: bool,
        variables: Vec<(String, String)>,
        folder: PathBuf,
        started: Instant,
        part: Part,
    ) -> Result<Conduct> {
        let data = self.data_root(experiment);
        let cores = || std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
        let program = std::env::current_exe().context("finding this program's own file")?;
        let text = |path: &Path| path.display().to_string();
        let mut command = vec![text(&program), "worker".into(), "--data".into(), text(&data)];
        command.extend(["--device".to_owned(), self.device.clone()]);
        command.extend(generate.then(|| "--generate".to_owned()));
        if let Some(seeds) = &self.seeds {
            command.extend(["--seeds".to_owned(), seeds.to_string()]);
        }
        let count = self.workers.unwrap_or_else(cores);
        let workers = Workers { command, variables, count, store: folder.join("jobs") };
        interrupt::listen();
        let limit_s = self.max_minutes.map_or(f64::INFINITY, |minutes| minutes * 60.0);
        let begun = Cell::new(0);
        Ok(Conduct { workers, folder, data, started, limit_s, quiet: self.quiet, part, begun })
    }
}

/// The report of a run with other seeds than the preset declares, which says so above everything.
fn with_other_seeds(
    report: Option<Report>,
    experiment: &Experiment,
    folder: &Path,
) -> Result<Option<Report>> {
    let Some(seeds) = &experiment.seeds else { return Ok(report) };
    let Some(mut report) = report else { return Ok(None) };
    let preset = &experiment.preset;
    report.headline = format!(
        "Seeds {seeds} were asked for, not those that the preset `{preset}` declares. {}",
        report.headline
    );
    let words =
        "chosen when the run was started: its claims were declared for other ones. Affects all claims.";
    report.deviations.push(format!("D{} Seeds: {seeds}, {words}", report.deviations.len() + 1));
    report.write(folder)?;
    Ok(Some(report))
}

impl Conduct {
    /// Another data root for this run and its workers.
    pub fn read_from(&mut self, data: PathBuf) {
        if let Some(place) = self.workers.command.iter_mut().skip_while(|word| *word != "--data").nth(1) {
            *place = data.display().to_string();
        }
        self.data = data;
    }

    /// Further options of the workers.
    pub fn order(&mut self, options: impl IntoIterator<Item = String>) {
        self.workers.command.extend(options);
    }

    /// Jobs with their outcomes, in order; `None` when the run was asked to stop. `message` says in few words how one went.
    ///
    /// # Errors
    /// A failed job.
    pub fn phase<J: Job + Clone>(
        &self,
        name: &str,
        jobs: &[J],
        message: impl Fn(&J, &J::Outcome) -> String,
    ) -> Result<Option<Done<J>>> {
        self.begun.set(self.begun.get() + 1);
        let own = match self.part {
            Part::Shard { shard, phase } if phase == self.begun.get() => shard.of(jobs),
            part => {
                if part.needs(self.begun.get()) {
                    shard::complete(&self.folder, (self.begun.get(), name), jobs, &self.workers)?;
                }
                jobs.to_vec()
            }
        };
        let bar = progress::bar(name, own.len(), self.quiet);
        let outcomes = self.workers.run(&own, |job, outcome| {
            bar.inc(1);
            bar.set_message(message(job, outcome));
            !self.is_stopped()
        })?;
        bar.finish_and_clear();
        if matches!(self.part, Part::Shard { phase, .. } if phase == self.begun.get()) {
            return Ok(None);
        }
        Ok(outcomes.map(|outcomes| own.into_iter().zip(outcomes).collect()))
    }

    /// Whether the run was asked to stop, or its time is over.
    fn is_stopped(&self) -> bool {
        interrupt::asked() || self.wall_s() >= self.limit_s
    }

    /// Stand-ins for missing data in the run's folder: made once, whole or not at all, also when several shards begin together;
    /// the run and its workers read from them.
    ///
    /// # Errors
    /// Those of `make`, an unwritable folder.
    pub fn generated(&mut self, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let root = self.folder.join("generated");
        if !root.exists() {
            let part = self.folder.join(format!("generated.{}.part", std::process::id()));
            make(&part)?;
            if std::fs::rename(&part, &root).is_err() {
                std::fs::remove_dir_all(&part).with_context(|| format!("removing {}", part.display()))?;
            }
        }
        self.read_from(root.clone());
        Ok(root)
    }

    /// What a report says of this run besides what was found.
    pub fn circumstances(
        &self,
        experiment: &Experiment,
        generated: Vec<String>,
        device: Device,
        repeat_check: String,
    ) -> Circumstances {
        let mut device = device::facts(device);
        device.extend(shard::facts(&self.folder));
        Circumstances {
            command: experiment.command(),
            workspace: experiment.workspace.clone(),
            data: self.data.clone(),
            generated,
            device,
            workers: self.workers.count,
            wall_s: self.wall_s(),
            repeat_check,
        }
    }

    /// Wall time of this invocation so far, in seconds.
    fn wall_s(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

#[cfg(test)]
mod tests;
