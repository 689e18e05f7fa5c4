//! `test`: every check in the order in which they fail fastest.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{examples, readme, report, setup, tidy};

/// Options of `test`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only these steps: format, tidy, readme, clippy, tests, examples, docs
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
}

type Step = (&'static str, fn(&Path) -> Result<()>);

const STEPS: [Step; 7] = [
    ("format", |root| cargo(root, &["fmt", "--all", "--check"])),
    ("tidy", tidy::run),
    ("readme", |root| {
        readme::run(root, true)?;
        report::check(root, &root.join("reports"))
    }),
    ("clippy", |root| cargo(root, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
    ("tests", |root| cargo(root, &["test", "--workspace"])),
    ("examples", examples::run),
    ("docs", docs),
];

pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    setup::run(root, &setup::Arguments::default())?;
    if let Some(unknown) = arguments.only.iter().find(|name| !STEPS.iter().any(|(step, _)| step == name)) {
        bail!("`{unknown}` is no step; expected {}", STEPS.map(|(name, _)| name).join(", "));
    }
    for (name, step) in STEPS {
        if !arguments.only.is_empty() && !arguments.only.iter().any(|only| only == name) {
            continue;
        }
        let started = Instant::now();
        step(root).with_context(|| format!("{name} failed"))?;
        eprintln!("{name}: {:.0} s", started.elapsed().as_secs_f64());
    }
    Ok(())
}

fn docs(root: &Path) -> Result<()> {
    // RUSTDOCFLAGS replaces the configured flags, which only doctests need.
    let mut command = Command::new("cargo");
    command.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    finish(command, root)
}

/// Runs cargo in the workspace, its output as it comes.
pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(arguments);
    finish(command, root)
}

fn finish(mut command: Command, root: &Path) -> Result<()> {
    let status = command.current_dir(root).status().context("starting cargo")?;
    if !status.success() {
        bail!("`{command:?}` ended with {status}");
    }
    Ok(())
}
