//! What the page is made from: finished reports, peers' times, declared gaps, sections of the READMEs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::markdown;
use crate::reproduce::{Experiment, experiments};

/// A report with all that stands beside it.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Folder below the reports.
    pub(super) name: String,
    /// The report.
    pub(super) report: Report,
    /// Times beside peers.
    pub(super) compare: Option<Compare>,
    /// Where the paper and its code part.
    pub(super) gaps: Vec<Gap>,
    /// Sections of the README, heading and text.
    pub(super) notes: Vec<(String, String)>,
    /// Drawings by the path that the report gives; those that are not there are missing here.
    pub(super) drawings: BTreeMap<String, Drawing>,
    /// What was made besides `report.json`: of the names that a page links to.
    pub(super) files: Vec<String>,
}

/// What the page says of a drawing.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Drawing {
    /// Width in pixels.
    pub(super) width: u32,
    /// Height in pixels.
    pub(super) height: u32,
    /// Its first line of text.
    pub(super) title: String,
}

/// A `report.json`. Fields that an older report lacks are empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Report {
    pub(super) preset: String,
    pub(super) headline: String,
    pub(super) paper: Paper,
    pub(super) summary: Vec<String>,
    pub(super) claims: Vec<JudgedClaim>,
    pub(super) setup: Vec<Vec<String>>,
    pub(super) deviations: Vec<String>,
    pub(super) sections: Vec<Section>,
    pub(super) compute: BTreeMap<String, String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) data: Vec<DataFile>,
    pub(super) determinism: BTreeMap<String, String>,
    pub(super) command: String,
    pub(super) limits: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Paper {
    pub(super) title: String,
    pub(super) authors: String,
    pub(super) venue: String,
    pub(super) url: String,
    pub(super) sections_used: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JudgedClaim {
    pub(super) claim: Claim,
    pub(super) parts: Vec<Part>,
    pub(super) verdict_direction: String,
    pub(super) verdict_value: String,
    pub(super) why: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Claim {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) source: String,
    pub(super) paper: Option<String>,
    pub(super) metric: String,
    pub(super) unit: String,
    pub(super) higher_is_better: bool,
    pub(super) replication: String,
    pub(super) test: String,
    pub(super) margin: Option<f64>,
    pub(super) delta_min: f64,
    pub(super) needs: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Part {
    pub(super) part: Declared,
    pub(super) a: Vec<f64>,
    pub(super) b: Vec<f64>,
    pub(super) ci_a: Option<[f64; 2]>,
    pub(super) ci_b: Option<[f64; 2]>,
    pub(super) difference: Option<Difference>,
    pub(super) p_holm: Option<f64>,
    pub(super) signflip_p: Option<f64>,
    pub(super) effect: Option<f64>,
    pub(super) mde80: Option<f64>,
    pub(super) verdict: String,
    pub(super) why: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Declared {
    pub(super) id: String,
    pub(super) setting: String,
    pub(super) a: String,
    pub(super) b: String,
}

/// Positive where `a` is better.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Difference {
    pub(super) mean: f64,
    pub(super) ci95: [f64; 2],
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Section {
    pub(super) title: String,
    pub(super) text: Vec<String>,
    pub(super) tables: Vec<serde_json::Value>,
    pub(super) figures: Vec<Figure>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Figure {
    pub(super) svg: String,
    pub(super) png: String,
    pub(super) csv: String,
    pub(super) caption: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DataFile {
    pub(super) path: String,
    pub(super) licence: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
    pub(super) as_published: bool,
}

/// A `compare.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Compare {
    pub(super) processor: Option<String>,
    pub(super) rounds: u64,
    pub(super) cases: Vec<Case>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) note: String,
    pub(super) target: f64,
    pub(super) ours_per_s: f64,
    pub(super) peer_per_s: f64,
    pub(super) ratio: f64,
}

/// A `gaps.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gaps {
    gap: Vec<Gap>,
}

/// A place where a paper and its code part, or where the paper leaves something open.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gap {
    /// What it is about.
    pub(super) about: String,
    /// What the paper says.
    pub(super) paper: String,
    /// What the code does.
    pub(super) code: String,
    /// What is done here.
    pub(super) here: String,
    /// Where this was read.
    pub(super) source: String,
    /// Claims that it bears on.
    #[serde(default)]
    pub(super) claims: Vec<String>,
}

/// All reports below `reports`: those of the workspace's experiments in their order, then others by name.
pub(super) fn read(root: &Path, reports: &Path) -> Result<Vec<Entry>> {
    let mut folders: Vec<PathBuf> = fs::read_dir(reports)
        .with_context(|| format!("{}: no folder of reports", reports.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("report.json").is_file())
        .collect();
    let known = experiments(root)?;
    let place = |path: &PathBuf| {
        let name = file_name(path);
        (known.iter().position(|experiment| experiment.name == name).unwrap_or(known.len()), name)
    };
    folders.sort_by_key(place);
    if folders.is_empty() {
        bail!(
            "{}: no folder in it holds a report.json; `cargo xtask reproduce` writes some",
            reports.display()
        );
    }
    let own = |path: &Path| known.iter().find(|experiment| experiment.name == file_name(path));
    folders.iter().map(|folder| entry(root, folder, own(folder))).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned())
}

fn entry(root: &Path, folder: &Path, experiment: Option<&Experiment>) -> Result<Entry> {
    let report: Report = json(&folder.join("report.json"))?;
    let compare = folder.join("compare.json");
    let drawings = report.sections.iter().flat_map(|section| &section.figures);
    let drawings = drawings.filter_map(|figure| {
        let svg = fs::read_to_string(folder.join(&figure.svg)).ok()?;
        Some((figure.svg.clone(), drawing(&svg)))
    });
    let linked = ["report.html", "report.md", "report.json"].map(str::to_owned);
    let figures = report.sections.iter().flat_map(|section| &section.figures);
    let linked =
        linked.into_iter().chain(figures.flat_map(|figure| [figure.png.clone(), figure.csv.clone()]));
    Ok(Entry {
        name: file_name(folder),
        compare: compare.is_file().then(|| json(&compare)).transpose()?,
        gaps: experiment.map_or(Ok(Vec::new()), |experiment| gaps(root, experiment))?,
        notes: experiment.map_or(Ok(Vec::new()), |experiment| notes(root, experiment))?,
        drawings: drawings.collect(),
        files: linked.filter(|name| folder.join(name).is_file()).collect(),
        report,
    })
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{}: not of the form that reports have", path.display()))
}

/// `gaps.toml` beside `claims.toml`, `gaps-NAME.toml` beside `claims-NAME.toml`; often there is none.
fn gaps(root: &Path, experiment: &Experiment) -> Result<Vec<Gap>> {
    let claims = root.join(&experiment.claims);
    let path = claims.with_file_name(file_name(&claims).replacen("claims", "gaps", 1));
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let declared: toml::Table = fs::read_to_string(&claims)?.parse()?;
    let gaps: Gaps =
        toml::from_str(&text).with_context(|| format!("{}: not of the form of gaps", path.display()))?;
    let declared = declared.get("claim").and_then(toml::Value::as_array).into_iter().flatten();
    let ids: Vec<&str> = declared.filter_map(|claim| claim.get("id")?.as_str()).collect();
    if let Some(unknown) = gaps.gap.iter().flat_map(|gap| &gap.claims).find(|id| !ids.contains(&id.as_str()))
    {
        bail!("{}: there is no claim `{unknown}`; expected one of {}", path.display(), ids.join(", "));
    }
    Ok(gaps.gap)
}

/// Sections of the crate's README that say what was learnt. A second experiment has those below the heading of its name.
fn notes(root: &Path, experiment: &Experiment) -> Result<Vec<(String, String)>> {
    let path = root.join(&experiment.member).join("README.md");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut sections = markdown::sections(&text);
    let own = |name: &str| sections.iter().position(|(heading, _)| heading.eq_ignore_ascii_case(name));
    if experiment.name == experiment.member {
        let others = experiments_beside(root, experiment)?;
        if let Some(end) = others.iter().filter_map(|other| own(other)).min() {
            sections.truncate(end);
        }
    } else {
        let begin = own(&experiment.name).unwrap_or(sections.len());
        sections.drain(..begin);
    }
    sections
        .retain(|(heading, _)| heading.starts_with("What came out") || heading.starts_with("What differs"));
    Ok(sections)
}

fn experiments_beside(root: &Path, experiment: &Experiment) -> Result<Vec<String>> {
    let all = crate::reproduce::experiments_of(root, &experiment.member)?;
    Ok(all.into_iter().map(|other| other.name).filter(|name| *name != experiment.name).collect())
}

/// Size and first text of an SVG that our own figures wrote.
fn drawing(svg: &str) -> Drawing {
    let size = |name: &str| {
        let from = svg.find(&format!("{name}=\"")).map_or(svg.len(), |at| at + name.len() + 2);
        let digits: String = svg[from..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_default()
    };
    let text = svg.find("<text").and_then(|at| {
        let inner = &svg[at..];
        let begin = inner.find('>')? + 1;
        Some(inner[begin..begin + inner[begin..].find('<')?].trim().to_owned())
    });
    Drawing { width: size("width"), height: size("height"), title: unescape(&text.unwrap_or_default()) }
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_and_title_of_a_drawing() {
        let svg = "<svg width=\"10\" height=\"20\"><text x=\"1\">\na &lt; b\n</text></svg>";
        assert_eq!(drawing(svg), Drawing { width: 10, height: 20, title: "a < b".to_owned() });
        assert_eq!(drawing("<svg/>"), Drawing::default());
    }

    #[test]
    fn an_empty_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = crate::workspace();
        let error = read(&root, folder.path()).unwrap_err().to_string();
        assert!(error.contains("no folder in it holds a report.json"), "{error}");
        fs::create_dir(folder.path().join("x")).unwrap();
        fs::write(folder.path().join("x/report.json"), "{\"claims\": 3}").unwrap();
        let error = format!("{:#}", read(&root, folder.path()).unwrap_err());
        assert!(error.contains("x/report.json: not of the form that reports have: "), "{error}");
    }
}
