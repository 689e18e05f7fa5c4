//! What the study group tested, and what came out.
//! :dep common = { path = "../common", default-features = false }
//! :dep notebooks = { path = ".", default-features = false }

use anyhow::Result;

pub(crate) fn run() -> Result<()> {
    // %% [markdown]
    // # What the study group tested, and what came out
    //
    // Each week a member presented a paper. Here every paper has a Rust crate that builds its method, a command that applies it, and an
    // experiment that re-tests its claims. A claim is written down **before** the run: a metric, two arms $a$ and $b$, a setting, a
    // test. Afterwards one rule gives the verdict:
    //
    // $$ d_s = m(a, s) - m(b, s), \qquad \bar d \pm t_{0.975,\,S-1}\, \frac{\mathrm{sd}(d)}{\sqrt S} $$
    //
    // over the seeds $s = 1 \dots S$. *Reproduced*: the interval is on the claimed side of 0, and the Holm-corrected p-value is below 5 %.
    // *Opposite*: it is on the other side. *Inconclusive*: it holds both. A paper that fails here failed **at our size**; each report says
    // how its setting differs and which way that could bias the verdict.
    // %%
    use common::claims::Verdict;
    use common::figure::Figure;
    let names = notebooks::report_names()?;
    let reports = names.iter().map(|name| notebooks::report(name)).collect::<Result<Vec<_>, _>>()?;
    let rows: Vec<[String; 4]> = reports
        .iter()
        .map(|report| {
            let parts: usize = report.claims.iter().map(|claim| claim.parts.len()).sum();
            let verdicts = report.verdict_counts();
            [
                report.experiment.clone(),
                report.paper.title.clone(),
                format!("{} / {parts}", report.claims.len()),
                verdicts,
            ]
        })
        .collect();
    notebooks::table(&["experiment", "paper", "claims / parts", "verdicts"], &rows);
    // %% [markdown]
    // ## How often do claims hold at this size?
    //
    // Every claim counts once. "Not reproduced" is a claim of several parts of which too many failed.
    // %%
    let verdicts = [
        Verdict::Reproduced,
        Verdict::Inconclusive,
        Verdict::NoEffect,
        Verdict::NotReproduced,
        Verdict::Opposite,
        Verdict::NotEvaluated,
    ];
    fn count(report: &common::report::Report, verdict: Verdict) -> f64 {
        report.claims.iter().filter(|claim| claim.verdict_direction == verdict).count() as f64
    }
    let bars = reports
        .iter()
        .map(|report| {
            (report.experiment.clone(), verdicts.iter().map(|v| count(report, *v)).collect::<Vec<f64>>())
        })
        .collect::<Vec<_>>();
    notebooks::show(&Figure::Bars {
        title: "Verdicts by experiment".into(),
        value: "claims".into(),
        parts: verdicts
            .iter()
            .map(|verdict| verdict.label().trim_start_matches(['✔', '✘', '?', '–', ' ']).to_owned())
            .collect(),
        bars,
    })?;
    // %% [markdown]
    // ## Which claims came out the other way round?
    //
    // These are worth more than the others: either the paper's effect needs a size that we do not have, or it comes from something
    // else than the paper thinks. The reports say which, as far as a run could tell.
    // %%
    let opposite: Vec<[String; 3]> = reports
        .iter()
        .flat_map(|report| report.claims.iter().map(move |claim| (report, claim)))
        .filter(|(_, claim)| claim.verdict_direction == Verdict::Opposite)
        .map(|(report, claim)| [report.experiment.clone(), claim.claim.id.clone(), claim.claim.text.clone()])
        .collect();
    notebooks::table(&["experiment", "id", "claim that came out opposite"], &opposite);
    // %% [markdown]
    // ## What a verdict rests on
    //
    // The difference of each part with its 95 % interval stands in the report. Here are those of one experiment, Majority-or-Minority
    // learning, as an example: numbers in points of F1.
    // %%
    let mom = notebooks::report("ner-mom")?;
    let differences: Vec<[String; 4]> = mom
        .claims
        .iter()
        .flat_map(|claim| &claim.parts)
        .filter_map(|part| {
            let difference = part.difference.as_ref()?;
            let [low, high] = difference.ci95;
            let points = |x: f64| format!("{:+.2}", 100.0 * x);
            let interval = format!("{} [{}, {}]", points(difference.mean), points(low), points(high));
            Some([
                part.part.id.clone(),
                format!("{} − {}", part.part.a, part.part.b),
                interval,
                part.verdict.label().to_owned(),
            ])
        })
        .take(12)
        .collect();
    notebooks::table(&["part", "arms", "difference [95 % interval]", "verdict"], &differences);
    notebooks::check(reports.iter().all(|report| !report.claims.is_empty()), "every report has claims")?;
    Ok(())
}
