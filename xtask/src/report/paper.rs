//! One report: what it found with its figures, what was learnt, how it was made.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::deviations::{claim_link, gap_id};
use super::input::{Case, Compare, Entry, Figure, Section};
use super::text::{address, escape, heading_id, number, prose, significant, slug, web};
use super::{deviations, markdown, overview};

/// The section of a report.
pub(super) fn section(entry: &Entry) -> String {
    let (report, id) = (&entry.report, slug(&entry.name));
    let title = if report.paper.title.is_empty() { &entry.name } else { &report.paper.title };
    let mut out = format!(
        "<article id=\"{id}\" class=\"report\" aria-labelledby=\"{id}.title\">\n<h3 id=\"{id}.title\">{}</h3>\n",
        escape(title)
    );
    let link = web(&report.paper.url).map_or(String::new(), |url| format!(" <a href=\"{url}\">{url}</a>"));
    let _ = writeln!(
        out,
        "<p class=\"by\"><span class=\"crate\">{}</span> {}. {}.{link}</p>",
        escape(&entry.name),
        escape(&report.paper.authors),
        escape(&report.paper.venue)
    );
    if !report.paper.sections_used.is_empty() {
        let _ = writeln!(
            out,
            "<p class=\"by\">Read of the paper: {}.</p>",
            escape(&report.paper.sections_used.join("; "))
        );
    }
    let _ = writeln!(
        out,
        "<p class=\"head\"><strong>{}</strong> Preset <code>{}</code>. {}.</p>",
        prose(&report.headline),
        escape(&report.preset),
        overview::words(report.claims.iter())
    );
    report.summary.iter().for_each(|text| out += &format!("<p class=\"find\">{}</p>\n", prose(text)));
    out += &files(entry);
    report.sections.iter().for_each(|section| out += &finding(entry, section));
    out += &learnt(entry);
    out += &made(entry);
    out + "</article>\n"
}

fn files(entry: &Entry) -> String {
    let names = [
        ("report.html", "full report with all tables"),
        ("report.md", "as Markdown"),
        ("report.json", "as data"),
    ];
    let present = names.into_iter().filter(|(file, _)| entry.files.iter().any(|known| known == file));
    let links: Vec<String> =
        present.map(|(file, words)| format!("<a href=\"{}\">{words}</a>", path(entry, file))).collect();
    format!("<p class=\"files\">{}</p>\n", links.join(" · "))
}

fn path(entry: &Entry, file: &str) -> String {
    address(&format!("{}/{file}", entry.name))
}

fn finding(entry: &Entry, section: &Section) -> String {
    let mut out = format!("<section class=\"finding\"><h4>{}</h4>\n", escape(&section.title));
    section.text.iter().for_each(|text| out += &format!("<p class=\"find\">{}</p>\n", prose(text)));
    if !section.tables.is_empty() {
        let n = section.tables.len();
        let words = format!("{n} table{}", if n == 1 { "" } else { "s" });
        let link = match entry.files.iter().any(|file| file == "report.html") {
            true => format!(
                "<a href=\"{}#{}\">{words} in the full report</a>",
                path(entry, "report.html"),
                heading_id(&section.title)
            ),
            false => format!("{words} in report.json"),
        };
        let _ = writeln!(out, "<p class=\"by\">{link}</p>");
    }
    if !section.figures.is_empty() {
        let figures: String = section.figures.iter().map(|drawn| figure(entry, section, drawn)).collect();
        let _ = write!(out, "<div class=\"figures\">\n{figures}</div>\n");
    }
    out + "</section>\n"
}

fn figure(entry: &Entry, section: &Section, figure: &Figure) -> String {
    let caption = prose(&figure.caption);
    let link = |file: &str, words: &str| match entry.files.iter().any(|known| known == file) {
        true => format!(" <a href=\"{}\">{words}</a>", path(entry, file)),
        false => String::new(),
    };
    let links = link(&figure.csv, "numbers") + &link(&figure.png, "picture");
    let Some(drawing) = entry.drawings.get(&figure.svg) else {
        return format!(
            "<figure class=\"find\"><p class=\"none\">The drawing {} is not there.</p><figcaption>{caption}{links}</figcaption></figure>\n",
            escape(&figure.svg)
        );
    };
    let alt = if drawing.title.is_empty() { &section.title } else { &drawing.title };
    format!(
        "<figure class=\"find\"><img src=\"{}\" alt=\"Figure: {}\" width=\"{}\" height=\"{}\" decoding=\"async\">\
         <figcaption>{caption}{links}</figcaption></figure>\n",
        path(entry, &figure.svg),
        escape(alt),
        drawing.width,
        drawing.height
    )
}

/// Gaps between paper and code, the README's words, deviations, limits.
fn learnt(entry: &Entry) -> String {
    let mut out = String::from("<section class=\"learnt\"><h4>What was learnt</h4>\n");
    if !entry.gaps.is_empty() {
        out += &gaps(entry);
    }
    for (heading, text) in &entry.notes {
        let _ =
            write!(out, "<h5>{}</h5>\n<div class=\"find\">{}</div>\n", escape(heading), markdown::html(text));
    }
    if !entry.report.deviations.is_empty() {
        let _ = write!(out, "<h5>Deviations from the paper</h5>\n{}", deviations::list(entry));
    }
    if !entry.report.limits.is_empty() {
        let items: String = entry
            .report
            .limits
            .iter()
            .map(|limit| format!("<li class=\"find\">{}</li>\n", prose(limit)))
            .collect();
        let _ = write!(out, "<h5>Limits</h5>\n<ul>\n{items}</ul>\n");
    }
    out + "</section>\n"
}

fn gaps(entry: &Entry) -> String {
    let mut out = String::from("<h5>Between paper and code</h5>\n<dl class=\"gaps\">\n");
    for (place, gap) in entry.gaps.iter().enumerate() {
        let links: Vec<String> = gap.claims.iter().map(|claim| claim_link(entry, claim)).collect();
        let _ = write!(
            out,
            "<div class=\"find\" id=\"{}\"><dt>{} <span class=\"bears\">{}</span></dt>\n<dd><b>Paper</b> {}</dd>\n<dd><b>Code</b> {}</dd>\n\
             <dd><b>Here</b> {}</dd>\n<dd class=\"by\">{}</dd></div>\n",
            gap_id(entry, place),
            prose(&gap.about),
            links.join(" "),
            prose(&gap.paper),
            prose(&gap.code),
            prose(&gap.here),
            prose(&gap.source)
        );
    }
    out + "</dl>\n"
}

/// Setup, cost, machine, data, determinism, speed: folded away until asked for.
fn made(entry: &Entry) -> String {
    let report = &entry.report;
    let mut out = String::from("<section class=\"made\"><h4>How it was made</h4>\n");
    let _ = writeln!(out, "<pre class=\"cmd\"><code>{}</code></pre>", escape(&report.command));
    let cells = |cells: &[String]| -> String {
        cells.iter().map(|cell| format!("<td>{}</td>", prose(cell))).collect()
    };
    let setup: String = report.setup.iter().map(|row| format!("<tr>{}</tr>\n", cells(row))).collect();
    folded(
        &mut out,
        "Setup: the paper's and ours",
        &table("Setup", &["what", "paper", "ours", "why"], &setup),
        report.setup.len(),
    );
    folded(&mut out, "Cost", &facts(&report.compute), report.compute.len());
    folded(&mut out, "Environment", &facts(&report.environment), report.environment.len());
    folded(&mut out, "Determinism", &facts(&report.determinism), report.determinism.len());
    let data: String = report
        .data
        .iter()
        .map(|file| {
            let published = if file.as_published { "yes" } else { "no" };
            format!(
                "<tr><td>{}</td><td>{}</td><td class=\"num\">{}</td><td>{published}</td><td><code title=\"{1}\">{}</code></td></tr>\n",
                escape(&file.path),
                escape(&file.licence),
                file.bytes,
                escape(&file.sha256.chars().take(12).collect::<String>())
            )
        })
        .collect();
    folded(
        &mut out,
        "Data",
        &table("Files read", &["file", "licence", "bytes", "as published", "sha256"], &data),
        report.data.len(),
    );
    if let Some(compare) = &entry.compare {
        folded(&mut out, "Speed beside peers", &speed(compare), compare.cases.len());
    }
    out + "</section>\n"
}

fn folded(out: &mut String, title: &str, body: &str, items: usize) {
    if items > 0 {
        let _ = writeln!(
            out,
            "<details><summary>{title} <span class=\"n\">{items}</span></summary>\n{body}</details>"
        );
    }
}

fn facts(facts: &BTreeMap<String, String>) -> String {
    let fact =
        |(name, value): (&String, &String)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(value));
    format!("<dl class=\"facts\">\n{}</dl>\n", facts.iter().map(fact).collect::<String>())
}

fn table(name: &str, columns: &[&str], rows: &str) -> String {
    let heads: String = columns.iter().map(|head| format!("<th scope=\"col\">{head}</th>")).collect();
    format!(
        "<div class=\"wide\" role=\"region\" aria-label=\"{name}\" tabindex=\"0\"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )
}

fn speed(compare: &Compare) -> String {
    let row = |case: &Case| {
        let met = if case.ratio >= case.target { "met" } else { "missed" };
        format!(
            "<tr><th scope=\"row\"><code>{}</code></th><td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"num\"><b>{}</b></td>\
             <td class=\"num\">{} {met}</td><td>{}</td></tr>\n",
            escape(&case.name),
            significant(case.ours_per_s),
            significant(case.peer_per_s),
            number(case.ratio, 2),
            number(case.target, 1),
            prose(&case.note)
        )
    };
    let rows: String = compare.cases.iter().map(row).collect();
    let by = format!(
        "<p class=\"by\">{} rounds of each side in turn{}.</p>\n",
        compare.rounds,
        compare.processor.as_deref().map_or(String::new(), |processor| format!(", {}", escape(processor)))
    );
    by + &table(
        "Speed beside peers",
        &["case", "ours per second", "peer per second", "ratio", "target", "what"],
        &rows,
    )
}

#[cfg(test)]
mod tests {
    use super::super::input::{Drawing, Report};
    use super::*;

    fn entry() -> Entry {
        let figure = Figure {
            svg: "figures/a b.svg".into(),
            csv: "figures/a.csv".into(),
            caption: "<i>".into(),
            ..Figure::default()
        };
        let section = Section {
            title: "S & T".into(),
            figures: vec![figure],
            tables: vec![serde_json::Value::Null],
            ..Section::default()
        };
        Entry {
            name: "e".into(),
            report: Report { sections: vec![section], ..Report::default() },
            ..Entry::default()
        }
    }

    #[test]
    fn a_missing_figure_is_said_to_be_missing() {
        let html = section(&entry());
        assert!(
            html.contains("The drawing figures/a b.svg is not there.") && html.contains("&lt;i&gt;"),
            "{html}"
        );
        assert!(!html.contains("<img") && !html.contains("figures/a.csv"), "{html}");
        assert!(html.contains("1 table in report.json"), "{html}");
    }

    #[test]
    fn a_figure_has_size_alternative_text_and_links() {
        let mut entry = entry();
        entry
            .drawings
            .insert("figures/a b.svg".into(), Drawing { width: 3, height: 4, title: "\"x\"".into() });
        entry.files = vec!["figures/a.csv".into(), "report.html".into()];
        let html = section(&entry);
        assert!(
            html.contains(
                "src=\"e/figures/a%20b.svg\" alt=\"Figure: &quot;x&quot;\" width=\"3\" height=\"4\""
            ),
            "{html}"
        );
        assert!(html.contains("<a href=\"e/report.html#s---t\">1 table in the full report</a>"), "{html}");
        assert!(html.contains("<a href=\"e/figures/a.csv\">numbers</a>"), "{html}");
    }

    #[test]
    fn an_empty_report_has_a_section_without_empty_lists() {
        let html = section(&Entry { name: "e".into(), ..Entry::default() });
        assert!(!html.contains("<ul>\n</ul>") && !html.contains("<details>"), "{html}");
    }
}
