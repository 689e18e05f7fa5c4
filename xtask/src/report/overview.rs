//! Everything at one glance: counts of verdicts, and every claim of every paper as a square.

use std::fmt::Write as _;

use super::input::{Entry, JudgedClaim};
use super::ledger::{anchor, is_ours};
use super::text::{duration, escape, slug};
use super::verdict::{ALL, Verdict};
use super::{cost, listed};

/// Number of claims by verdict, in the order of [`ALL`].
fn counts<'a>(claims: impl Iterator<Item = &'a JudgedClaim>) -> [usize; ALL.len()] {
    let mut counts = [0; ALL.len()];
    claims.for_each(|claim| counts[Verdict::of(&claim.verdict_direction).rank()] += 1);
    counts
}

fn all(entries: &[Entry]) -> impl Iterator<Item = &JudgedClaim> {
    entries.iter().flat_map(|entry| &entry.report.claims)
}

/// One sentence with the counts.
pub(super) fn sentence(entries: &[Entry]) -> String {
    let counts = counts(all(entries));
    let words = ALL.iter().zip(counts).filter(|(_, count)| *count > 0);
    let words: Vec<String> = words.map(|(verdict, count)| format!("{count} {}", verdict.words)).collect();
    let parts: usize = all(entries).map(|claim| claim.parts.len()).sum();
    let seconds: Option<f64> = entries.iter().map(|entry| cost::of(&entry.report)).sum();
    let cost = seconds.map_or(String::new(), |seconds| format!(", for {} of one core", duration(seconds)));
    format!(
        "{} claims of {} reports in {parts} comparisons{cost}: {}.",
        all(entries).count(),
        entries.len(),
        listed(&words)
    )
}

/// The bar over all claims.
pub(super) fn bar(entries: &[Entry]) -> String {
    bar_of(counts(all(entries)))
}

fn bar_of(counts: [usize; ALL.len()]) -> String {
    let present = ALL.iter().zip(counts).filter(|(_, count)| *count > 0);
    let piece = |(verdict, count): (&Verdict, usize)| {
        format!("<span class=\"{}\" style=\"flex:{count}\">{count}</span>", verdict.name)
    };
    format!("<div class=\"bar\" aria-hidden=\"true\">{}</div>", present.map(piece).collect::<String>())
}

/// The verdicts there are, each with its count, leading to its claims.
pub(super) fn legend(entries: &[Entry]) -> String {
    let present = ALL.iter().zip(counts(all(entries))).filter(|(_, count)| *count > 0);
    let link = |(verdict, count): (&Verdict, usize)| {
        format!("<a class=\"pill {0}\" href=\"#?v={0}\">{count} {1}</a> ", verdict.name, verdict.words)
    };
    present.map(link).collect()
}

/// Filters by verdict, with counts.
pub(super) fn verdict_filters(entries: &[Entry]) -> String {
    let present = ALL.iter().zip(counts(all(entries))).filter(|(_, count)| *count > 0);
    let button = |(verdict, count): (&Verdict, usize)| {
        filter("v", verdict.name, &format!("{} {}", verdict.sign, verdict.words), count, verdict.name)
    };
    present.map(button).collect()
}

/// Filters by report.
pub(super) fn paper_filters(entries: &[Entry]) -> String {
    entries.iter().map(|entry| filter("p", &entry.name, &entry.name, entry.report.claims.len(), "")).collect()
}

/// Filters by whose claim it is; none where all are of one kind.
pub(super) fn kind_filters(entries: &[Entry]) -> String {
    let ours = all(entries).filter(|claim| is_ours(claim)).count();
    let papers = all(entries).count() - ours;
    if ours == 0 || papers == 0 {
        return String::new();
    }
    filter("k", "paper", "the papers' claims", papers, "")
        + &filter("k", "ours", "our own predictions", ours, "")
}

fn filter(group: &str, value: &str, words: &str, count: usize, class: &str) -> String {
    format!(
        "<button type=\"button\" class=\"filter {class}\" data-f=\"{group}\" data-x=\"{}\" aria-pressed=\"false\">{} <span class=\"n\">{count}</span></button>\n",
        escape(value),
        escape(words)
    )
}

/// One row per report, a square per claim.
pub(super) fn table(entries: &[Entry]) -> String {
    let mut out = String::new();
    for entry in entries {
        let report = &entry.report;
        let _ = write!(
            out,
            "<tr><th scope=\"row\"><a href=\"#{}\">{}</a><p class=\"by\"><span class=\"crate\">{}</span> {}</p></th>\n<td class=\"squares\">",
            slug(&entry.name),
            escape(if report.paper.title.is_empty() { &entry.name } else { &report.paper.title }),
            escape(&entry.name),
            escape(&report.paper.venue)
        );
        report.claims.iter().for_each(|claim| out += &square(entry, claim));
        let _ = write!(
            out,
            "</td>\n<td class=\"counts\">{}<p class=\"by\">{}</p></td><td class=\"num\"><code>{}</code><p class=\"by\">{}</p></td></tr>\n",
            bar_of(counts(report.claims.iter())),
            words(report.claims.iter()),
            escape(&report.preset),
            cost::of(report).map_or("—".to_owned(), duration)
        );
    }
    out
}

/// Counts in words, as a report's own headline has them.
pub(super) fn words<'a>(claims: impl Iterator<Item = &'a JudgedClaim>) -> String {
    let present = ALL.iter().zip(counts(claims)).filter(|(_, count)| *count > 0);
    present.map(|(verdict, count)| format!("{count} {}", verdict.words)).collect::<Vec<_>>().join(" · ")
}

fn square(entry: &Entry, judged: &JudgedClaim) -> String {
    let verdict = Verdict::of(&judged.verdict_direction);
    format!(
        "<a class=\"sq {}\" href=\"#{}\" title=\"{id} {}: {text}\" aria-label=\"{id} {}\">{}</a>",
        verdict.name,
        anchor(&entry.name, &judged.claim.id),
        verdict.words,
        verdict.words,
        verdict.sign,
        id = escape(&judged.claim.id),
        text = escape(&judged.claim.text)
    )
}

#[cfg(test)]
mod tests {
    use super::super::input::Report;
    use super::*;

    fn entry(verdicts: &[&str]) -> Entry {
        let claim = |verdict: &&str| JudgedClaim {
            verdict_direction: (*verdict).to_owned(),
            ..JudgedClaim::default()
        };
        let claims = verdicts.iter().map(claim).collect();
        Entry { name: "e".into(), report: Report { claims, ..Report::default() }, ..Entry::default() }
    }

    #[test]
    fn counts_are_said_and_drawn() {
        let entries = [entry(&["opposite", "reproduced", "opposite"]), entry(&["something new"])];
        assert_eq!(
            sentence(&entries),
            "4 claims of 2 reports in 0 comparisons: 1 reproduced, 2 opposite and 1 not evaluated."
        );
        assert!(bar(&entries).contains("<span class=\"opposite\" style=\"flex:2\">2</span>"));
        assert!(verdict_filters(&entries).contains("not evaluated <span class=\"n\">1</span>"));
        assert!(!verdict_filters(&entries).contains("no effect"));
        assert_eq!(kind_filters(&entries), "");
    }

    #[test]
    fn a_report_without_claims_has_a_row() {
        let table = table(&[entry(&[])]);
        assert!(table.contains("<td class=\"squares\"></td>"), "{table}");
    }
}
