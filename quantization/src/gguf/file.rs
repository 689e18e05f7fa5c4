//! A GGUF file on disk: header in memory, data on demand.

use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::{Header, Metadata, MetadataError, ReadError, Strings, TensorInfo, Value};
use common::files::read_exact_at;

/// Bytes of the header that are read at once.
const BUFFER: usize = 1 << 18;

/// An open GGUF file. Tensor data stays on disk; several threads may read it at once.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    file: std::fs::File,
    size: u64,
    header: Header,
}

impl File {
    /// Reads and checks the header.
    ///
    /// # Errors
    /// [`ReadError`] when the file cannot be read or is not a sound GGUF file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let path = path.as_ref();
        let io = |problem| ReadError::Io { path: path.to_owned(), doing: "opening".to_owned(), problem };
        let file = std::fs::File::open(path).map_err(io)?;
        let about = file.metadata().map_err(io)?;
        if !about.is_file() {
            return Err(io(io::Error::other("not a regular file")));
        }
        let size = about.len();
        let header = Header::read(BufReader::with_capacity(BUFFER, &file), size);
        let header = header
            .map_err(|problem| ReadError::Header { path: path.to_owned(), problem: Box::new(problem) })?;
        Ok(Self { path: path.to_owned(), file, size, header })
    }

    /// Path that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the whole file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Everything in front of the data.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Keys and values.
    pub fn metadata(&self) -> &Metadata {
        &self.header.metadata
    }

    /// Tensors in file order.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.header.tensors
    }

    /// Value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.header.metadata.get(key)
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

    /// All bytes of a tensor, in its stored type.
    ///
    /// # Errors
    /// [`ReadError`] when there is no such tensor or reading fails.
    pub fn read_tensor(&self, name: &str) -> Result<Vec<u8>, ReadError> {
        let tensor = self.tensor(name)?;
        let mut bytes = vec![0; tensor.bytes as usize];
        self.read_range(tensor, 0, &mut bytes)?;
        Ok(bytes)
    }

    /// Fills `out` with the bytes of a tensor from `start` on; from several threads at once if wanted.
    ///
    /// # Errors
    /// [`ReadError`] when the bytes are outside the tensor or reading fails.
    pub fn read_range(&self, tensor: &TensorInfo, start: u64, out: &mut [u8]) -> Result<(), ReadError> {
        let len = out.len() as u64;
        if start.checked_add(len).is_none_or(|end| end > tensor.bytes) {
            let (path, name) = (self.path.clone(), tensor.name.clone());
            return Err(ReadError::Range { path, name, size: tensor.bytes, start, len });
        }
        let at = self.header.data_start + tensor.offset + start;
        read_exact_at(&self.file, out, at).map_err(|problem| ReadError::Io {
            path: self.path.clone(),
            doing: format!("reading tensor `{}`", tensor.name),
            problem,
        })
    }

    fn key(&self, problem: MetadataError) -> ReadError {
        ReadError::Key { path: self.path.clone(), problem }
    }
}

/// The accessors of [`Metadata`] with the file's name in their errors.
macro_rules! accessors {
    ($($name:ident -> $out:ty, $doc:literal;)*) => {
        impl File {
            $(
                #[doc = $doc]
                ///
                /// # Errors
                /// [`ReadError::Key`] when the key is missing or of another kind.
                pub fn $name(&self, key: &str) -> Result<$out, ReadError> {
                    self.header.metadata.$name(key).map_err(|problem| self.key(problem))
                }
            )*
        }
    };
}
accessors! {
    get_u32 -> u32, "An integer of any stored width that fits in 32 unsigned bits.";
    get_u64 -> u64, "An integer of any stored width that fits in 64 unsigned bits.";
    get_i32 -> i32, "An integer of any stored width that fits in 32 signed bits.";
    get_usize -> usize, "An integer of any stored width that fits in a size of this machine.";
    get_str -> &str, "A text.";
    get_bool -> bool, "A truth value.";
    get_f32 -> f32, "A single-precision number.";
    get_strings -> &Strings, "Strings, such as the pieces of a vocabulary.";
    get_f32s -> &[f32], "Single-precision numbers.";
    get_i32s -> &[i32], "Signed 32-bit integers.";
    get_u32s -> &[u32], "Unsigned 32-bit integers.";
}
