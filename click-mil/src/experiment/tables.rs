//! Tables of the findings.

use common::outcome::Outcome;
use common::report::{Section, Table, mean_with_interval, number, with_precision};
use common::stats;

use super::Finished;
use super::arms::Arm;
use super::design::{Job, MIX, TEST, TRAINING, Work};
use super::detectors::{HEAD, LINEAR};
use super::statistics::{DRAWN, Hits, two_level};

pub(super) fn percent(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value * 100.0).collect()
}

/// Mean with the half-width of its 95 % interval.
fn interval(values: &[f64]) -> String {
    match (stats::mean(values), stats::t_interval(values)) {
        (Some(mean), Some(ci)) => mean_with_interval(mean, ci),
        (Some(mean), None) => number(mean, 2),
        _ => "—".to_owned(),
    }
}

fn mean(values: &[f64], digits: usize) -> String {
    stats::mean(values).map_or("—".to_owned(), |mean| number(mean, digits))
}

fn head<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).into()
}

pub(super) fn section(title: &str, text: &str) -> Section {
    Section { title: title.to_owned(), text: vec![text.to_owned()], tables: vec![], figures: vec![] }
}

/// Difference of two arms in points, by click seed; empty where one was not run.
pub(super) fn gain(finished: &Finished, setting: &str, [a, b]: [&str; 2], metric: &str) -> Vec<f64> {
    let of = |arm: &str| percent(finished.values.of(setting, arm, metric));
    let (a, b) = (of(a), of(b));
    if a.len() == b.len() { stats::differences(&a, &b) } else { Vec::new() }
}

/// The same with its interval; nothing for an arm against itself.
fn against(finished: &Finished, setting: &str, [a, b]: [&str; 2], metric: &str) -> String {
    if a == b { "—".to_owned() } else { interval(&gain(finished, setting, [a, b], metric)) }
}

/// Localisation by every arm of every set.
pub(super) fn localisation(finished: &Finished) -> Section {
    let mut section = section(
        "Localisation",
        "The window that each arm chooses in every training image, for each class. CorLoc: share of the images whose window overlaps some object of the class by 0.5 or 0.7, in percent, mean over the classes. `random`: any proposal; `middle`: the middle of the image taken for a click; `click-only`: objectness times box-centre score, no learning; σ: width of the box-centre score; error: mean distance of the clicks from the centre of the nearest object of their class.",
    );
    for set in &finished.design.sets {
        let of = |arm: &str, metric: &str| finished.values.of(&set.name, arm, metric);
        let rows = set.arms.iter().filter(|arm| !of(arm, "corloc").is_empty()).map(|arm| {
            vec![
                arm.clone(),
                if of(arm, "click_error_px").is_empty() && arm != "middle" {
                    "—".to_owned()
                } else {
                    mean(of(arm, "sigma_px"), 1)
                },
                mean(of(arm, "click_error_px"), 1),
                interval(&percent(of(arm, "corloc"))),
                interval(&percent(of(arm, "corloc_70"))),
                against(finished, &set.name, [arm, "labels"], "corloc"),
                number(seconds_of(finished, &set.name, arm), 1),
            ]
        });
        section.tables.push(Table {
            caption: format!("{}: mean over click seeds with the half-width of the 95 % interval", set.name),
            columns: head([
                "arm",
                "σ, px",
                "error, px",
                "CorLoc at 0.5",
                "CorLoc at 0.7",
                "gain over labels",
                "s of processor",
            ]),
            rows: rows.collect(),
        });
    }
    section
}

/// Mean processor time of a run of an arm, in seconds.
fn seconds_of(finished: &Finished, set: &str, arm: &str) -> f64 {
    let own = |(job, _): &&(Job, Outcome)| job.work == Work::Learn && job.set.name == set && job.arm == arm;
    let times: Vec<f64> = finished.learned.iter().filter(own).map(|(_, outcome)| outcome.cpu_s).collect();
    stats::mean(&times).unwrap_or_default()
}

/// Detectors of every arm.
pub(super) fn detectors(finished: &Finished) -> Section {
    let mut section = section(
        "Detectors",
        "Detectors trained from the windows, on the test images of voc-mix. `linear`: a machine per class, boxes are proposals; `fast-rcnn`: the paper's final detector on frozen features, boxes are corrected. VOC's average precision in percent, mean over classes: the area under the curve and, in the next column, the 11-point form of VOC 2007. A detector from boxes learns from every object, one from labels or clicks from one window per image and class.",
    );
    for detector in [HEAD, LINEAR] {
        let setting = format!("{MIX}/{detector}");
        let of = |arm: &str, metric: &str| interval(&percent(finished.values.of(&setting, arm, metric)));
        let rows = detected(finished).into_iter().map(|arm| {
            vec![
                arm.clone(),
                of(&arm, "map_50"),
                of(&arm, "map_50_11_point"),
                of(&arm, "map_70"),
                of(&arm, "map_70_11_point"),
                against(finished, &setting, [&arm, "boxes"], "map_50"),
            ]
        });
        section.tables.push(Table {
            caption: format!("{detector}: mean over click seeds with the half-width of the 95 % interval"),
            columns: head([
                "arm",
                "mAP at 0.5",
                "11-point",
                "mAP at 0.7",
                "11-point",
                "at 0.5 against boxes",
            ]),
            rows: rows.collect(),
        });
    }
    section
}

/// Arms with detectors.
pub(super) fn detected(finished: &Finished) -> Vec<String> {
    finished.design.sets.iter().filter(|set| set.name == MIX).flat_map(|set| set.detectors.clone()).collect()
}

/// Annotation time against accuracy.
pub(super) fn time(finished: &Finished) -> Section {
    let setting = format!("{MIX}/{HEAD}");
    let values = &finished.values;
    let mut section = section(
        "Annotation time",
        "35 s for a drawn box are the paper's; 1.9 s for a click follow from them and from its factor of 18 for one click. Naming the classes of an image comes before all of it and is not counted. The last column is the time of drawn boxes to the same mAP at 0.5 of Fast R-CNN over the arm's own, with the logarithm of the time between two shares of boxes; it ends at the time of all boxes, so that larger factors show as that one.",
    );
    let rows = detected(finished).into_iter().map(|arm| {
        let minutes = stats::mean(values.of(MIX, &arm, "seconds")).unwrap_or_default() / 60.0;
        vec![
            arm.clone(),
            number(minutes, 1),
            interval(&percent(values.of(&setting, &arm, "map_50"))),
            interval(&percent(values.of(&setting, &arm, "map_70"))),
            if DRAWN.contains(&&*arm) {
                "—".to_owned()
            } else {
                interval(values.of(&setting, &arm, "time_ratio"))
            },
        ]
    });
    section.tables.push(Table {
        caption: "Minutes of annotation and what they buy".to_owned(),
        columns: head(["arm", "minutes", "mAP at 0.5", "mAP at 0.7", "boxes take so many times as long"]),
        rows: rows.collect(),
    });
    section
}

/// Differences in CorLoc with two intervals.
pub(super) fn intervals(finished: &Finished) -> Section {
    let pairs = [
        ["click-1", "labels"],
        ["click-1", "click-only"],
        ["click-1", "middle"],
        ["click-2", "click-1"],
        ["click-2+area", "click-1"],
        ["click-2+area", "click-2"],
        ["labels", "labels-folds"],
        ["click-1", "click-1-folds"],
        ["labels", "labels-objectness"],
        ["click-1", "click-1-objectness"],
        ["click-2+oracle", "click-2"],
        ["click-2+area", "click-2+broad"],
    ];
    let mut rows = Vec::new();
    for set in &finished.design.sets {
        let images = finished.images_by_class(&set.name);
        for [a, b] in pairs {
            let hits = |arm: &str| Hits::of(&finished.design, &finished.learned, &set.name, arm, &images);
            let (Some(hits_a), Some(hits_b)) = (hits(a), hits(b)) else { continue };
            let [low, high] =
                two_level(&hits_a, &hits_b, &format!("{} {a} {b}", set.name)).map(|v| 100.0 * v);
            rows.push(vec![
                set.name.clone(),
                format!("{a} − {b}"),
                interval(&gain(finished, &set.name, [a, b], "corloc")),
                format!("{} to {}", with_precision(low, [low, high]), with_precision(high, [low, high])),
            ]);
        }
    }
    let mut section = section(
        "Seeds and images",
        "Differences in CorLoc in points. The first interval is over click seeds, each the mean of its fold seeds, and says how sure the difference is on these images; the claims are judged by it. The second draws click seeds and, within each class, images again (2,000 times, both arms alike), and says how sure it is for other images of this kind.",
    );
    section.tables.push(Table {
        caption: "Paired differences in CorLoc".to_owned(),
        columns: head(["set", "arms", "difference, interval over seeds", "95 % over seeds and images"]),
        rows,
    });
    section
}

/// What proposals can reach.
pub(super) fn proposals(finished: &Finished) -> Section {
    let mut rows = Vec::new();
    for set in &finished.design.sets {
        for split in [TRAINING, TEST] {
            let setting = format!("{}/{split}", set.name);
            let sum = |metric: &str| -> f64 {
                let outcomes = finished.described.iter().flat_map(|(_, outcome)| &outcome.measured);
                outcomes.filter(|m| m.setting == setting && m.metric == metric).flat_map(|m| &m.values).sum()
            };
            let (images, objects) = (sum("images"), sum("objects"));
            if images == 0.0 {
                continue;
            }
            rows.push(vec![
                set.name.clone(),
                split.to_owned(),
                number(images, 0),
                number(objects, 0),
                number(sum("proposals") / images, 0),
                number(100.0 * sum("found_50") / objects, 1),
                number(100.0 * sum("found_70") / objects, 1),
            ]);
        }
    }
    let mut section = section(
        "Proposals",
        "EdgeBoxes on gradient edges. No window can be better than the best proposal: the share of objects that some proposal overlaps by 0.5 and 0.7 is the upper bound of localisation.",
    );
    section.tables.push(Table {
        caption: "Recall of proposals, percent of the objects".to_owned(),
        columns: head(["set", "split", "images", "objects", "proposals per image", "at 0.5", "at 0.7"]),
        rows,
    });
    section
}

/// Arms whose name begins so, with the value behind `@`, by rising value.
pub(super) fn sweep(finished: &Finished, base: &str, key: &str, usual: f64) -> Vec<(f64, String)> {
    let arms = finished.design.sets.iter().filter(|set| set.name == MIX).flat_map(|set| &set.arms);
    let prefix = format!("{base}@{key}=");
    let mut found: Vec<(f64, String)> =
        arms.filter_map(|arm| Some((arm.strip_prefix(&prefix)?.parse().ok()?, arm.clone()))).collect();
    if found.is_empty() {
        return found;
    }
    found.push((usual, base.to_owned()));
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    debug_assert!(found.iter().all(|(_, arm)| Arm::named(arm).clicks() > 0));
    found
}
