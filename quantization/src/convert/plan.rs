//! Which tensor becomes what, before anything is written.

use super::survey::{Sample, sample};
use super::{ConvertError, Progress, Search};
use crate::ggml::GgmlType;
use crate::imatrix::Imatrix;
use crate::mixture::{
    self, Assignment, Budget, Choices, Facts, FileType, Offer, Reason, Rule, allows_quantization,
};
use crate::model_file::{Entry, ModelFile};

/// What the user wants of a GGUF file.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Default type and exceptions.
    pub file_type: FileType,
    /// Rules by name, the first that matches wins.
    pub rules: Vec<Rule>,
    /// Importance of columns.
    pub imatrix: Option<Imatrix>,
    /// How codes will be searched for, which a budget's errors depend on.
    pub search: Search,
}

/// A tensor of the file to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Its place in the model.
    pub tensor: usize,
    /// Its name in GGUF.
    pub name: String,
    /// Type that it gets, type that was wanted, and why.
    pub assignment: Assignment,
}

/// All tensors of the file to be written, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The tensors.
    pub tensors: Vec<Planned>,
    /// File type that the header names.
    pub file_type: FileType,
}

/// A size to keep to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budgeted {
    /// Bytes of the whole file.
    File(u64),
    /// Bits of tensor data per weight, all tensors counted.
    BitsPerWeight(f64),
}

/// Types between which a budget chooses. Ours: those that a file for general use holds, without the ternary and FP4
/// types, which are made for weights of their own kind.
const CANDIDATES: [GgmlType; 13] = {
    use GgmlType::*;
    [Q2_K, Q3_K, IQ4_XS, Q4_K, IQ4_NL, Q4_0, Q4_1, Q5_K, Q5_0, Q5_1, Q6_K, Q8_0, F16]
};

/// The plan of a file type.
///
/// # Errors
/// [`ConvertError`] for a file type whose blocks are not written here, or one that needs an importance matrix.
pub fn plan(file: &ModelFile, recipe: &Recipe) -> Result<Plan, ConvertError> {
    let written: Vec<(usize, &Entry)> =
        file.tensors().iter().enumerate().filter(|(_, entry)| !left_out(file, entry)).collect();
    let tensors: Vec<mixture::Tensor> = written.iter().map(|(_, entry)| described(file, entry)).collect();
    let assignments = mixture::assign(recipe.file_type, &facts(file, recipe), &tensors, &recipe.rules)?;
    let mut planned = Vec::with_capacity(tensors.len());
    for ((tensor, _), (described, assignment)) in
        written.into_iter().zip(tensors.into_iter().zip(assignments))
    {
        let name = described.name;
        let weighted = recipe.imatrix.as_ref().is_some_and(|matrix| matrix.entries.contains_key(&name));
        if !weighted && mixture::needs_importance(recipe.file_type, &name, assignment.kind) {
            return Err(ConvertError::Request(format!(
                "file type {} needs an importance matrix for tensor `{name}`; make one with `imatrix` and give it with --imatrix",
                recipe.file_type
            )));
        }
        planned.push(Planned { tensor, name, assignment });
    }
    Ok(Plan { tensors: planned, file_type: recipe.file_type })
}

/// The plan of least error within a size: `Σ v·(x − x̂)²` with an importance matrix, else the error relative to each
/// tensor's own power, times its weights. Errors are measured on evenly spread rows.
///
/// # Errors
/// [`ConvertError`] when the tensors that keep their type leave no room, or a tensor cannot be read.
pub fn plan_under_budget(
    file: &ModelFile,
    recipe: &Recipe,
    budget: Budgeted,
    header_bytes: u64,
    progress: Progress,
) -> Result<Plan, ConvertError> {
    let mut plan = plan(file, recipe)?;
    let total: u64 = plan.tensors.iter().map(|planned| file.tensors()[planned.tensor].weights() as u64).sum();
    let allowed = match budget {
        Budgeted::File(bytes) => bytes.saturating_sub(header_bytes),
        Budgeted::BitsPerWeight(bits) => Budget::BitsPerWeight(bits).bytes(total),
    };
    let (mut fixed, mut choices, mut places) = (0, Vec::new(), Vec::new());
    for (place, planned) in plan.tensors.iter().enumerate() {
        let entry = &file.tensors()[planned.tensor];
        if matches!(planned.assignment.reason, Reason::Kept | Reason::Rule(_)) {
            fixed += bytes_of(planned.assignment.kind, entry);
            continue;
        }
        if !progress(place, &planned.name) {
            return Err(ConvertError::Stopped);
        }
        choices.push(offers(file, planned, recipe)?);
        places.push(place);
    }
    let left = allowed.checked_sub(fixed).ok_or_else(|| {
        ConvertError::Request(format!(
            "the tensors that keep their type take {fixed} bytes, the budget leaves {allowed} for all; allow more"
        ))
    })?;
    let mix = mixture::search(&choices, left)?;
    for ((place, choices), &chosen) in places.into_iter().zip(&choices).zip(&mix.chosen) {
        let kind = choices.offers[chosen].kind;
        plan.tensors[place].assignment = Assignment { kind, wanted: kind, reason: Reason::Default };
    }
    plan.file_type = nearest(&plan, file);
    Ok(plan)
}

/// Bytes of a tensor in a type, rounded up to the alignment.
fn bytes_of(kind: GgmlType, entry: &Entry) -> u64 {
    (kind.bytes(entry.weights()).unwrap_or(0) as u64).next_multiple_of(crate::gguf::DEFAULT_ALIGNMENT)
}

fn offers(file: &ModelFile, planned: &Planned, recipe: &Recipe) -> Result<Choices, ConvertError> {
    let entry = &file.tensors()[planned.tensor];
    let importance = recipe.imatrix.as_ref().and_then(|matrix| matrix.importance(&planned.name));
    let importance = importance.filter(|importance| importance.len() == entry.row_len());
    let sample = sample(file, planned.tensor)?;
    let power: f64 = sample.weights.iter().map(|&x| f64::from(x).powi(2)).sum();
    let scale = match importance {
        Some(_) => entry.weights() as f64 / sample.weights.len().max(1) as f64,
        None if power > 0.0 => entry.weights() as f64 / power,
        None => 0.0,
    };
    let mut offers = Vec::new();
    for kind in CANDIDATES.into_iter().filter(|kind| sample.row_len.is_multiple_of(kind.block_len())) {
        let error = scale * weighted_error(&sample, kind, recipe.search, importance.as_deref(), &entry.name)?;
        offers.push(Offer { kind, bytes: bytes_of(kind, entry), error });
    }
    Ok(Choices { name: planned.name.clone(), offers })
}

fn weighted_error(
    sample: &Sample,
    kind: GgmlType,
    search: Search,
    importance: Option<&[f32]>,
    name: &str,
) -> Result<f64, ConvertError> {
    let restored = sample.restored(kind, search, importance, name)?;
    let row = |(x, y): (&[f32], &[f32])| -> f64 {
        let squares = x.iter().zip(y).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2));
        match importance {
            Some(v) => squares.zip(v).map(|(square, v)| square * f64::from(*v)).sum(),
            None => squares.sum(),
        }
    };
    Ok(sample.weights.chunks(sample.row_len).zip(restored.chunks(sample.row_len)).map(row).sum())
}

/// The file type whose default holds most weights: what a mix of its own is called in the header.
fn nearest(plan: &Plan, file: &ModelFile) -> FileType {
    let mut held: Vec<(GgmlType, usize)> = Vec::new();
    for planned in &plan.tensors {
        let kind = planned.assignment.kind;
        let weights = file.tensors()[planned.tensor].weights();
        match held.iter_mut().find(|(held, _)| *held == kind) {
            Some((_, sum)) => *sum += weights,
            None => held.push((kind, weights)),
        }
    }
    let most = held.into_iter().max_by_key(|(_, weights)| *weights).map(|(kind, _)| kind);
    FileType::all().find(|kind| kind.default_type().ok() == most).unwrap_or(plan.file_type)
}

/// Name, shape and type before quantization. Vectors from other formats become F32, as llama.cpp's converter makes them.
fn described(file: &ModelFile, entry: &Entry) -> mixture::Tensor {
    let name = entry.gguf().to_owned();
    let dims: Vec<u64> = entry.dims.iter().map(|&size| size as u64).collect();
    let half = matches!(entry.kind, GgmlType::F16 | GgmlType::BF16);
    let widened = half && file.format() != "GGUF" && !allows_quantization(&name, &dims);
    mixture::Tensor { kind: if widened { GgmlType::F32 } else { entry.kind }, name, dims }
}

/// What an encoder's GGUF file does not hold: the pooler, heads, tables that can be computed.
pub(super) fn left_out(file: &ModelFile, entry: &Entry) -> bool {
    entry.gguf_name.is_none() && file.encoder().is_some()
}

fn facts(file: &ModelFile, recipe: &Recipe) -> Facts {
    if let Some(encoder) = file.encoder() {
        let (layers, heads) = (encoder.layers, encoder.heads);
        return Facts { layers, heads, kv_heads: heads, experts: 0, importance: recipe.imatrix.is_some() };
    }
    let config = file.config().ok();
    let size = |pick: fn(&crate::llama::Config) -> usize| config.as_ref().map_or(0, pick);
    Facts {
        layers: size(|config| config.layers),
        heads: size(|config| config.heads),
        kv_heads: size(|config| config.kv_heads),
        experts: 0,
        importance: recipe.imatrix.is_some(),
    }
}
