//! Set-up, data, checks and chores of the workspace. Drives cargo and the crates' programs as processes only.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command talks to its user")]

mod checks;
mod compare;
mod convert;
mod data;
mod dependencies;
mod examples;
mod keras;
mod notebooks;
mod readme;
mod report;
mod reproduce;
mod setup;
mod sweep;
mod tidy;
mod zip;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Set-up, data, checks and chores of the workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make sure of everything that building and running need; seconds when nothing is missing
    Setup(setup::Arguments),
    /// Run experiments and write their reports
    Reproduce(reproduce::Arguments),
    /// Format, clippy, tidy, tests, doctests, docs and README tables
    #[command(visible_alias = "check")]
    Test(checks::Arguments),
    /// House rules that are programs
    Tidy,
    /// Licences of all dependencies and known advisories about them, by the rules of deny.toml
    Dependencies(dependencies::Arguments),
    /// Public data sets: what they are, fetch them, check their hashes
    Data(data::Arguments),
    /// Write the claim tables of the READMEs from the reports
    Readme {
        /// Only say whether they are up to date
        #[arg(long)]
        check: bool,
    },
    /// Make the notebooks from their programs, run them in Jupyter, keep what their cells show
    Notebooks(notebooks::Arguments),
    /// Write `reports/index.html`, one page over all reports
    Report(report::Arguments),
    /// Divide an experiment among the machines of a Slurm cluster
    Sweep(sweep::Arguments),
    /// Run a crate and its peers in turn on the same inputs
    Compare(compare::Arguments),
    /// Run a crate's benchmarks in the profile that everything else is built in
    Bench {
        /// Crate
        name: String,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let root = workspace();
    match cli.verb {
        Verb::Setup(arguments) => setup::run(&root, &arguments.named()),
        Verb::Reproduce(arguments) => reproduce::run(&root, &arguments),
        Verb::Test(arguments) => checks::run(&root, &arguments),
        Verb::Tidy => tidy::run(&root),
        Verb::Dependencies(arguments) => dependencies::run(&root, &arguments),
        Verb::Data(arguments) => data::run(&root, &arguments),
        Verb::Readme { check } => readme::run(&root, check),
        Verb::Notebooks(arguments) => notebooks::run(&root, &arguments),
        Verb::Report(arguments) => report::run(&root, &arguments),
        Verb::Sweep(arguments) => sweep::run(&root, &arguments),
        Verb::Compare(arguments) => compare::run(&root, &arguments),
        Verb::Bench { name } => {
            setup::run(&root, &setup::Arguments::default())?;
            let package = checks::package(&root, &name)?;
            checks::cargo(&root, &[&["bench", "--profile", "dev"][..], &strings(&package)].concat())
        }
    }
}

/// Borrowed forms.
fn strings(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}
