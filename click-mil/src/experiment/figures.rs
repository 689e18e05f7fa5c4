//! Figures of the findings.

use std::path::Path;

use anyhow::Result;
use common::figure::{self, Figure, Panel};
use common::report::Section;
use common::stats;

use super::Finished;
use super::arms::USUAL_ERROR;
use super::design::{MIX, Work};
use super::detectors::{HEAD, LINEAR};
use super::statistics::DRAWN;
use super::tables::{self, percent, section, sweep};

/// All sections; figures are written below `folder`.
///
/// # Errors
/// Figures that cannot be written.
pub(super) fn sections(finished: &Finished, folder: &Path) -> Result<Vec<Section>> {
    let mut all = vec![
        localisation(finished, folder)?,
        detectors(finished, folder)?,
        time(finished, folder)?,
        iterations(finished, folder)?,
    ];
    all.extend(widths(finished, folder)?);
    all.push(tables::intervals(finished));
    all.push(tables::proposals(finished));
    all.extend(pictures(finished, folder)?);
    Ok(all)
}

/// Arms that every set has, from the least to the most supervision.
const LEVELS: [&str; 7] = ["random", "labels", "middle", "click-only", "click-1", "click-2", "click-2+area"];

fn localisation(finished: &Finished, folder: &Path) -> Result<Section> {
    let panel = |set: &super::design::Set| {
        let own = LEVELS.iter().filter(|arm| set.arms.iter().any(|known| known == *arm));
        let row = |arm: &&str| ((*arm).to_owned(), percent(finished.values.of(&set.name, arm, "corloc")));
        Panel { title: set.name.clone(), rows: own.map(row).collect() }
    };
    let figure = Figure::Dots {
        title: "Localisation in the training images".to_owned(),
        value: "CorLoc at 0.5, percent".to_owned(),
        panels: finished.design.sets.iter().map(panel).collect(),
    };
    let caption = "One dot per click seed (mean of its fold seeds), mean and 95 % interval.";
    let mut section = tables::localisation(finished);
    section.figures.push(figure::save(&figure, folder, "localisation", caption)?);
    Ok(section)
}

fn detectors(finished: &Finished, folder: &Path) -> Result<Section> {
    let mut panels = Vec::new();
    for (metric, overlap) in [("map_50", "0.5"), ("map_70", "0.7")] {
        for detector in [HEAD, LINEAR] {
            let setting = format!("{MIX}/{detector}");
            let row = |arm: String| {
                let values = percent(finished.values.of(&setting, &arm, metric));
                (arm, values)
            };
            let rows = tables::detected(finished).into_iter().map(row).collect();
            panels.push(Panel { title: format!("{detector}, overlap {overlap}"), rows });
        }
    }
    let figure = Figure::Dots {
        title: "Detectors on the test images of voc-mix".to_owned(),
        value: "mAP, percent".to_owned(),
        panels,
    };
    let caption = "One dot per click seed (mean of its fold seeds), mean and 95 % interval.";
    let mut section = tables::detectors(finished);
    section.figures.push(figure::save(&figure, folder, "detectors", caption)?);
    Ok(section)
}

fn time(finished: &Finished, folder: &Path) -> Result<Section> {
    let values = &finished.values;
    let setting = format!("{MIX}/{HEAD}");
    let run = |arms: &[&str], unit: usize| -> Vec<[f64; 2]> {
        let point = |arm: &&str| {
            let seconds = values.of(MIX, arm, "seconds").get(unit)?;
            Some([(seconds / 60.0).log10(), 100.0 * values.of(&setting, arm, "map_50").get(unit)?])
        };
        arms.iter().filter_map(point).collect()
    };
    let group = |name: &str, arms: &[&str]| {
        let runs = (0..finished.design.click_seeds.len()).map(|unit| run(arms, unit)).collect::<Vec<_>>();
        (name.to_owned(), runs)
    };
    let mut groups = vec![
        group("drawn boxes, from a few images to all", &DRAWN),
        group("one click, two clicks with area", &["click-1", "click-2+area"]),
    ];
    groups.retain(|(_, runs)| runs.iter().all(|run| !run.is_empty()));
    // Labels alone take no time: a level to compare with.
    let least: Vec<f64> =
        groups.iter().flat_map(|(_, runs)| runs.iter().flatten().map(|point| point[0])).collect();
    let ends =
        [least.iter().copied().fold(f64::INFINITY, f64::min), least.iter().copied().fold(0.0, f64::max)];
    let level = percent(values.of(&setting, "labels", "map_50"));
    groups.push((
        "image labels, no time".to_owned(),
        level.iter().map(|level| ends.iter().map(|at| [*at, *level]).collect()).collect(),
    ));
    let figure = Figure::Curves {
        title: "What annotation time buys".to_owned(),
        x: "annotation time, log10 of minutes".to_owned(),
        y: "mAP at 0.5 of Fast R-CNN, percent".to_owned(),
        groups,
    };
    let caption = "Thin lines are click seeds, bold lines their median. 1.9 s per click, 35 s per box.";
    let mut section = tables::time(finished);
    section.figures.push(figure::save(&figure, folder, "time", caption)?);
    Ok(section)
}

fn iterations(finished: &Finished, folder: &Path) -> Result<Section> {
    let seeds = finished.design.click_seeds.len();
    let mut groups = Vec::new();
    for arm in ["labels", "labels-folds", "click-1", "click-1-folds"] {
        let all = finished.values.of(MIX, arm, "corloc_by_iteration");
        if all.is_empty() {
            continue;
        }
        let points = |(at, value): (usize, &f64)| [(at + 1) as f64, 100.0 * value];
        let runs = all.chunks(all.len() / seeds).map(|run| run.iter().enumerate().map(points).collect());
        groups.push((arm.replace("-folds", " without folds"), runs.collect::<Vec<Vec<[f64; 2]>>>()));
    }
    let text: Vec<String> = [
        ["labels", "labels-folds"],
        ["click-1", "click-1-folds"],
        ["labels", "labels-objectness"],
        ["click-1", "click-1-objectness"],
    ]
    .into_iter()
    .filter_map(|pair| {
        let mean = stats::mean(&tables::gain(finished, MIX, pair, "corloc"))?;
        let what = if pair[1].ends_with("folds") { "Folds add" } else { "Objectness adds" };
        Some(format!("{what} {} points of CorLoc to `{}`.", common::report::number(mean, 1), pair[0]))
    })
    .collect();
    let figure = Figure::Curves {
        title: "Localisation over the iterations, voc-mix".to_owned(),
        x: "iteration".to_owned(),
        y: "CorLoc at 0.5, percent".to_owned(),
        groups,
    };
    let what = "Iterations of multiple-instance learning; the claims say what folds and objectness add where they were left out.";
    let mut section = section("Folds, objectness, iterations", [what, &text.join(" ")].join(" ").trim_end());
    let caption = "Thin lines are click seeds, bold lines their median.";
    section.figures.push(figure::save(&figure, folder, "iterations", caption)?);
    Ok(section)
}

/// Widths of the box-centre score, and errors of the clicks.
fn widths(finished: &Finished, folder: &Path) -> Result<Option<Section>> {
    let usual = finished.values.of(MIX, "click-1", "sigma_px").first().copied().unwrap_or_default();
    let sigma = sweep(finished, "click-1", "sigma", usual);
    if sigma.is_empty() {
        return Ok(None);
    }
    let runs = |arms: &[(f64, String)], metric: &str| -> Vec<Vec<[f64; 2]>> {
        let run = |unit: usize| {
            let point = |(x, arm): &(f64, String)| {
                Some([*x, 100.0 * finished.values.of(MIX, arm, metric).get(unit)?])
            };
            arms.iter().filter_map(point).collect()
        };
        (0..finished.design.click_seeds.len()).map(run).collect()
    };
    let mut section = section(
        "Width of the box-centre score, and the click error",
        "The width of the box-centre score of all other arms follows from the click error and a prior of sides, without any box: the sweep shows what another choice would have given. In the sweep of the click error the width follows the error.",
    );
    let figure = Figure::Curves {
        title: "Width of the box-centre score, one click, voc-mix".to_owned(),
        x: "σ in pixels".to_owned(),
        y: "CorLoc, percent".to_owned(),
        groups: vec![
            ("at overlap 0.5".to_owned(), runs(&sigma, "corloc")),
            ("at overlap 0.7".to_owned(), runs(&sigma, "corloc_70")),
        ],
    };
    let caption = "CorLoc over σ; thin lines are click seeds, the bold lines their median.";
    section.figures.push(figure::save(&figure, folder, "sigma", caption)?);
    let level = percent(finished.values.of(MIX, "labels", "corloc"));
    let groups = vec![
        ("one click".to_owned(), runs(&sweep(finished, "click-1", "s", USUAL_ERROR), "corloc")),
        ("image labels".to_owned(), level.iter().map(|level| vec![[0.0, *level], [0.25, *level]]).collect()),
    ];
    let figure = Figure::Curves {
        title: "Click error, voc-mix".to_owned(),
        x: "error per axis as a share of the object's side".to_owned(),
        y: "CorLoc at 0.5, percent".to_owned(),
        groups,
    };
    section.figures.push(figure::save(
        &figure,
        folder,
        "error",
        caption.replace("σ", "the click error").as_str(),
    )?);
    Ok(Some(section))
}

fn pictures(finished: &Finished, folder: &Path) -> Result<Option<Section>> {
    let drawn = finished.learned.iter().find(|(job, _)| job.work == Work::Draw);
    let Some((_, outcome)) = drawn else { return Ok(None) };
    let Some(drawing) = outcome.drawings.first() else { return Ok(None) };
    let caption = "Left: the 25 best proposals and the click. Middle: the window of each round in the colours blue, orange, green, pink; equal windows cover each other. Right: detections of the class with a score of at least 0.3, by a Fast R-CNN trained from the windows of all images of the set, this one among them.";
    let mut section = section(
        "Pictures",
        "The first three images of coco-cc-160, in the order of its list, that are licensed CC BY and hold an object of a class that fills between a twentieth and a half of the image; made smaller, with boxes and clicks drawn in.",
    );
    section.text.push(format!("Photographs from Flickr by way of COCO 2017: {}.", outcome.text.join("; ")));
    section.figures.push(figure::save(&drawing.figure, folder, "pictures", caption)?);
    Ok(Some(section))
}
