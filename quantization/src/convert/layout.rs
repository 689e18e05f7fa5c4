//! Writing a Hugging Face folder: GPTQ's packed layers, or weights rounded to a grid.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::calibrate::Layers;
use super::decode::dtype_of;
use super::packing::{Packing, fits};
use super::pieces::{Squares, Work, pieces};
use super::summary::{Summary, TensorReport};
use super::{ConvertError, Progress, Search};
use crate::affine::{Fit, Granularity, Grid, quantize};
use crate::ggml::GgmlType;
use crate::gptq_layout::{Convention, Packed, QuantizeConfig};
use crate::model_file::{Entry, ModelFile, RowOrder};
use crate::safetensors::{Dtype, Writer};

/// How matrices are laid on grids.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayoutOptions {
    /// Grid of the codes; scales are stored as f16.
    pub grid: Grid,
    /// Rule that fits scales.
    pub fit: Fit,
    /// Inputs that share a scale; none for whole rows.
    pub group_size: Option<usize>,
    /// How zero-points are stored.
    pub convention: Convention,
}

/// Places and prefixes of the matrices that are packed: the linear layers of the blocks, without embedding and head.
/// Matrices whose sides are no multiples of 32 are left as they are; see [`Summary::fall_backs`].
pub fn layout_names(file: &ModelFile) -> Vec<(usize, String)> {
    let prefix = |(place, entry): (usize, &Entry)| {
        let name = file.hugging_face_name(entry);
        let prefix = name.strip_suffix(".weight")?.to_owned();
        is_linear(entry, &prefix).then_some((place, prefix))
    };
    file.tensors().iter().enumerate().filter_map(prefix).collect()
}

fn is_linear(entry: &Entry, prefix: &str) -> bool {
    let last = prefix.rsplit('.').next().unwrap_or_default();
    let table = last.contains("embd")
        || last == "token_types"
        || prefix.contains("embed")
        || last == "output"
        || last == "lm_head";
    entry.dims.len() == 2 && entry.is_numeric() && !table
}

/// Writes a folder with packed layers: `model.safetensors`, `config.json`, `quantize_config.json`. Layers in `solved` are taken from
/// there, the others are rounded to nearest.
///
/// # Errors
/// [`ConvertError`]; nothing is left behind then.
pub fn write_layout(
    file: &ModelFile,
    options: &LayoutOptions,
    solved: Option<Layers>,
    config: &QuantizeConfig,
    out: &Path,
    progress: Progress,
) -> Result<Summary, ConvertError> {
    let mut solved = solved.unwrap_or_default();
    let folder = Folder::create(out)?;
    let mut listed = Vec::new();
    let targets: BTreeMap<usize, String> = layout_names(file).into_iter().collect();
    for (place, entry) in file.tensors().iter().enumerate() {
        match targets.get(&place).filter(|_| fits(entry.row_len(), entry.rows())) {
            Some(prefix) => listed.extend(parts(entry, prefix, options)),
            None => listed.push((file.hugging_face_name(entry), plain(entry)?.1, shape(entry))),
        }
    }
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let mut writer = Writer::create(folder.file("model.safetensors"), &metadata, &listed)?;
    let mut summary = Summary::default();
    for (place, entry) in file.tensors().iter().enumerate() {
        if !progress(place, &entry.name) {
            return Err(ConvertError::Stopped);
        }
        let target = targets.get(&place);
        let Some(prefix) = target.filter(|_| fits(entry.row_len(), entry.rows())) else {
            let mut report = write_plain(file, place, &file.hugging_face_name(entry), &mut writer)?;
            report.unpacked = target.is_some();
            summary.tensors.push(report);
            continue;
        };
        let (packed, squares) = match solved.remove(&place) {
            Some(layer) => layer,
            None => rounded(file, place, options)?,
        };
        summary.tensors.push(write_packed(entry, prefix, &packed, squares, &mut writer)?);
    }
    writer.finish()?;
    folder.configs(file, Some(config))?;
    summary.file_bytes = folder.finish("model.safetensors")?;
    Ok(summary)
}

/// Writes an ordinary folder whose matrices are rounded to the grid and back, as `kind`.
///
/// # Errors
/// [`ConvertError`]; nothing is left behind then.
pub fn write_rounded(
    file: &ModelFile,
    options: &LayoutOptions,
    kind: GgmlType,
    out: &Path,
    progress: Progress,
) -> Result<Summary, ConvertError> {
    let folder = Folder::create(out)?;
    let targets: BTreeMap<usize, String> = layout_names(file).into_iter().collect();
    let mut listed = Vec::new();
    for (place, entry) in file.tensors().iter().enumerate() {
        let dtype =
            if targets.contains_key(&place) { dtype_of(kind).unwrap_or(Dtype::F32) } else { plain(entry)?.1 };
        listed.push((file.hugging_face_name(entry), dtype, shape(entry)));
    }
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let mut writer = Writer::create(folder.file("model.safetensors"), &metadata, &listed)?;
    let mut summary = Summary::default();
    for (place, entry) in file.tensors().iter().enumerate() {
        if !progress(place, &entry.name) {
            return Err(ConvertError::Stopped);
        }
        let name = file.hugging_face_name(entry);
        if !targets.contains_key(&place) {
            summary.tensors.push(write_plain(file, place, &name, &mut writer)?);
            continue;
        }
        let mut squares = Squares::default();
        writer.begin(&name)?;
        for rows in pieces(entry.rows(), entry.row_len()) {
            let weights = weights(file, place, rows.clone())?;
            let restored = grid(entry, &weights, options)?.dequantize();
            squares.add(Squares::of(&weights, &restored));
            let mut bytes = vec![0; kind.bytes(restored.len()).unwrap_or(0)];
            crate::ggml::encode(kind, &restored, entry.row_len(), None, &mut bytes)
                .map_err(|problem| ConvertError::Encode { name: entry.name.clone(), problem })?;
            writer.append(&bytes)?;
        }
        let bytes = kind.bytes(entry.weights()).unwrap_or(0);
        summary.tensors.push(report(entry, name, kind.name().to_owned(), true, bytes, Some(squares)));
    }
    writer.finish()?;
    folder.configs(file, None)?;
    summary.file_bytes = folder.finish("model.safetensors")?;
    Ok(summary)
}

/// A matrix rounded to nearest, piece by piece.
fn rounded(
    file: &ModelFile,
    place: usize,
    options: &LayoutOptions,
) -> Result<(Packed, Squares), ConvertError> {
    let entry = &file.tensors()[place];
    let (inputs, outputs) = (entry.row_len(), entry.rows());
    let group_size = options.group_size.unwrap_or(inputs);
    let groups: Vec<usize> = (0..inputs).map(|input| input / group_size).collect();
    let fail = |problem| ConvertError::Layout { name: entry.name.clone(), problem };
    let mut packing =
        Packing::new(options.grid.bits, inputs, outputs, &groups, options.convention).map_err(fail)?;
    let mut squares = Squares::default();
    let all = pieces(outputs, inputs);
    for batch in all.chunks(4 * rayon::current_num_threads()) {
        let made: Result<Vec<_>, ConvertError> = batch
            .par_iter()
            .map(|rows| {
                let weights = weights(file, place, rows.clone())?;
                let quantized = grid(entry, &weights, options)?;
                let squares = Squares::of(&weights, &quantized.dequantize());
                Ok((rows.start, quantized, squares))
            })
            .collect();
        for (first, quantized, part) in made? {
            let scales: Vec<f32> = quantized.parameters.iter().map(|p| p.scale).collect();
            let zeros: Vec<u8> = quantized.parameters.iter().map(|p| p.zero_point as u8).collect();
            packing.put(first, &quantized.codes, &scales, &zeros);
            squares.add(part);
        }
    }
    Ok((packing.finish(), squares))
}

fn weights(file: &ModelFile, place: usize, rows: std::ops::Range<usize>) -> Result<Vec<f32>, ConvertError> {
    let mut out = Vec::new();
    file.read_weights(place, RowOrder::Halves, rows, &mut Vec::new(), &mut out)?;
    Ok(out)
}

fn grid(
    entry: &Entry,
    weights: &[f32],
    options: &LayoutOptions,
) -> Result<crate::affine::Quantized, ConvertError> {
    let granularity = options.group_size.map_or(Granularity::Channel, Granularity::Group);
    quantize(weights, entry.row_len(), &options.grid, granularity, &options.fit)
        .map_err(|problem| ConvertError::Grid { name: entry.name.clone(), problem })
}

/// Names, types and shapes of a packed layer.
fn parts(entry: &Entry, prefix: &str, options: &LayoutOptions) -> [(String, Dtype, Vec<usize>); 4] {
    let (inputs, outputs, bits) = (entry.row_len(), entry.rows(), options.grid.bits as usize);
    let groups = inputs.div_ceil(options.group_size.unwrap_or(inputs));
    let name = |part| format!("{prefix}.{part}");
    [
        (name("qweight"), Dtype::I32, vec![inputs * bits / 32, outputs]),
        (name("qzeros"), Dtype::I32, vec![groups, outputs * bits / 32]),
        (name("scales"), Dtype::F16, vec![groups, outputs]),
        (name("g_idx"), Dtype::I32, vec![inputs]),
    ]
}

fn write_packed(
    entry: &Entry,
    prefix: &str,
    packed: &Packed,
    squares: Squares,
    writer: &mut Writer,
) -> Result<TensorReport, ConvertError> {
    let mut bytes = 0;
    for (name, _, _, data) in packed.tensors(prefix) {
        bytes += data.len();
        writer.write_tensor(&name, &data)?;
    }
    Ok(report(entry, format!("{prefix}.weight"), format!("GPTQ-{}", packed.bits), true, bytes, Some(squares)))
}

fn write_plain(
    file: &ModelFile,
    place: usize,
    name: &str,
    writer: &mut Writer,
) -> Result<TensorReport, ConvertError> {
    let entry = &file.tensors()[place];
    let (kind, _) = plain(entry)?;
    let work = Work {
        file,
        tensor: place,
        order: RowOrder::Halves,
        kind,
        importance: None,
        search: Search::Ggml,
        ternary: None,
        measure: false,
    };
    let mut bytes = 0;
    writer.begin(name)?;
    work.run(&mut |piece| {
        bytes += piece.len();
        Ok(writer.append(piece)?)
    })?;
    Ok(report(entry, name.to_owned(), kind.name().to_owned(), false, bytes, None))
}

fn report(
    entry: &Entry,
    name: String,
    to: String,
    quantized: bool,
    bytes: usize,
    squares: Option<Squares>,
) -> TensorReport {
    TensorReport {
        name,
        dims: entry.dims.clone(),
        from: entry.stored.clone(),
        to,
        wanted: None,
        unpacked: false,
        quantized,
        weights: entry.weights() as u64,
        bytes: bytes as u64,
        squares,
    }
}

/// Type of a tensor that is not packed: its own where safetensors has it, else F32.
fn plain(entry: &Entry) -> Result<(GgmlType, Dtype), ConvertError> {
    let kind = if dtype_of(entry.kind).is_some() { entry.kind } else { GgmlType::F32 };
    dtype_of(kind).map(|dtype| (kind, dtype)).ok_or_else(|| {
        ConvertError::Request(format!("tensor `{}`: {kind} has no type in safetensors", entry.name))
    })
}

fn shape(entry: &Entry) -> Vec<usize> {
    entry.dims.iter().rev().copied().collect()
}

/// Files of a Hugging Face folder that go with its weights.
const COMPANIONS: [&str; 12] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "generation_config.json",
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
];

/// A folder under a temporary name, renamed when it is whole.
struct Folder {
    out: PathBuf,
    temporary: PathBuf,
    finished: bool,
}

impl Folder {
    fn create(out: &Path) -> Result<Self, ConvertError> {
        let taken = match std::fs::read_dir(out) {
            Ok(mut entries) => entries.next().is_some(),
            Err(_) => out.exists(),
        };
        if taken {
            return Err(ConvertError::Request(format!(
                "{} exists and is not an empty folder; choose another place or remove it",
                out.display()
            )));
        }
        let mut name = out.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = out.with_file_name(name);
        common::files::make_folder(&temporary)?;
        Ok(Self { out: out.to_owned(), temporary, finished: false })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.temporary.join(name)
    }

    /// Files beside the weights that are no weights: the tokenizer's, and how sentences are pooled.
    fn companions(&self, file: &ModelFile) -> Result<(), ConvertError> {
        let Some(source) = file.folder() else { return Ok(()) };
        for name in COMPANIONS.into_iter().filter(|name| source.join(name).is_file()) {
            let (from, to) = (source.join(name), self.file(name));
            common::files::make_folder(to.parent().unwrap_or(&self.temporary))?;
            common::files::write_atomic(&to, &common::files::read(&from)?)?;
        }
        Ok(())
    }

    /// `config.json`, and what the layers are.
    fn configs(&self, file: &ModelFile, config: Option<&QuantizeConfig>) -> Result<(), ConvertError> {
        self.companions(file)?;
        if let Ok(mut json) = file.hugging_face_config() {
            if let (Some(config), Some(fields)) = (config, json.as_object_mut()) {
                let value = serde_json::to_value(config).unwrap_or_default();
                fields.insert("quantization_config".to_owned(), value);
            }
            let text = format!("{json:#}\n");
            common::files::write_atomic(&self.file("config.json"), text.as_bytes())?;
        }
        if let Some(config) = config {
            config.write(&self.file("quantize_config.json"))?;
        }
        Ok(())
    }

    /// Gives the folder its name; returns the bytes of its file `name`.
    fn finish(mut self, name: &str) -> Result<u64, ConvertError> {
        let bytes = std::fs::metadata(self.file(name)).map_or(0, |about| about.len());
        let _ = std::fs::remove_dir(&self.out); // an empty folder makes way; anything else was refused before
        std::fs::rename(&self.temporary, &self.out).map_err(|problem| {
            ConvertError::Request(format!("{}: writing: {problem}; choose another place", self.out.display()))
        })?;
        self.finished = true;
        Ok(bytes)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.finished {
            let _ = std::fs::remove_dir_all(&self.temporary); // made by this process alone
        }
    }
}
