//! Writing a safetensors file tensor by tensor.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Dtype, TensorInfo};
use common::files::{AtomicFile, FileError};

/// A safetensors file that could not be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The file system refuses.
    #[error(transparent)]
    File(#[from] FileError),
    /// Tensors that a reader would refuse.
    #[error("{path}: {problem}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and how to mend it.
        problem: String,
    },
}

/// Writes a safetensors file whose tensors are known beforehand; their data may come in any order.
///
/// The file appears under its name when [`Self::finish`] returns; until then, and when dropped unfinished, an older file stays.
/// The bytes are those of the reference for the same content: data by falling alignment of the type, then by name.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: AtomicFile,
    tensors: Vec<TensorInfo>,
    /// Place in `tensors` of those that are not written yet.
    missing: HashMap<String, usize>,
    /// Place in `tensors` of the one that is being written, and the bytes of it that are.
    open: Option<(usize, u64)>,
    data_start: u64,
}

impl Writer {
    /// Starts a file under a temporary name beside `path`, with its header.
    ///
    /// # Errors
    /// [`WriteError`] for a name that occurs twice or is `__metadata__`, for a shape that cannot be counted, and for a disk that refuses.
    pub fn create(
        path: impl AsRef<Path>,
        metadata: &BTreeMap<String, String>,
        tensors: &[(String, Dtype, Vec<usize>)],
    ) -> Result<Self, WriteError> {
        let path = path.as_ref().to_owned();
        let content = |problem| WriteError::Content { path: path.clone(), problem };
        let tensors = lay_out(tensors).map_err(content)?;
        let mut missing = HashMap::new();
        for (place, tensor) in tensors.iter().enumerate() {
            if missing.insert(tensor.name.clone(), place).is_some() {
                return Err(content(format!(
                    "tensor `{}` is given twice; give each its own name",
                    tensor.name
                )));
            }
        }
        let header = encode_header(metadata, &tensors);
        let mut file = AtomicFile::create(&path)?;
        file.write(&(header.len() as u64).to_le_bytes())?;
        file.write(&header)?;
        let data_start = 8 + header.len() as u64;
        Ok(Self { path, file, tensors, missing, open: None, data_start })
    }

    /// Tensors in the order of their data, the best order to write them in.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// Writes all data of a tensor, once.
    ///
    /// # Errors
    /// [`WriteError`] for an unknown name, a second time, the wrong number of bytes, or a disk that refuses.
    pub fn write_tensor(&mut self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        self.begin(name)?;
        if let Some((place, _)) = self.open {
            let size = self.tensors[place].bytes();
            if bytes.len() as u64 != size {
                return Err(self.wrong_size(place, bytes.len() as u64));
            }
        }
        self.append(bytes)
    }

    /// Begins a tensor whose data come in pieces through [`Self::append`].
    ///
    /// # Errors
    /// [`WriteError`] for an unknown name, a second time, another tensor that is not whole, or a disk that refuses.
    pub fn begin(&mut self, name: &str) -> Result<(), WriteError> {
        self.check_open()?;
        let Some(place) = self.missing.remove(name) else {
            return Err(self.content(format!("tensor `{name}` is unknown or written already")));
        };
        self.open = Some((place, 0));
        Ok(self.file.seek(self.data_start + self.tensors[place].start)?)
    }

    /// Writes the next bytes of the tensor that was begun.
    ///
    /// # Errors
    /// [`WriteError`] for more bytes than the tensor has, without one that was begun, or for a disk that refuses.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let Some((place, written)) = self.open else {
            return Err(self.content("data come before a tensor was begun".to_owned()));
        };
        let written = written + bytes.len() as u64;
        if written > self.tensors[place].bytes() {
            return Err(self.wrong_size(place, written));
        }
        self.open = Some((place, written));
        Ok(self.file.write(bytes)?)
    }

    /// Refuses to leave a tensor that is not whole.
    fn check_open(&self) -> Result<(), WriteError> {
        match self.open {
            Some((place, written)) if written < self.tensors[place].bytes() => {
                Err(self.wrong_size(place, written))
            }
            _ => Ok(()),
        }
    }

    fn wrong_size(&self, place: usize, found: u64) -> WriteError {
        let tensor = &self.tensors[place];
        self.content(format!(
            "tensor `{}` comes with {found} bytes, its type and shape take {}",
            tensor.name,
            tensor.bytes()
        ))
    }

    /// Flushes the file to the disk and gives it its name.
    ///
    /// # Errors
    /// [`WriteError`] when a tensor is missing or the disk refuses; an older file stays.
    pub fn finish(self) -> Result<(), WriteError> {
        self.check_open()?;
        if let Some(name) = self.missing.keys().min() {
            let count = self.missing.len();
            return Err(
                self.content(format!("{count} tensors are not written, such as `{name}`; write all first"))
            );
        }
        Ok(self.file.finish()?)
    }

    fn content(&self, problem: String) -> WriteError {
        WriteError::Content { path: self.path.clone(), problem }
    }
}

fn lay_out(tensors: &[(String, Dtype, Vec<usize>)]) -> Result<Vec<TensorInfo>, String> {
    let mut order: Vec<_> = tensors.iter().collect();
    order.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut start = 0_u64;
    let mut laid = Vec::with_capacity(order.len());
    for (name, dtype, shape) in order {
        if name == "__metadata__" {
            return Err("a tensor is named `__metadata__`, which the format reserves; rename it".to_owned());
        }
        let elements = shape.iter().try_fold(1_u64, |product, &size| product.checked_mul(size as u64));
        let end =
            elements.and_then(|elements| elements.checked_mul(dtype.bytes() as u64)?.checked_add(start));
        let end =
            end.ok_or_else(|| format!("tensor `{name}` has shape {shape:?}, more than can be stored"))?;
        laid.push(TensorInfo { name: name.clone(), dtype: *dtype, shape: shape.clone(), start, end });
        start = end;
    }
    Ok(laid)
}

/// JSON in the reference's spelling, padded with spaces to a multiple of eight.
fn encode_header(metadata: &BTreeMap<String, String>, tensors: &[TensorInfo]) -> Vec<u8> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut entries = Vec::with_capacity(tensors.len() + 1);
    if !metadata.is_empty() {
        let pairs: Vec<_> =
            metadata.iter().map(|(key, value)| format!("{}:{}", quoted(key), quoted(value))).collect();
        entries.push(format!("\"__metadata__\":{{{}}}", pairs.join(",")));
    }
    for tensor in tensors {
        let shape: Vec<_> = tensor.shape.iter().map(ToString::to_string).collect();
        entries.push(format!(
            "{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
            quoted(&tensor.name),
            tensor.dtype.name(),
            shape.join(","),
            tensor.start,
            tensor.end
        ));
    }
    let mut header = format!("{{{}}}", entries.join(",")).into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    header
}
