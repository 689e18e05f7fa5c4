//! `report`: one page over all reports, `reports/index.html`, made from them alone.

mod cost;
mod deviations;
mod input;
mod ledger;
mod markdown;
mod overview;
mod paper;
mod plot;
mod single;
mod text;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use input::Entry;
use text::{escape, slug};

const PAGE: &str = include_str!("../../page/page.html");
const STYLE: &str = include_str!("../../page/style.css");
const SCRIPT: &str = include_str!("../../page/script.js");

/// Options of `report`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Folder of the reports, each a folder with a report.json; the page is its index.html
    #[arg(long, value_name = "FOLDER", default_value = "reports")]
    reports: PathBuf,
    /// Also write one file that holds the figures too, to be sent around
    #[arg(long, value_name = "FILE")]
    single: Option<PathBuf>,
    /// Only say whether the page is up to date
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let reports = root.join(&arguments.reports);
    if arguments.check {
        return check(root, &reports);
    }
    let page = page(&input::read(root, &reports)?);
    let index = reports.join("index.html");
    write(&index, &page)?;
    println!("{}", index.display());
    if let Some(file) = &arguments.single {
        write(file, &single::single(&page, &reports)?)?;
        println!("{}", file.display());
    }
    Ok(())
}

/// Fails where the page is not the one that the reports give now.
pub(crate) fn check(root: &Path, reports: &Path) -> Result<()> {
    let index = reports.join("index.html");
    let found = fs::read_to_string(&index).unwrap_or_default();
    if found != page(&input::read(root, reports)?) {
        bail!("{}: not the page that the reports give; run `cargo xtask report`", index.display());
    }
    Ok(())
}

/// Whole or not at all: beside, then renamed.
fn write(path: &Path, text: &str) -> Result<()> {
    let beside = path.with_extension("html.part");
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    written.with_context(|| format!("writing {}", path.display()))
}

/// The page. What comes from reports is escaped where it becomes HTML, so that the template's marks cannot be in it.
fn page(entries: &[Entry]) -> String {
    let mut rows = String::new();
    let mut first = 0;
    for entry in entries {
        rows += &ledger::rows(entry, first);
        first += entry.report.claims.len();
    }
    let link =
        |entry: &Entry| format!("<li><a href=\"#{}\">{}</a></li>\n", slug(&entry.name), escape(&entry.name));
    let parts = [
        ("STYLE", STYLE.to_owned()),
        ("SCRIPT", SCRIPT.to_owned()),
        ("SENTENCE", escape(&overview::sentence(entries))),
        ("BAR", overview::bar(entries)),
        ("LEGEND", overview::legend(entries)),
        ("OVERVIEW", overview::table(entries)),
        ("VERDICTS", overview::verdict_filters(entries)),
        ("PAPERS", overview::paper_filters(entries)),
        ("KINDS", overview::kind_filters(entries)),
        ("TOTAL", first.to_string()),
        ("LEDGER", rows),
        ("CONTENTS", entries.iter().map(link).collect()),
        ("REPORTS", entries.iter().map(paper::section).collect()),
    ];
    fill(PAGE, &parts)
}

/// The template with each `{{NAME}}` replaced; what is put in is not read again.
fn fill(template: &str, parts: &[(&str, String)]) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find("{{") {
        let end = rest[at..].find("}}").map_or(rest.len(), |end| at + end + 2);
        let name = rest[at..end].trim_matches(['{', '}']);
        out += &rest[..at];
        out += parts.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text);
        rest = &rest[end..];
    }
    out + rest
}

/// Words as a list in a sentence: `a, b and c`.
fn listed(words: &[String]) -> String {
    match words {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_not_read_again() {
        assert_eq!(fill("a{{X}}b{{Y}}", &[("X", "{{Y}}".into()), ("Y", "y".into())]), "a{{Y}}by");
    }

    #[test]
    fn a_page_is_written_whole_and_found_stale_after_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let root = crate::workspace();
        fs::create_dir(folder.path().join("x")).unwrap();
        let report = |title: &str| {
            format!("{{\"paper\":{{\"title\":\"{title}\"}},\"claims\":[{{\"claim\":{{\"id\":\"A\"}}}}]}}")
        };
        let json = folder.path().join("x/report.json");
        fs::write(&json, report("One")).unwrap();
        let arguments = |check| Arguments { reports: folder.path().to_owned(), single: None, check };
        assert!(run(&root, &arguments(true)).is_err());
        run(&root, &arguments(false)).unwrap();
        run(&root, &arguments(true)).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        fs::write(&json, report("</script><script>alert(1)</script>")).unwrap();
        let error = run(&root, &arguments(true)).unwrap_err().to_string();
        assert!(error.ends_with("not the page that the reports give; run `cargo xtask report`"), "{error}");
        run(&root, &arguments(false)).unwrap();
        let page = fs::read_to_string(folder.path().join("index.html")).unwrap();
        assert_eq!(page.matches("<script>").count(), 1);
        assert!(page.contains("&lt;script&gt;alert(1)"));
    }
}
