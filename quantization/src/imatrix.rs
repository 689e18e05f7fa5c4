//! Importance matrices: mean squared inputs of every weight matrix.
//!
//! ```text
//! importance[c] = Σ_tokens (input column c)² / tokens
//! ```
//! This is the diagonal of GPTQ's Hessian up to a factor. Read from llama.cpp's GGUF form and its older binary form, written as GGUF.
//! Source: llama.cpp, `common/imatrix-loader.cpp`, `tools/imatrix` and `tools/quantize`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::ggml::GgmlType;
use crate::gguf;

/// What the importance matrix holds about one weight matrix (several, if it has experts).
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Sums of squared inputs, expert after expert: `[experts, columns]`.
    pub sums: Vec<f32>,
    /// Tokens per expert, `[experts]`.
    pub counts: Vec<f32>,
}

/// An importance matrix for a whole model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imatrix {
    /// Texts it was computed from.
    pub datasets: Vec<String>,
    /// Chunks it was computed from.
    pub chunk_count: u32,
    /// Tokens per chunk; 0 in the older form, which does not store it.
    pub chunk_size: u32,
    /// Entry of each weight matrix, by its tensor name.
    pub entries: BTreeMap<String, Entry>,
}

/// An importance matrix that could not be read or written.
#[derive(Debug, Error)]
pub enum ImatrixError {
    /// The file cannot be read.
    #[error("{path}: reading: {problem}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        problem: std::io::Error,
    },
    /// The GGUF file is unsound.
    #[error(transparent)]
    Gguf(#[from] gguf::ReadError),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] gguf::WriteError),
    /// The file is no importance matrix.
    #[error("{path}: {problem}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and how to mend it.
        problem: String,
    },
}

/// Keys of the GGUF form.
const DATASETS: &str = "imatrix.datasets";
const CHUNK_COUNT: &str = "imatrix.chunk_count";
const CHUNK_SIZE: &str = "imatrix.chunk_size";

impl Entry {
    /// Importance of each column, expert after expert: sum / tokens, and 1 for an expert that saw no token.
    pub fn importance(&self) -> Vec<f32> {
        let columns = self.sums.len() / self.counts.len().max(1);
        let experts = self.sums.chunks_exact(columns.max(1)).zip(&self.counts);
        let mean = |sum: f32, count: f32| if count > 0.0 { sum / count } else { 1.0 };
        experts.flat_map(|(sums, &count)| sums.iter().map(move |&sum| mean(sum, count))).collect()
    }
}

impl Imatrix {
    /// Reads either form; which one is seen by the first four bytes.
    ///
    /// # Errors
    /// [`ImatrixError`] when the file cannot be read or is no importance matrix.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ImatrixError> {
        let path = path.as_ref();
        let io = |problem| ImatrixError::Io { path: path.to_owned(), problem };
        let mut start = Vec::new();
        let file = std::fs::File::open(path).map_err(io)?;
        std::io::Read::read_to_end(&mut std::io::Read::take(file, 4), &mut start).map_err(io)?;
        let matrix = if start == b"GGUF" {
            Self::read_gguf(&gguf::File::open(path)?)?
        } else {
            let bytes = std::fs::read(path).map_err(io)?;
            Self::decode_legacy(&bytes).map_err(|problem| content(path, problem))?
        };
        matrix.check().map_err(|problem| content(path, problem))?;
        Ok(matrix)
    }

    /// Importance of each column of a weight matrix, see [`Entry::importance`].
    pub fn importance(&self, tensor: &str) -> Option<Vec<f32>> {
        self.entries.get(tensor).map(Entry::importance)
    }

    fn read_gguf(file: &gguf::File) -> Result<Self, ImatrixError> {
        let mut matrix = Self::default();
        if let Ok(names) = file.get_strings(DATASETS) {
            matrix.datasets = names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        }
        for (key, place) in [(CHUNK_COUNT, &mut matrix.chunk_count), (CHUNK_SIZE, &mut matrix.chunk_size)] {
            if file.get(key).is_some() {
                *place = file.get_u32(key)?;
            }
        }
        for tensor in file.tensors() {
            if let Some(name) = tensor.name.strip_suffix(".in_sum2") {
                let sums = read_floats(file, tensor)?;
                let counts = format!("{name}.counts");
                let counts = read_floats(file, file.tensor(&counts)?)?;
                matrix.entries.insert(name.to_owned(), Entry { sums, counts });
            }
        }
        Ok(matrix)
    }

    /// The older binary form: `i32 entries | entries × { i32 length, name | i32 calls | i32 values | f32 … }`, then optionally
    /// `i32 chunks | i32 length, name of the text`. Its values are means times calls, so that values / calls are means.
    ///
    /// # Errors
    /// What is wrong, with the byte, as text.
    pub fn decode_legacy(bytes: &[u8]) -> Result<Self, String> {
        let mut rest = Rest { bytes, at: 0 };
        let entries = rest.count("the number of entries", 12)?;
        if entries == 0 {
            return Err("byte 0: has no entries: this is not an importance matrix".to_owned());
        }
        let mut matrix = Self::default();
        for _ in 0..entries {
            let at = rest.at;
            let name = rest.text("the name of a tensor")?;
            let calls = rest.int("the number of calls")?;
            let values = rest.count("the number of values", 4)?;
            if calls <= 0 || values == 0 {
                return Err(format!(
                    "byte {at}: tensor `{name}` has {calls} calls and {values} values, expected at least 1"
                ));
            }
            let floats = rest.take(4 * values, "the values")?.chunks_exact(4);
            let sums = floats.map(|four| f32::from_le_bytes(four.try_into().expect("four bytes"))).collect();
            if matrix.entries.insert(name.clone(), Entry { sums, counts: vec![calls as f32] }).is_some() {
                return Err(format!("byte {at}: tensor `{name}` occurs a second time"));
            }
        }
        if rest.at < bytes.len() {
            matrix.chunk_count = u32::try_from(rest.int("the number of chunks")?).unwrap_or(0);
        }
        if rest.at < bytes.len() {
            matrix.datasets.push(rest.text("the name of the text")?);
        }
        Ok(matrix)
    }

    /// Writes the GGUF form, tensors in the order of their names.
    ///
    /// # Errors
    /// [`ImatrixError`] for numbers that are not finite, for sums that do not divide into the experts, or a disk that refuses.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), ImatrixError> {
        let path = path.as_ref();
        self.check().map_err(|problem| content(path, problem))?;
        let mut writer = gguf::Writer::create(path)?;
        writer.set("general.type", "imatrix")?;
        writer.set(DATASETS, self.datasets.iter().collect::<gguf::Strings>())?;
        writer.set(CHUNK_COUNT, self.chunk_count)?;
        writer.set(CHUNK_SIZE, self.chunk_size)?;
        for (name, entry) in &self.entries {
            let experts = entry.counts.len();
            let columns = entry.sums.len() / experts;
            writer.declare(&format!("{name}.in_sum2"), &[columns as u64, experts as u64], GgmlType::F32)?;
            writer.declare(&format!("{name}.counts"), &[1, experts as u64], GgmlType::F32)?;
        }
        for entry in self.entries.values() {
            for values in [&entry.sums, &entry.counts] {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                writer.append(&bytes)?;
            }
        }
        Ok(writer.finish()?)
    }

    fn check(&self) -> Result<(), String> {
        if self.entries.is_empty() {
            return Err("has no `….in_sum2` tensors: this is not an importance matrix".to_owned());
        }
        for (name, entry) in &self.entries {
            let (sums, experts) = (entry.sums.len(), entry.counts.len());
            if experts == 0 || sums == 0 || !sums.is_multiple_of(experts) {
                return Err(format!(
                    "tensor `{name}` has {sums} sums for {experts} counts, expected a multiple"
                ));
            }
            let usable = |value: &f32| value.is_finite() && *value >= 0.0;
            if let Some(bad) = entry.sums.iter().chain(&entry.counts).find(|value| !usable(value)) {
                return Err(format!(
                    "tensor `{name}` has the value {bad}, expected finite numbers of at least 0; compute it again"
                ));
            }
        }
        Ok(())
    }
}

fn content(path: &Path, problem: String) -> ImatrixError {
    ImatrixError::Content { path: path.to_owned(), problem }
}

fn read_floats(file: &gguf::File, tensor: &gguf::TensorInfo) -> Result<Vec<f32>, ImatrixError> {
    if tensor.kind != GgmlType::F32 {
        let problem = format!("tensor `{}` has type {}, expected F32", tensor.name, tensor.kind);
        return Err(content(file.path(), problem));
    }
    let bytes = file.read_tensor(&tensor.name)?;
    Ok(bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four bytes"))).collect())
}

/// What is left of the older form.
struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize, what: &str) -> Result<&'a [u8], String> {
        let left = &self.bytes[self.at..];
        let Some(part) = left.get(..len) else {
            let (at, left) = (self.at, left.len());
            return Err(format!(
                "byte {at}: {what} needs {len} bytes, but only {left} are left: the file is truncated or no importance matrix"
            ));
        };
        self.at += len;
        Ok(part)
    }

    fn int(&mut self, what: &str) -> Result<i32, String> {
        Ok(i32::from_le_bytes(self.take(4, what)?.try_into().expect("four bytes")))
    }

    /// A count of things of at least `each` bytes, known to fit.
    fn count(&mut self, what: &str, each: usize) -> Result<usize, String> {
        let (at, found) = (self.at, self.int(what)?);
        let most = (self.bytes.len() - self.at) / each;
        let count = usize::try_from(found).ok().filter(|&count| count <= most);
        count.ok_or_else(|| {
            format!("byte {at}: {what} is {found}, expected 0 to {most}: the file is truncated or no importance matrix")
        })
    }

    fn text(&mut self, what: &str) -> Result<String, String> {
        let len = self.count(what, 1)?;
        Ok(String::from_utf8_lossy(self.take(len, what)?).into_owned())
    }
}
