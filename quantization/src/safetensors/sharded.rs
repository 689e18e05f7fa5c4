//! A model in one file or in several with an index.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::{File, ReadError, TensorInfo};

/// A model whose files do not fit together.
#[derive(Debug, Error)]
pub enum ShardedError {
    /// The index cannot be read.
    #[error(transparent)]
    Text(#[from] common::files::FileError),
    /// The index is no index.
    #[error("{path}: {problem}; expected an object with `weight_map`, tensor name to file name", path = path.display())]
    Json {
        /// The index.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file name that leads elsewhere.
    #[error("{path}: file name `{file}` leads out of the folder; expected a plain name such as `model-00001-of-00002.safetensors`", path = path.display())]
    Outside {
        /// The index.
        path: PathBuf,
        /// The name.
        file: String,
    },
    /// A tensor that the index promises and the file lacks.
    #[error("{path}: tensor `{name}` is not in `{file}`; fetch index and files of the same revision", path = path.display())]
    Missing {
        /// The index.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// File that should hold it.
        file: String,
    },
    /// One of the files.
    #[error(transparent)]
    File(#[from] ReadError),
}

/// A model in one or several safetensors files, seen as one list of tensors.
#[derive(Debug)]
pub struct Sharded {
    files: Vec<File>,
    /// Tensor name to file and place in its list, names in order.
    tensors: BTreeMap<String, (usize, usize)>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Sharded {
    /// Opens `path`: a safetensors file, or an index (`….safetensors.index.json`) with the files beside it.
    ///
    /// # Errors
    /// [`ShardedError`] when a file is missing or unsound, or index and files disagree.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ShardedError> {
        let path = path.as_ref();
        if path.extension().is_some_and(|extension| extension == "json") {
            return Self::open_index(path);
        }
        let file = File::open(path)?;
        let places = file.tensors().iter().enumerate();
        let tensors = places.map(|(place, tensor)| (tensor.name.clone(), (0, place))).collect();
        Ok(Self { files: vec![file], tensors })
    }

    fn open_index(path: &Path) -> Result<Self, ShardedError> {
        let text = common::files::read_text(path)?;
        let index: Index = serde_json::from_str(&text)
            .map_err(|error| ShardedError::Json { path: path.to_owned(), problem: error.to_string() })?;
        let names: BTreeSet<&String> = index.weight_map.values().collect();
        let mut files = Vec::new();
        let mut numbers = HashMap::new();
        for name in names {
            let plain = Path::new(name).file_name().is_some_and(|file| file == name.as_str());
            if !plain {
                return Err(ShardedError::Outside { path: path.to_owned(), file: name.clone() });
            }
            numbers.insert(name.as_str(), files.len());
            files.push(File::open(path.with_file_name(name))?);
        }
        let mut tensors = BTreeMap::new();
        for (name, file) in &index.weight_map {
            let number = numbers[file.as_str()];
            let place = files[number].header().place(name);
            let missing =
                || ShardedError::Missing { path: path.to_owned(), name: name.clone(), file: file.clone() };
            tensors.insert(name.clone(), (number, place.ok_or_else(missing)?));
        }
        Ok(Self { files, tensors })
    }

    /// The files, in the order of their names.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// All tensors with their file, in the order of their names.
    pub fn tensors(&self) -> impl Iterator<Item = (&File, &TensorInfo)> {
        self.tensors.values().map(|&(file, place)| (&self.files[file], &self.files[file].tensors()[place]))
    }

    /// File and description of a tensor.
    pub fn tensor(&self, name: &str) -> Option<(&File, &TensorInfo)> {
        let &(file, place) = self.tensors.get(name)?;
        Some((&self.files[file], &self.files[file].tensors()[place]))
    }
}
