//! A safetensors file on disk: header in memory, data on demand.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Header, HeaderError, NotANumber, TensorInfo};
use common::files::read_exact_at;

/// A safetensors file that could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file cannot be opened or read.
    #[error("{path}: {doing}: {problem}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: String,
        /// What the operating system says.
        problem: io::Error,
    },
    /// Its header is wrong.
    #[error("{path}: {problem}", path = path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: Box<HeaderError>,
    },
    /// A tensor is missing.
    #[error("{path}: no tensor `{name}` among the {count} of the file; list them with `inspect`", path = path.display())]
    NoTensor {
        /// The file.
        path: PathBuf,
        /// Name that was asked for.
        name: String,
        /// Tensors in the file.
        count: usize,
    },
    /// Bytes outside a tensor.
    #[error("{path}: tensor `{name}` has {size} bytes, asked for {len} from {start}", path = path.display())]
    Range {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// Its bytes.
        size: u64,
        /// First byte asked for.
        start: u64,
        /// Bytes asked for.
        len: u64,
    },
    /// Elements that are no numbers.
    #[error("{path}: tensor `{name}`: {problem}", path = path.display())]
    Convert {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// What is wrong.
        problem: NotANumber,
    },
}

/// An open safetensors file. Tensor data stays on disk; several threads may read it at once.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    file: std::fs::File,
    header: Header,
    data_start: u64,
}

impl File {
    /// Reads and checks the header.
    ///
    /// # Errors
    /// [`ReadError`] when the file cannot be read or is not a sound safetensors file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let path = path.as_ref();
        let io = |problem| ReadError::Io { path: path.to_owned(), doing: "opening".to_owned(), problem };
        let wrong = |problem| ReadError::Header { path: path.to_owned(), problem: Box::new(problem) };
        let file = std::fs::File::open(path).map_err(io)?;
        let about = file.metadata().map_err(io)?;
        if !about.is_file() {
            return Err(io(io::Error::other("not a regular file")));
        }
        let size = about.len();
        if size < 10 {
            return Err(wrong(HeaderError::Short(size)));
        }
        let mut first = [0; 8];
        read_exact_at(&file, &mut first, 0).map_err(io)?;
        let len = Header::length(first, size).map_err(wrong)?;
        let mut text = vec![0; len as usize];
        read_exact_at(&file, &mut text, 8).map_err(io)?;
        let data_start = 8 + len;
        let header = Header::parse(&text, size - data_start).map_err(wrong)?;
        Ok(Self { path: path.to_owned(), file, header, data_start })
    }

    /// Path that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tensors and metadata.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Tensors in the order of their data.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.header.tensors
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// [`ReadError::NoTensor`].
    pub fn tensor(&self, name: &str) -> Result<&TensorInfo, ReadError> {
        self.header.tensor(name).ok_or_else(|| ReadError::NoTensor {
            path: self.path.clone(),
            name: name.to_owned(),
            count: self.tensors().len(),
        })
    }

    /// All bytes of a tensor.
    ///
    /// # Errors
    /// [`ReadError`] when there is no such tensor or reading fails.
    pub fn read_tensor(&self, name: &str) -> Result<Vec<u8>, ReadError> {
        let tensor = self.tensor(name)?;
        let mut bytes = vec![0; tensor.bytes() as usize];
        self.read_range(tensor, 0, &mut bytes)?;
        Ok(bytes)
    }

    /// All elements of a tensor as f32.
    ///
    /// # Errors
    /// [`ReadError`] when there is no such tensor, its elements are no numbers or reading fails.
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>, ReadError> {
        let (tensor, bytes) = (self.tensor(name)?, self.read_tensor(name)?);
        tensor.dtype.to_f32(&bytes).map_err(|problem| ReadError::Convert {
            path: self.path.clone(),
            name: name.to_owned(),
            problem,
        })
    }

    /// Fills `out` with the bytes of a tensor from `start` on; from several threads at once if wanted.
    ///
    /// # Errors
    /// [`ReadError`] when the bytes are outside the tensor or reading fails.
    pub fn read_range(&self, tensor: &TensorInfo, start: u64, out: &mut [u8]) -> Result<(), ReadError> {
        let (size, len) = (tensor.bytes(), out.len() as u64);
        if start.checked_add(len).is_none_or(|end| end > size) {
            let (path, name) = (self.path.clone(), tensor.name.clone());
            return Err(ReadError::Range { path, name, size, start, len });
        }
        read_exact_at(&self.file, out, self.data_start + tensor.start + start).map_err(|problem| {
            ReadError::Io {
                path: self.path.clone(),
                doing: format!("reading tensor `{}`", tensor.name),
                problem,
            }
        })
    }
}
