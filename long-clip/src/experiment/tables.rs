//! The findings beyond the claims: tables and figures of the report.

use std::path::Path;

use anyhow::Result;
use common::figure::{self, Figure, Panel};
use common::report::{Section, Table, mean_with_interval, number};
use common::stats;

use super::analysis::{Finished, score};
use super::arm::{COMPONENTS, KEPT, UNTRAINED, arm};
use super::design::Work;
use super::examples;
use super::measure::{LOSS, SHARE};

/// All sections but the companion's; figures are written below `folder`.
///
/// # Errors
/// Figures that cannot be written.
pub(super) fn sections(finished: &Finished, folder: &Path) -> Result<Vec<Section>> {
    let all = [
        Some(bases(finished)),
        Some(arms(finished, folder)?),
        pcm(finished),
        components(finished),
        Some(lengths(finished, folder)?),
        Some(drop_in(finished)),
        Some(perturbed(finished)),
        Some(learning(finished, folder)?),
        sweep(finished),
        examples::positions(finished, folder)?,
        examples::retrieved(finished, folder)?,
    ];
    Ok(all.into_iter().flatten().collect())
}

pub(super) fn interval(values: &[f64]) -> String {
    match (stats::mean(values), stats::t_interval(values)) {
        (Some(mean), Some(ci)) => mean_with_interval(mean, ci),
        (Some(mean), None) => number(mean, 3),
        _ => "—".to_owned(),
    }
}

pub(super) fn columns<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).into()
}

fn bases(finished: &Finished) -> Section {
    let row = |(tail, name): (f64, String)| {
        let share = |measure| interval(finished.shares(measure, &name));
        let mut row = vec![name.clone(), number(tail, 2)];
        row.extend(
            [
                "long-t2i",
                "short-t2i",
                "short-t2i-10",
                "short-strict-t2i",
                "short-i2t",
                "zero-shot",
                "zero-shot-among",
            ]
            .map(share),
        );
        row
    };
    let sets = &finished.design.scale.sets;
    let fitting: Vec<String> = [1, 5, 10].iter().map(|k| number(*k as f64 / sets.random as f64, 4)).collect();
    Section {
        title: "Bases".to_owned(),
        text: vec![format!(
            "Each base is trained from scratch on short captions, a share τ of which is a list of sentences of up to 77 tokens; scenes are the same for each τ. The arms start from the base named A0. By chance a text finds its own image among {} at 1, 5 and 10 with {}; a class out of 48 is right with {}.",
            sets.random,
            fitting.join(", "),
            number(1.0 / 48.0, 4)
        )],
        tables: vec![Table {
            caption: "Shares of hits on test scenes, means over seeds [95 %]".to_owned(),
            columns: columns([
                "base",
                "τ",
                "long, text to image R@1",
                "short, semantic R@1",
                "R@10",
                "short, strict R@1",
                "short, image to text R@1",
                "zero-shot, one object",
                "zero-shot, among others",
            ]),
            rows: finished.tails().into_iter().map(row).collect(),
        }],
        figures: vec![],
    }
}

const SHOWN: [(&str, &str); 4] = [
    ("long-t2i", "long captions, text to image R@1"),
    ("short-t2i", "short captions, semantic text to image R@1"),
    ("zero-shot-among", "zero-shot, object among others"),
    ("old-image-short-t2i", "short captions with the base's image features"),
];

fn arms(finished: &Finished, folder: &Path) -> Result<Section> {
    let row = |name: String| {
        let share = |measure| interval(finished.shares(measure, &name));
        let known = arm(&name, finished.design.scale.components, finished.design.scale.tune.batch as i64);
        let rate =
            finished.values.of("model", &name, "learning-rate").first().copied().filter(|rate| *rate > 0.0);
        let mut row = vec![
            name.clone(),
            known.map_or(String::new(), |arm| arm.question.to_owned()),
            rate.map_or("—".to_owned(), |rate| rate.to_string()),
        ];
        row.extend(
            [
                "long-t2i",
                "long-i2t",
                "short-t2i",
                "short-i2t",
                "short-strict-t2i",
                "zero-shot",
                "zero-shot-among",
            ]
            .map(share),
        );
        row.push(interval(similar(finished, &name)));
        row
    };
    let panel = |(measure, title): (&str, &str)| Panel {
        title: title.to_owned(),
        rows: finished
            .arms()
            .into_iter()
            .map(|arm| (arm.clone(), finished.shares(measure, &arm).to_vec()))
            .collect(),
    };
    let overview = Figure::Dots {
        title: "The arms".to_owned(),
        value: "share of hits".to_owned(),
        panels: SHOWN.map(panel).into(),
    };
    let caption = "Every seed is a dot; above it the mean with its 95 % t-interval over seeds.";
    Ok(Section {
        title: "All arms".to_owned(),
        text: vec!["Arms of one seed start from the same base and see the same scenes and captions in the same order, for the same number of steps. \"Short\" counts every scene of which the caption is true, by its scene graph; \"strict\" counts the described scene only. \"Similar\" scenes share their summary and differ in one or a few small objects, so that the rest of a long caption decides.".to_owned()],
        tables: vec![Table {
            caption: "Shares of hits on test scenes, means over seeds [95 %]".to_owned(),
            columns: columns(["arm", "question", "learning rate", "long, text to image", "long, image to text", "short, text to image", "short, image to text", "short, strict", "zero-shot, one object", "zero-shot, among others", "long among similar"]),
            rows: finished.arms().into_iter().map(row).collect(),
        }],
        figures: vec![figure::save(&overview, folder, "arms", caption)?],
    })
}

/// Recall by whole captions among similar scenes.
fn similar<'a>(finished: &'a Finished, arm: &str) -> &'a [f64] {
    let longest = finished.design.scale.sets.lengths.last().copied().unwrap_or(0);
    finished.values.of("curve", arm, &format!("recall@{longest}"))
}

const COMPARED: [(&str, &str, &str); 9] = [
    ("A7", "A5", "PCM beyond adding short captions, with KPS"),
    ("A5", "A4", "adding short captions, with KPS"),
    ("A6", "A3", "PCM with its short captions, without KPS"),
    ("A4", "A3", "KPS, without short captions"),
    ("A7", "A6", "KPS, with PCM"),
    ("A8", "A7", "principal axes held constant in the gradient"),
    ("A10", "A7", "kept rows trained too"),
    ("A12-weight", "A7", "short loss of weight 0.1"),
    ("A12-smoothing", "A7", "no label smoothing"),
];

/// Measures of the table of differences.
const DIFFERENCES: [&str; 7] =
    ["short-t2i", "short-i2t", "zero-shot", "zero-shot-among", "long-t2i", "long-i2t", "old-image-short-t2i"];

fn pcm(finished: &Finished) -> Option<Section> {
    let difference = |measure: &str, a: &str, b: &str| finished.differences(measure, a, b);
    let rows: Vec<Vec<String>> = COMPARED
        .iter()
        .filter(|(a, b, _)| !difference("short-t2i", a, b).is_empty())
        .map(|(a, b, what)| {
            let mut row = vec![format!("{a} − {b}"), (*what).to_owned()];
            row.extend(DIFFERENCES.map(|measure| interval(&difference(measure, a, b))));
            row
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    Some(Section {
        title: "What each part adds".to_owned(),
        text: vec![plainly(finished)],
        tables: vec![Table {
            caption: "Paired differences over seeds [95 %]; above 0 the first arm is better".to_owned(),
            columns: columns([
                "arms",
                "what differs",
                "short, text to image",
                "short, image to text",
                "zero-shot, one object",
                "zero-shot, among others",
                "long, text to image",
                "long, image to text",
                "short, text to image, with the base's images",
            ]),
            rows,
        }],
        figures: vec![],
    })
}

/// What PCM adds to short captions, in one sentence.
pub(super) fn plainly(finished: &Finished) -> String {
    let of = |measure: &str, what: &str| {
        let differences = finished.differences(measure, "A7", "A5");
        let reading = match stats::t_interval(&differences) {
            Some([low, _]) if low > 0.0 => "a gain",
            Some([_, high]) if high < 0.0 => "a loss",
            Some(_) => "no difference that these seeds can tell",
            None => "not measured",
        };
        format!("{what} {}: {reading}", interval(&differences))
    };
    format!(
        "What primary component matching adds beyond adding short captions (A7 − A5, the same texts and steps): {}; {}; {}; {}.",
        of("short-t2i", "short captions, text to image"),
        of("short-i2t", "image to text"),
        of("zero-shot-among", "zero-shot among others"),
        of("long-t2i", "long captions, text to image")
    )
}

fn components(finished: &Finished) -> Option<Section> {
    let scale = &finished.design.scale;
    let (k, n) = (scale.components, scale.tune.batch as i64);
    let counts = [("A9-quarter", k / 4), ("A7", k), ("A9-double", k * 2), ("A9-all", n - 1)];
    if finished.shares("short-t2i", COMPONENTS[0]).is_empty() {
        return None;
    }
    let row = |(name, k): (&str, i64)| {
        let mut row = vec![name.to_owned(), k.to_string()];
        row.extend(DIFFERENCES.map(|measure| interval(finished.shares(measure, name))));
        row
    };
    let weights = |name: &str| -> Vec<&String> {
        let own = |job: &super::Job| matches!(&job.work, Work::Arm { name: own, .. } if own == name);
        finished.compared.iter().filter(|(job, _)| own(job)).flat_map(|(_, outcome)| &outcome.text).collect()
    };
    let rates = |name: &str| finished.values.of("model", name, "learning-rate").to_vec();
    let verdict = if rates("A9-all").first() != rates("A5").first() {
        "A9-all took A7's learning rate, A5 its own, so that their weights differ here; a test shows that they are equal step for step at equal rates".to_owned()
    } else if weights("A9-all").first() == weights("A5").first() {
        "the weights of A9-all equal those of A5 bit by bit (first seed)".to_owned()
    } else {
        "the weights of A9-all differ from those of A5, which is an error".to_owned()
    };
    Some(Section {
        title: "Number of components".to_owned(),
        text: vec![format!(
            "A batch of {n} images has at most {} components; with all of them nothing is dropped and PCM is the plain short loss: {verdict}.",
            n - 1
        )],
        tables: vec![Table {
            caption: "Shares of hits by the number of components k, means over seeds [95 %]".to_owned(),
            columns: columns([
                "arm",
                "k",
                "short, text to image",
                "short, image to text",
                "zero-shot, one object",
                "zero-shot, among others",
                "long, text to image",
                "long, image to text",
                "short, text to image, with the base's images",
            ]),
            rows: counts.map(row).into(),
        }],
        figures: vec![],
    })
}

fn lengths(finished: &Finished, folder: &Path) -> Result<Section> {
    let mut names = vec!["oracle".to_owned()];
    names.extend(finished.tails().into_iter().map(|(_, name)| name));
    names.extend(["A3", "A4", "A5", "A7", "A11", "A13"].map(str::to_owned));
    names.retain(|name| !finished.curves("curve", name).is_empty());
    let mut figures = Vec::new();
    for (setting, title) in [("curve", "summary first"), ("curve-shuffled", "all sentences in random order")]
    {
        let drawn = names.iter().filter(|name| !["A5", "A11", "A13", "A4"].contains(&name.as_str()));
        let whole = mean_tokens(finished);
        let clip = |mut runs: Vec<Vec<[f64; 2]>>| {
            // The last point is the whole caption, of whatever length.
            runs.iter_mut().filter_map(|run| run.last_mut()).for_each(|point| point[0] = whole);
            runs
        };
        let groups = drawn.map(|name| (name.clone(), clip(finished.curves(setting, name)))).collect();
        let curve = Figure::Curves {
            title: format!("Recall by length, {title}"),
            x: "tokens, start and end included".to_owned(),
            y: "text to image R@1 among similar scenes".to_owned(),
            groups,
        };
        let caption = format!(
            "Thin: seeds, bold: their median. The oracle knows the scene graphs and picks among the scenes that the cut text fits; the last point is the whole caption, drawn at {} tokens. {}",
            number(whole, 0),
            if setting == "curve" {
                "The first sentence is the same for all scenes of a family."
            } else {
                "The summary may stand anywhere."
            }
        );
        figures.push(figure::save(&curve, folder, setting, &caption)?);
    }
    let row = |name: &String| {
        let mut row = vec![name.clone()];
        for setting in ["curve", "curve-shuffled"] {
            let at = |length: usize| interval(finished.values.of(setting, name, &format!("recall@{length}")));
            let longest = finished.design.scale.sets.lengths.last().copied().unwrap_or(0);
            let (gain, effective) = finished.of_curve(setting, name);
            row.extend([at(KEPT), at(77), at(longest), interval(gain)]);
            row.push(stats::median(effective).map_or("—".to_owned(), |median| number(median, 0)));
        }
        row
    };
    Ok(Section {
        title: "Effective length".to_owned(),
        text: vec!["Captions are cut after so many tokens; the end token stays. The effective length is the smallest of the tested lengths at which a curve has 95 % of its own best value; a nearly flat curve gives it a small or an accidental value, so the gain after 20 tokens decides the claims. On scenes that are drawn one by one the first 20 tokens already tell nearly all scenes apart; among similar scenes they do not, so that what a model makes of the rest can be seen.".to_owned()],
        tables: vec![Table {
            caption: "Recall when captions are cut, gain after 20 tokens, effective length (median over seeds, tokens; the last tested length means the whole caption); left: summary first, right: sentences in random order".to_owned(),
            columns: columns(["arm", "at 20", "at 77", "whole", "gain after 20", "effective length", "at 20", "at 77", "whole", "gain after 20", "effective length"]),
            rows: names.iter().map(row).collect(),
        }],
        figures,
    })
}

/// Mean length of a long caption in tokens.
pub(super) fn mean_tokens(finished: &Finished) -> f64 {
    let gallery = finished.design.scale.world.gallery(200, 0, "lengths");
    gallery.items.iter().map(|item| item.long.n_tokens() as f64).sum::<f64>() / gallery.items.len() as f64
}

fn drop_in(finished: &Finished) -> Section {
    let row = |name: String| {
        let mut row = vec![name.clone()];
        let measures = [
            "old-image-long-t2i",
            "old-image-short-t2i",
            "old-image-zero-shot-among",
            "old-text-short-t2i",
            "old-text-zero-shot-among",
            "drift-text",
            "drift-image",
        ];
        row.extend(measures.map(|measure| interval(finished.shares(measure, &name))));
        row
    };
    let base = |measure| interval(finished.shares(measure, "A0"));
    let smoothing = |measure| interval(&finished.differences(measure, "A12-smoothing", "A7"));
    let mut text = Vec::new();
    if !finished.shares("old-image-short-t2i", "A12-smoothing").is_empty() {
        text.push(format!(
            "The base was trained without label smoothing, the arms with 0.1 as in the official code. Without it (A12-smoothing − A7) Long-CLIP differs by {} on short captions with the base's images and by {} on short captions with its own; its short texts then have a cosine of {} with the base's.",
            smoothing("old-image-short-t2i"),
            smoothing("short-t2i"),
            interval(finished.shares("drift-text", "A12-smoothing"))
        ));
    }
    Section {
        title: "Drop-in use and drift".to_owned(),
        text: [vec![format!(
            "A new text tower with the base's image tower, and the reverse: what \"plug-and-play\" would mean in numbers. The base itself has {} on long captions, {} on short ones and {} in classification. Drift is the mean cosine of a feature before and after.",
            base("long-t2i"),
            base("short-t2i"),
            base("zero-shot-among")
        )], text].concat(),
        tables: vec![Table {
            caption: "Shares of hits, and cosines with the base's features, means over seeds [95 %]"
                .to_owned(),
            columns: columns([
                "arm",
                "old images: long R@1",
                "old images: short R@1",
                "old images: zero-shot among others",
                "old texts: short R@1",
                "old texts: zero-shot among others",
                "cosine, short texts",
                "cosine, images",
            ]),
            rows: finished.design.arms.iter().cloned().map(row).collect(),
        }],
        figures: vec![],
    }
}

fn perturbed(finished: &Finished) -> Section {
    let row = |name: String| {
        let mut row = vec![name.clone(), interval(finished.shares("long-t2i", &name))];
        for setting in ["first-removed", "first-last", "after-filler"] {
            row.push(interval(finished.values.of(setting, &name, SHARE)));
            row.push(interval(finished.values.of(setting, &name, LOSS)));
        }
        row
    };
    let trained = |name: &String| !UNTRAINED[1..].contains(&name.as_str());
    Section {
        title: "Perturbed long captions".to_owned(),
        text: vec!["The first sentence is removed, moved to the end, or preceded by a sentence that says nothing in words no caption has. A caption without its summary still tells nearly all scenes apart.".to_owned()],
        tables: vec![Table {
            caption: "Text to image R@1 on changed captions, and what the change took [95 %]".to_owned(),
            columns: columns(["arm", "as written", "first removed", "loss", "first moved to the end", "loss", "after a filler", "loss"]),
            rows: finished.arms().into_iter().filter(trained).map(row).collect(),
        }],
        figures: vec![],
    }
}

fn learning(finished: &Finished, folder: &Path) -> Result<Section> {
    let mut figures = Vec::new();
    for (measure, title) in [
        ("short-t2i", "Short captions"),
        ("zero-shot-among", "Classification"),
        ("long-t2i", "Long captions"),
    ] {
        let group = |name: &str| (name.to_owned(), finished.looks(measure, name));
        let groups: Vec<(String, Vec<Vec<[f64; 2]>>)> = ["A3", "A4", "A5", "A6", "A7", "A10"]
            .map(group)
            .into_iter()
            .filter(|(_, lines)| lines.iter().any(|line| line.len() > 1))
            .collect();
        let curve = Figure::Curves {
            title: format!("{title} while training"),
            x: "step".to_owned(),
            y: "share of hits on validation scenes".to_owned(),
            groups,
        };
        let caption = "Thin: seeds, bold: their median. Step 0 is the stretched base without training.";
        figures.push(figure::save(&curve, folder, &format!("learning-{measure}"), caption)?);
    }
    Ok(Section {
        title: "While training".to_owned(),
        text: vec!["Part of the damage of plain interpolation is undone by training; these curves say how much at this budget.".to_owned()],
        tables: vec![],
        figures,
    })
}

fn sweep(finished: &Finished) -> Option<Section> {
    let rows: Vec<Vec<String>> = finished
        .candidates
        .iter()
        .filter_map(|(job, outcome)| {
            let Work::Arm { name, learning_rate } = &job.work else { return None };
            let last = |measure: &str| {
                let own = |m: &&common::outcome::Measured| {
                    m.setting == measure && m.metric.starts_with("validation@")
                };
                outcome.measured.iter().rfind(own).map_or("—".to_owned(), |m| number(m.values[0], 3))
            };
            let chosen = finished.chosen.get(name) == Some(learning_rate);
            let mut row = vec![name.clone(), learning_rate.to_string(), job.seed.to_string()];
            row.extend(["long-t2i", "long-i2t", "short-t2i", "short-i2t", "zero-shot-among"].map(last));
            row.push(score(outcome).map_or("—".to_owned(), |score| number(score, 4)));
            row.push(if chosen { "chosen" } else { "" }.to_owned());
            Some(row)
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    Some(Section {
        title: "Choice of the learning rate".to_owned(),
        text: vec!["For each arm the rate with the best mean of long and short retrieval, both ways, on validation scenes of a seed that no compared run has. A8, A9, A10 and A12 differ from A7 in one number or switch and take its rate.".to_owned()],
        tables: vec![Table {
            caption: "Candidates on validation scenes".to_owned(),
            columns: columns(["arm", "learning rate", "seed", "long, text to image", "long, image to text", "short, text to image", "short, image to text", "zero-shot among others", "mean of retrieval", ""]),
            rows,
        }],
        figures: vec![],
    })
}
