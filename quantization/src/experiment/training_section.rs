//! Findings of the jobs that train something, put together over their seeds.

use std::path::Path;

use anyhow::Result;
use common::figure::{self, Figure, Panel};
use common::report::{Section, Table, mean_with_interval, number};
use common::stats;

use super::design::{Arm, QAT_BITS, Size, Study};
use super::report::Finished;
use common::outcome::Values;

fn interval(values: &[f64]) -> String {
    match (stats::mean(values), stats::t_interval(values)) {
        (Some(mean), Some(ci)) => mean_with_interval(mean, ci),
        (Some(mean), None) => number(mean, 4),
        _ => "—".to_owned(),
    }
}

fn dots(title: &str, value: &str, panels: Vec<Panel>) -> Figure {
    Figure::Dots { title: title.to_owned(), value: value.to_owned(), panels }
}

fn table(caption: &str, columns: &[&str], rows: Vec<Vec<String>>) -> Table {
    Table {
        caption: caption.to_owned(),
        columns: columns.iter().map(|&name| name.to_owned()).collect(),
        rows,
    }
}

pub(super) fn qat(values: &Values, folder: &Path) -> Result<Option<Section>> {
    let (mut rows, mut panels) = (Vec::new(), Vec::new());
    for bits in QAT_BITS {
        let setting = format!("qat-{bits}");
        let arms = ["ptq", "qat"].map(|arm| (arm.to_owned(), values.of(&setting, arm, "nll").to_vec()));
        if arms.iter().all(|(_, values)| values.is_empty()) {
            continue;
        }
        rows.push(vec![bits.to_string(), interval(&arms[0].1), interval(&arms[1].1)]);
        panels.push(Panel { title: format!("{bits} bits"), rows: arms.into() });
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let base = interval(values.of("qat", "fine-tuned", "nll"));
    let caption = "Every seed is a dot; above it the mean with its 95 % t-interval. Both sides are fine-tuned for the same steps on the same windows; `ptq` learns in full precision and is rounded afterwards to the range of least squared error per row.";
    let figure = dots("Quantized in training or afterwards", "held-out loss, nats per byte", panels);
    Ok(Some(Section {
        title: "Quantization-aware training".to_owned(),
        text: vec![format!(
            "The published model is fine-tuned with learned step sizes (LSQ) per row, or in full precision and quantized afterwards. In full precision the fine-tuned model has a loss of {base} nats per byte."
        )],
        tables: vec![table(
            "Held-out loss, nats per byte",
            &["bits", "quantized afterwards", "quantized in training"],
            rows,
        )],
        figures: vec![figure::save(&figure, folder, "qat", caption)?],
    }))
}

const BITNET_ARMS: [&str; 4] = ["fp", "b158", "b1", "ptq-ternary"];

pub(super) fn bitnet(finished: &Finished, values: &Values, folder: &Path) -> Result<Option<Section>> {
    let (mut rows, mut panels, mut curves) = (Vec::new(), Vec::new(), Vec::new());
    for size in [Size::Small, Size::Large] {
        let setting = format!("bitnet-{}", size.name());
        let losses: Vec<&[f64]> = BITNET_ARMS.iter().map(|arm| values.of(&setting, arm, "nll")).collect();
        if losses[0].is_empty() {
            continue;
        }
        let parameters = stats::mean(values.of(&setting, "fp", "parameters")).unwrap_or_default();
        let mut row = vec![size.name().to_owned(), number(parameters, 0)];
        row.extend(losses.iter().map(|values| interval(values)));
        rows.push(row);
        let arms = BITNET_ARMS.iter().zip(&losses).map(|(arm, values)| ((*arm).to_owned(), values.to_vec()));
        panels.push(Panel { title: format!("{} model", size.name()), rows: arms.collect() });
    }
    if rows.is_empty() {
        return Ok(None);
    }
    for arm in [Arm::Fp, Arm::B158, Arm::B1] {
        let largest = finished.jobs.iter().rev().find_map(|(job, _)| match job.study {
            Study::Bitnet { size, .. } => Some(size),
            _ => None,
        });
        let runs = finished.jobs.iter().filter(|(job, _)| match job.study {
            Study::Bitnet { size, arm: own, .. } => {
                own == arm && (size == Size::Large || largest == Some(Size::Small))
            }
            _ => false,
        });
        curves.push((arm.name().to_owned(), runs.map(|(_, outcome)| outcome.curve.clone()).collect()));
    }
    let caption = "`fp`: full precision; `b158`: BitNet b1.58, ternary weights and 8-bit activations; `b1`: BitNet with signs; `ptq-ternary`: the full-precision model rounded to three values afterwards. Every seed is a dot.";
    let figure = dots("One, 1.58 and 32 bits, trained alike", "held-out loss, nats per byte", panels);
    let curve = Figure::Curves {
        title: "Training loss".to_owned(),
        x: "step".to_owned(),
        y: "nats per byte".to_owned(),
        groups: curves,
    };
    let columns = ["model", "parameters", "full precision", "b1.58", "b1", "ternary afterwards"];
    Ok(Some(Section {
        title: "BitNet".to_owned(),
        text: vec!["Byte-level language models of two sizes trained on the same windows in the same order; only the linear layers differ.".to_owned()],
        tables: vec![table("Held-out loss, nats per byte", &columns, rows)],
        figures: vec![
            figure::save(&figure, folder, "bitnet", caption)?,
            figure::save(&curve, folder, "bitnet-curves", "Thin: one seed; bold: the median.")?,
        ],
    }))
}

pub(super) fn pictures(values: &Values, folder: &Path) -> Result<Option<Section>> {
    let (mut rows, mut panels) = (Vec::new(), Vec::new());
    for bits in [6, 8, 10, 12, 14, 18] {
        let setting = format!("lfq-{bits}");
        for arm in ["entropy", "none"] {
            let of = |metric: &str| values.of(&setting, arm, metric);
            if of("mse").is_empty() {
                continue;
            }
            rows.push(vec![
                format!("2^{bits}"),
                arm.to_owned(),
                interval(of("codes_used")),
                interval(of("perplexity")),
                interval(of("mse")),
            ]);
        }
        let arms =
            ["entropy", "none"].map(|arm| (arm.to_owned(), values.of(&setting, arm, "perplexity").to_vec()));
        if arms.iter().all(|(_, values)| !values.is_empty()) {
            panels.push(Panel { title: format!("2^{bits} codes"), rows: arms.into() });
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let caption = "Perplexity of the histogram of codes: how many codes are in use, evenly counted. Every seed is a dot.";
    let figure = dots("The entropy term spreads the codes", "codes in use", panels);
    let columns = ["vocabulary", "entropy term", "codes used", "perplexity of codes", "squared error"];
    Ok(Some(Section {
        title: "Lookup-free quantization".to_owned(),
        text: vec!["A small autoencoder turns patches of photographs into one code each; the codebook is all sign patterns, so there is nothing to look up.".to_owned()],
        tables: vec![table("Patches of photographs that were not learned from; intensities in −1 … 1", &columns, rows)],
        figures: vec![figure::save(&figure, folder, "lfq", caption)?],
    }))
}
