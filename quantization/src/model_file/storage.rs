//! What every format offers, and finding out which format a path has.

use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::ModelFileError;
use super::{gguf, hugging_face, llama2c};
use crate::encoder::EncoderConfig;
use crate::ggml::GgmlType;
use crate::gguf::Metadata;
use crate::gptq_layout::Verdict;
use crate::llama;

/// A tensor of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name in the file.
    pub name: String,
    /// Name in GGUF files, `None` where the architecture has none.
    pub gguf_name: Option<String>,
    /// Sizes, the contiguous dimension first; empty for a single number.
    pub dims: Vec<usize>,
    /// Type in which rows are handed out.
    pub kind: GgmlType,
    /// Type in the file, as its format calls it.
    pub stored: String,
    /// Bytes in the file.
    pub bytes: u64,
    /// Heads by which the rows are permuted between [`RowOrder`]s; `None`: not at all.
    pub heads: Option<usize>,
}

impl Entry {
    /// Weights in a row, the contiguous dimension.
    pub fn row_len(&self) -> usize {
        self.dims.first().copied().unwrap_or(1)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.dims.iter().skip(1).product()
    }

    /// Number of weights.
    pub fn weights(&self) -> usize {
        self.dims.iter().product()
    }

    /// Name in GGUF files, or the file's own where the architecture has none.
    pub fn gguf(&self) -> &str {
        self.gguf_name.as_deref().unwrap_or(&self.name)
    }

    /// Whether the tensor holds weights that can be decoded to f32.
    pub fn is_numeric(&self) -> bool {
        use GgmlType::{F64, I8, I16, I32, I64};
        !matches!(self.kind, F64 | I8 | I16 | I32 | I64)
    }
}

/// Order of the rows of `attn_q` and `attn_k` within a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOrder {
    /// Rotation of adjacent pairs: GGUF, llama2.c.
    Pairs,
    /// Rotation of halves: Hugging Face.
    Halves,
}

/// A format: its tensors and what surrounds them.
pub trait Storage: Send + Sync {
    /// Name of the format.
    fn format(&self) -> &'static str;

    /// Tensors in the order of the file.
    fn entries(&self) -> &[Entry];

    /// Order in which the file keeps rows that rotate.
    fn row_order(&self) -> RowOrder;

    /// Appends rows of a tensor as blocks of its [`Entry::kind`], in the order of the file.
    ///
    /// # Errors
    /// [`ModelFileError`] when reading fails.
    fn append_rows(&self, tensor: usize, rows: Range<usize>, out: &mut Vec<u8>)
    -> Result<(), ModelFileError>;

    /// The configuration of a Llama-architecture model.
    ///
    /// # Errors
    /// [`ModelFileError`] when there is none or an unknown one.
    fn config(&self) -> Result<llama::Config, ModelFileError>;

    /// The configuration of a BERT encoder.
    fn encoder(&self) -> Option<EncoderConfig> {
        None
    }

    /// Folder with a tokenizer's files.
    fn folder(&self) -> Option<&Path> {
        None
    }

    /// What is wrong with the vocabulary.
    ///
    /// # Errors
    /// [`ModelFileError`] when its files cannot be read.
    fn vocabulary_note(&self) -> Result<Option<String>, ModelFileError> {
        Ok(None)
    }

    /// The keys of a GGUF file with this model.
    ///
    /// # Errors
    /// [`ModelFileError`] for a configuration that cannot be told in GGUF's keys.
    fn gguf_metadata(&self) -> Result<Metadata, ModelFileError>;

    /// The `config.json` of a Hugging Face folder with this model.
    ///
    /// # Errors
    /// [`ModelFileError`] when there is no configuration or an unknown one.
    fn hugging_face_config(&self) -> Result<serde_json::Value, ModelFileError>;

    /// Free text of the file by key.
    fn description(&self) -> Vec<(String, String)>;

    /// What packed layers say about their zero-points.
    ///
    /// # Errors
    /// [`ModelFileError`] when a layer cannot be read.
    fn zero_points(&self) -> Result<Option<Verdict>, ModelFileError> {
        Ok(None)
    }
}

const EXPECTED: &str = "expected a GGUF file, a safetensors file or its index.json, a Hugging Face folder with \
                        config.json, or a llama2.c checkpoint (.bin)";

/// The storage at `path`.
pub(super) fn open(path: &Path) -> Result<Box<dyn Storage>, ModelFileError> {
    let io = |problem| ModelFileError::Io { path: path.to_owned(), problem };
    let about = fs::metadata(path).map_err(io)?;
    if about.is_dir() {
        let weights = weights_in(path)?;
        return Ok(Box::new(hugging_face::Files::open(&weights, Some(path))?));
    }
    if !about.is_file() {
        return Err(ModelFileError::content(path, format!("not a regular file; {EXPECTED}")));
    }
    let mut start = Vec::new();
    fs::File::open(path).map_err(io)?.take(9).read_to_end(&mut start).map_err(io)?;
    let is = |extension: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension));
    if start.starts_with(b"GGUF") || is("gguf") {
        return Ok(Box::new(gguf::Gguf::open(path)?));
    }
    if is("safetensors") || is("json") || start.get(8) == Some(&b'{') {
        return Ok(Box::new(hugging_face::Files::open(path, path.parent())?));
    }
    if is("bin") {
        return Ok(Box::new(llama2c::Llama2c::open(path)?));
    }
    Err(ModelFileError::content(path, format!("starts with `{}`; {EXPECTED}", start.escape_ascii())))
}

/// The weights in a Hugging Face folder.
fn weights_in(folder: &Path) -> Result<PathBuf, ModelFileError> {
    for name in ["model.safetensors.index.json", "model.safetensors"] {
        let path = folder.join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    let io = |problem| ModelFileError::Io { path: folder.to_owned(), problem };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        found.extend(path.extension().is_some_and(|extension| extension == "safetensors").then_some(path));
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(ModelFileError::content(folder, format!("has no safetensors file; {EXPECTED}"))),
        several => Err(ModelFileError::content(
            folder,
            format!("has {} safetensors files and no index; name the one to read", several.len()),
        )),
    }
}
