//! Reports: one struct, written as `report.json`, from which Markdown, HTML and terminal text are rendered.

mod checks;
mod circumstances;
mod html;
mod markdown;
mod number;
mod publish;
mod terminal;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::claims::{JudgedClaim, Paper, Verdict};
use crate::data::{self, DataError, DataSet, FileEntry};
use crate::files::{self, FileError};

pub use checks::Check;
pub use circumstances::Circumstances;
pub use html::html;
pub use markdown::markdown;
pub use number::{mean_with_interval, number, p_value, with_precision};
pub use publish::{comparison, publish};
pub use terminal::claim_table;

/// Version of the JSON form.
pub const SCHEMA: u32 = 1;

/// Everything a report says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the experiment.
    pub experiment: String,
    /// Preset it was run at.
    pub preset: String,
    /// One line above everything, such as "indicative: three seeds".
    pub headline: String,
    /// The paper under test.
    pub paper: Paper,
    /// What was tested, found, and differs most.
    pub summary: Vec<String>,
    /// Claims with verdicts.
    pub claims: Vec<JudgedClaim>,
    /// Hyper-parameters: name, the paper's value, ours, why.
    pub setup: Vec<[String; 4]>,
    /// Where we deviate, and how that could bias which claim.
    pub deviations: Vec<String>,
    /// Findings beyond the claims.
    pub sections: Vec<Section>,
    /// Facts of cost: wall time, number of runs, peak memory.
    pub compute: BTreeMap<String, String>,
    /// Facts of the machine and software.
    pub environment: BTreeMap<String, String>,
    /// Files read: path, licence, bytes, sha256.
    pub data: Vec<DataFile>,
    /// What was fixed and what was checked.
    pub determinism: BTreeMap<String, String>,
    /// The exact command.
    pub command: String,
    /// Limits, and what would change the verdicts.
    pub limits: Vec<String>,
}

/// A finding with its tables and figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Heading.
    pub title: String,
    /// Paragraphs.
    pub text: Vec<String>,
    /// Tables.
    pub tables: Vec<Table>,
    /// Figures.
    pub figures: Vec<FigureFile>,
}

/// A table of text cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// Column heads.
    pub columns: Vec<String>,
    /// Cells, row by row.
    pub rows: Vec<Vec<String>>,
}

/// A figure on disk, paths relative to the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureFile {
    /// SVG.
    pub svg: String,
    /// PNG at twice the size.
    pub png: String,
    /// The plotted numbers.
    pub csv: String,
    /// What it shows.
    pub caption: String,
}

/// A data file that was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// Data set and path.
    pub path: String,
    /// Licence.
    pub licence: String,
    /// Size.
    pub bytes: u64,
    /// Sha256 in hex.
    pub sha256: String,
    /// Whether this is the manifest's hash.
    pub as_published: bool,
}

impl DataFile {
    /// All files of these data sets below `root`.
    ///
    /// # Errors
    /// A set that is not there, a file that cannot be read.
    pub fn all_of<'a>(root: &Path, names: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, DataError> {
        let mut files = Vec::new();
        for name in names {
            let set = data::locate(root, name)?;
            for entry in &set.entry.files {
                files.push(Self::of(&set, entry)?);
            }
        }
        Ok(files)
    }

    /// The line of a report for a file of a data set on disk.
    ///
    /// # Errors
    /// [`DataError`] when the file cannot be read.
    pub fn of(set: &DataSet, entry: &FileEntry) -> Result<Self, DataError> {
        Ok(Self {
            path: format!("{}/{}", set.entry.name, entry.path),
            licence: set.entry.licence.clone(),
            bytes: entry.bytes,
            sha256: entry.sha256.clone(),
            as_published: set.is_as_published(&entry.path)?,
        })
    }
}

/// A report that cannot be read or written.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not a report of this version.
    #[error("{path}: not a report of this version: {problem}", path = path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl Report {
    /// Reads a `report.json`.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let fail = |problem: String| ReportError::Form { path: path.to_owned(), problem };
        let report: Self =
            serde_json::from_str(&files::read_text(path)?).map_err(|error| fail(error.to_string()))?;
        if report.schema != SCHEMA {
            return Err(fail(format!("schema {}, expected {SCHEMA}", report.schema)));
        }
        Ok(report)
    }

    /// Writes `report.json`, `report.md` and `report.html` into a folder that holds the figures already.
    ///
    /// # Errors
    /// [`ReportError`]; also for a number that is not finite, which JSON cannot hold.
    pub fn write(&self, folder: &Path) -> Result<(), ReportError> {
        let path = folder.join("report.json");
        let json = serde_json::to_string_pretty(self).unwrap_or_default();
        let back: Result<Self, _> = serde_json::from_str(&json);
        if back.ok().as_ref() != Some(self) {
            let problem = "a number is not finite; mend the experiment".to_owned();
            return Err(ReportError::Form { path, problem });
        }
        let read_figure = |figure: &FigureFile| files::read_text(&folder.join(&figure.svg));
        files::write_atomic(&path, json.as_bytes())?;
        files::write_atomic(&folder.join("report.md"), markdown(self).as_bytes())?;
        files::write_atomic(&folder.join("report.html"), html(self, read_figure)?.as_bytes())?;
        Ok(())
    }

    /// Number of claims by verdict, in words: "2 reproduced · 1 opposite".
    pub fn verdict_counts(&self) -> String {
        let all = [
            Verdict::Reproduced,
            Verdict::Opposite,
            Verdict::NotReproduced,
            Verdict::NoEffect,
            Verdict::Inconclusive,
            Verdict::NotEvaluated,
        ];
        let count = |verdict| self.claims.iter().filter(|claim| claim.verdict_direction == verdict).count();
        let words = |verdict: Verdict| verdict.label().split_once(' ').map_or("", |(_, words)| words);
        let present = all.into_iter().filter(|verdict| count(*verdict) > 0);
        let counts: Vec<String> =
            present.map(|verdict| format!("{} {}", count(verdict), words(verdict))).collect();
        format!("{} claims · {}", self.claims.len(), counts.join(" · "))
    }
}

#[cfg(test)]
mod tests;
