//! `test`: every check in the order in which they fail fastest.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{dependencies, examples, notebooks, readme, report, setup, tidy};

/// Options of `test`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only these steps: format, tidy, readme, dependencies, notebooks, clippy, tests, examples, docs
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
}

type Step = (&'static str, fn(&Path) -> Result<()>);

const STEPS: [Step; 9] = [
    ("format", |root| cargo(root, &["fmt", "--all", "--check"])),
    ("tidy", tidy::run),
    ("readme", |root| {
        readme::run(root, true)?;
        report::check(root, &root.join("reports"))
    }),
    ("dependencies", dependencies::check),
    ("notebooks", notebooks::check),
    ("clippy", |root| everywhere(root, &["clippy", "--all-targets"], &["--", "-D", "warnings"], &[])),
    ("tests", |root| everywhere(root, &["test"], &[], &[])),
    ("examples", examples::run),
    ("docs", docs),
];

pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    setup::run(root, &setup::Arguments::default())?;
    if arguments.only.is_empty() || arguments.only.iter().any(|only| only == "tests") {
        setup::chromium();
    }
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
    everywhere(root, &["doc", "--no-deps"], &[], &[("RUSTDOCFLAGS", "-D warnings")])
}

/// Runs cargo over all members; those whose second backend cannot be built here once more on their own, without it.
pub(crate) fn everywhere(
    root: &Path,
    verb: &[&str],
    rest: &[&str],
    environment: &[(&str, &str)],
) -> Result<()> {
    let without = setup::without_opencv(root)?;
    let mut selections = vec![vec!["--workspace"]];
    for member in &without {
        selections[0].extend(["--exclude", member]);
        selections.push(vec!["--package", member, "--no-default-features"]);
    }
    for selection in selections {
        let mut command = Command::new("cargo");
        command.args(verb).args(selection).args(rest).envs(environment.iter().copied());
        finish(command, root)?;
    }
    Ok(())
}

/// The selection of a member with the features that can be built here.
pub(crate) fn package(root: &Path, member: &str) -> Result<Vec<String>> {
    let mut selection = vec!["--package".to_owned(), member.to_owned()];
    if setup::without_opencv(root)?.iter().any(|without| without == member) {
        selection.push("--no-default-features".to_owned());
    }
    Ok(selection)
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
