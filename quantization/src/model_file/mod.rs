//! Models as they lie on disk, whatever the format: one list of tensors, rows on demand, one set of names.
//!
//! | path | format |
//! |---|---|
//! | `….gguf` | GGUF |
//! | `….safetensors`, `….safetensors.index.json`, a folder with `config.json` | safetensors, also with GPTQ layers |
//! | `….bin` | llama2.c; `tokenizer.bin`, `tok….bin` beside it is its vocabulary |
//!
//! Rows are read in pieces, so that no tensor has to fit into memory. What the formats hold differently is told by
//! [`Entry`]: the name in the file and the GGUF name, and the heads by which rows of `attn_q` and `attn_k` are permuted.

mod error;
mod gguf;
mod hugging_face;
mod llama2c;
mod metadata;
mod source;
mod statistics;
mod storage;
mod tokenizer;
mod vocabulary;

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::encoder::{self, EncoderConfig};
use crate::ggml;
use crate::gguf::Metadata;
use crate::gptq_layout::Verdict;
use crate::llama;

pub use error::ModelFileError;
pub use statistics::{HISTOGRAM_BINS, HISTOGRAM_REACH, OUTLIER, Statistics};
pub use storage::{Entry, RowOrder, Storage};

/// An open model. Weights stay on disk; several threads may read them at once.
pub struct ModelFile {
    path: PathBuf,
    storage: Box<dyn Storage>,
}

impl std::fmt::Debug for ModelFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ModelFile({}, {}, {} tensors)", self.path.display(), self.format(), self.tensors().len())
    }
}

impl ModelFile {
    /// Opens a model; which format it has is seen by its first bytes, for a folder by its files.
    ///
    /// # Errors
    /// [`ModelFileError`] when the file cannot be read, is damaged or of no format that is read here.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ModelFileError> {
        let path = path.as_ref();
        let storage = storage::open(path)?;
        Ok(Self { path: path.to_owned(), storage })
    }

    /// Path that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Name of the format: `GGUF`, `safetensors`, `safetensors with GPTQ layers` or `llama2.c`.
    pub fn format(&self) -> &'static str {
        self.storage.format()
    }

    /// Tensors in the order of the file.
    pub fn tensors(&self) -> &[Entry] {
        self.storage.entries()
    }

    /// Place of the tensor with this name, be it the file's or GGUF's.
    pub fn find(&self, name: &str) -> Option<usize> {
        let named = |entry: &Entry| entry.name == name || entry.gguf_name.as_deref() == Some(name);
        self.tensors().iter().position(named)
    }

    /// The configuration of a Llama-architecture model.
    ///
    /// # Errors
    /// [`ModelFileError`] when there is none, or one that [`llama`] does not compute.
    pub fn config(&self) -> Result<llama::Config, ModelFileError> {
        self.storage.config()
    }

    /// The configuration of a BERT encoder, `None` for other models.
    pub fn encoder(&self) -> Option<EncoderConfig> {
        self.storage.encoder()
    }

    /// Folder of a Hugging Face model, with its tokenizer's files.
    pub fn folder(&self) -> Option<&Path> {
        self.storage.folder()
    }

    /// What is wrong with the vocabulary in [`Self::gguf_metadata`], if anything.
    ///
    /// # Errors
    /// [`ModelFileError`] when its files cannot be read or do not fit the model.
    pub fn vocabulary_note(&self) -> Result<Option<String>, ModelFileError> {
        self.storage.vocabulary_note()
    }

    /// Name of a tensor in a Hugging Face checkpoint of the model's architecture, its own where there is none.
    pub fn hugging_face_name(&self, entry: &Entry) -> String {
        let gguf = entry.gguf_name.as_deref();
        let known = match self.encoder() {
            Some(_) => gguf.and_then(encoder::hugging_face_name),
            None => gguf.filter(|_| self.config().is_ok()).and_then(llama::hugging_face_name),
        };
        known.unwrap_or_else(|| entry.name.clone())
    }

    /// The keys of a GGUF file with this model; `general.file_type` is left to the caller.
    ///
    /// # Errors
    /// [`ModelFileError`] for a configuration that cannot be told in GGUF's keys, or a vocabulary that does not fit.
    pub fn gguf_metadata(&self) -> Result<Metadata, ModelFileError> {
        self.storage.gguf_metadata()
    }

    /// The `config.json` of a Hugging Face folder with this model.
    ///
    /// # Errors
    /// As [`Self::config`].
    pub fn hugging_face_config(&self) -> Result<serde_json::Value, ModelFileError> {
        self.storage.hugging_face_config()
    }

    /// Free text of the file by key, as `inspect` shows it.
    pub fn description(&self) -> Vec<(String, String)> {
        self.storage.description()
    }

    /// What the packed layers say about their zero-points; `None` for files without any.
    ///
    /// # Errors
    /// [`ModelFileError`] when a layer cannot be read.
    pub fn zero_points(&self) -> Result<Option<Verdict>, ModelFileError> {
        self.storage.zero_points()
    }

    /// Fills `out` with rows of a tensor as blocks of its [`Entry::kind`], rows ordered as asked.
    ///
    /// # Errors
    /// [`ModelFileError`] when reading fails.
    pub fn read_rows(
        &self,
        tensor: usize,
        order: RowOrder,
        rows: Range<usize>,
        out: &mut Vec<u8>,
    ) -> Result<(), ModelFileError> {
        let entry = &self.tensors()[tensor];
        out.clear();
        let stored = self.storage.row_order();
        let heads = entry.heads.filter(|heads| stored != order && entry.rows().is_multiple_of(2 * heads));
        let Some(heads) = heads else { return self.storage.append_rows(tensor, rows, out) };
        let width = entry.rows() / heads;
        for row in rows {
            let source = stored.source_row(row, width);
            self.storage.append_rows(tensor, source..source + 1, out)?;
        }
        Ok(())
    }

    /// Fills `out` with rows of a tensor as numbers; `bytes` is room to read into.
    ///
    /// # Errors
    /// [`ModelFileError`] when reading fails or the tensor holds no weights.
    pub fn read_weights(
        &self,
        tensor: usize,
        order: RowOrder,
        rows: Range<usize>,
        bytes: &mut Vec<u8>,
        out: &mut Vec<f32>,
    ) -> Result<(), ModelFileError> {
        let entry = &self.tensors()[tensor];
        let count = rows.len() * entry.row_len();
        self.read_rows(tensor, order, rows, bytes)?;
        out.resize(count, 0.0);
        ggml::decode(entry.kind, bytes, out).map_err(|problem| ModelFileError::Tensor {
            path: self.path.clone(),
            name: entry.name.clone(),
            problem: problem.to_string(),
        })
    }

    /// All weights of a tensor.
    ///
    /// # Errors
    /// As [`Self::read_weights`].
    pub fn weights(&self, tensor: usize, order: RowOrder) -> Result<Vec<f32>, ModelFileError> {
        let mut out = Vec::new();
        self.read_weights(tensor, order, 0..self.tensors()[tensor].rows(), &mut Vec::new(), &mut out)?;
        Ok(out)
    }
}

impl RowOrder {
    /// Row of the stored order `self` that comes at place `row` in the other order; heads have `width` rows.
    ///
    /// ```
    /// use quantization::model_file::RowOrder;
    /// let pairs: Vec<usize> = (0..4).map(|row| RowOrder::Halves.source_row(row, 4)).collect();
    /// assert_eq!(pairs, [0, 2, 1, 3]);
    /// ```
    pub fn source_row(self, row: usize, width: usize) -> usize {
        let within = row % width;
        let source = match self {
            Self::Halves => (within % 2) * (width / 2) + within / 2,
            Self::Pairs => 2 * (within % (width / 2)) + within / (width / 2),
        };
        row - within + source
    }
}
