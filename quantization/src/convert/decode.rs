//! Quantized models back to plain numbers.

use std::collections::BTreeMap;
use std::path::Path;

use super::pieces::Work;
use super::summary::{Summary, TensorReport};
use super::{ConvertError, GgufOptions, Plan, Planned, Progress, Search, write_gguf};
use crate::ggml::GgmlType;
use crate::mixture::{Assignment, FileType, Reason};
use crate::model_file::{Entry, ModelFile, RowOrder};
use crate::safetensors::{Dtype, Writer};

/// Writes the model with every matrix as `kind` (F32, F16 or BF16), vectors as F32.
///
/// # Errors
/// [`ConvertError`]; an older file stays then.
pub fn dequantize_to_gguf(
    file: &ModelFile,
    kind: GgmlType,
    out: &Path,
    progress: Progress,
) -> Result<Summary, ConvertError> {
    let written = |(_, entry): &(usize, &Entry)| !super::plan::left_out(file, entry);
    let planned = |(tensor, entry): (usize, &Entry)| {
        let kind = target(entry, kind);
        Planned {
            tensor,
            name: entry.gguf().to_owned(),
            assignment: Assignment { kind, wanted: kind, reason: Reason::Default },
        }
    };
    let file_type = FileType::all().find(|file_type| file_type.default_type().ok() == Some(kind));
    let plan = Plan {
        tensors: file.tensors().iter().enumerate().filter(written).map(planned).collect(),
        file_type: file_type.unwrap_or(FileType::F32),
    };
    write_gguf(file, &plan, &GgufOptions::default(), out, progress)
}

/// Type of a tensor: vectors F32, integers as they are.
fn target(entry: &Entry, kind: GgmlType) -> GgmlType {
    match entry.is_numeric() {
        false => entry.kind,
        true if entry.dims.len() < 2 => GgmlType::F32,
        true => kind,
    }
}

/// Writes the model as a safetensors file of `kind` (F32, F16 or BF16): Llama models and BERT encoders under Hugging Face's
/// names and in its order of rows, others under their own names.
///
/// # Errors
/// [`ConvertError`]; an older file stays then.
pub fn dequantize_to_safetensors(
    file: &ModelFile,
    kind: GgmlType,
    out: &Path,
    progress: Progress,
) -> Result<Summary, ConvertError> {
    let llama = file.config().is_ok();
    let names: Vec<String> = file.tensors().iter().map(|entry| file.hugging_face_name(entry)).collect();
    let mut tensors = Vec::new();
    for (entry, name) in file.tensors().iter().zip(&names) {
        let kind = if entry.is_numeric() { kind } else { entry.kind };
        let dtype = dtype_of(kind).ok_or_else(|| {
            ConvertError::Request(format!("tensor `{name}`: {kind} has no type in safetensors"))
        })?;
        tensors.push((name.clone(), dtype, entry.dims.iter().rev().copied().collect()));
    }
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let mut writer = Writer::create(out, &metadata, &tensors)?;
    let mut summary = Summary::default();
    for (number, (entry, name)) in file.tensors().iter().zip(&names).enumerate() {
        if !progress(number, name) {
            return Err(ConvertError::Stopped);
        }
        let kind = if entry.is_numeric() { kind } else { entry.kind };
        let order = if llama { RowOrder::Halves } else { RowOrder::Pairs };
        let work = Work {
            file,
            tensor: number,
            order,
            kind,
            importance: None,
            search: Search::Ggml,
            ternary: None,
            measure: false,
        };
        let mut bytes = 0;
        writer.begin(name)?;
        work.run(&mut |piece| {
            bytes += piece.len() as u64;
            Ok(writer.append(piece)?)
        })?;
        summary.tensors.push(TensorReport {
            name: name.clone(),
            dims: entry.dims.clone(),
            from: entry.stored.clone(),
            to: kind.name().to_owned(),
            wanted: None,
            unpacked: false,
            quantized: false,
            weights: entry.weights() as u64,
            bytes,
            squares: None,
        });
    }
    writer.finish()?;
    summary.file_bytes = std::fs::metadata(out).map_or(0, |about| about.len());
    Ok(summary)
}

/// Type of a safetensors file with these numbers.
pub(super) fn dtype_of(kind: GgmlType) -> Option<Dtype> {
    Some(match kind {
        GgmlType::F32 => Dtype::F32,
        GgmlType::F16 => Dtype::F16,
        GgmlType::BF16 => Dtype::BF16,
        GgmlType::F64 => Dtype::F64,
        GgmlType::I8 => Dtype::I8,
        GgmlType::I16 => Dtype::I16,
        GgmlType::I32 => Dtype::I32,
        GgmlType::I64 => Dtype::I64,
        _ => return None,
    })
}
