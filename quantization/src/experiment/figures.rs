//! Figures of the report that put several jobs together.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use common::figure::{self, Figure, Named};
use common::report::FigureFile;
use common::stats;

use super::design::{Job, Study};
use super::report::Finished;
use common::outcome::Values;

/// Signal over the share of the range that is kept, one line per width, for the wide model.
pub(super) fn clip_figure(finished: &Finished, folder: &Path) -> Result<Option<FigureFile>> {
    let wide = |job: &Job| match job.study {
        Study::Weights { subject: super::Subject::Shakespeare, bits } => Some(bits),
        _ => None,
    };
    let groups: Vec<(String, Vec<Vec<[f64; 2]>>)> = finished
        .jobs
        .iter()
        .filter_map(|(job, outcome)| Some((format!("{} bits", wide(job)?), vec![outcome.curve.clone()])))
        .collect();
    if groups.is_empty() {
        return Ok(None);
    }
    let figure = Figure::Curves {
        title: "How much of the range to keep".to_owned(),
        x: "kept share of the range".to_owned(),
        y: "SQNR, dB".to_owned(),
        groups,
    };
    let caption =
        "One matrix on an absmax grid: the fewer the bits, the more it pays to clip the few large weights.";
    Ok(Some(figure::save(&figure, folder, "clipping", caption)?))
}

/// Divergence against bits per weight for everything that quantizes one model's weights.
pub(super) fn frontier(values: &Values, subject: &str, folder: &Path) -> Result<Option<FigureFile>> {
    let mut groups: BTreeMap<&str, Vec<Named>> = BTreeMap::new();
    for cost in values.with("bits_per_weight").filter(|m| m.setting.starts_with(subject)) {
        let Some(kl) = stats::mean(values.of(&cost.setting, &cost.arm, "kl")) else { continue };
        let gguf = cost.setting.ends_with("-gguf");
        let group = match cost.arm.as_str() {
            arm if gguf && arm.ends_with("-imatrix") => "GGUF with importance",
            arm if gguf && arm.ends_with("-best") => continue,
            _ if gguf => "GGUF",
            "row" | "g128" | "g32" => "round to nearest",
            "gptq-row" | "gptq-g128" | "gptq-g32" => "GPTQ",
            _ => continue,
        };
        let name = if group == "GGUF" { cost.arm.clone() } else { String::new() };
        groups.entry(group).or_default().push(Named { at: [cost.values[0], kl], name });
    }
    if groups.is_empty() {
        return Ok(None);
    }
    let figure = Figure::Frontier {
        title: format!("{subject}: what each bit buys"),
        x: "bits per weight, scales included".to_owned(),
        y: "KL from the unquantized model, nats".to_owned(),
        groups: groups.into_iter().map(|(name, points)| (name.to_owned(), points)).collect(),
    };
    let caption = "Lower and further left is better. GGUF quantizes the embedding too, GPTQ and rounding leave it in full precision.";
    Ok(Some(figure::save(&figure, folder, &format!("bits-{subject}"), caption)?))
}

/// Bits per weight up to which types are drawn: F16 alone would take half of the figure.
const DRAWN_BITS: f64 = 9.0;

/// Disagreement on sentences against bits per weight.
pub(super) fn agreement_figure(values: &Values, folder: &Path) -> Result<Option<FigureFile>> {
    let mut groups: BTreeMap<&str, Vec<Named>> = BTreeMap::new();
    for cost in values.with("agreement_bits") {
        if cost.values[0] > DRAWN_BITS {
            continue;
        }
        let Some(cosine) = stats::mean(values.of(&cost.setting, &cost.arm, "cosine")) else { continue };
        let rounded = cost.arm.starts_with("round-");
        let group = if rounded { "round to nearest, groups of 32" } else { "GGUF" };
        let name = if rounded { String::new() } else { cost.arm.clone() };
        groups.entry(group).or_default().push(Named { at: [cost.values[0], 1.0 - cosine], name });
    }
    if groups.is_empty() {
        return Ok(None);
    }
    let figure = Figure::Frontier {
        title: "all-MiniLM-L6-v2: what each bit buys".to_owned(),
        x: "bits per weight, scales included".to_owned(),
        y: "1 − cosine of a sentence's vectors, mean".to_owned(),
        groups: groups.into_iter().map(|(name, points)| (name.to_owned(), points)).collect(),
    };
    let caption = "Lower and further left is better. Rows of 384 do not fill the blocks of K-quants: most matrices of Q6_K to Q2_K are in the types that llama.cpp falls back to, and cost what those cost.";
    Ok(Some(figure::save(&figure, folder, "agreement-minilm", caption)?))
}
