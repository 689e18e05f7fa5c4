//! `reproduce`: every experiment at one preset.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::{checks, setup};

/// Options of `reproduce`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Experiments by name, as their reports are called [default: all]
    experiments: Vec<String>,
    /// How much to run
    #[arg(long, value_enum, default_value = "quick")]
    preset: Preset,
    /// Passed on to each crate's `reproduce`
    #[arg(last = true)]
    rest: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Preset {
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
    let names = |list: &[Experiment]| list.iter().map(|known| known.name.clone()).collect::<Vec<_>>();
    if let Some(unknown) = arguments.experiments.iter().find(|name| !names(&known).contains(name)) {
        bail!("`{unknown}` is no experiment; expected {}", names(&known).join(", "));
    }
    let chosen = known
        .iter()
        .filter(|known| arguments.experiments.is_empty() || arguments.experiments.contains(&known.name));
    let preset =
        arguments.preset.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
    let mut failed = Vec::new();
    for Experiment { name, member, .. } in chosen {
        let package = checks::package(root, member)?;
        let mut command = vec!["run", "--quiet"];
        command.extend(package.iter().map(String::as_str));
        if name != member {
            command.extend(["--bin", name]);
        }
        command.extend(["--", "reproduce", "--preset", &preset]);
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

/// A set of claims with its report.
pub(crate) struct Experiment {
    /// Folder below `reports`; of a crate's second experiment also its program.
    pub(crate) name: String,
    /// The crate.
    pub(crate) member: String,
    /// Claims, from the root of the workspace.
    pub(crate) claims: PathBuf,
}

impl Experiment {
    /// What is typed to run it at the verdict preset.
    pub(crate) fn command(&self) -> String {
        format!("cargo xtask reproduce {}", self.name)
    }

    /// The lines around its table of claims in the crate's README.
    pub(crate) fn markers(&self) -> (String, String) {
        let own = if self.name == self.member { String::new() } else { format!("{}:", self.name) };
        (format!("<!-- claims:{own}begin -->\n"), format!("<!-- claims:{own}end -->"))
    }
}

/// Experiments of the workspace members: of a crate with `claims.toml`, and of each `claims-NAME.toml` beside it.
pub(crate) fn experiments(root: &Path) -> Result<Vec<Experiment>> {
    let mut found = Vec::new();
    for member in members(root)? {
        found.extend(experiments_of(root, &member)?);
    }
    Ok(found)
}

/// The experiments of one member, its own first.
pub(crate) fn experiments_of(root: &Path, member: &str) -> Result<Vec<Experiment>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root.join(member))?.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let second = file.strip_prefix("claims-").and_then(|rest| rest.strip_suffix(".toml"));
        if let Some(name) = second.or((file == "claims.toml").then_some(member)) {
            names.push((name != member, name.to_owned(), Path::new(member).join(&file)));
        }
    }
    names.sort();
    let experiment = |(_, name, claims)| Experiment { name, member: member.to_owned(), claims };
    Ok(names.into_iter().map(experiment).collect())
}

/// Folders of the workspace members.
pub(crate) fn members(root: &Path) -> Result<Vec<String>> {
    let manifest: toml::Table = std::fs::read_to_string(root.join("Cargo.toml"))?.parse()?;
    let list = manifest["workspace"]["members"].as_array().cloned().unwrap_or_default();
    Ok(list.iter().filter_map(|member| member.as_str().map(str::to_owned)).collect())
}
