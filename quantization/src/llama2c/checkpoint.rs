//! Reading and writing a checkpoint.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::config::HEADER;
use super::{Config, FormatError, Llama2cError, Tensor};
use common::files::{AtomicFile, read_exact_at};

/// An open checkpoint; weights stay on disk.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    file: File,
    config: Config,
}

impl Checkpoint {
    /// Reads the header and checks the file's length against it, to the byte.
    ///
    /// # Errors
    /// [`Llama2cError`] when the file cannot be read or is no legacy checkpoint.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Llama2cError> {
        let path = path.as_ref().to_owned();
        let io = |problem| Llama2cError::Io { path: path.clone(), problem };
        let content = |problem| Llama2cError::Content { path: path.clone(), problem };
        let file = File::open(&path).map_err(io)?;
        let found = file.metadata().map_err(io)?.len();
        if found < HEADER {
            return Err(content(FormatError::Size { found, expected: HEADER }));
        }
        let mut header = [0; 28];
        read_exact_at(&file, &mut header, 0).map_err(io)?;
        let config = Config::from_header(&header).map_err(content)?;
        let expected = config.file_bytes();
        if found != expected {
            return Err(content(FormatError::Size { found, expected }));
        }
        Ok(Self { path, file, config })
    }

    /// Sizes of the model.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Weights of a tensor, `None` where the model lacks it.
    ///
    /// # Errors
    /// [`Llama2cError::Io`] when reading fails.
    pub fn read(&self, tensor: Tensor) -> Result<Option<Vec<f32>>, Llama2cError> {
        let Some(range) = self.config.range(tensor) else { return Ok(None) };
        let mut bytes = vec![0; (range.end - range.start) as usize];
        read_exact_at(&self.file, &mut bytes, range.start)
            .map_err(|problem| Llama2cError::Io { path: self.path.clone(), problem })?;
        let floats =
            bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four bytes")));
        Ok(Some(floats.collect()))
    }

    /// Writes a checkpoint; `weights` is asked for one tensor after the other in file order.
    ///
    /// # Errors
    /// [`Llama2cError`] when a tensor has the wrong number of weights or the disk refuses; an older file stays.
    pub fn write(
        path: impl AsRef<Path>,
        config: &Config,
        mut weights: impl FnMut(Tensor) -> Vec<f32>,
    ) -> Result<(), Llama2cError> {
        let path = path.as_ref();
        let mut file = AtomicFile::create(path)?;
        file.write(&config.header())?;
        for tensor in config.tensors() {
            let values = weights(tensor);
            let expected = config.shape(tensor).map_or(0, |[rows, columns]| rows * columns);
            if values.len() != expected {
                let problem = FormatError::Weights { tensor, found: values.len(), expected };
                return Err(Llama2cError::Content { path: path.to_owned(), problem });
            }
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            file.write(&bytes)?;
        }
        Ok(file.finish()?)
    }
}
