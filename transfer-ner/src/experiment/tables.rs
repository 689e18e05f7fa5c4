//! The findings beyond the claims: tables and figures of the report.

use std::path::Path;

use anyhow::Result;
use common::figure::{self, Figure, Panel};
use common::report::{Section, Table, mean_with_interval, number};
use common::stats;

use super::analysis::{Finished, with_encoder};
use super::design::{Setting, Work};
use super::pair::Pair;

/// All sections; figures are written below `folder`.
///
/// # Errors
/// Figures that cannot be written.
pub(super) fn sections(finished: &Finished, folder: &Path) -> Result<Vec<Section>> {
    let all = [
        Some(methods(finished, folder)?),
        curves(finished, folder)?,
        encoders(finished, folder)?,
        ablation(finished, folder)?,
        alphas(finished),
        Some(selection(finished)),
        choice(finished),
        shared(finished, folder)?,
    ];
    Ok(all.into_iter().flatten().collect())
}

fn name(setting: &Setting) -> String {
    let size = if setting.n == usize::MAX { "all".to_owned() } else { setting.n.to_string() };
    format!("{}-{size}", setting.pair.name())
}

fn percent(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value * 100.0).collect()
}

fn interval(values: &[f64]) -> String {
    match (stats::mean(values), stats::t_interval(values)) {
        (Some(mean), Some(ci)) => mean_with_interval(mean, ci),
        (Some(mean), None) => number(mean, 2),
        _ => "—".to_owned(),
    }
}

fn sd(values: &[f64]) -> String {
    stats::standard_deviation(values).map_or("—".to_owned(), |sd| number(sd, 2))
}

fn columns<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).into()
}

/// Settings with their arms; a setting that a design lists twice stands once.
fn settings(finished: &Finished) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for setting in &finished.design.settings {
        match all.iter_mut().find(|(known, _)| *known == name(setting)) {
            Some((_, arms)) => arms.extend(setting.arms.clone()),
            None => all.push((name(setting), setting.arms.clone())),
        }
    }
    all
}

fn methods(finished: &Finished, folder: &Path) -> Result<Section> {
    let mut rows = Vec::new();
    for (setting, arms) in settings(finished) {
        for arm in arms {
            let f1 = percent(finished.f1(&setting, &arm));
            let dev = percent(finished.values.of(&setting, &arm, "dev_f1"));
            let own = finished.compared.iter().filter(|(job, _)| job.setting == setting && job.arm == arm);
            let cost: Vec<f64> = own.map(|(_, outcome)| outcome.cpu_s).collect();
            let parameters = finished.values.of(&setting, &arm, "parameters").first().copied();
            rows.push(vec![
                setting.clone(),
                arm.clone(),
                f1.len().to_string(),
                interval(&f1),
                sd(&f1),
                interval(&dev),
                stats::median(&cost).map_or("—".to_owned(), |cost| number(cost, 1)),
                parameters.map_or("—".to_owned(), |n| number(n, 0)),
            ]);
        }
    }
    let panel = |(setting, arms): (String, Vec<String>)| {
        let rows = arms.iter().map(|arm| (arm.clone(), percent(finished.f1(&setting, arm)))).collect();
        Panel { title: setting, rows }
    };
    let overview = Figure::Dots {
        title: "Entity F1 on the test sentences".to_owned(),
        value: "micro-F1, %".to_owned(),
        panels: settings(finished).into_iter().map(panel).collect(),
    };
    let caption = "Every run is a dot; above it the mean with its 95 % t-interval over runs.";
    Ok(Section {
        title: "All methods".to_owned(),
        text: vec!["Runs of one setting are paired: equal run seed, equal random sample of the target, equal order of batches. Intervals cover initialisation, sample and order; they say nothing about other test sentences.".to_owned()],
        tables: vec![Table {
            caption: "Mean [95 % t-interval over runs] and standard deviation over runs".to_owned(),
            columns: columns(["setting", "arm", "runs", "test F1 %", "sd", "development F1 %", "processor s, median", "parameters"]),
            rows,
        }],
        figures: vec![figure::save(&overview, folder, "methods", caption)?],
    })
}

/// Arms of the curves that are drawn, in the order of the legend.
const DRAWN: [&str; 9] =
    ["base", "base+at", "f", "p", "f+plain", "datnet-f", "datnet-p", "cws-adv", "cws-adv+none"];

fn curves(finished: &Finished, folder: &Path) -> Result<Option<Section>> {
    let (mut figures, mut rows, mut text) = (Vec::new(), Vec::new(), Vec::new());
    for pair in finished.design.pairs() {
        let sizes = finished.sizes(pair, "base");
        if sizes.len() < 2 {
            continue;
        }
        let group = |arm: &str| {
            let sizes = finished.sizes(pair, arm);
            let columns: Vec<(usize, Vec<f64>)> = sizes
                .into_iter()
                .map(|n| (n, percent(finished.f1(&format!("{}-{n}", pair.name()), arm))))
                .filter(|(n, values)| *n < usize::MAX && !values.is_empty())
                .collect();
            let runs = columns.iter().map(|(_, values)| values.len()).min().unwrap_or(0);
            // A line joins runs of equal rank at each size: samples of different sizes are not one run.
            let sorted = columns.iter().map(|(n, values)| {
                let mut values = values.clone();
                values.sort_by(f64::total_cmp);
                let pick = |line: usize| values[line * (values.len() - 1) / (runs.max(2) - 1)];
                (*n, (0..runs).map(pick).collect::<Vec<f64>>())
            });
            let sorted: Vec<(usize, Vec<f64>)> = sorted.collect();
            let line = |line: usize| sorted.iter().map(|(n, v)| [(*n as f64).log10(), v[line]]).collect();
            (0..runs).map(line).collect::<Vec<Vec<[f64; 2]>>>()
        };
        let groups: Vec<(String, Vec<Vec<[f64; 2]>>)> = DRAWN
            .iter()
            .map(|arm| ((*arm).to_owned(), group(arm)))
            .filter(|(_, lines)| lines.first().is_some_and(|line| line.len() > 1))
            .collect();
        if groups.is_empty() {
            continue;
        }
        let curve = Figure::Curves {
            title: format!("F1 over target sentences, {}", pair.name()),
            x: "target sentences, log10".to_owned(),
            y: "micro-F1, %".to_owned(),
            groups,
        };
        let caption = "Bold: median over runs; thin lines join the runs of equal rank at each size, from the worst to the best: they are the band of the runs.";
        figures.push(figure::save(&curve, folder, &format!("curve-{}", pair.name()), caption)?);
        for (f, p) in [("f", "p"), ("datnet-f", "datnet-p")] {
            let Some(crossing) = finished.crossing(pair, f, p) else { continue };
            let at = |n: f64| number(n, 0);
            rows.push(vec![
                pair.name().to_owned(),
                format!("{f} and {p}"),
                crossing
                    .differences
                    .iter()
                    .map(|(n, difference)| format!("{n}: {}", number(difference * 100.0, 1)))
                    .collect::<Vec<_>>()
                    .join(", "),
                crossing.at.map_or("none".to_owned(), at),
                crossing
                    .interval
                    .map_or("—".to_owned(), |[low, high]| format!("{} to {}", at(low), at(high))),
                format!("{} %", number(crossing.share * 100.0, 0)),
            ]);
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    text.push("The crossing is the target size, interpolated over log n, at which the mean difference F − P turns from positive to negative. Its interval comes from resampling the runs of each size; the last column says in how many resamples the curves cross at all: where that is few, there is no crossing to speak of.".to_owned());
    let table = Table {
        caption: "Layout F against layout P".to_owned(),
        columns: columns([
            "pair",
            "arms",
            "F − P in points of F1 by size",
            "crossing at n",
            "95 % of the crossings",
            "resamples that cross",
        ]),
        rows,
    };
    Ok(Some(Section { title: "Curves over target sizes".to_owned(), text, tables: vec![table], figures }))
}

/// Every method with words of its own and with the pre-trained encoder, where both were run.
fn encoders(finished: &Finished, folder: &Path) -> Result<Option<Section>> {
    let (mut rows, mut panels) = (Vec::new(), Vec::new());
    for (setting, arms) in settings(finished) {
        let encoded = with_encoder(&setting);
        let mut panel = Vec::new();
        for arm in arms {
            let own = percent(finished.f1(&setting, &arm));
            let read = percent(finished.f1(&encoded, &arm));
            if read.is_empty() || own.len() != read.len() {
                continue;
            }
            let difference = interval(&stats::differences(&read, &own));
            rows.push(vec![setting.clone(), arm.clone(), interval(&own), interval(&read), difference]);
            panel.push((format!("{arm}, words"), own));
            panel.push((format!("{arm}, encoder"), read));
        }
        if !panel.is_empty() {
            panels.push(Panel { title: setting, rows: panel });
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let figure = Figure::Dots {
        title: "Word vectors of their own against a pre-trained encoder".to_owned(),
        value: "micro-F1, %".to_owned(),
        panels,
    };
    let caption = "Every run is a dot; above it the mean with its 95 % t-interval over runs.";
    Ok(Some(Section {
        title: "Both encoders".to_owned(),
        text: vec!["The same methods, samples and seeds, once with word vectors learned from the training sentences and once with all-MiniLM-L6-v2, frozen, in their place: each word is the last state of its first piece. Characters, BiLSTM and everything above are the same.".to_owned()],
        tables: vec![Table {
            caption: "Test F1 in %, mean [95 % t-interval over runs], and the paired difference".to_owned(),
            columns: columns(["setting", "arm", "words of their own", "encoder", "encoder − words"]),
            rows,
        }],
        figures: vec![figure::save(&figure, folder, "encoders", caption)?],
    }))
}

fn against(finished: &Finished, setting: &str, a: &str, b: &str) -> Option<String> {
    let (one, two) = (finished.f1(setting, a), finished.f1(setting, b));
    (!one.is_empty() && one.len() == two.len()).then(|| interval(&percent(&stats::differences(one, two))))
}

fn ablation(finished: &Finished, folder: &Path) -> Result<Option<Section>> {
    let setting = "es-100";
    if finished.f1(setting, "f+grad").is_empty() {
        return Ok(None);
    }
    let discriminators = [
        ("none", "f", "f+at"),
        ("plain", "f+plain", "f+plain+at"),
        ("GRAD", "f+grad", "datnet-f"),
        ("GRAD as released", "f+released", "f+released+at"),
    ];
    let row = |(name, without, with): (&str, &str, &str)| {
        vec![
            name.to_owned(),
            interval(&percent(finished.f1(setting, without))),
            interval(&percent(finished.f1(setting, with))),
            against(finished, setting, with, without).unwrap_or_default(),
            against(finished, setting, without, "f").unwrap_or_default(),
        ]
    };
    let rows = discriminators.into_iter().map(row).collect();
    let panel = Panel {
        title: setting.to_owned(),
        rows: discriminators
            .into_iter()
            .flat_map(|(_, without, with)| [without, with])
            .map(|arm| (arm.to_owned(), percent(finished.f1(setting, arm))))
            .collect(),
    };
    let dots = Figure::Dots {
        title: "Discriminators and perturbed embeddings".to_owned(),
        value: "micro-F1, %".to_owned(),
        panels: vec![panel],
    };
    let table = Table {
        caption: format!("Layout F in the setting {setting}: test F1 %, and paired differences in points"),
        columns: columns(["discriminator", "without AT", "with AT", "AT − without", "discriminator − none"]),
        rows,
    };
    Ok(Some(Section {
        title: "Discriminator and adversarial training".to_owned(),
        text: vec![],
        tables: vec![table],
        figures: vec![figure::save(
            &dots,
            folder,
            "ablation",
            "Every run is a dot; above it the mean with its 95 % t-interval.",
        )?],
    }))
}

fn alphas(finished: &Finished) -> Option<Section> {
    let setting = "es-100";
    let row = |name: &str, alpha: &str, arm: &str| {
        let values = percent(finished.f1(setting, arm));
        (!values.is_empty()).then(|| {
            let dev = percent(finished.values.of(setting, arm, "dev_f1"));
            vec![name.to_owned(), alpha.to_owned(), interval(&values), interval(&dev)]
        })
    };
    let rows: Vec<Vec<String>> = [
        row("GRAD", "0.1", "f+grad:0.1"),
        row("GRAD", "0.25", "f+grad"),
        row("GRAD", "0.75", "f+grad:0.75"),
        row("as released", "0.25", "f+released"),
        row("as released", "0.75", "f+released:0.75"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if rows.is_empty() {
        return None;
    }
    let (one, two) = (finished.f1(setting, "f+released:0.75"), finished.f1(setting, "f+released"));
    let largest =
        stats::differences(one, two).into_iter().fold(0.0_f64, |largest, d| largest.max(d.abs())) * 100.0;
    Some(Section {
        title: "The weight α of GRAD".to_owned(),
        text: vec![format!(
            "In the released form α cancels: value and gradient are equal for every α up to rounding (a test shows it). Runs trained with it that differ in α alone differ by at most {} points of F1.",
            number(largest, 2)
        )],
        tables: vec![Table {
            caption: format!("Layout F without AT in the setting {setting}, γ = 2"),
            columns: columns(["form", "α", "test F1 %", "development F1 %"]),
            rows,
        }],
        figures: vec![],
    })
}

fn selection(finished: &Finished) -> Section {
    let mut rows = Vec::new();
    for (setting, arms) in settings(finished) {
        let mut bonus = Vec::new();
        for arm in &arms {
            let of = |metric: &str| finished.values.of(&setting, arm, metric);
            let (best, chosen) = (of("best_test_f1"), of("micro_f1"));
            // The floor has no rounds to choose among.
            if best.len() == chosen.len() {
                bonus.extend(percent(&stats::differences(best, chosen)));
            }
        }
        if !bonus.is_empty() {
            let largest = bonus.iter().copied().fold(0.0, f64::max);
            rows.push(vec![setting, bonus.len().to_string(), interval(&bonus), number(largest, 2)]);
        }
    }
    Section {
        title: "What choosing by the test set would gain".to_owned(),
        text: vec!["A release keeps the checkpoint with the best test F1. Here the development sentences choose, and the test F1 after every round was noted without any effect: the bonus is the best of them minus the one at the chosen round.".to_owned()],
        tables: vec![Table {
            caption: "Bonus in points of F1, all arms of a setting together".to_owned(),
            columns: columns(["setting", "runs", "mean bonus [95 %]", "largest"]),
            rows,
        }],
        figures: vec![],
    }
}

fn choice(finished: &Finished) -> Option<Section> {
    if finished.candidates.is_empty() {
        return None;
    }
    let mut rows = Vec::new();
    for (job, outcome) in &finished.candidates {
        let Some((arm, epsilon)) = job.arm.split_once('@') else { continue };
        let chosen = finished.chosen.get(&(job.pair, arm.to_owned())).map(f64::to_string);
        let dev = outcome.measured.iter().find(|measured| measured.metric == "dev_f1");
        rows.push(vec![
            job.pair.name().to_owned(),
            arm.to_owned(),
            epsilon.to_owned(),
            job.seed.to_string(),
            dev.map_or("—".to_owned(), |dev| number(dev.values[0] * 100.0, 2)),
            if chosen.as_deref() == Some(epsilon) { "chosen" } else { "" }.to_owned(),
        ]);
    }
    Some(Section {
        title: "Choice of ε".to_owned(),
        text: vec![
            "The length ε of the perturbation was chosen on development data with 50 target sentences, for the base and for DATNet-F of each pair; all other arms with AT use the latter.".to_owned(),
            "The choice rests on few seeds: a length that suits them can break down with others. A run counts as broken down where its development F1, at the round that was chosen, is below half of the mean of the base in its setting.".to_owned(),
        ],
        tables: vec![
            Table {
                caption: "Candidates by development F1 %, on seeds of their own".to_owned(),
                columns: columns(["pair", "arm", "ε", "seed", "development F1 %", ""]),
                rows,
            },
            Table {
                caption: "Compared runs that broke down, by arm".to_owned(),
                columns: columns(["setting", "arm", "ε, where there is AT", "runs", "broken down"]),
                rows: broken_down(finished),
            },
        ],
        figures: vec![],
    })
}

/// Settings and arms with runs whose development F1 is below half of the base's mean.
fn broken_down(finished: &Finished) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (job, _) in &finished.compared {
        let dev = |arm: &str| finished.values.of(&job.setting, arm, "dev_f1");
        let Some(base) = stats::mean(dev("base")) else { continue };
        let broken = dev(&job.arm).iter().filter(|value| **value < base / 2.0).count();
        if broken == 0 || rows.iter().any(|row| row[0] == job.setting && row[1] == job.arm) {
            continue;
        }
        let epsilon = match &job.work {
            Work::Train(config) => config.adversarial.epsilon(),
            _ => None,
        };
        rows.push(vec![
            job.setting.clone(),
            job.arm.clone(),
            epsilon.map_or("—".to_owned(), |epsilon| epsilon.to_string()),
            dev(&job.arm).len().to_string(),
            broken.to_string(),
        ]);
    }
    rows
}

fn shared(finished: &Finished, folder: &Path) -> Result<Option<Section>> {
    let Some((job, outcome)) = finished.compared.iter().find(|(job, _)| job.arm == "shared-features") else {
        return Ok(None);
    };
    let figures = outcome
        .drawings
        .iter()
        .map(|drawing| figure::save(&drawing.figure, folder, &drawing.id, &drawing.caption))
        .collect::<Result<_, _>>()?;
    let share = |name: &str| {
        let values = finished.values.of(&job.setting, name, "separated");
        values.first().map_or("—".to_owned(), |share| number(share * 100.0, 1))
    };
    Ok(Some(Section {
        title: "Shared features with and without the discriminator".to_owned(),
        text: vec![format!(
            "One run each in the setting {}. The plane halfway between the means of the two resources has {} % of the sentences on their own side without the discriminator and {} % with it; 50 % would be indistinguishable.",
            job.setting,
            share("without"),
            share("with")
        )],
        tables: vec![],
        figures,
    }))
}

/// Mean gain over the base of an arm by setting, for the summary.
pub(super) fn gains(finished: &Finished, arm: &str) -> Vec<String> {
    let mut gains = Vec::new();
    for pair in [Pair::Es, Pair::Pt, Pair::Btc, Pair::Wnut] {
        for n in finished.sizes(pair, arm) {
            let setting = format!("{}-{n}", pair.name());
            let (one, base) = (finished.f1(&setting, arm), finished.f1(&setting, "base"));
            if !one.is_empty() && one.len() == base.len() {
                let gain = stats::mean(&stats::differences(one, base)).unwrap_or_default();
                gains.push(format!("{setting} {}", number(gain * 100.0, 1)));
            }
        }
    }
    gains
}
