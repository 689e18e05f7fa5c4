//! `readme`: claim tables of the READMEs, made from the reports.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::reproduce::experiments;

const BEGIN: &str = "<!-- claims:begin -->\n";
const END: &str = "<!-- claims:end -->";

pub(crate) fn run(root: &Path, check: bool) -> Result<()> {
    let mut overview = String::from("| paper | crate | command | claims and verdicts |\n|---|---|---|---|\n");
    let mut stale = Vec::new();
    for experiment in experiments(root)? {
        let member = &experiment.member;
        let declared: toml::Table = fs::read_to_string(root.join(&experiment.claims))?.parse()?;
        let report = fs::read_to_string(root.join("reports").join(&experiment.name).join("report.json")).ok();
        let report: Option<Value> = report.map(|text| serde_json::from_str(&text)).transpose()?;
        let (title, counts, table) = claims(&declared, report.as_ref());
        let _ = writeln!(
            overview,
            "| {title} | [`{member}`]({member}/README.md) | `{}` | {counts} |",
            experiment.command()
        );
        replace(&root.join(member).join("README.md"), &experiment.markers(), &table, check, &mut stale)?;
    }
    replace(&root.join("README.md"), &(BEGIN.to_owned(), END.to_owned()), &overview, check, &mut stale)?;
    stale.dedup();
    if check && !stale.is_empty() {
        bail!("out of date: {}; run `cargo xtask readme`", stale.join(", "));
    }
    Ok(())
}

/// Title of the paper, counts of verdicts, table of claims.
fn claims(declared: &toml::Table, report: Option<&Value>) -> (String, String, String) {
    let text = |value: &toml::Value, key: &str| {
        value.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned()
    };
    let title = declared.get("paper").map_or(String::new(), |paper| text(paper, "title"));
    let mut table = String::from("| id | claim | verdict | parts |\n|---|---|---|---|\n");
    let mut counts: Vec<(String, usize)> = Vec::new();
    for claim in declared.get("claim").and_then(toml::Value::as_array).into_iter().flatten() {
        let id = text(claim, "id");
        let judged = report
            .and_then(|report| report["claims"].as_array()?.iter().find(|c| c["claim"]["id"] == id.as_str()));
        let verdict = judged
            .and_then(|judged| judged["verdict_direction"].as_str())
            .unwrap_or("not-evaluated")
            .replace('-', " ");
        let why = judged.and_then(|judged| judged["why"].as_str()).unwrap_or("no report yet");
        let _ = writeln!(table, "| {id} | {} | {verdict} | {why} |", text(claim, "text"));
        match counts.iter_mut().find(|(known, _)| *known == verdict) {
            Some((_, n)) => *n += 1,
            None => counts.push((verdict, 1)),
        }
    }
    let words: Vec<String> = counts.iter().map(|(verdict, n)| format!("{n} {verdict}")).collect();
    let preset = report.and_then(|report| report["preset"].as_str());
    let made_by = preset.map_or("no report yet".to_owned(), |preset| format!("preset `{preset}`"));
    (title, format!("{} ({made_by})", words.join(", ")), table)
}

fn replace(
    path: &Path,
    (begin_mark, end_mark): &(String, String),
    table: &str,
    check: bool,
    stale: &mut Vec<String>,
) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let (Some(begin), Some(end)) = (text.find(begin_mark), text.find(end_mark)) else {
        bail!(
            "{}: no `{}` … `{end_mark}`; the claim table goes between them",
            path.display(),
            begin_mark.trim()
        );
    };
    let new = format!("{}{table}{}", &text[..begin + begin_mark.len()], &text[end..]);
    if new != text {
        stale.push(path.display().to_string());
        if !check {
            fs::write(path, new).with_context(|| format!("writing {}", path.display()))?;
        }
    }
    Ok(())
}
