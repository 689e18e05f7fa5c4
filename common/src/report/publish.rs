//! Finished reports: copied to where they are published, put beside each other.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{Report, mean_with_interval, number};
use crate::files::{self, FileError};
use crate::stats;

/// Copies a report with its figures; returns the folder they went to.
///
/// # Errors
/// [`FileError`] when something cannot be read or written.
pub fn publish(from: &Path, to: &Path) -> Result<PathBuf, FileError> {
    files::make_folder(&to.join("figures"))?;
    let figures = files::names_in(&from.join("figures"))?;
    let names = ["report.json", "report.md", "report.html"].map(PathBuf::from).into_iter();
    for name in names.chain(figures.iter().map(|figure| Path::new("figures").join(figure))) {
        files::write_atomic(&to.join(&name), &files::read(&from.join(&name))?)?;
    }
    Ok(to.to_owned())
}

/// The parts of all claims of two or more reports side by side, and what differs in their environments.
pub fn comparison(reports: &[(String, Report)]) -> String {
    let mut out = String::new();
    for (name, report) in reports {
        let _ = writeln!(out, "{name}: preset {}, {}", report.preset, report.headline);
    }
    let _ = writeln!(out, "\n| part | {} |", vec!["a − b, mean [95 %], n"; reports.len()].join(" | "));
    let _ = writeln!(out, "|---|{}", "---|".repeat(reports.len()));
    let Some((_, first)) = reports.first() else { return out };
    for part in first.claims.iter().flat_map(|claim| &claim.parts) {
        let cells: Vec<String> = reports.iter().map(|(_, report)| cell(report, &part.part.id)).collect();
        let _ = writeln!(out, "| {} | {} |", part.part.id, cells.join(" | "));
    }
    for (name, value) in &first.environment {
        let of = |report: &Report| report.environment.get(name).cloned();
        if reports.iter().any(|(_, report)| of(report).as_ref() != Some(value)) {
            let values: Vec<String> =
                reports.iter().map(|(_, report)| of(report).unwrap_or_else(|| "—".to_owned())).collect();
            let _ = writeln!(out, "{name}: {}", values.join(" | "));
        }
    }
    out
}

fn cell(report: &Report, id: &str) -> String {
    let part = report.claims.iter().flat_map(|claim| &claim.parts).find(|part| part.part.id == id);
    let Some(part) = part.filter(|part| !part.a.is_empty()) else { return "—".to_owned() };
    match part.difference {
        Some(difference) => {
            format!("{}, {}", mean_with_interval(difference.mean, difference.ci95), part.a.len())
        }
        None => number(stats::mean(&stats::differences(&part.a, &part.b)).unwrap_or_default(), 4),
    }
}
