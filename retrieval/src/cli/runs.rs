//! `report` and `compare`: finished reports.
#![expect(clippy::print_stdout, reason = "the command talks to its user")]

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use common::report::{Report, claim_table, comparison};

/// Options of `report`.
#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// Folder with a report.json and its figures
    folder: PathBuf,
}

pub(super) fn report(arguments: &ReportArguments) -> Result<()> {
    let report = Report::read(&arguments.folder.join("report.json"))?;
    report.write(&arguments.folder)?;
    println!("{}", claim_table(&report));
    println!("{}", arguments.folder.join("report.html").display());
    Ok(())
}

/// Options of `compare`.
#[derive(Debug, Args)]
pub(super) struct CompareArguments {
    /// Folders with a report.json
    #[arg(required = true, num_args = 2..)]
    folders: Vec<PathBuf>,
}

pub(super) fn compare(arguments: &CompareArguments) -> Result<()> {
    let read =
        |folder: &PathBuf| Ok((folder.display().to_string(), Report::read(&folder.join("report.json"))?));
    let reports: Result<Vec<(String, Report)>> = arguments.folders.iter().map(read).collect();
    print!("{}", comparison(&reports?));
    Ok(())
}
