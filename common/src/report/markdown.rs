//! The report as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::number::{mean_with_interval, number, p_value};
use super::{Check, Report, Table};
use crate::claims::{JudgedClaim, JudgedPart};
use crate::stats;

/// The whole report as Markdown.
pub fn markdown(report: &Report) -> String {
    let mut out = body(report);
    let _ = writeln!(out, "## Checklist\n\n{}", table(&checklist(report)));
    let _ = writeln!(out, "\n## Limits\n\n{}", list(&report.limits));
    out
}

/// The report up to the checklist, which checks the numbers in it.
pub(super) fn body(report: &Report) -> String {
    let mut out = format!("# {} — reproducibility report\n\n", report.paper.title);
    let _ = writeln!(
        out,
        "> **{}**\n>\n> {} · preset `{}`\n",
        report.headline,
        report.verdict_counts(),
        report.preset
    );
    let _ = writeln!(out, "{}. {}. <{}>\n", report.paper.authors, report.paper.venue, report.paper.url);
    let _ = writeln!(out, "## Summary\n\n{}\n", report.summary.join("\n\n"));
    let _ = writeln!(out, "## Claims\n\n{}", table(&claims(report)));
    out.push_str("\n## Claims in detail\n");
    for claim in &report.claims {
        let _ = writeln!(
            out,
            "\n### {} {}\n\n{}\n\n{}",
            claim.claim.id,
            claim.claim.text,
            claim.why,
            table(&parts(claim))
        );
    }
    for section in &report.sections {
        let _ = writeln!(out, "\n## {}\n\n{}\n", section.title, section.text.join("\n\n"));
        for one in &section.tables {
            let _ = writeln!(out, "*{}*\n\n{}", one.caption, table(one));
        }
        for figure in &section.figures {
            let _ = writeln!(
                out,
                "![{}]({})\n\n*{}* ([numbers]({}))\n",
                figure.caption, figure.png, figure.caption, figure.csv
            );
        }
    }
    let _ = writeln!(out, "\n## Setup\n\n{}", table(&setup(report)));
    let _ = writeln!(out, "\n## Deviations from the paper\n\n{}", list(&report.deviations));
    let _ = writeln!(out, "\n## Compute\n\n{}", facts(&report.compute));
    let _ = writeln!(out, "\n## Environment\n\n{}", facts(&report.environment));
    let _ = writeln!(out, "\n## Data\n\n{}", table(&data(report)));
    let _ = writeln!(out, "\n## Determinism\n\n{}", facts(&report.determinism));
    let _ = writeln!(out, "\n## How to reproduce\n\n```console\n$ {}\n```\n", report.command);
    out
}

/// The table everybody reads.
pub(super) fn claims(report: &Report) -> Table {
    let row = |claim: &JudgedClaim| {
        let paper = claim.claim.paper.as_deref().unwrap_or("—");
        let cells = [claim.claim.id.as_str(), &claim.claim.text, &claim.claim.source, paper];
        let verdict = [claim.verdict_direction.label(), &claim.why, &claim.verdict_value];
        cells.into_iter().chain(verdict).map(str::to_owned).collect()
    };
    Table {
        caption: "Claims and verdicts".to_owned(),
        columns: strings(["id", "claim", "source", "paper", "direction", "parts", "value"]),
        rows: report.claims.iter().map(row).collect(),
    }
}

/// Every comparison of a claim.
pub(super) fn parts(claim: &JudgedClaim) -> Table {
    Table {
        caption: format!(
            "Metric {} ({}), replicated over the {}",
            claim.claim.metric, claim.claim.unit, claim.claim.replication
        ),
        columns: strings([
            "part",
            "a",
            "b",
            "a, mean [95 %]",
            "b, mean [95 %]",
            "n",
            "difference [95 %]",
            "p (Holm)",
            "sign-flip p",
            "g",
            "verdict",
        ]),
        rows: claim.parts.iter().map(part_row).collect(),
    }
}

fn part_row(part: &JudgedPart) -> Vec<String> {
    let dash = || "—".to_owned();
    let interval = |values: &[f64], ci: Option<[f64; 2]>| match (stats::mean(values), ci) {
        (Some(mean), Some(ci)) => mean_with_interval(mean, ci),
        _ => dash(),
    };
    let verdict = match part.why.is_empty() {
        true => part.verdict.label().to_owned(),
        false => format!("{}: {}", part.verdict.label(), part.why),
    };
    vec![
        part.part.id.clone(),
        part.part.a.clone(),
        part.part.b.clone(),
        interval(&part.a, part.ci_a),
        interval(&part.b, part.ci_b),
        part.a.len().to_string(),
        part.difference.map_or_else(dash, |d| mean_with_interval(d.mean, d.ci95)),
        part.p_holm.map_or_else(dash, p_value),
        part.signflip_p.map_or_else(dash, p_value),
        part.effect.map_or_else(dash, |g| number(g, 2)),
        verdict,
    ]
}

pub(super) fn setup(report: &Report) -> Table {
    Table {
        caption: "Hyper-parameters".to_owned(),
        columns: strings(["what", "paper", "ours", "why"]),
        rows: report.setup.iter().map(|row| row.to_vec()).collect(),
    }
}

pub(super) fn data(report: &Report) -> Table {
    let row = |file: &super::DataFile| {
        let published = if file.as_published { "✔" } else { "✘" };
        vec![
            file.path.clone(),
            file.licence.clone(),
            file.bytes.to_string(),
            file.sha256.clone(),
            published.to_owned(),
        ]
    };
    Table {
        caption: "Files read".to_owned(),
        columns: strings(["file", "licence", "bytes", "sha256", "as published"]),
        rows: report.data.iter().map(row).collect(),
    }
}

pub(super) fn checklist(report: &Report) -> Table {
    let row = |(what, holds, evidence): Check| {
        vec![if holds { "✔" } else { "✘" }.to_owned(), what.to_owned(), evidence]
    };
    Table {
        caption: "Computed from this report".to_owned(),
        columns: strings(["", "check", "evidence"]),
        rows: report.checklist().into_iter().map(row).collect(),
    }
}

fn strings<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).into()
}

fn table(table: &Table) -> String {
    let line = |cells: &[String]| {
        format!("| {} |\n", cells.iter().map(|c| c.replace('|', "\\|")).collect::<Vec<_>>().join(" | "))
    };
    let rule = format!("|{}\n", "---|".repeat(table.columns.len()));
    let rows: String = table.rows.iter().map(|row| line(row)).collect();
    line(&table.columns) + &rule + &rows
}

fn list(items: &[String]) -> String {
    items.iter().map(|item| format!("- {item}\n")).collect()
}

fn facts(facts: &BTreeMap<String, String>) -> String {
    facts.iter().map(|(name, value)| format!("- {name}: {value}\n")).collect()
}
