//! `report` and `compare`: finished reports.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use common::report::{Report, claim_table, number};
use common::stats;

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
    let reports: Result<Vec<Report>, _> =
        arguments.folders.iter().map(|folder| Report::read(&folder.join("report.json"))).collect();
    let reports = reports?;
    for (folder, report) in arguments.folders.iter().zip(&reports) {
        println!("{}: preset {}, {}", folder.display(), report.preset, report.headline);
    }
    println!("\n| part | {} |", vec!["a − b, mean [95 %], n"; reports.len()].join(" | "));
    println!("|---|{}", "---|".repeat(reports.len()));
    for part in reports[0].claims.iter().flat_map(|claim| &claim.parts) {
        let cells: Vec<String> = reports.iter().map(|report| cell(report, &part.part.id)).collect();
        println!("| {} | {} |", part.part.id, cells.join(" | "));
    }
    for (name, value) in &reports[0].environment {
        if reports.iter().any(|report| report.environment.get(name) != Some(value)) {
            let values: Vec<&str> = reports
                .iter()
                .map(|report| report.environment.get(name).map_or("—", String::as_str))
                .collect();
            println!("{name}: {}", values.join(" | "));
        }
    }
    Ok(())
}

fn cell(report: &Report, id: &str) -> String {
    let part = report.claims.iter().flat_map(|claim| &claim.parts).find(|part| part.part.id == id);
    let Some(part) = part.filter(|part| !part.a.is_empty()) else { return "—".to_owned() };
    match part.difference {
        Some(difference) => {
            format!(
                "{}, {}",
                common::report::mean_with_interval(difference.mean, difference.ci95),
                part.a.len()
            )
        }
        None => number(stats::mean(&stats::differences(&part.a, &part.b)).unwrap_or_default(), 4),
    }
}
