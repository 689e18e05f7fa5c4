//! `inspect`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use common::figure::{self, Figure};
use serde_json::json;

use super::shared::Work;
use super::show;
use crate::convert::{self, ConvertError, Cost};
use crate::mixture::allows_quantization;
use crate::model_file::{Entry, HISTOGRAM_BINS, HISTOGRAM_REACH, ModelFile, Statistics};

/// Options of `inspect`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quantization inspect model.gguf
  quantization inspect model-folder --cost
  quantization inspect model.safetensors --figure figures
  quantization inspect huge.gguf --header --json

Outliers are weights farther than 6 standard deviations from their tensor's mean. For GPTQ layers it also says which
zero-point convention the file uses, with the reasons.")]
pub(super) struct Arguments {
    /// Model: GGUF, safetensors (file, index or folder), llama2.c .bin
    model: PathBuf,
    /// Read no weights: metadata and the list of tensors only
    #[arg(long, conflicts_with_all = ["cost", "figure"])]
    header: bool,
    /// What every type would cost for the matrices, in bytes and relative error
    #[arg(long)]
    cost: bool,
    /// Draw the histogram of weights and the outliers of each tensor into this folder
    #[arg(long, value_name = "FOLDER")]
    figure: Option<PathBuf>,
    /// As one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    work: Work,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let file = ModelFile::open(&arguments.model)?;
    let count = file.tensors().len();
    let statistics = if arguments.header {
        vec![None; count]
    } else {
        arguments.work.with_bar("reading", count, |progress| {
            let one = |tensor: usize| {
                if !progress(tensor, &file.tensors()[tensor].name) {
                    return Err(ConvertError::Stopped);
                }
                Ok(file.statistics(tensor)?)
            };
            (0..count).map(one).collect()
        })?
    };
    let costs = if arguments.cost { measure_costs(arguments, &file)? } else { Vec::new() };
    let zero_points = if arguments.header { None } else { file.zero_points()? };
    if arguments.json {
        println!("{}", as_json(&file, &statistics, &costs, zero_points.as_ref()));
    } else {
        show_all(&file, &statistics, &costs);
        if let Some(verdict) = &zero_points {
            show_verdict(verdict);
        }
    }
    if let Some(folder) = &arguments.figure {
        draw(&file, &statistics, folder)?;
    }
    Ok(())
}

fn measure_costs(arguments: &Arguments, file: &ModelFile) -> Result<Vec<Cost>> {
    let matrix = |entry: &Entry| {
        let dims: Vec<u64> = entry.dims.iter().map(|&size| size as u64).collect();
        entry.is_numeric() && allows_quantization(entry.gguf(), &dims)
    };
    let all = file.tensors().iter().enumerate();
    let matrices: Vec<usize> = all.filter(|(_, entry)| matrix(entry)).map(|(place, _)| place).collect();
    arguments.work.with_bar("measuring", matrices.len(), |progress| {
        if !progress(0, "every type") {
            return Err(ConvertError::Stopped);
        }
        convert::costs(file, &matrices)
    })
}

fn totals(file: &ModelFile) -> (u64, u64) {
    let sum = |total: (u64, u64), entry: &Entry| (total.0 + entry.weights() as u64, total.1 + entry.bytes);
    file.tensors().iter().fold((0, 0), sum)
}

fn show_all(file: &ModelFile, statistics: &[Option<Statistics>], costs: &[Cost]) {
    let (weights, bytes) = totals(file);
    println!(
        "{}: {}, {} tensors, {weights} weights in {bytes} bytes ({}), {:.4} bits per weight",
        file.path().display(),
        file.format(),
        file.tensors().len(),
        show::size(bytes),
        8.0 * bytes as f64 / weights.max(1) as f64
    );
    for (key, value) in file.description() {
        println!("{key} = {value}");
    }
    println!();
    let measured = statistics.iter().any(Option::is_some);
    let columns = if measured {
        format!("{:>12}{:>11}{:>11}{:>11}{:>10}", "mean", "deviation", "min", "max", "outliers")
    } else {
        String::new()
    };
    println!("{:<40}{:>8}{:>20}{:>13}{columns}", "tensor", "type", "shape", "bytes");
    for (entry, statistics) in file.tensors().iter().zip(statistics) {
        let values = statistics.as_ref().map(show_values).unwrap_or_default();
        println!(
            "{:<40}{:>8}{:>20}{:>13}{values}",
            entry.name,
            entry.stored,
            show::dims(&entry.dims),
            entry.bytes
        );
    }
    if !costs.is_empty() {
        show_costs(costs);
    }
}

fn show_values(statistics: &Statistics) -> String {
    let bad = match statistics.non_finite {
        0 => String::new(),
        count => format!("  {count} NaN or infinite"),
    };
    format!(
        "{:>12.2e}{:>11.2e}{:>11.2e}{:>11.2e}{:>10}{bad}",
        statistics.mean, statistics.deviation, statistics.min, statistics.max, statistics.outliers
    )
}

fn show_costs(costs: &[Cost]) {
    println!("\n{:<8}{:>8}{:>9}{:>14}{:>12}{:>10}", "type", "bpw", "tensors", "bytes", "rel. RMSE", "SNR dB");
    for cost in costs {
        let error = cost.squares.relative_rmse();
        let shown = error.map_or("undefined".to_owned(), |error| format!("{error:.6}"));
        let decibels = error.filter(|error| *error > 0.0).map(|error| -20.0 * error.log10());
        println!(
            "{:<8}{:>8.4}{:>9}{:>14}{shown:>12}{:>10}",
            cost.kind.name(),
            cost.kind.bits_per_weight(),
            cost.tensors,
            cost.bytes,
            decibels.map_or("exact".to_owned(), |decibels| format!("{decibels:.2}"))
        );
    }
}

fn show_verdict(verdict: &crate::gptq_layout::Verdict) {
    println!(
        "\nzero-points: `{}` ({:.0} % sure){}",
        verdict.convention.name(),
        100.0 * verdict.confidence,
        if verdict.contradicts_config { ", against the configuration" } else { "" }
    );
    verdict.evidence.iter().for_each(|line| println!("  {line}"));
}

fn as_json(
    file: &ModelFile,
    statistics: &[Option<Statistics>],
    costs: &[Cost],
    verdict: Option<&crate::gptq_layout::Verdict>,
) -> serde_json::Value {
    let (weights, bytes) = totals(file);
    let values = |statistics: &Statistics| {
        json!({"mean": statistics.mean, "deviation": statistics.deviation, "min": statistics.min,
            "max": statistics.max, "zeros": statistics.zeros, "non_finite": statistics.non_finite,
            "outliers": statistics.outliers, "histogram": statistics.histogram})
    };
    let tensor = |(entry, statistics): (&Entry, &Option<Statistics>)| {
        json!({"name": entry.name, "gguf_name": entry.gguf_name, "type": entry.stored, "dims": entry.dims,
            "bytes": entry.bytes, "values": statistics.as_ref().map(values)})
    };
    let cost = |cost: &Cost| {
        json!({"type": cost.kind.name(), "bits_per_weight": cost.kind.bits_per_weight(), "tensors": cost.tensors,
            "bytes": cost.bytes, "relative_rmse": cost.squares.relative_rmse()})
    };
    let metadata: serde_json::Map<_, _> =
        file.description().into_iter().map(|(key, value)| (key, value.into())).collect();
    json!({
        "path": file.path().display().to_string(),
        "format": file.format(),
        "weights": weights,
        "bytes": bytes,
        "metadata": metadata,
        "tensors": file.tensors().iter().zip(statistics).map(tensor).collect::<Vec<_>>(),
        "costs": costs.iter().map(cost).collect::<Vec<_>>(),
        "zero_points": verdict.map(|verdict| json!({"convention": verdict.convention.name(),
            "confidence": verdict.confidence, "contradicts_config": verdict.contradicts_config,
            "evidence": verdict.evidence})),
    })
}

/// Tensors in the figure of outliers. Ours: as many as a page shows.
const SHOWN: usize = 24;

fn draw(file: &ModelFile, statistics: &[Option<Statistics>], folder: &Path) -> Result<()> {
    let matrices: Vec<(&Entry, &Statistics)> = file
        .tensors()
        .iter()
        .zip(statistics)
        .filter_map(|(entry, statistics)| Some((entry, statistics.as_ref()?)))
        .filter(|(entry, _)| entry.dims.len() > 1)
        .collect();
    let name = file.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let caption = "Weights of all matrices by distance from their tensor's mean in standard deviations; both ends \
                   hold what lies beyond. A normal distribution for comparison.";
    let saved = figure::save(&histogram(&name, &matrices), folder, "histogram", caption)?;
    println!("{}", folder.join(saved.svg).display());
    let caption = "Greatest magnitude of each matrix in its standard deviations, the widest first: what an absmax grid \
                   must span.";
    let saved = figure::save(&reaches(&name, &matrices), folder, "outliers", caption)?;
    println!("{}", folder.join(saved.svg).display());
    Ok(())
}

fn histogram(name: &str, matrices: &[(&Entry, &Statistics)]) -> Figure {
    let mut sums = vec![0_u64; HISTOGRAM_BINS];
    for (_, statistics) in matrices {
        sums.iter_mut().zip(&statistics.histogram).for_each(|(sum, part)| *sum += part);
    }
    let total = sums.iter().sum::<u64>().max(1) as f64;
    let width = 2.0 * HISTOGRAM_REACH / HISTOGRAM_BINS as f64;
    let middle = |bin: usize| (bin as f64 + 0.5) * width - HISTOGRAM_REACH;
    let weights = sums.iter().enumerate().filter(|(_, count)| **count > 0);
    let weights = weights.map(|(bin, &count)| [middle(bin), (count as f64 / total).log10()]).collect();
    let density = |x: f64| width * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let normal = (0..HISTOGRAM_BINS).map(middle).filter(|x| x.abs() < 5.5);
    let normal = normal.map(|x| [x, density(x).log10()]).collect();
    Figure::Curves {
        title: format!("{name}: weights of all matrices"),
        x: "standard deviations from the mean".to_owned(),
        y: "log10 of the share of weights".to_owned(),
        groups: vec![("weights".to_owned(), vec![weights]), ("normal distribution".to_owned(), vec![normal])],
    }
}

fn reaches(name: &str, matrices: &[(&Entry, &Statistics)]) -> Figure {
    let reach = |(entry, statistics): &(&Entry, &Statistics)| Some((entry.name.clone(), statistics.reach()?));
    let mut reaches: Vec<(String, f64)> = matrices.iter().filter_map(reach).collect();
    reaches.sort_by(|a, b| b.1.total_cmp(&a.1));
    reaches.truncate(SHOWN);
    Figure::Bars {
        title: format!("{name}: the widest matrices"),
        value: "greatest magnitude in standard deviations".to_owned(),
        parts: vec!["max |w| / deviation".to_owned()],
        bars: reaches.into_iter().map(|(name, reach)| (name, vec![reach])).collect(),
    }
}
