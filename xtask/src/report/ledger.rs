//! The ledger: one row per claim, and below it every comparison with its runs.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::input::{Claim, Entry, JudgedClaim, Part, Report};
use super::plot;
use super::text::{decimals, escape, interval, number, p_value, prose, significant, slug};
use super::verdict::Verdict;
use super::{cost, deviations};

/// Most runs whose numbers are printed.
const MAX_PRINTED: usize = 20;

/// Rows of all claims of a report, below the title of its paper.
pub(super) fn rows(entry: &Entry, first: usize) -> String {
    let report = &entry.report;
    let title = if report.paper.title.is_empty() { &entry.name } else { &report.paper.title };
    let mut out = format!(
        "<tbody class=\"paper\" role=\"rowgroup\" data-p=\"{name}\"><tr role=\"row\"><th role=\"rowheader\" colspan=\"6\" scope=\"rowgroup\">\
         <a href=\"#{id}\">{}</a> <span class=\"crate\">{name}</span></th></tr></tbody>\n",
        escape(title),
        id = slug(&entry.name),
        name = escape(&entry.name)
    );
    for (place, claim) in report.claims.iter().enumerate() {
        out += &row(entry, claim, first + place);
    }
    out
}

/// The id of a claim on the page.
pub(super) fn anchor(entry: &str, claim: &str) -> String {
    format!("{}.{}", slug(entry), slug(claim))
}

/// Whether a claim is the project's own: its text or its source says so.
pub(super) fn is_ours(claim: &JudgedClaim) -> bool {
    let (text, source) = (claim.claim.text.trim_start(), claim.claim.source.trim_start());
    text.starts_with("ours") || source.starts_with("ours") || source.starts_with("our prediction")
}

fn row(entry: &Entry, judged: &JudgedClaim, place: usize) -> String {
    let (report, claim) = (&entry.report, &judged.claim);
    let verdict = Verdict::of(&judged.verdict_direction);
    let id = anchor(&entry.name, &claim.id);
    let kind = if is_ours(judged) { "ours" } else { "paper" };
    let plot = plot::differences(claim, &judged.parts)
        .unwrap_or_else(|| "<p class=\"none\">not compared</p>".to_owned());
    let cost = cost::of(report);
    let (source, value) = source_and_value(claim);
    let mut out = format!(
        "<tbody class=\"claim\" role=\"rowgroup\" id=\"{id}\" data-o=\"{place}\" data-p=\"{name}\" data-v=\"{}\" data-r=\"{}\" data-k=\"{kind}\" \
         data-e=\"{}\" data-c=\"{}\">\n<tr role=\"row\">",
        verdict.name,
        verdict.rank(),
        effect(&judged.parts).map_or(String::new(), |effect| format!("{effect:.4}")),
        cost.map_or(0.0, f64::round),
        name = escape(&entry.name)
    );
    let _ = writeln!(
        out,
        "<th role=\"rowheader\" scope=\"row\"><a class=\"id\" href=\"#{id}\">{}</a> <span class=\"crate\">{}</span></th>\
         <td role=\"cell\" class=\"what\"><p>{}</p><p class=\"by\">{}</p></td>",
        escape(&claim.id),
        escape(&entry.name),
        prose(&claim.text),
        prose(source)
    );
    let value = value.map_or_else(|| "<span class=\"none\">no number at hand</span>".to_owned(), prose);
    let _ = write!(
        out,
        "<td role=\"cell\" class=\"paper-value\" data-l=\"Paper\">{value}</td>\n<td role=\"cell\" class=\"ours\" data-l=\"Ours\">{plot}{}</td>\n",
        short(&judged.parts)
    );
    let _ = write!(
        out,
        "<td role=\"cell\" class=\"verdict\" data-l=\"Verdict\">{}<p class=\"by\">{}</p></td>\n\
         <td role=\"cell\" class=\"cmd\" data-l=\"Command\"><code>{}</code><p class=\"by\">{}</p></td></tr>\n",
        verdict.pill(),
        prose(&judged.why),
        escape(&report.command),
        cost.map_or_else(
            || "cost not recorded".to_owned(),
            |seconds| cost::words(seconds, report.claims.len())
        )
    );
    let _ = writeln!(
        out,
        "<tr role=\"row\" class=\"more\"><td role=\"cell\" colspan=\"6\"><details><summary>{}</summary>\n{}</details></td></tr></tbody>",
        summary(judged),
        detail(entry, judged)
    );
    out
}

/// Where the claim stands, and what the paper reports: some declarations say both in one line, `table 3: 0.638 against 0.631`.
fn source_and_value(claim: &Claim) -> (&str, Option<&str>) {
    let both =
        claim.source.split_once(": ").filter(|(_, value)| value.contains(|c: char| c.is_ascii_digit()));
    match (claim.paper.as_deref(), both) {
        (None, Some((source, value))) => (source, Some(value)),
        (paper, _) => (&claim.source, paper),
    }
}

/// Hedges' g of the middle part.
fn effect(parts: &[Part]) -> Option<f64> {
    let mut effects: Vec<f64> = parts.iter().filter_map(|part| part.effect).collect();
    effects.sort_by(f64::total_cmp);
    effects.get(effects.len() / 2).copied()
}

/// The difference in numbers, where there is room for them.
fn short(parts: &[Part]) -> String {
    let line = |part: &Part| {
        let difference = part.difference?;
        Some(format!(
            "<p class=\"num\"><span>{}</span> {}</p>",
            escape(&part.part.setting),
            interval(difference.mean, difference.ci95)
        ))
    };
    if parts.len() > 2 { String::new() } else { parts.iter().filter_map(line).collect() }
}

fn summary(judged: &JudgedClaim) -> String {
    let parts = judged.parts.len();
    let (fewest, most) =
        judged.parts.iter().map(|part| part.a.len()).fold((usize::MAX, 0), |(l, m), n| (l.min(n), m.max(n)));
    let runs = match (fewest, most) {
        (_, 0) => "not run".to_owned(),
        (fewest, most) if fewest == most => format!("{most} pairs each"),
        (fewest, most) => format!("{fewest} to {most} pairs each"),
    };
    format!(
        "{parts} comparison{}, {runs}: numbers, runs side by side, what bears on it",
        if parts == 1 { "" } else { "s" }
    )
}

fn detail(entry: &Entry, judged: &JudgedClaim) -> String {
    let claim = &judged.claim;
    let rule = match (claim.test.as_str(), claim.margin) {
        ("exact", _) => "every value equal".to_owned(),
        (_, Some(margin)) => format!("not worse by more than {}", significant(margin)),
        _ if claim.delta_min > 0.0 => {
            format!("better, by an effect of at least {}", significant(claim.delta_min))
        }
        _ => "better".to_owned(),
    };
    let direction = if claim.higher_is_better { "more is better" } else { "less is better" };
    let mut out = format!(
        "<p>Metric <code>{}</code> ({}, {direction}), repeated over the {}; test {}; asked for: {rule}, in {} of {} comparisons. \
         Value: {}.</p>\n",
        escape(&claim.metric),
        escape(&claim.unit),
        escape(&claim.replication),
        escape(&claim.test),
        claim.needs,
        judged.parts.len(),
        escape(&judged.verdict_value)
    );
    out += &format!(
        "<div class=\"wide\" role=\"region\" aria-label=\"Comparisons of {0}\" tabindex=\"0\"><table class=\"parts\"><caption>Comparisons</caption>\n<thead><tr><th scope=\"col\">comparison</th>\
         <th scope=\"col\">runs</th><th scope=\"col\">means [95 %]</th><th scope=\"col\">difference [95 %]</th>\
         <th scope=\"col\">p (Holm) · sign flip</th><th scope=\"col\">g · detectable</th><th scope=\"col\">verdict</th></tr></thead>\n<tbody>\n",
        escape(&claim.id)
    );
    judged.parts.iter().for_each(|part| out += &part_row(part));
    out += "</tbody></table></div>\n";
    out += &values(&entry.report, judged);
    out += &deviations::bearing_on(entry, &claim.id);
    out
}

fn part_row(part: &Part) -> String {
    let dash = || "—".to_owned();
    let mean = |values: &[f64], ci: Option<[f64; 2]>| match (super::text::mean(values), ci) {
        (Some(mean), Some(ci)) => interval(mean, ci),
        (Some(mean), None) => significant(mean),
        _ => dash(),
    };
    let verdict = Verdict::of(&part.verdict);
    let why =
        if part.why.is_empty() { String::new() } else { format!("<p class=\"by\">{}</p>", prose(&part.why)) };
    format!(
        "<tr><th scope=\"row\">{}<p class=\"by\">{}</p></th><td>{}<p class=\"by\">{}</p></td>\
         <td><p class=\"num arm-a\"><span>{}</span> {}</p><p class=\"num arm-b\"><span>{}</span> {}</p></td>\
         <td class=\"num\">{}</td><td class=\"num\">{} · {}</td><td class=\"num\">{} · {}</td><td>{}{why}</td></tr>\n",
        escape(&part.part.id),
        escape(&part.part.setting),
        plot::runs(part).unwrap_or_default(),
        ahead(part),
        escape(&part.part.a),
        mean(&part.a, part.ci_a),
        escape(&part.part.b),
        mean(&part.b, part.ci_b),
        part.difference.map_or_else(dash, |difference| interval(difference.mean, difference.ci95)),
        part.p_holm.map_or_else(dash, p_value),
        part.signflip_p.map_or_else(dash, p_value),
        part.effect.map_or_else(dash, |effect| number(effect, 2)),
        part.mde80.map_or_else(dash, significant),
        verdict.pill(),
    )
}

fn ahead(part: &Part) -> String {
    let n = part.a.len().min(part.b.len());
    if n == 0 {
        return "not run".to_owned();
    }
    let many = if n > plot::MAX_DOTS { "; bars: middle half and middle nine tenths" } else { "" };
    format!("{n} pairs{many}")
}

/// The numbers behind the dots: one row for each method, one column for each run.
fn values(report: &Report, judged: &JudgedClaim) -> String {
    let most = judged.parts.iter().flat_map(|part| [part.a.len(), part.b.len()]).max().unwrap_or(0);
    if most == 0 {
        return String::new();
    }
    if most > MAX_PRINTED {
        return "<p class=\"by\">The values of all runs are in <code>report.json</code>.</p>\n".to_owned();
    }
    let names = seeds(report).filter(|seeds| seeds.len() == most && judged.claim.replication == "seed");
    let heads = names.clone().unwrap_or_else(|| (1..=most).map(|run| run.to_string()).collect());
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{}", escape(head))).collect();
    let mut seen = BTreeSet::new();
    let mut rows = String::new();
    for part in &judged.parts {
        let digits = part
            .difference
            .map_or(4, |difference| decimals((difference.ci95[1] - difference.ci95[0]) / 2.0))
            .max(3);
        for (arm, values) in [(&part.part.a, &part.a), (&part.part.b, &part.b)] {
            let cells: String =
                values.iter().map(|value| format!("<td>{}", printed(*value, digits))).collect();
            let row = format!("<th scope=\"row\">{} · {}{cells}", escape(&part.part.setting), escape(arm));
            if seen.insert(row.clone()) {
                let _ = writeln!(rows, "<tr>{row}");
            }
        }
    }
    let columns = if names.is_some() { "seed" } else { "run" };
    format!(
        "<div class=\"wide\" role=\"region\" aria-label=\"Runs of {0}\" tabindex=\"0\"><table class=\"values\"><caption>Runs side by side, one column for each {columns}</caption>\n\
         <thead><tr><th scope=\"col\">method{heads}</thead>\n<tbody>\n{rows}</tbody></table></div>\n",
        escape(&judged.claim.id)
    )
}

fn printed(value: f64, digits: usize) -> String {
    if value.fract() == 0.0 && value.abs() >= 10.0 { number(value, 0) } else { number(value, digits) }
}

/// The seeds that a report lists, without those of candidates.
fn seeds(report: &Report) -> Option<Vec<String>> {
    let all = report.determinism.get("seeds")?;
    let seeds = all.split('(').next()?.split(',').map(|seed| seed.trim().to_owned());
    Some(seeds.filter(|seed| !seed.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::super::input::{Declared, Difference};
    use super::*;

    fn judged(verdict: &str, text: &str) -> JudgedClaim {
        JudgedClaim {
            claim: Claim { id: "C<1>".into(), text: text.into(), ..Claim::default() },
            verdict_direction: verdict.into(),
            ..JudgedClaim::default()
        }
    }

    #[test]
    fn a_claim_of_any_verdict_without_runs_or_interval_has_a_row() {
        for verdict in super::super::verdict::ALL.map(|verdict| verdict.name).into_iter().chain(["new", ""]) {
            let mut claim = judged(verdict, "a < b");
            let part = Part {
                a: vec![1.0],
                part: Declared { a: "\"x\"".into(), ..Declared::default() },
                ..Part::default()
            };
            claim.parts = vec![Part::default(), part];
            let entry = Entry { name: "e&f".into(), ..Entry::default() };
            let row = row(&entry, &claim, 0);
            assert!(row.contains("a &lt; b") && row.contains("not compared"), "{row}");
            assert!(row.contains("id=\"e-f.C-1-\"") && row.contains("&quot;x&quot;"), "{row}");
            assert!(!row.contains("C<1>") && !row.contains("NaN"), "{row}");
        }
    }

    #[test]
    fn runs_are_headed_by_seeds_where_the_report_lists_as_many() {
        let mut claim = judged("reproduced", "t");
        claim.claim.replication = "seed".into();
        let difference = Some(Difference { mean: 0.1, ci95: [0.0, 0.2] });
        claim.parts = vec![Part { a: vec![0.25, 0.5], b: vec![0.125, 0.5], difference, ..Part::default() }];
        let mut report = Report::default();
        assert!(values(&report, &claim).contains("one column for each run"));
        report.determinism.insert("seeds".into(), "101, 102 (candidates: 1000)".into());
        let table = values(&report, &claim);
        assert!(table.contains("<th scope=\"col\">101<th scope=\"col\">102</thead>"), "{table}");
        assert!(table.contains("<td>0.250<td>0.500"), "{table}");
    }

    #[test]
    fn the_papers_value_may_stand_behind_its_source() {
        let claim = |source: &str, paper: Option<&str>| Claim {
            source: source.to_owned(),
            paper: paper.map(str::to_owned),
            ..Claim::default()
        };
        assert_eq!(
            source_and_value(&claim("table 3: 0.638 against 0.631", None)),
            ("table 3", Some("0.638 against 0.631"))
        );
        assert_eq!(
            source_and_value(&claim("ours: it does three things", None)),
            ("ours: it does three things", None)
        );
        assert_eq!(source_and_value(&claim("a: 1", Some("2"))), ("a: 1", Some("2")));
    }

    #[test]
    fn own_claims_say_so() {
        assert!(is_ours(&judged("", "ours: x")) && !is_ours(&judged("", "x of ours")));
    }
}
