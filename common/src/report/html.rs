//! The report as one self-contained page: inline style, inline figures, readable on a phone and in the dark.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::markdown::{checklist, claims, data, parts, setup};
use super::{FigureFile, Report, Table};
use crate::files::FileError;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2024;--paper:#fff;--line:#c9ced6;--soft:#f2f4f7;--link:#0b57a4}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--paper:#16181b;--line:#3a4048;--soft:#1f2328;--link:#7db4f0}}\
body{font:16px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:70rem;margin:0 auto;padding:1rem}\
a{color:var(--link)}h1{line-height:1.2}h2{border-bottom:1px solid var(--line);padding-bottom:.2rem;margin-top:2.5rem}\
.verdict{background:var(--soft);border-left:.4rem solid var(--link);padding:.8rem 1rem}\
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.88rem;margin:.6rem 0}\
caption{text-align:left;font-style:italic;padding:.3rem 0}th,td{border:1px solid var(--line);padding:.3rem .5rem;text-align:left;vertical-align:top}\
th{background:var(--soft)}figure{margin:1.2rem 0}figure svg{background:#fff;max-width:100%;height:auto;border-radius:.3rem}\
figcaption{font-size:.9rem}pre{background:var(--soft);padding:.8rem;overflow-x:auto}nav ul{columns:2}\
@media print{nav{display:none}body{max-width:none}}";

/// The whole report as a page; `svg` reads a figure.
///
/// # Errors
/// A figure that cannot be read.
pub fn html(
    report: &Report,
    svg: impl Fn(&FigureFile) -> Result<String, FileError>,
) -> Result<String, FileError> {
    let mut page = Page::default();
    let verdicts = format!("{} · preset {}", report.verdict_counts(), report.preset);
    let _ = write!(
        page.body,
        "<p class=\"verdict\"><strong>{}</strong><br>{}</p><p>{}. {}. <a href=\"{url}\">{url}</a></p>",
        escape(&report.headline),
        escape(&verdicts),
        escape(&report.paper.authors),
        escape(&report.paper.venue),
        url = escape(&report.paper.url)
    );
    page.heading("Summary");
    page.paragraphs(&report.summary);
    page.heading("Claims");
    page.table(&claims(report));
    page.heading("Claims in detail");
    for claim in &report.claims {
        let _ = write!(page.body, "<h3>{} {}</h3>", escape(&claim.claim.id), escape(&claim.claim.text));
        page.paragraphs(std::slice::from_ref(&claim.why));
        page.table(&parts(claim));
    }
    for section in &report.sections {
        page.heading(&section.title);
        page.paragraphs(&section.text);
        section.tables.iter().for_each(|table| page.table(table));
        for figure in &section.figures {
            let drawing = svg(figure)?;
            let drawing = &drawing[drawing.find("<svg").unwrap_or(0)..];
            let caption = escape(&figure.caption);
            let _ = write!(
                page.body,
                "<figure role=\"img\" aria-label=\"{caption}\">{drawing}<figcaption>{caption} (<a href=\"{}\">numbers</a>)</figcaption></figure>",
                escape(&figure.csv)
            );
        }
    }
    page.heading("Setup");
    page.table(&setup(report));
    page.heading("Deviations from the paper");
    page.list(&report.deviations);
    page.heading("Compute");
    page.facts(&report.compute);
    page.heading("Environment");
    page.facts(&report.environment);
    page.heading("Data");
    page.table(&data(report));
    page.heading("Determinism");
    page.facts(&report.determinism);
    page.heading("How to reproduce");
    let _ = write!(page.body, "<pre>$ {}</pre>", escape(&report.command));
    page.heading("Checklist");
    page.table(&checklist(report));
    page.heading("Limits");
    page.list(&report.limits);
    let title = escape(&report.paper.title);
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title} — reproducibility report</title><style>{STYLE}</style></head><body><main><h1>{title} — reproducibility report</h1>\
         <nav aria-label=\"Contents\"><ul>{}</ul></nav>{}</main></body></html>\n",
        page.contents, page.body
    ))
}

#[derive(Default)]
struct Page {
    contents: String,
    body: String,
}

impl Page {
    fn heading(&mut self, title: &str) {
        let id: String =
            title.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        let title = escape(title);
        let _ = write!(self.contents, "<li><a href=\"#{id}\">{title}</a></li>");
        let _ = write!(self.body, "<h2 id=\"{id}\">{title}</h2>");
    }

    fn paragraphs(&mut self, texts: &[String]) {
        for text in texts {
            let _ = write!(self.body, "<p>{}</p>", escape(text));
        }
    }

    fn list(&mut self, items: &[String]) {
        let items: String = items.iter().map(|item| format!("<li>{}</li>", escape(item))).collect();
        let _ = write!(self.body, "<ul>{items}</ul>");
    }

    fn facts(&mut self, facts: &BTreeMap<String, String>) {
        self.list(&facts.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>());
    }

    fn table(&mut self, table: &Table) {
        let heads: String =
            table.columns.iter().map(|head| format!("<th scope=\"col\">{}</th>", escape(head))).collect();
        let row = |row: &Vec<String>| {
            let cells: String = row.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
            format!("<tr>{cells}</tr>")
        };
        let rows: String = table.rows.iter().map(row).collect();
        let _ = write!(
            self.body,
            "<div class=\"wide\"><table><caption>{}</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>",
            escape(&table.caption)
        );
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
