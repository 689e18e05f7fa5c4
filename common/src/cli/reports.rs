//! `report` and `compare`: finished reports.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::report::{Report, claim_table, comparison};

/// Options of `report`.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// Folder with a report.json and its figures
    folder: PathBuf,
}

/// Renders a report.json again.
///
/// # Errors
/// An unreadable report, unwritable files.
pub fn report(arguments: &ReportArguments) -> Result<()> {
    let report = Report::read(&arguments.folder.join("report.json"))?;
    report.write(&arguments.folder)?;
    println!("{}", claim_table(&report));
    println!("{}", arguments.folder.join("report.html").display());
    Ok(())
}

/// Options of `compare`.
#[derive(Debug, Args)]
pub struct CompareArguments {
    /// Folders with a report.json
    #[arg(required = true, num_args = 2..)]
    folders: Vec<PathBuf>,
}

/// Prints the claims of several reports side by side.
///
/// # Errors
/// An unreadable report.
pub fn compare(arguments: &CompareArguments) -> Result<()> {
    let read =
        |folder: &PathBuf| Ok((folder.display().to_string(), Report::read(&folder.join("report.json"))?));
    let reports: Result<Vec<(String, Report)>> = arguments.folders.iter().map(read).collect();
    print!("{}", comparison(&reports?));
    Ok(())
}
