//! The report: claims, findings, setup, deviations, cost.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use common::claims::Declared;
use common::report::{Circumstances, DataFile, Report, number};
use common::{data, files, outcome, stats};

use super::design::{MIX, Preset, Set};
use super::detectors::HEAD;
use super::{Finished, figures};

/// The report of a finished design; its figures are written below `folder`.
///
/// # Errors
/// Missing data, figures that cannot be written.
pub fn report(
    declared: &Declared,
    finished: &Finished,
    around: &Circumstances,
    folder: &Path,
) -> Result<Report> {
    let outcomes = finished.described.iter().chain(&finished.learned).map(|(_, outcome)| outcome);
    let mut report = Report {
        headline: headline(finished, around),
        claims: finished.judge(declared),
        setup: setup(finished),
        deviations: deviations(),
        sections: figures::sections(finished, folder)?,
        compute: outcome::cost(outcomes, around.workers, around.wall_s),
        data: data_files(finished, around)?,
        determinism: determinism(finished, around),
        limits: limits(),
        ..around.frame("click-mil", finished.design.preset.name(), &declared.paper)
    };
    report.summary = summary(&report, finished);
    Ok(report)
}

fn headline(finished: &Finished, around: &Circumstances) -> String {
    let design = &finished.design;
    let (clicks, folds) = (design.click_seeds.len(), design.fold_seeds.len());
    let headline = match design.preset {
        Preset::Quick => format!(
            "Indicative only: {clicks} click seeds, few images, short training. Run the preset `cpu` for verdicts."
        ),
        _ => format!(
            "{clicks} click seeds with {folds} fold seeds each on {}, simulated clicks.",
            design.sets.iter().map(|set| &*set.name).collect::<Vec<_>>().join(", ")
        ),
    };
    match around.generated.is_empty() {
        true => headline,
        false => format!(
            "Drawn shapes and an untrained network instead of {}: this shows that everything runs, nothing else. {headline}",
            around.generated.join(", ")
        ),
    }
}

fn summary(report: &Report, finished: &Finished) -> Vec<String> {
    let values = &finished.values;
    let mean = |setting: &str, arm: &str, metric: &str, digits: usize| {
        let mean = stats::mean(values.of(setting, arm, metric)).unwrap_or_default();
        number(100.0 * mean, digits)
    };
    let detector = format!("{MIX}/{HEAD}");
    let level =
        |arm: &str| format!("{} and {}", mean(MIX, arm, "corloc", 1), mean(&detector, arm, "map_50", 1));
    let both = |setting: &str, arm: &str| !values.of(setting, arm, "map_50").is_empty();
    let two = if both(&detector, "click-2+area") {
        format!("; two clicks with area {}", level("click-2+area"))
    } else {
        String::new()
    };
    vec![
        "Scope: are detectors that learn from one or two clicks per object better than those that learn from the names of the classes in each image, how close do they come to those that learn from drawn boxes, and how much annotation time do they save?".to_owned(),
        format!(
            "Result: {}. On voc-mix, CorLoc and mAP at 0.5 of Fast R-CNN in percent: image labels {}; one click {}{two}; drawn boxes, mAP alone, {}.",
            report.verdict_counts(),
            level("labels"),
            level("click-1"),
            mean(&detector, "boxes", "map_50", 1),
        ),
        "What differs most from the paper: clicks are simulated from boxes by an error model of ours, the sets are a tenth of PASCAL VOC 2007 or less, and the network is a frozen SqueezeNet instead of AlexNet or VGG-16.".to_owned(),
    ]
}

fn setup(finished: &Finished) -> Vec<[String; 4]> {
    let design = &finished.design;
    let sizes = &design.sizes;
    let each = |of: &dyn Fn(&Set) -> String| {
        design.sets.iter().map(|set| format!("{} {}", set.name, of(set))).collect::<Vec<_>>().join(", ")
    };
    let row =
        |name: &str, paper: &str, ours: String, why: &str| [name.into(), paper.into(), ours, why.into()];
    vec![
        row("images", "PASCAL VOC 2007 and COCO", each(&|set| match set.test_images {
            0 => "localisation only".to_owned(),
            _ => "localisation and detectors".to_owned(),
        }), "data at hand, two processor cores"),
        row("clicks", "collected from annotators", "simulated: errors N(0, (0.09 √area + 1 px)²) per axis around the centre of an object that each annotator draws at random".into(), "the released clicks belong to VOC 2007"),
        row("proposals", "EdgeBoxes on structured edges", each(&|set| format!("{} of at least {} px²", set.proposals, set.min_box_area)), "gradient edges, time"),
        row("features", "4,096 numbers of AlexNet", "SqueezeNet 1.1 on images 1.5 times as large, RoIAlign of 2×2 cells of the last map, 2,048 numbers of length 1, half precision".into(), "time"),
        row("folds, iterations", "not known to us", format!("{} folds, {} iterations", sizes.folds, sizes.iterations), "a pilot's, before this run"),
        row("linear machine", "not known to us", "squared hinge, C = 1; 10 random negatives per image without the class, and the 5 highest-scoring ones added in each iteration".into(), "a pilot's"),
        row("width of the box-centre score", "from the annotators' qualification test", each(&|set| {
            let width = finished.values.of(&set.name, "click-1", "sigma_px").first().copied().unwrap_or_default();
            format!("{} px (sides {} to {} px)", number(width, 1), set.sides_px[0], set.sides_px[1])
        }), "from the error model and a guess of the sides; no box is used"),
        row("area of two clicks", "a learned function of their distance", "quadratic in the logarithm of the distance, fitted to 20,000 simulated pairs; width: the residual".into(), "as above"),
        row("Fast R-CNN", "fine-tuned network, boxes per class", format!("two layers of 256 on frozen features, one correction for all classes; {} steps of {} images and 64 proposals, AdamW 1e-3", sizes.head_steps, sizes.head_images), "time; see D9"),
        row("linear detector", "not in the paper", format!("a machine per class on random proposals below overlap 0.3, then {} rounds with the 5 highest-scoring of each image", sizes.mining), "shows the windows without a second learner"),
        row("annotation time", "35 s per box; 9 to 18 times less for clicks", "35 s per box, 1.9 s per click".into(), "1.9 s = 35 s / 18"),
    ]
}

fn deviations() -> Vec<String> {
    [
        "D1 Clicks are simulated. Their error model is ours, with errors that grow with the object as the paper found; the claims about clicks hold for it only. The sweep of the error says how much. Affects C1 to C9.",
        "D2 Sets: 400 training images of four classes (voc-mix), ten classes in 160 cluttered photographs (coco-cc-160), blood cells (voc-bccd, of which nearly every image holds two of the three classes, so that these have few negatives). Affects all claims.",
        "D3 The network is frozen and small; there is no fine-tuning and no Deep MIL, the paper's last two iterations with Fast R-CNN. Detectors are weaker, differences in the windows show less. Affects C2 to C7.",
        "D4 One click per class and image, on one of its objects; drawn boxes are all objects. This favours boxes in C4 and C5 and costs them time in C6 and C7.",
        "D5 Time of labels is not counted, and a click counts 1.9 s at any error. Affects C6, C7.",
        "D6 Two clicks far apart are taken for two objects, from the 99th percentile of simulated distances on. With several objects of a class annotators choose independently. Affects C8, C9.",
        "D7 The appearance score is σ(w·x + b) and objectness the EdgeBoxes score over the image's greatest; the paper's scaling is not known to us. Affects O2, O3, O5.",
        "D8 Proposals are from gradient edges, not from structured forests; see the table of their recall. Affects all claims.",
        "D9 Settings of the detectors were changed once after test scores had been seen, for reasons that those showed: linear detectors had no negatives from images of the class, so that parts of objects counted as objects, and heads of 400 steps of 2 images were unfinished. No other value was tried. Affects C2 to C7.",
        "D10 Of several objects of a class in an image only the chosen window is known: proposals on the others count as background in both detectors. Affects C2 to C7.",
        "D11 The paper's body text was not available; its method is taken from a published summary. Affects all claims.",
    ]
    .map(str::to_owned)
    .into()
}

fn limits() -> Vec<String> {
    [
        "The unit of replication is the click seed, each the mean of its fold seeds; images are the same in all. The table of seeds and images says what other images could change in localisation; for mAP only seeds vary, on 100 test images.",
        "The verdict `opposite` follows from the interval of the difference, which is not adjusted for the number of parts; the column p (Holm) is.",
        "voc-mix shows large objects, one or two kinds per image, mostly near the middle: the control `middle` says how much of the gain that is.",
        "The factor of time ends at the time of all boxes and begins at the least share that was run.",
        "Real annotators may err in other ways: towards heads and faces, or by naming another object.",
        "A fine-tuned network, structured edges, real clicks or VOC 2007 could change every verdict.",
    ]
    .map(str::to_owned)
    .into()
}

fn determinism(finished: &Finished, around: &Circumstances) -> BTreeMap<String, String> {
    let list = |seeds: &[u64]| seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let design = &finished.design;
    BTreeMap::from([
        ("click seeds".to_owned(), list(&design.click_seeds)),
        ("fold seeds".to_owned(), format!("{} of each click seed; runs of different click seeds share no draw", list(&design.fold_seeds))),
        ("streams".to_owned(), "clicks by image and class; folds, negatives, annotated images, initial weights, batches and dropout by both seeds and the class".to_owned()),
        ("threads".to_owned(), "1 per worker process".to_owned()),
        ("repeat check".to_owned(), around.repeat_check.clone()),
        ("not fixed".to_owned(), "the processor's instruction set: other machines agree within tolerance, not bit by bit".to_owned()),
    ])
}

/// One line for each data set. Of a set with a list of hashes every file of the list is checked.
fn data_files(finished: &Finished, around: &Circumstances) -> Result<Vec<DataFile>> {
    let mut lines = Vec::new();
    if !around.generated.is_empty() {
        return Ok(lines);
    }
    for name in finished.design.data_sets() {
        let set = data::locate(&around.data, name)?;
        let mut line = DataFile::of(&set, &set.entry.files[0])?;
        if set.entry.files[0].path == SUMS {
            let (n, bytes, whole) = check(&set.folder)?;
            line.path = format!("{name}: {n} files; the hash is that of their list {SUMS}");
            line.bytes = bytes;
            line.as_published &= whole;
        }
        lines.push(line);
    }
    Ok(lines)
}

const SUMS: &str = "SHA256SUMS";

/// Number and size of the files of a list, and whether all have their hashes.
fn check(folder: &Path) -> Result<(usize, u64, bool)> {
    let (mut n, mut bytes, mut whole) = (0, 0, true);
    let list = folder.join(SUMS);
    for (number, line) in files::read_text(&list)?.lines().enumerate() {
        let (sum, path) = line.split_once("  ").with_context(|| {
            format!("{}:{}: found `{line}`, expected `sha256  path`", list.display(), number + 1)
        })?;
        let content = files::read(&folder.join(path))?;
        whole &= files::sha256_hex(&content) == sum;
        (n, bytes) = (n + 1, bytes + content.len() as u64);
    }
    Ok((n, bytes, whole))
}
