//! The findings beyond the claims: tables and figures of the report.

use std::path::Path;

use anyhow::Result;
use common::figure::{self, Figure, Panel, Picture};
use common::outcome::Outcome;
use common::report::{Section, Table, mean_with_interval, number};
use common::stats;
use image::RgbImage;

use super::Finished;
use super::design::{Job, arm};
use super::work::SHIFTS;
use crate::mask::Masker;

/// All sections; figures are written below `folder`.
///
/// # Errors
/// Figures that cannot be written.
pub(super) fn sections(finished: &Finished, folder: &Path) -> Result<Vec<Section>> {
    let all = [
        Some(arms(finished, folder)?),
        ratios(finished, folder)?,
        Some(generators(finished)),
        Some(shift(finished)),
        Some(spectra(finished, folder)?),
        Some(masks(folder)?),
        Some(traps(finished)),
    ];
    Ok(all.into_iter().flatten().collect())
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

fn head<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).into()
}

fn section(title: &str, text: &str) -> Section {
    Section { title: title.to_owned(), text: vec![text.to_owned()], tables: vec![], figures: vec![] }
}

/// Gain over no mask in points, run by run.
pub(super) fn gain(finished: &Finished, setting: &str, arm: &str, metric: &str) -> Vec<f64> {
    let base = if arm.starts_with("squeezenet") { "squeezenet" } else { "none" };
    let of = |arm: &str| percent(finished.values.of(setting, arm, metric));
    stats::differences(&of(arm), &of(base))
}

fn arms(finished: &Finished, folder: &Path) -> Result<Section> {
    let mut rows = Vec::new();
    let mut panels = Vec::new();
    for (setting, arms) in finished.design.named() {
        let of = |arm: &str, metric: &str| percent(finished.values.of(setting, arm, metric));
        for arm in arms {
            let own = |(job, _): &&(Job, Outcome)| job.setting() == setting && &job.arm == arm;
            let cost: Vec<f64> =
                finished.detected.iter().filter(own).map(|(_, outcome)| outcome.cpu_s).collect();
            rows.push(vec![
                setting.to_owned(),
                arm.clone(),
                of(arm, "map_unseen").len().to_string(),
                interval(&of(arm, "val_accuracy")),
                interval(&of(arm, "ap_seen")),
                interval(&of(arm, "map_unseen")),
                interval(&gain(finished, setting, arm, "map_unseen")),
                interval(&of(arm, "map_rebuilt")),
                interval(&of(arm, "map_shifted")),
                interval(&of(arm, "auc_unseen")),
                number(stats::mean(&cost).unwrap_or_default(), 1),
            ]);
        }
        let row = |arm: &String| (arm.clone(), of(arm, "map_unseen"));
        panels.push(Panel { title: format!("trained on {setting}"), rows: arms.iter().map(row).collect() });
    }
    let figure = Figure::Dots {
        title: "Mean average precision on unseen generators".to_owned(),
        value: "mAP in percent".to_owned(),
        panels,
    };
    let caption = "One dot per seed, mean and 95 % interval. Equal seeds share initial weights, training crops and their order, so that differences between arms are sharper than the intervals suggest.";
    let mut section = section(
        "Every arm",
        "Average precision in percent: on the generator that was trained on, mean over the unseen ones, gain over no mask run by run, mean over the unseen autoencoders alone (same subjects as the photographs), mean under four shifts of the test images.",
    );
    section.figures.push(figure::save(&figure, folder, "arms", caption)?);
    section.tables.push(Table {
        caption: "Mean over seeds with the half-width of the 95 % interval".to_owned(),
        columns: head([
            "trained on",
            "arm",
            "runs",
            "validation accuracy",
            "seen AP",
            "unseen mAP",
            "gain over none",
            "unseen autoencoders",
            "under shift",
            "unseen AUC",
            "s of processor",
        ]),
        rows,
    });
    Ok(section)
}

fn ratios(finished: &Finished, folder: &Path) -> Result<Option<Section>> {
    let mut groups: Vec<(String, Vec<Vec<[f64; 2]>>)> = Vec::new();
    let names = [
        ("none", 0.0),
        ("compat-all@5", 5.0),
        ("compat-all", 15.0),
        ("compat-all@30", 30.0),
        ("compat-all@50", 50.0),
        ("compat-all@70", 70.0),
    ];
    for (metric, title) in
        [("map_unseen", "unseen"), ("map_shifted", "unseen, under shift"), ("ap_seen", "seen")]
    {
        let runs: Vec<Vec<[f64; 2]>> = (0..finished.design.seeds.len())
            .map(|run| {
                let point = |(arm, ratio): &(&str, f64)| {
                    finished.values.of("t4", arm, metric).get(run).map(|value| [*ratio, value * 100.0])
                };
                names.iter().filter_map(point).collect()
            })
            .collect();
        groups.push((title.to_owned(), runs));
    }
    if groups[0].1.iter().any(|run| run.len() < 4) {
        return Ok(None);
    }
    let figure = Figure::Curves {
        title: "How much is masked".to_owned(),
        x: "ratio of masked bins, percent".to_owned(),
        y: "average precision, percent".to_owned(),
        groups,
    };
    let mut section = section(
        "Ratio",
        "The official code's mask of the whole spectrum, trained on t4: thin lines are seeds, the bold line their median. Ratio 0 is no mask.",
    );
    section.figures.push(figure::save(&figure, folder, "ratio", "Average precision over the ratio")?);
    Ok(Some(section))
}

fn generators(finished: &Finished) -> Section {
    let names: Vec<&str> = finished.design.generators.iter().map(|generator| generator.name()).collect();
    let mut rows = Vec::new();
    for (setting, arms) in finished.design.named() {
        for arm in arms {
            let mut row = vec![setting.to_owned(), arm.clone()];
            row.extend(
                names
                    .iter()
                    .map(|name| interval(&percent(finished.values.of(setting, arm, &format!("ap_{name}"))))),
            );
            rows.push(row);
        }
    }
    let mut section = section(
        "Each generator",
        "Average precision in percent on the fakes of each generator. t4, t3: transposed convolutions of kernel 4 and 3; n: nearest; b: bilinear; p: pixel shuffle (all autoencoders, fakes of the same subjects); gan-t4, gan-n: GANs; d: diffusion. An AP below 50 % means that these fakes look more like photographs to the detector than photographs do: it has learned that fakes are smoother, and these are rougher.",
    );
    let mut columns = head(["trained on", "arm"]);
    columns.extend(names.iter().map(|name| (*name).to_owned()));
    section.tables.push(Table { caption: "Average precision by generator".to_owned(), columns, rows });
    section
}

fn shift(finished: &Finished) -> Section {
    let mut rows = Vec::new();
    for (setting, arms) in finished.design.named() {
        for arm in arms {
            let mut row = vec![setting.to_owned(), arm.clone()];
            for metric in
                std::iter::once("map_unseen".to_owned()).chain(SHIFTS.map(|shift| format!("map_{shift}")))
            {
                row.push(interval(&percent(finished.values.of(setting, arm, &metric))));
            }
            rows.push(row);
        }
    }
    let mut section = section(
        "Shift",
        "Mean average precision on unseen generators when real and fake test crops alike were compressed as JPEG of quality 90 or 60, made three quarters as large and enlarged again (bicubic), or blurred (σ = 1 pixel). The shifted sets are the first half of the clean ones.",
    );
    section.tables.push(Table {
        caption: "mAP in percent under shift".to_owned(),
        columns: head(["trained on", "arm", "clean", "JPEG 90", "JPEG 60", "0.75x and back", "blur"]),
        rows,
    });
    section
}

fn spectra(finished: &Finished, folder: &Path) -> Result<Section> {
    let mut pictures = Vec::new();
    let mut rows = Vec::new();
    for (job, outcome) in &finished.made {
        for drawing in &outcome.drawings {
            if let Figure::Pictures { pictures: own, .. } = &drawing.figure {
                pictures.extend(own.iter().cloned());
            }
        }
        let name = job.generator.name();
        let of = |metric: &str, digits: usize| {
            let value = finished.values.of(name, "generator", metric).first();
            value.map_or("—".to_owned(), |value| number(*value, digits))
        };
        let loss = outcome.curve.last().map_or(0.0, |point| point[1]);
        rows.push(vec![
            name.to_owned(),
            of("psnr_db", 1),
            of("peaks", 3),
            number(loss, 3),
            number(outcome.cpu_s, 0),
        ]);
    }
    let real = finished.values.of("real", "generator", "peaks").first().copied().unwrap_or_default();
    let figure = Figure::Pictures {
        title: "Average spectra of photographs and fakes".to_owned(),
        columns: 3,
        pictures,
    };
    let caption = "Mean of log₁₀(1 + |F|) over the test crops, grey values less the mean of their 3x3 surroundings; frequency 0 in the middle, half a cycle per pixel at the border; one grey scale for all. Bright dots at the border and half-way to it are the traces of doubling.";
    let mut section = section(
        "Spectra",
        &format!(
            "Peaks: how far the average spectrum stands above its neighbourhood where doublings repeat, in powers of ten; photographs {}. Fakes went through the same random offsets and JPEG pass as the photographs, which blur the peaks for detectors and here alike.",
            number(real, 3)
        ),
    );
    section.figures.push(figure::save(&figure, folder, "spectra", caption)?);
    section.tables.push(Table {
        caption: "Generators".to_owned(),
        columns: head(["generator", "PSNR, dB", "peaks", "last loss", "s of processor"]),
        rows,
    });
    Ok(section)
}

/// A drawn scene with edges, waves and a ramp: no photograph may be shown.
fn scene() -> RgbImage {
    RgbImage::from_fn(64, 64, |x, y| {
        let (u, v) = (f64::from(x) / 64.0, f64::from(y) / 64.0);
        let zone = 0.5 + 0.5 * (60.0 * (u * u + v * v)).cos();
        let disc = (u - 0.6).hypot(v - 0.35) < 0.2;
        let value = if disc { 0.85 } else { 0.15 + 0.5 * zone * v + 0.3 * u };
        image::Rgb([value, 0.9 * value + 0.05, 0.6 * value + 0.3 * v].map(|c| (255.0 * c) as u8))
    })
}

fn masks(folder: &Path) -> Result<Section> {
    let scene = scene();
    let plain = |title: &str, image: &RgbImage| Picture {
        title: title.to_owned(),
        width: image.width() as usize,
        height: image.height() as usize,
        pixels: image.as_raw().clone(),
    };
    let mut pictures = vec![plain("no mask", &scene)];
    for name in ["pixel", "patch"] {
        if let (_, Some(mask)) = arm(name) {
            pictures.push(plain(name, &Masker::new(mask).apply(&scene, 0, 0, 0)));
        }
    }
    for name in [
        "compat-low",
        "compat-mid",
        "compat-high",
        "compat-all",
        "clean-low",
        "clean-mid",
        "clean-high",
        "clean-all",
        "soft-all",
        "wrap-only",
    ] {
        let (_, Some(mask)) = arm(name) else { continue };
        let masker = Masker::new(mask);
        if let Some(picture) = masker.picture(&scene, 0, 0, 0) {
            let (width, height) = (picture.width() as usize, picture.height() as usize);
            pictures.push(Picture {
                title: format!("{name}: spectrum"),
                width,
                height,
                pixels: picture.into_raw(),
            });
        }
        pictures.push(plain(&format!("{name}: image"), &masker.apply(&scene, 0, 0, 0)));
    }
    // Three pictures stand before the pairs; an even number of columns keeps pairs together.
    pictures.insert(3, plain("no mask", &scene));
    let figure = Figure::Pictures { title: "Masks and masked images, 15 %".to_owned(), columns: 4, pictures };
    let caption = "A drawn scene under each mask. Spectra with frequency 0 in the middle: white is kept, grey halved, black removed. The official code's low and high bands lie in two opposite corners around the middle and only halve; its mid band holds the high frequencies; its bytes wrap around.";
    let mut section = section("Masks", "What the masks do to one image.");
    section.figures.push(figure::save(&figure, folder, "masks", caption)?);
    Ok(section)
}

fn traps(finished: &Finished) -> Section {
    let values = percent(finished.values.of("trap", "none", "ap"));
    section(
        "Traps",
        &format!(
            "Real crops against other real crops of the same photographs that went the way of the fakes without a generator: a detector trained to tell them apart has an AP of {} % over {} seeds; chance is 50.",
            interval(&values),
            values.len()
        ),
    )
}
