//! The report: claims, findings, setup, deviations, cost.

mod setup;

use std::path::Path;

use anyhow::Result;
use common::claims::{self, Declared, JudgedClaim};
use common::figure::{self, Figure, Named};
use common::outcome::{self, Outcome, Values};
use common::report::{Circumstances, DataFile, FigureFile, Report, Section, Table, number};
use common::stats;

use super::DATA_SETS;
use super::design::{Amount, Arm, Data, Job, PRECISION, Preset, Study};
use super::generated::Evidence;
use setup::{determinism, deviations, limits, setup};

/// All jobs of a preset with their outcomes.
#[derive(Debug)]
pub struct Finished {
    /// What was run.
    pub preset: Preset,
    /// Seeds of what was trained.
    pub seeds: Vec<u64>,
    /// Jobs and outcomes, in the order of the preset.
    pub jobs: Vec<(Job, Outcome)>,
}

/// The report of a finished preset; its figures are written below `folder`.
///
/// # Errors
/// Missing data, figures that cannot be written.
pub fn report(
    declared: &Declared,
    finished: &Finished,
    around: &Circumstances,
    folder: &Path,
) -> Result<Report> {
    let values = Values::collect(finished.jobs.iter().map(|(_, outcome)| outcome));
    let claims = judge(declared, finished.preset, &values);
    let mut report = Report {
        headline: headline(finished.preset, !around.generated.is_empty()),
        claims,
        setup: setup(finished.preset),
        deviations: deviations(),
        sections: sections(finished, &values, folder)?,
        compute: outcome::cost(
            finished.jobs.iter().map(|(_, outcome)| outcome),
            around.workers,
            around.wall_s,
        ),
        data: if !around.generated.is_empty() { vec![] } else { DataFile::all_of(&around.data, DATA_SETS)? },
        determinism: determinism(finished, around),
        limits: limits(),
        ..around.frame("transactions", finished.preset.name(), &declared.paper)
    };
    report.summary = summary(&report, &values);
    Ok(report)
}

fn headline(preset: Preset, generated: bool) -> String {
    let amount = Amount::of(preset);
    let size = format!(
        "An encoder of {} layers, {} wide, trained from scratch for {} steps ({} on all rows).",
        amount.size.layers, amount.size.hidden, amount.steps, amount.whole_steps
    );
    let only = "Indicative only: few steps, one seed. Run the preset `cpu` for verdicts.";
    match (generated, preset) {
        (true, _) => format!(
            "The generated ledger stands in for the public data: this shows that everything runs, nothing else. {size}"
        ),
        (_, Preset::Quick) => format!("{only} {size}"),
        _ => size,
    }
}

fn judge(declared: &Declared, preset: Preset, values: &Values) -> Vec<JudgedClaim> {
    let judged = |claim: &claims::Claim| {
        let judged = claims::judge(claim, preset != Preset::Quick, |part| values.paired(claim, part));
        JudgedClaim { verdict_value: "the article has no number to compare with".to_owned(), ..judged }
    };
    declared.claims.iter().map(judged).collect()
}

fn mean(values: &Values, setting: &str, arm: &str, metric: &str) -> Option<f64> {
    stats::mean(values.of(setting, arm, metric))
}

fn summary(report: &Report, values: &Values) -> Vec<String> {
    let mut found = vec![
        "Scope: the method of the article, with a small encoder trained here from scratch, on a council's public purchase-card transactions and on a generated ledger; directions are judged, the article prints no numbers.".to_owned(),
        format!("Result: {}.", report.verdict_counts()),
    ];
    let whole = |arm: &str| mean(values, "whole", arm, "top_1");
    if let (Some(lookup), Some(smoothed), Some(near), Some(both)) =
        (whole("lookup"), whole("smoothed"), whole("neighbours"), whole("both"))
    {
        found.push(format!(
            "All rows, first suggestion right in the last four months: exact values {} as a back-off table and {} interpolated, neighbours alone {}, both together {}.",
            number(lookup, 3), number(smoothed, 3), number(near, 3), number(both, 3)
        ));
    }
    let filling = |metric: &str| mean(values, "filling", "filled", metric);
    if let (Some(precision), Some(coverage)) = (filling("precision"), filling("coverage")) {
        found.push(format!(
            "Automatic filling, asked for a precision of {}: {} of the test transactions are filled in, {} of these right.",
            number(PRECISION, 2), number(coverage, 3), number(precision, 3)
        ));
    }
    found
}

const QUALITY: [(&str, &str, usize); 6] = [
    ("first right", "top_1", 4),
    ("among three", "top_3", 4),
    ("MRR", "mrr", 4),
    ("macro F1", "macro_f1", 4),
    ("confusable rows", "confusable", 4),
    ("same account among ten nearest", "same_account", 4),
];
const HEALTH: [(&str, &str, usize); 4] = [
    ("active triplets at the end", "active", 3),
    ("distance of positives", "positive", 3),
    ("of negatives", "negative", 3),
    ("mean cosine", "cosine", 3),
];

fn sections(finished: &Finished, values: &Values, folder: &Path) -> Result<Vec<Section>> {
    let arms: Vec<&str> = [
        "triplet",
        "contrastive",
        "supervised",
        "softmax",
        "untrained",
        "tfidf",
        "logistic",
        "lookup",
        "smoothed",
        "best-possible",
    ]
    .into();
    let mining = ["random", "semi-hard", "hard", "triplet"];
    let mut losses = Section {
        title: "Losses".to_owned(),
        text: vec!["Nearest neighbours alone vote, except for `logistic` (logistic regression on TF-IDF), `lookup` (back-off table) and `smoothed` (the same interpolated). `triplet` is the article's; batches, steps and seeds are the same for all trained arms.".to_owned()],
        tables: vec![
            table("Purchase cards", values, "pcard", &QUALITY, &arms),
            table("Generated ledger", values, "ledger", &QUALITY, &arms),
            table("A company that no encoder saw", values, "new-company", &QUALITY[..4], &arms),
            by_setting("First suggestion right by what decides the account", values, &Evidence::ALL.map(|e| format!("evidence-{}", e.name())), "top_1", &arms),
        ],
        figures: vec![],
    };
    let mut strategies = Section {
        title: "Mining".to_owned(),
        text: vec!["`triplet` is semi-hard mining in batches half of which are drawn around confusable accounts (category-aware); the others draw accounts without regard to confusion.".to_owned()],
        tables: vec![
            table("Purchase cards", values, "pcard", &QUALITY, &mining),
            table("Generated ledger", values, "ledger", &QUALITY, &mining),
            table("Distances at the end, purchase cards", values, "pcard", &HEALTH, &mining),
            table("Time of a step", values, "speed", &[("ms", "step_ms", 1), ("tokens per second", "tokens_per_s", 0)], &mining),
            equal_time(finished, values),
        ],
        figures: curves(finished, folder)?.into_iter().collect(),
    };
    strategies.tables.retain(|table| !table.rows.is_empty());
    losses.tables.retain(|table| !table.rows.is_empty());
    for drawing in finished
        .jobs
        .iter()
        .flat_map(|(_, outcome)| &outcome.drawings)
        .filter(|drawing| drawing.id != "confusion")
    {
        losses.figures.push(figure::save(&drawing.figure, folder, &drawing.id, &drawing.caption)?);
    }
    Ok(vec![losses, strategies, width(values, folder)?, cold(values), filling(finished, values, folder)?])
}

/// Mean values of arms in one setting; arms without any are left out.
fn table(
    caption: &str,
    values: &Values,
    setting: &str,
    metrics: &[(&str, &str, usize)],
    arms: &[&str],
) -> Table {
    let cell = |arm: &str, (_, metric, digits): &(&str, &str, usize)| {
        mean(values, setting, arm, metric).map_or("–".to_owned(), |value| number(value, *digits))
    };
    let row = |arm: &&str| -> Vec<String> {
        std::iter::once((*arm).to_owned()).chain(metrics.iter().map(|metric| cell(arm, metric))).collect()
    };
    let rows = arms.iter().map(row).filter(|row| row[1..].iter().any(|cell| cell != "–")).collect();
    let columns =
        std::iter::once("arm").chain(metrics.iter().map(|(head, ..)| *head)).map(str::to_owned).collect();
    Table { caption: caption.to_owned(), columns, rows }
}

fn by_setting(caption: &str, values: &Values, settings: &[String], metric: &str, arms: &[&str]) -> Table {
    let row = |arm: &&str| -> Vec<String> {
        let cell = |setting: &String| {
            mean(values, setting, arm, metric).map_or("–".to_owned(), |value| number(value, 4))
        };
        std::iter::once((*arm).to_owned()).chain(settings.iter().map(cell)).collect()
    };
    let rows = arms.iter().map(row).filter(|row| row[1..].iter().any(|cell| cell != "–")).collect();
    let head =
        |setting: &String| setting.split_once('-').map_or(setting.clone(), |(_, name)| name.to_owned());
    let columns = std::iter::once("arm".to_owned()).chain(settings.iter().map(head)).collect();
    Table { caption: caption.to_owned(), columns, rows }
}

/// Training curves of an arm on the purchase cards.
fn curves_of(finished: &Finished, arm: Arm) -> Vec<Vec<[f64; 2]>> {
    let own =
        |job: &Job| matches!(job.study, Study::Train { data: Data::Pcard, arm: other, .. } if other == arm);
    finished.jobs.iter().filter(|(job, _)| own(job)).map(|(_, outcome)| outcome.curve.clone()).collect()
}

/// Held-out quality when each strategy has the time of the fastest one's last step: its curve at as many of its own steps.
fn equal_time(finished: &Finished, values: &Values) -> Table {
    let arms: Vec<(Arm, f64)> = Arm::ALL
        .into_iter()
        .filter(|arm| arm.is_mining())
        .filter_map(|arm| Some((arm, mean(values, "speed", arm.name(), "step_ms")?)))
        .collect();
    let fastest = arms.iter().map(|(_, ms)| *ms).fold(f64::INFINITY, f64::min);
    let row = |&(arm, ms): &(Arm, f64)| {
        let curves = curves_of(finished, arm);
        let last = curves.first()?.last()?[0];
        let at: Vec<f64> = curves.iter().filter_map(|curve| at(curve, last * fastest / ms)).collect();
        let ends: Vec<f64> = curves.iter().filter_map(|curve| Some(curve.last()?[1])).collect();
        let (equal_steps, equal_time) = (stats::mean(&ends)?, stats::mean(&at)?);
        Some(vec![arm.name().to_owned(), number(equal_steps, 4), number(equal_time, 4)])
    };
    Table {
        caption: "Held-out rows, first suggestion right at equal steps and at equal time (the time that the fastest strategy needs for all its steps, by the times above; between evaluations the curve is interpolated)".to_owned(),
        columns: ["arm", "equal steps", "equal time"].map(str::to_owned).into(),
        rows: arms.iter().filter_map(row).collect(),
    }
}

/// A curve at a place, linear between its points.
fn at(curve: &[[f64; 2]], x: f64) -> Option<f64> {
    let after = curve.iter().position(|point| point[0] >= x - 1e-9)?;
    let [high_x, high] = curve[after];
    let Some([low_x, low]) = after.checked_sub(1).map(|before| curve[before]) else { return Some(high) };
    Some(low + (high - low) * (x - low_x) / (high_x - low_x))
}

fn curves(finished: &Finished, folder: &Path) -> Result<Option<FigureFile>> {
    let arms = Arm::ALL.into_iter().filter(|arm| arm.is_mining());
    let groups: Vec<(String, Vec<Vec<[f64; 2]>>)> = arms
        .map(|arm| (arm.name().to_owned(), curves_of(finished, arm)))
        .filter(|(_, runs)| runs.iter().any(|run| run.len() > 1))
        .collect();
    if groups.is_empty() {
        return Ok(None);
    }
    let figure = Figure::Curves {
        title: "Mining strategies over training".to_owned(),
        x: "step".to_owned(),
        y: "first suggestion right, held-out months".to_owned(),
        groups,
    };
    Ok(Some(figure::save(
        &figure,
        folder,
        "mining",
        "Thin lines are seeds; a sample of the past votes, a sample of the held-out months asks.",
    )?))
}

fn width(values: &Values, folder: &Path) -> Result<Section> {
    let named = [("triplet", 64.0), ("width-16", 16.0), ("width-8", 8.0)];
    let searches: Vec<Vec<String>> = values
        .with("latency_ms")
        .filter_map(|measured| Some(vec![measured.arm.clone(), number(stats::mean(&measured.values)?, 3)]))
        .collect();
    let point = |(arm, width): &(&str, f64)| {
        let wrong = 1.0 - mean(values, "pcard", arm, "top_1")?;
        let near =
            values.with("latency_ms").find(|measured| measured.arm.ends_with(&format!("x {width}")))?;
        Some(Named { at: [stats::mean(&near.values)?, wrong], name: format!("{width}") })
    };
    let points: Vec<Named> = named.iter().filter_map(point).collect();
    let mut section = Section {
        title: "Width".to_owned(),
        text: vec!["Vectors of fewer values, trained alike. Searches are exact: the hits and similarities of a full search in 32-bit floats, one query at a time on one core; vectors are drawn around 2,000 directions.".to_owned()],
        tables: vec![
            table("Purchase cards", values, "pcard", &QUALITY, &["triplet", "width-16", "width-8"]),
            Table { caption: "Median time of a search".to_owned(), columns: vec!["vectors x width".to_owned(), "ms".to_owned()], rows: searches },
        ],
        figures: vec![],
    };
    if points.len() > 1 {
        let figure = Figure::Frontier {
            title: "Quality against time by width".to_owned(),
            x: "ms per search".to_owned(),
            y: "1 − first suggestion right".to_owned(),
            groups: vec![("purchase cards, mean over seeds".to_owned(), points)],
        };
        section.figures.push(figure::save(
            &figure,
            folder,
            "width",
            "Values per vector against mistakes and the time of a search. Lower and further left is better.",
        )?);
    }
    Ok(section)
}

fn cold(values: &Values) -> Section {
    let settings: Vec<String> = [1, 5, 20].map(|n| format!("cold-{n}")).into();
    let arms = ["triplet", "contrastive", "supervised", "softmax", "untrained", "tfidf"];
    Section {
        title: "New accounts".to_owned(),
        text: vec!["Eight accounts were kept out of all training. Of each, 1, 5 or 20 coded transactions are then remembered, beside those of all other accounts; asked are the test transactions of the eight.".to_owned()],
        tables: vec![
            by_setting("First suggestion right by remembered examples", values, &settings, "top_1", &arms),
            by_setting("Mean reciprocal rank of the right account", values, &settings, "mrr", &arms),
        ],
        figures: vec![],
    }
}

fn filling(finished: &Finished, values: &Values, folder: &Path) -> Result<Section> {
    let metrics = [
        ("first right", "top_1", 4),
        ("without repeated rows", "fresh", 4),
        ("among three", "top_3", 4),
        ("MRR", "mrr", 4),
        ("macro F1", "macro_f1", 4),
        ("confusable rows", "confusable", 4),
    ];
    let filled = [
        ("precision", "precision", 4),
        ("coverage", "coverage", 4),
        ("calibration error", "calibration", 4),
        ("weight of neighbours", "weight", 2),
    ];
    let mut section = Section {
        title: "All rows: suggestions and automatic filling".to_owned(),
        text: vec!["Trained on April 2014 to December 2016, the rule set on January to March 2017, asked about April to July 2017 with everything before remembered. `lookup` is the published baseline's back-off table, `both` the command's own mixture.".to_owned()],
        tables: vec![
            table("Suggestions", values, "whole", &metrics, &["lookup", "smoothed", "neighbours", "both"]),
            table("Automatic filling", values, "filling", &filled, &["filled", "asked"]),
        ],
        figures: vec![],
    };
    let whole = finished.jobs.iter().filter(|(job, _)| matches!(job.study, Study::Whole { .. }));
    let runs: Vec<Vec<[f64; 2]>> =
        at_same_places(whole.clone().map(|(_, outcome)| outcome.curve.as_slice()).collect());
    if runs.iter().any(|run| run.len() > 1) {
        let figure = Figure::Curves {
            title: "Automatic filling".to_owned(),
            x: "coverage".to_owned(),
            y: "precision".to_owned(),
            groups: vec![("both".to_owned(), runs)],
        };
        section.figures.push(figure::save(
            &figure,
            folder,
            "coverage",
            "Precision of the filled-in accounts as the threshold falls, test months; thin lines are seeds, the thick one is their median.",
        )?);
    }
    for drawing in whole.flat_map(|(_, outcome)| &outcome.drawings) {
        section.figures.push(figure::save(&drawing.figure, folder, &drawing.id, &drawing.caption)?);
    }
    Ok(section)
}

/// Lines read off at the same 50 places, between the first and the last that all of them have, so that they have a median.
fn at_same_places(lines: Vec<&[[f64; 2]]>) -> Vec<Vec<[f64; 2]>> {
    const PLACES: usize = 50;
    let lines: Vec<&[[f64; 2]]> = lines.into_iter().filter(|line| line.len() > 1).collect();
    let first = lines.iter().map(|line| line[0][0]).fold(f64::NEG_INFINITY, f64::max);
    let last = lines.iter().map(|line| line[line.len() - 1][0]).fold(f64::INFINITY, f64::min);
    let read_off = |line: &[[f64; 2]], x: f64| {
        let after = line.partition_point(|point| point[0] < x).clamp(1, line.len() - 1);
        let ([x0, y0], [x1, y1]) = (line[after - 1], line[after]);
        [x, if x1 > x0 { y0 + (y1 - y0) * (x - x0) / (x1 - x0) } else { y1 }]
    };
    let place = |i: usize| first + (last - first) * i as f64 / (PLACES - 1) as f64;
    lines.iter().map(|line| (0..PLACES).map(|i| read_off(line, place(i))).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_read_between_their_points() {
        let curve = [[10.0, 0.2], [20.0, 0.4]];
        assert_eq!(
            [5.0, 10.0, 15.0, 20.0].map(|x| at(&curve, x)),
            [Some(0.2), Some(0.2), Some(0.2 + 0.2 * 0.5), Some(0.4)]
        );
        assert_eq!(at(&curve, 30.0), None);
    }
}
