//! `sweep`: an experiment divided among the machines of a cluster. Slurm schedules; here are the scripts and what came of them.

mod plan;
mod slurm;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::reproduce::{Preset, experiments};
use crate::{checks, setup};
use plan::{Plan, State};

/// Options of `sweep`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Experiment by name, as its report is called
    #[arg(required_unless_present = "resume", conflicts_with = "resume")]
    experiment: Option<String>,
    /// How much to run
    #[arg(long, value_enum, default_value = "cpu", conflicts_with = "resume")]
    preset: Preset,
    /// Tasks that share the jobs of each phase
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000), conflicts_with = "resume")]
    shards: u32,
    /// Seeds instead of the preset's, such as `1,2,3` or `1..=10`
    #[arg(long, conflicts_with = "resume")]
    seeds: Option<String>,
    /// Folder of the run, on a disk that all machines see [default: a new one in `runs/EXPERIMENT`]
    #[arg(long, value_name = "FOLDER", conflicts_with = "resume")]
    run: Option<PathBuf>,
    /// Say how the shards of a run went; with `--slurm`, submit those that did not come to their end again
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Submit the scripts with `sbatch`; without it they are only written
    #[arg(long)]
    slurm: bool,
    /// An option of `sbatch` for every script, such as `--sbatch=--cpus-per-task=4`; each task has one worker for each of its
    /// processors
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true, conflicts_with = "resume")]
    sbatch: Vec<String>,
    /// Passed on to the experiment's `reproduce`
    #[arg(last = true, conflicts_with = "resume")]
    rest: Vec<String>,
}

pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let (run, plan) = match &arguments.resume {
        Some(run) => (absolute(run)?, Plan::read(run)?),
        None => prepared(root, arguments)?,
    };
    let states = plan.states(&run)?;
    for state in states.iter().filter(|state| state.was_started()) {
        println!("{state}");
    }
    let open: Vec<&State> = states.iter().filter(|state| !state.is_complete()).collect();
    println!("{} of {} shards are done", states.len() - open.len(), states.len());
    slurm::write(root, &run, &plan)?;
    if arguments.slurm {
        let submitted = slurm::submit(&run, &plan, &open, Path::new("sbatch"))?;
        submitted.iter().for_each(|line| println!("{line}"));
        println!("what came of them: cargo xtask sweep --resume {}", run.display());
    } else {
        println!("scripts: {}; --slurm submits them", run.join("sweep").display());
    }
    Ok(())
}

/// A new run: its program built and kept beside its scripts, its folder made, its phases counted.
fn prepared(root: &Path, arguments: &Arguments) -> Result<(PathBuf, Plan)> {
    setup::run(root, &setup::Arguments::default())?;
    let known = experiments(root)?;
    let name = arguments.experiment.as_deref().unwrap_or_default();
    let Some(experiment) = known.iter().find(|known| known.name == name) else {
        let names: Vec<&str> = known.iter().map(|known| known.name.as_str()).collect();
        bail!("`{name}` is no experiment; expected {}", names.join(", "));
    };
    checks::cargo(root, &["build", "--package", &experiment.member, "--bin", name])?;
    let preset =
        arguments.preset.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
    let run = match &arguments.run {
        Some(run) => absolute(run)?,
        None => unused(&root.join("runs").join(name), &format!("sweep-{preset}")),
    };
    if run.join("design.json").exists() {
        bail!("{}: there is a run already; go on with `cargo xtask sweep --resume {0}`", run.display());
    }
    let folder = run.join("sweep");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let program = folder.join(name);
    let built = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let built = root.join(built).join("debug").join(name);
    fs::copy(&built, &program).with_context(|| format!("copying {}", built.display()))?;
    let mut reproduce = vec!["reproduce".to_owned(), "--preset".to_owned(), preset];
    if let Some(seeds) = &arguments.seeds {
        reproduce.extend(["--seeds".to_owned(), seeds.clone()]);
    }
    reproduce.extend(arguments.rest.iter().cloned());
    let phases = phases(root, &program, &reproduce, &run)?;
    let plan = Plan {
        experiment: name.to_owned(),
        reproduce,
        shards: arguments.shards as usize,
        phases,
        sbatch: arguments.sbatch.clone(),
    };
    plan.write(&run)?;
    Ok((run, plan))
}

/// Makes the run's folder; the program says how many phases there are.
fn phases(root: &Path, program: &Path, reproduce: &[String], run: &Path) -> Result<usize> {
    let mut command = Command::new(program);
    command.args(reproduce).arg("--resume").arg(run).arg("--prepare").current_dir(root);
    command.env("LD_LIBRARY_PATH", root.join(".libtorch/lib"));
    let output = command.output().with_context(|| format!("starting {}", program.display()))?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim().trim_start_matches("error: "));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().with_context(|| format!("`{}` is no number of phases", text.trim()))
}

/// The path as all machines name it.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("naming {}", path.display()))
}

/// The first of `NAME-1`, `NAME-2` … that is not there.
fn unused(base: &Path, name: &str) -> PathBuf {
    let mut number = 1;
    loop {
        let folder = base.join(format!("{name}-{number}"));
        if !folder.exists() {
            return folder;
        }
        number += 1;
    }
}
