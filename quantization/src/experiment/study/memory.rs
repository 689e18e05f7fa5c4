//! Files as large as the formula says.

use std::path::Path;

use anyhow::{Context, Result};
use common::data;
use common::figure::{Distribution, Figure};
use common::report::{Table, number};
use rand::Rng;

use crate::affine::Grid;
use crate::experiment::lab::Subject;
use crate::ggml::{self, GgmlType};
use crate::gguf;
use crate::gptq_layout::{Convention, Layer};
use crate::memory::{Groups, bytes};
use crate::model_file::ModelFile;
use common::outcome::{Drawing, Outcome};

/// Types that are written to disk and measured.
const KINDS: [GgmlType; 10] = {
    use GgmlType::*;
    [F32, F16, Q8_0, Q6_K, Q5_K, Q4_K, Q4_0, Q3_K, Q2_K, TQ1_0]
};

pub(super) fn run(root: &Path) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let [model, _] = Subject::Shakespeare.files();
    let file = ModelFile::open(data::locate(root, model.0)?.folder.join(model.1))?;
    let folder = tempfile::tempdir().context("making a temporary folder")?;
    let (mut measured, mut formula, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for kind in KINDS {
        let path = folder.path().join("model.gguf");
        let (on_disk, weights) = written(&file, kind, &path)?;
        let computed = bytes(weights, kind.bits_per_weight());
        rows.push(vec![
            kind.to_string(),
            number(kind.bits_per_weight(), 4),
            on_disk.to_string(),
            number(computed, 0),
        ]);
        measured.push(on_disk as f64);
        formula.push(computed);
    }
    let name = Subject::Shakespeare.name();
    outcome.put(name, "file", "bytes", measured);
    outcome.put(name, "formula", "bytes", formula);
    let (files, formulas) = gptq_sizes()?;
    outcome.put(name, "gptq-file", "bytes", files);
    outcome.put(name, "gptq-formula", "bytes", formulas);
    outcome.tables.push(Table {
        caption: "All matrices of shakespeare-llama-256 (3,211,264 weights) written as GGUF: bytes of tensor data on disk beside bits/8 times weights".to_owned(),
        columns: ["type", "bits per weight", "bytes on disk", "formula"].map(str::to_owned).into(),
        rows,
    });
    outcome.drawings.push(number_lines()?);
    Ok(outcome)
}

/// Tensor bytes on disk and weights of all matrices in one type, written and opened again.
fn written(file: &ModelFile, kind: GgmlType, path: &Path) -> Result<(u64, u64)> {
    let mut writer = gguf::Writer::create(path)?;
    let matrices: Vec<usize> =
        (0..file.tensors().len()).filter(|&i| file.tensors()[i].dims.len() > 1).collect();
    for &index in &matrices {
        let entry = &file.tensors()[index];
        let dims: Vec<u64> = entry.dims.iter().map(|&dim| dim as u64).collect();
        writer.declare(entry.gguf(), &dims, kind)?;
    }
    for &index in &matrices {
        let entry = &file.tensors()[index];
        let weights = file.weights(index, crate::model_file::RowOrder::Pairs)?;
        let mut blocks = vec![0; kind.bytes(weights.len()).context("rows of broken blocks")?];
        ggml::encode(kind, &weights, entry.row_len(), None, &mut blocks)?;
        writer.write_tensor(entry.gguf(), &blocks)?;
    }
    writer.finish()?;
    let back = gguf::File::open(path)?;
    let on_disk = back.tensors().iter().map(|tensor| tensor.bytes).sum();
    Ok((on_disk, back.tensors().iter().map(gguf::TensorInfo::weights).sum()))
}

/// GPTQ layers of 256 inputs and 768 outputs, packed: bytes of codes, zero-points and scales beside the formula, which
/// leaves out the group of each input (`g_idx`).
fn gptq_sizes() -> Result<(Vec<f64>, Vec<f64>)> {
    let (inputs, outputs) = (256usize, 768usize);
    let mut pairs = Vec::new();
    for (bits, group_size) in [(4, 128), (4, 32), (3, 128), (2, 32), (8, 256)] {
        let groups = inputs / group_size;
        let layer = Layer {
            bits,
            inputs,
            outputs,
            codes: vec![1; inputs * outputs],
            zeros: vec![1; groups * outputs],
            scales: vec![1.0; groups * outputs],
            g_idx: (0..inputs).map(|input| (input / group_size) as i32).collect(),
        };
        let tensors = layer.pack(Convention::V2)?.tensors("layer");
        let counted = tensors.iter().filter(|(name, ..)| !name.ends_with("g_idx"));
        let file: usize = counted.map(|(_, _, _, bytes)| bytes.len()).sum();
        let formula = Groups { bits, group_size, scale_bits: 16, zero_bits: bits };
        pairs.push((file as f64, bytes((inputs * outputs) as u64, formula.bits_per_weight())));
    }
    Ok(pairs.into_iter().unzip())
}

/// The guide's first picture: what absmax and zero-point do to a one-sided tensor.
fn number_lines() -> Result<Drawing> {
    let mut rng = common::seed::rng(0, "number-lines", 0);
    let values: Vec<f32> = (0..20_000)
        .map(|_| {
            let normal: f32 = (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0;
            0.9 + normal * 0.7
        })
        .collect();
    let (low, high) = values.iter().fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
    let range = [f64::from(-high), f64::from(high)];
    let panel = |title: &str, grid: Grid| -> Result<Distribution> {
        let parameters = grid.parameters(low, high)?;
        let marks = (grid.lowest_code()..=grid.highest_code()).map(|code| f64::from(parameters.value(code)));
        Ok(Distribution::of(&values, range, 160, title.to_owned(), marks.collect()))
    };
    let panels = vec![
        panel("absmax, 4 bits: 15 values around zero, half of them where no weight is", Grid::absmax(4))?,
        panel("zero-point, 4 bits: 16 values from the least to the greatest weight", Grid::asymmetric(4))?,
    ];
    Ok(Drawing {
        id: "number-lines".to_owned(),
        caption: "A lopsided tensor on two number lines. The symmetric grid spends codes on values that do not occur; the zero-point shifts the grid over the weights, and 0 stays exactly on it.".to_owned(),
        figure: Figure::Distributions {
            title: "Absmax and zero-point".to_owned(),
            x: "weight".to_owned(),
            panels,
        },
    })
}
