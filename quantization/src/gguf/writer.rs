//! Writing a GGUF file tensor by tensor.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::header::count_weights;
use super::value::encode_string;
use super::{
    ALIGNMENT_KEY, DEFAULT_ALIGNMENT, MAX_NAME, MAX_RANK, Metadata, TensorInfo, VERSION, Value, WriteError,
};
use crate::ggml::GgmlType;
use common::files::AtomicFile;

/// Writes a GGUF file of version 3: first the keys, then the list of tensors, then their data in that order.
///
/// The file appears under its name when [`Self::finish`] returns; until then, and when dropped unfinished, an older file stays.
/// The bytes are those of gguf-py's `GGUFWriter` for the same content.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: AtomicFile,
    metadata: Metadata,
    alignment: u64,
    tensors: Vec<TensorInfo>,
    names: HashSet<String>,
    /// Whether the header is written: keys and list are closed.
    started: bool,
    /// Tensor that is being written, and bytes of it that are.
    current: usize,
    written: u64,
}

impl Writer {
    /// Starts a file under a temporary name beside `path`.
    ///
    /// # Errors
    /// [`WriteError`] when the folder is missing or refuses.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, WriteError> {
        let path = path.as_ref().to_owned();
        Ok(Self {
            file: AtomicFile::create(&path)?,
            path,
            metadata: Metadata::default(),
            alignment: DEFAULT_ALIGNMENT,
            tensors: Vec::new(),
            names: HashSet::new(),
            started: false,
            current: 0,
            written: 0,
        })
    }

    /// Sets a key; a key that exists keeps its place and takes the new value.
    ///
    /// # Errors
    /// [`WriteError`] for an empty key, an alignment that is no power of two, or when data has been written or a tensor declared before
    /// the alignment.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) -> Result<(), WriteError> {
        let value = value.into();
        if self.started {
            return Err(
                self.content(format!("key `{key}` comes after the first tensor data; set all keys before"))
            );
        }
        if key.is_empty() {
            return Err(self.content("a key is empty; give it a name".to_owned()));
        }
        if key == ALIGNMENT_KEY {
            self.alignment = self.check_alignment(&value)?;
        }
        self.metadata.set(key, value);
        Ok(())
    }

    /// Sets all keys of `metadata`, see [`Self::set`].
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn set_all(&mut self, metadata: &Metadata) -> Result<(), WriteError> {
        metadata.iter().try_for_each(|(key, value)| self.set(key, value.clone()))
    }

    /// Announces the next tensor: `dims[0]` is the contiguous dimension.
    ///
    /// # Errors
    /// [`WriteError`] for what a reader would refuse: a name that is taken or too long, a shape without weights or of more than four
    /// dimensions, rows that do not fill the type's blocks.
    pub fn declare(&mut self, name: &str, dims: &[u64], kind: GgmlType) -> Result<(), WriteError> {
        let bytes = self.check_tensor(name, dims, kind).map_err(|problem| self.content(problem))?;
        let end = |last: &TensorInfo| last.offset + last.bytes.next_multiple_of(self.alignment);
        let offset = self.tensors.last().map_or(0, end);
        self.names.insert(name.to_owned());
        self.tensors.push(TensorInfo { name: name.to_owned(), dims: dims.to_vec(), kind, offset, bytes });
        Ok(())
    }

    /// Tensors that were declared.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// Writes all data of the tensor whose turn it is.
    ///
    /// # Errors
    /// [`WriteError`] when it is another's turn, the bytes have the wrong length or the disk refuses.
    pub fn write_tensor(&mut self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let Some(next) = self.tensors.get(self.current) else {
            return Err(
                self.content(format!("tensor `{name}` was not declared; declare all before writing data"))
            );
        };
        if next.name != name || self.written != 0 {
            let problem = format!(
                "tensor `{name}` is written when `{}` is due; write in the declared order",
                next.name
            );
            return Err(self.content(problem));
        }
        if bytes.len() as u64 != next.bytes {
            let problem = format!(
                "tensor `{name}` comes with {} bytes, its type and shape take {}",
                bytes.len(),
                next.bytes
            );
            return Err(self.content(problem));
        }
        self.append(bytes)
    }

    /// Writes the next bytes of the tensor whose turn it is, for tensors that are made piece by piece.
    ///
    /// # Errors
    /// [`WriteError`] when the bytes go beyond the tensor or the disk refuses.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.start()?;
        let Some(next) = self.tensors.get(self.current) else {
            return Err(self.content(format!("{} bytes come after the last tensor", bytes.len())));
        };
        let (size, total) = (next.bytes, self.written + bytes.len() as u64);
        if total > size {
            let problem =
                format!("tensor `{}` gets {total} bytes, its type and shape take {size}", next.name);
            return Err(self.content(problem));
        }
        self.file.write(bytes)?;
        self.written = total;
        if total == size {
            self.pad(size)?;
            self.current += 1;
            self.written = 0;
        }
        Ok(())
    }

    /// Flushes the file to the disk and gives it its name.
    ///
    /// # Errors
    /// [`WriteError`] when a tensor is not complete or the disk refuses; an older file stays.
    pub fn finish(mut self) -> Result<(), WriteError> {
        self.start()?;
        if let Some(next) = self.tensors.get(self.current) {
            let problem = format!(
                "tensor `{}` has {} of its {} bytes; write all tensors first",
                next.name, self.written, next.bytes
            );
            return Err(self.content(problem));
        }
        Ok(self.file.finish()?)
    }

    /// Writes the header, once.
    fn start(&mut self) -> Result<(), WriteError> {
        if self.started {
            return Ok(());
        }
        self.started = true;
        let mut header = b"GGUF".to_vec();
        header.extend(VERSION.to_le_bytes());
        header.extend((self.tensors.len() as u64).to_le_bytes());
        header.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in self.metadata.iter() {
            encode_string(key.as_bytes(), &mut header);
            header.extend(value.type_id().to_le_bytes());
            value.encode(&mut header);
        }
        for tensor in &self.tensors {
            encode_string(tensor.name.as_bytes(), &mut header);
            header.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor.dims.iter().for_each(|dim| header.extend(dim.to_le_bytes()));
            header.extend(tensor.kind.id().to_le_bytes());
            header.extend(tensor.offset.to_le_bytes());
        }
        self.file.write(&header)?;
        self.pad(header.len() as u64)
    }

    /// Zeros behind `size` bytes up to the alignment.
    fn pad(&mut self, size: u64) -> Result<(), WriteError> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let mut left = size.next_multiple_of(self.alignment) - size;
        while left > 0 {
            let part = left.min(ZEROS.len() as u64);
            self.file.write(&ZEROS[..part as usize])?;
            left -= part;
        }
        Ok(())
    }

    fn check_alignment(&self, value: &Value) -> Result<u64, WriteError> {
        match value {
            Value::U32(found) if found.is_power_of_two() && self.tensors.is_empty() => Ok((*found).into()),
            Value::U32(found) if found.is_power_of_two() => {
                Err(self.content("`general.alignment` comes after a tensor; set it before".to_owned()))
            }
            _ => {
                Err(self
                    .content("`general.alignment` must be a u32 and a power of two, such as 32".to_owned()))
            }
        }
    }

    fn check_tensor(&self, name: &str, dims: &[u64], kind: GgmlType) -> Result<u64, String> {
        if self.started {
            return Err(format!("tensor `{name}` is declared after the first data; declare all before"));
        }
        if name.len() >= MAX_NAME {
            return Err(format!(
                "tensor name `{name}` has {} bytes, expected fewer than {MAX_NAME}",
                name.len()
            ));
        }
        if self.names.contains(name) {
            return Err(format!("tensor `{name}` is declared twice; give each its own name"));
        }
        let weights = count_weights(dims).filter(|_| dims.len() <= MAX_RANK);
        let weights = weights.ok_or_else(|| {
            format!("tensor `{name}` has shape {dims:?}, expected at most {MAX_RANK} positive sizes")
        })?;
        let (row, block) = (dims.first().copied().unwrap_or(1), kind.block_len() as u64);
        if !row.is_multiple_of(block) {
            return Err(format!(
                "tensor `{name}` has rows of {row} weights, expected a multiple of {block} for type {kind}"
            ));
        }
        let bytes = (weights / block).checked_mul(kind.block_bytes() as u64).filter(|&bytes| bytes < 1 << 62);
        bytes.ok_or_else(|| format!("tensor `{name}` has shape {dims:?}, more than can be stored"))
    }

    fn content(&self, problem: String) -> WriteError {
        WriteError::Content { path: self.path.clone(), problem }
    }
}
