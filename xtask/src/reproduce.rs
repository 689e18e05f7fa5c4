//! `reproduce`: every experiment at one preset.

use std::path::Path;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::{checks, setup};

/// Options of `reproduce`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Crates [default: all experiments]
    crates: Vec<String>,
    /// How much to run
    #[arg(long, value_enum, default_value = "quick")]
    preset: Preset,
    /// Passed on to each crate's `reproduce`
    #[arg(last = true)]
    rest: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Preset {
    /// At most two minutes per crate, indicative
    Quick,
    /// The verdict preset: at most 45 minutes per crate on two cores
    Cpu,
    /// The paper's setting: a GPU
    Full,
}

pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    setup::run(root, &setup::Arguments::default())?;
    let known = experiments(root)?;
    if let Some(unknown) = arguments.crates.iter().find(|name| !known.contains(name)) {
        bail!("`{unknown}` is no experiment; expected {}", known.join(", "));
    }
    let chosen = if arguments.crates.is_empty() { &known } else { &arguments.crates };
    let preset =
        arguments.preset.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
    let mut failed = Vec::new();
    for name in chosen {
        let mut command = vec!["run", "--quiet", "--package", name, "--", "reproduce", "--preset", &preset];
        command.extend(arguments.rest.iter().map(String::as_str));
        if let Err(error) = checks::cargo(root, &command) {
            eprintln!("error: {name}: {error:#}");
            failed.push(name.as_str());
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Workspace members with a `claims.toml`.
fn experiments(root: &Path) -> Result<Vec<String>> {
    Ok(members(root)?.into_iter().filter(|member| root.join(member).join("claims.toml").exists()).collect())
}

/// Folders of the workspace members.
pub(crate) fn members(root: &Path) -> Result<Vec<String>> {
    let manifest: toml::Table = std::fs::read_to_string(root.join("Cargo.toml"))?.parse()?;
    let list = manifest["workspace"]["members"].as_array().cloned().unwrap_or_default();
    Ok(list.iter().filter_map(|member| member.as_str().map(str::to_owned)).collect())
}
