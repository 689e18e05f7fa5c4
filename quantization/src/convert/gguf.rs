//! Writing a GGUF file by a plan.

use std::path::Path;

use super::pieces::{Work, absmean_scale};
use super::summary::{Summary, TensorReport};
use super::{ConvertError, Plan, Planned, Progress, SEARCHED, Search};
use crate::gguf::{Array, Metadata, Value, Writer};
use crate::imatrix::Imatrix;
use crate::mixture::Reason;
use crate::model_file::{ModelFile, RowOrder};

/// `general.quantization_version` (`GGML_QNT_VERSION`).
const QUANTIZATION_VERSION: u32 = 2;

/// How a plan is carried out.
#[derive(Clone, Copy, Debug, Default)]
pub struct GgufOptions<'a> {
    /// Importance of columns.
    pub imatrix: Option<&'a Imatrix>,
    /// How codes are searched for.
    pub search: Search,
    /// Whether matrices become ternary by BitNet's absmean first.
    pub absmean: bool,
    /// Whether the error of each tensor is measured.
    pub measure: bool,
}

/// Writes the model as a GGUF file; it appears when all is written.
///
/// Call it within a [`pool`](super::pool): rows are encoded on the current pool's threads.
///
/// # Errors
/// [`ConvertError`]; an older file stays then.
pub fn write_gguf(
    file: &ModelFile,
    plan: &Plan,
    options: &GgufOptions,
    out: &Path,
    progress: Progress,
) -> Result<Summary, ConvertError> {
    check_search(plan, options.search)?;
    let metadata = metadata(file, plan)?;
    let header = header_bytes(&metadata, plan.tensors.iter().map(|planned| planned.name.as_str()));
    let mut writer = Writer::create(out)?;
    writer.set_all(&metadata)?;
    for planned in &plan.tensors {
        let entry = &file.tensors()[planned.tensor];
        let dims: Vec<u64> = entry.dims.iter().map(|&size| size as u64).collect();
        writer.declare(&planned.name, &dims, planned.assignment.kind)?;
    }
    let mut summary = Summary::default();
    for (number, planned) in plan.tensors.iter().enumerate() {
        if !progress(number, &planned.name) {
            return Err(ConvertError::Stopped);
        }
        summary.tensors.push(write_tensor(file, planned, options, &mut writer, progress, number)?);
    }
    let data: u64 = writer.tensors().iter().map(|tensor| tensor.bytes.next_multiple_of(32)).sum();
    writer.finish()?;
    summary.file_bytes = std::fs::metadata(out).map_or(header + data, |about| about.len());
    Ok(summary)
}

/// Refuses a longer search that no tensor would get.
fn check_search(plan: &Plan, search: Search) -> Result<(), ConvertError> {
    let searched = |planned: &Planned| {
        planned.assignment.reason != Reason::Kept && SEARCHED.contains(&planned.assignment.kind)
    };
    if search == Search::Ggml || plan.tensors.iter().any(searched) {
        return Ok(());
    }
    let names: Vec<String> = SEARCHED.iter().map(ToString::to_string).collect();
    Err(ConvertError::Request(format!(
        "the search `best` has no effect: no tensor becomes {}, the types that have a better search than ggml's; choose a file type \
         with them, or leave the search out",
        names.join(", ")
    )))
}

fn write_tensor(
    file: &ModelFile,
    planned: &Planned,
    options: &GgufOptions,
    writer: &mut Writer,
    progress: Progress,
    number: usize,
) -> Result<TensorReport, ConvertError> {
    let (entry, assignment) = (&file.tensors()[planned.tensor], planned.assignment);
    let importance = importance(options.imatrix, planned, entry.row_len())?;
    let quantized = assignment.reason != Reason::Kept && assignment.kind.block_len() > 1;
    let ternary = (options.absmean && quantized).then(|| absmean_scale(file, planned.tensor)).transpose()?;
    let work = Work {
        file,
        tensor: planned.tensor,
        order: RowOrder::Pairs,
        kind: assignment.kind,
        importance: importance.as_deref(),
        search: options.search,
        ternary,
        measure: options.measure,
    };
    let squares = work.run(&mut |bytes| {
        if !progress(number, &planned.name) {
            return Err(ConvertError::Stopped);
        }
        Ok(writer.append(bytes)?)
    })?;
    Ok(TensorReport {
        name: planned.name.clone(),
        dims: entry.dims.clone(),
        from: entry.stored.clone(),
        to: assignment.kind.name().to_owned(),
        wanted: (assignment.kind != assignment.wanted).then_some(assignment.wanted),
        unpacked: false,
        quantized,
        weights: entry.weights() as u64,
        bytes: assignment.kind.bytes(entry.weights()).unwrap_or(0) as u64,
        squares: (options.measure && entry.kind != assignment.kind).then_some(squares),
    })
}

fn importance(
    imatrix: Option<&Imatrix>,
    planned: &Planned,
    row_len: usize,
) -> Result<Option<Vec<f32>>, ConvertError> {
    if planned.assignment.reason == Reason::Kept {
        return Ok(None);
    }
    let found = imatrix.and_then(|imatrix| imatrix.importance(&planned.name));
    match found {
        Some(found) if found.len() != row_len => Err(ConvertError::Request(format!(
            "tensor `{}`: the importance matrix has {} columns, expected {row_len}; was it computed with another model?",
            planned.name,
            found.len()
        ))),
        found => Ok(found),
    }
}

fn metadata(file: &ModelFile, plan: &Plan) -> Result<Metadata, ConvertError> {
    let mut keys = file.gguf_metadata()?;
    keys.set("general.quantization_version", QUANTIZATION_VERSION);
    keys.set("general.file_type", plan.file_type.id());
    Ok(keys)
}

/// Bytes in front of the data, alignment included.
pub(crate) fn header_bytes<'a>(metadata: &Metadata, names: impl Iterator<Item = &'a str>) -> u64 {
    let keys: u64 = metadata.iter().map(|(key, value)| 12 + key.len() as u64 + value_bytes(value)).sum();
    // Name, rank, at most four sizes, type, offset.
    let tensors: u64 = names.map(|name| 8 + name.len() as u64 + 4 + 32 + 4 + 8).sum();
    (24 + keys + tensors).next_multiple_of(crate::gguf::DEFAULT_ALIGNMENT)
}

fn value_bytes(value: &Value) -> u64 {
    match value {
        Value::U8(_) | Value::I8(_) | Value::Bool(_) => 1,
        Value::U16(_) | Value::I16(_) => 2,
        Value::U32(_) | Value::I32(_) | Value::F32(_) => 4,
        Value::U64(_) | Value::I64(_) | Value::F64(_) => 8,
        Value::String(text) => 8 + text.len() as u64,
        Value::Array(Array::String(strings)) => {
            12 + strings.iter().map(|text| 8 + text.len() as u64).sum::<u64>()
        }
        Value::Array(array) => 12 + 8 * array.len() as u64, // at most eight bytes each
    }
}

impl Plan {
    /// Bytes in front of the data of a file with this plan, rounded up.
    ///
    /// # Errors
    /// [`ConvertError::Model`] when the model's keys cannot be told.
    pub fn header_bytes(&self, file: &ModelFile) -> Result<u64, ConvertError> {
        let names = self.tensors.iter().map(|planned| planned.name.as_str());
        Ok(header_bytes(&metadata(file, self)?, names))
    }
}
