//! A sentence encoder: grids and types on its matrices, and what they do to sentences' neighbours.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use common::report::{Table, number};
use common::text::pieces::Pieces;
use common::{data, stats};
use serde::Deserialize;
use tch::Device;

use super::weights::ways;
use crate::affine::{Fit, Granularity, Grid, fake_quantize, measure};
use crate::convert::Squares;
use crate::encoder::{Agreement, Encoder, EncoderError, vocabulary};
use crate::experiment::Places;
use crate::experiment::design::Preset;
use crate::ggml::{self, GgmlType};
use crate::memory::Groups;
use crate::mixture::{allows_quantization, fall_back};
use crate::model_file::{Entry, ModelFile, RowOrder};
use common::outcome::Outcome;

/// Name in settings.
const NAME: &str = "minilm";
/// Rows that K-quants fit.
const WIDE: usize = 1536;
/// Types, by falling size.
const KINDS: [GgmlType; 14] = {
    use GgmlType::*;
    [F16, Q8_0, Q6_K, Q5_1, Q5_K, Q5_0, Q4_1, Q4_K, IQ4_NL, Q4_0, IQ4_XS, MXFP4, Q3_K, Q2_K]
};
/// Bits of plain rounding in groups of 32.
const ROUNDED: [u32; 5] = [8, 5, 4, 3, 2];
const GROUP: usize = 32;

fn open(places: &Places) -> Result<ModelFile> {
    let folder = places.encoder.as_ref().context("no folder with an encoder was given")?;
    Ok(ModelFile::open(folder)?)
}

/// Whether the tensor is a matrix of a block.
fn in_block(entry: &Entry) -> bool {
    entry.gguf_name.as_deref().is_some_and(|name| name.starts_with("blk.")) && entry.dims.len() == 2
}

/// Signal over error of every matrix of the blocks, at each granularity.
pub(super) fn weights(bits: u32, places: &Places) -> Result<Outcome> {
    let file = open(places)?;
    let mut matrices = Vec::new();
    for (place, entry) in file.tensors().iter().enumerate().filter(|(_, entry)| in_block(entry)) {
        matrices.push((file.weights(place, RowOrder::Pairs)?, entry.row_len()));
    }
    ensure!(!matrices.is_empty(), "{}: an encoder without blocks", file.path().display());
    let mut outcome = Outcome::default();
    let setting = format!("{NAME}-{bits}");
    let mut rows = Vec::new();
    for way in ways(bits) {
        let (mut sqnr, mut cost, mut count) = (Vec::new(), 0.0, 0.0);
        for (weights, columns) in &matrices {
            let back = fake_quantize(weights, *columns, &way.grid, way.granularity, &way.fit)?;
            sqnr.push(measure(weights, &back).sqnr_db.unwrap_or(f64::MAX));
            cost += way.bits_per_weight(weights.len() / columns, *columns) * weights.len() as f64;
            count += weights.len() as f64;
        }
        let mean = stats::mean(&sqnr).unwrap_or_default();
        rows.push(vec![way.name.clone(), number(cost / count, 3), number(mean, 2)]);
        outcome.put(&setting, &way.name, "sqnr", sqnr);
    }
    let of = |arm: &str| {
        let found = outcome.measured.iter().find(|measured| measured.arm == arm);
        found.map_or(Vec::new(), |measured| measured.values.clone())
    };
    let gain = stats::differences(&of("row"), &of("row-symmetric"));
    outcome.put(NAME, &bits.to_string(), "zero_point_gain", gain);
    outcome.tables.push(Table {
        caption: format!(
            "{setting} bits: rounding to nearest, the {} matrices of the blocks",
            matrices.len()
        ),
        columns: ["grid", "bits per weight", "SQNR dB, mean"].map(str::to_owned).into(),
        rows,
    });
    Ok(outcome)
}

/// Errors that ggml's own types were measured to have.
#[derive(Deserialize)]
struct Reference {
    all: BTreeMap<String, f64>,
    wide: BTreeMap<String, f64>,
}

/// ggml's types: their error on the matrices, and agreement on sentences beside plain rounding.
pub(super) fn types(preset: Preset, places: &Places) -> Result<Outcome> {
    let file = open(places)?;
    let mut outcome = Outcome::default();
    errors(&file, &mut outcome)?;
    let questions = questions(&places.root, preset)?;
    let pieces = vocabulary(&file)?;
    let pieces = pieces.with_context(|| format!("{}: no tokenizer beside it", file.path().display()))?;
    let base = Encoder::load(&file, places.device)?.vectors(&questions, &pieces)?;
    let mut rows = Vec::new();
    for kind in KINDS {
        let (agreement, bits) = with_type(&file, kind, (&questions, &pieces, places.device), &base)?;
        rows.push(row(&kind.to_string(), bits, agreement, &mut outcome));
    }
    for bits in ROUNDED {
        let (agreement, cost) = rounded(&file, bits, (&questions, &pieces, places.device), &base)?;
        rows.push(row(&format!("round-{bits}"), cost, agreement, &mut outcome));
    }
    let columns = [
        "type",
        "bits per weight",
        "cosine, mean",
        "cosine, least",
        "Spearman of similarities",
        "same nearest",
        "overlap of 10 nearest",
    ];
    outcome.tables.push(Table {
        caption: format!(
            "all-MiniLM-L6-v2 on {} questions of XQuAD: every matrix, word embeddings included, in one type (rows that do not fill \
             its blocks in the type that llama.cpp falls back to), or rounded to nearest in groups of {GROUP} (`round`)",
            questions.len()
        ),
        columns: columns.map(str::to_owned).into(),
        rows,
    });
    Ok(outcome)
}

fn row(arm: &str, bits: f64, agreement: Agreement, outcome: &mut Outcome) -> Vec<String> {
    let shown =
        |value: Option<f64>, decimals| value.map_or("—".to_owned(), |value| number(value, decimals));
    let row = vec![
        arm.to_owned(),
        number(bits, 3),
        shown(agreement.mean_cosine(), 5),
        shown(agreement.least_cosine(), 4),
        shown(agreement.spearman, 4),
        shown(agreement.same_nearest, 3),
        shown(agreement.overlap(), 3),
    ];
    outcome.put(NAME, arm, "agreement_bits", vec![bits]);
    outcome.put(NAME, arm, "neighbours", agreement.overlaps);
    outcome.put(NAME, arm, "cosine", agreement.cosines);
    row
}

/// Relative error of every type on the matrices of the blocks, beside ggml's.
fn errors(file: &ModelFile, outcome: &mut Outcome) -> Result<()> {
    let reference: Reference = toml::from_str(include_str!("../minilm.toml"))?;
    let mut rows = Vec::new();
    for (name, known) in [("all", &reference.all), ("wide", &reference.wide)] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for (kind, &expected) in known {
            let error = relative_rmse(file, kind.parse()?, name == "wide")?;
            rows.push(vec![kind.clone(), name.to_owned(), number(error, 5), number(expected, 4)]);
            ours.push(error);
            theirs.push(expected);
        }
        let setting = format!("{NAME}-{name}");
        outcome.put(&setting, "ours", "relative_rmse", ours);
        outcome.put(&setting, "ggml", "relative_rmse", theirs);
    }
    outcome.tables.push(Table {
        caption: format!(
            "all-MiniLM-L6-v2: ‖x − x̂‖ / ‖x‖ over the matrices of the blocks (`all`), or over those with rows of {WIDE} (`wide`), \
             beside ggml's as measured beforehand"
        ),
        columns: ["type", "matrices", "ours", "ggml"].map(str::to_owned).into(),
        rows,
    });
    Ok(())
}

fn relative_rmse(file: &ModelFile, kind: GgmlType, wide: bool) -> Result<f64> {
    let mut squares = Squares::default();
    let matrices = file.tensors().iter().enumerate().filter(|(_, entry)| in_block(entry));
    for (place, entry) in matrices.filter(|(_, entry)| !wide || entry.row_len() == WIDE) {
        let weights = file.weights(place, RowOrder::Pairs)?;
        squares.add(Squares::of(&weights, &restored(kind, &weights, entry.row_len())?));
    }
    Ok(squares.relative_rmse().unwrap_or_default())
}

fn restored(kind: GgmlType, weights: &[f32], row_len: usize) -> Result<Vec<f32>> {
    let mut bytes = vec![0; kind.bytes(weights.len()).context("rows of broken blocks")?];
    ggml::encode(kind, weights, row_len, None, &mut bytes)?;
    let mut back = vec![0.0; weights.len()];
    ggml::decode(kind, &bytes, &mut back)?;
    Ok(back)
}

/// Questions of XQuAD, each once; fewer for a look.
fn questions(root: &Path, preset: Preset) -> Result<Vec<String>> {
    let path = data::locate(root, super::QUESTIONS)?.folder.join("xquad.en.json.gz");
    let file = std::fs::File::open(&path).with_context(|| format!("opening {}", path.display()))?;
    let json: serde_json::Value = serde_json::from_reader(flate2::read::MultiGzDecoder::new(file))
        .with_context(|| format!("{}: not a gzip-compressed JSON file", path.display()))?;
    let mut questions = Vec::new();
    collect(&json, &mut questions);
    questions.sort();
    questions.dedup();
    ensure!(questions.len() > 1, "{}: no questions", path.display());
    if preset == Preset::Quick {
        questions.truncate(128);
    }
    Ok(questions)
}

fn collect(json: &serde_json::Value, questions: &mut Vec<String>) {
    match json {
        serde_json::Value::Object(fields) => {
            questions.extend(fields.get("question").and_then(|text| text.as_str()).map(str::to_owned));
            fields.values().for_each(|inner| collect(inner, questions));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|inner| collect(inner, questions)),
        _ => {}
    }
}

/// Sentences, their tokenizer, and where they are computed.
type Text<'a> = (&'a [String], &'a Pieces, Device);

/// Agreement of the encoder with the one whose vectors are `base`, when every matrix is changed, and bits per weight of these.
fn with(
    file: &ModelFile,
    (questions, pieces, device): Text,
    base: &[Vec<f32>],
    change: impl Fn(&Entry, &[f32]) -> Result<(Vec<f32>, f64)>,
) -> Result<(Agreement, f64)> {
    let (mut bits, mut count) = (0.0, 0.0);
    let encoder = Encoder::load_with(file, device, |place, weights| -> Result<Vec<f32>, Changed> {
        let entry = &file.tensors()[place];
        let dims: Vec<u64> = entry.dims.iter().map(|&size| size as u64).collect();
        if !allows_quantization(entry.gguf(), &dims) {
            return Ok(weights);
        }
        let (back, cost) = change(entry, &weights).map_err(Changed)?;
        bits += cost * weights.len() as f64;
        count += weights.len() as f64;
        Ok(back)
    });
    let encoder = encoder.map_err(|Changed(error)| error)?;
    Ok((Agreement::of(base, &encoder.vectors(questions, pieces)?), bits / count))
}

/// An error on the way through the encoder's loader.
struct Changed(anyhow::Error);

impl From<EncoderError> for Changed {
    fn from(error: EncoderError) -> Self {
        Self(error.into())
    }
}

fn with_type(file: &ModelFile, kind: GgmlType, text: Text, base: &[Vec<f32>]) -> Result<(Agreement, f64)> {
    with(file, text, base, |entry, weights| {
        let kind = fall_back(kind, entry.row_len() as u64);
        Ok((restored(kind, weights, entry.row_len())?, kind.bits_per_weight()))
    })
}

fn rounded(file: &ModelFile, bits: u32, text: Text, base: &[Vec<f32>]) -> Result<(Agreement, f64)> {
    let grid = Grid::absmax(bits).with_half_scales();
    let cost = Groups { bits, group_size: GROUP, scale_bits: 16, zero_bits: 0 }.bits_per_weight();
    with(file, text, base, |entry, weights| {
        let back = fake_quantize(weights, entry.row_len(), &grid, Granularity::Group(GROUP), &Fit::MinMax)?;
        Ok((back, cost))
    })
}
