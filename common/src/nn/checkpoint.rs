//! Weights in safetensors files and, for reading, in PyTorch's, checked by name, shape and kind in both directions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use tch::nn::VarStore;
use tch::{Kind, Tensor};
use thiserror::Error;

use crate::tensor::first_line;
use crate::torch_file::{Dtype, TorchFile, TorchFileError};

/// A weight file that could not be written, or does not fit the model.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// Unreadable or cut off.
    #[error("{path}: not a whole safetensors file: {problem}; copy or train it again", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// libtorch's first line.
        problem: String,
    },
    /// A file of PyTorch that is broken or holds more than tensors.
    #[error(transparent)]
    Torch(#[from] TorchFileError),
    /// Other tensors than the model's.
    #[error("{path}: does not fit the model: {}", differences.join("; "), path = path.display())]
    Different {
        /// The file.
        path: PathBuf,
        /// Every difference.
        differences: Vec<String>,
    },
    /// Not written; an older file is as it was.
    #[error("{path}: weights not written, an older file is untouched: {problem}", path = path.display())]
    NotWritten {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
}

/// Writes named tensors under a temporary name and renames: the old file survives any failure.
///
/// # Errors
/// [`CheckpointError::NotWritten`].
pub fn save(tensors: &[(String, Tensor)], path: &Path) -> Result<(), CheckpointError> {
    let temporary = path.with_extension(format!("{}.safetensors", std::process::id()));
    let written = Tensor::write_safetensors(tensors, &temporary)
        .map_err(|error| first_line(&error))
        .and_then(|()| fs::File::open(&temporary).and_then(|file| file.sync_all()).map_err(|e| e.to_string()))
        .and_then(|()| fs::rename(&temporary, path).map_err(|error| error.to_string()));
    written.map_err(|problem| {
        let _ = fs::remove_file(&temporary); // it may never have been made
        CheckpointError::NotWritten { path: path.to_owned(), problem }
    })
}

/// All variables of a store, sorted by name.
pub fn named(store: &VarStore) -> Vec<(String, Tensor)> {
    let sorted: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
    sorted.into_iter().collect()
}

/// Copies a file's tensors into the store's variables when names, shapes and kinds are equal.
///
/// # Errors
/// [`CheckpointError::Unreadable`]; [`CheckpointError::Different`] with every difference, the store untouched.
pub fn load_checked(store: &VarStore, path: &Path) -> Result<(), CheckpointError> {
    fill(store, read(path)?, path)
}

/// The same from tensors already read from `path`.
///
/// # Errors
/// [`CheckpointError::Different`].
pub fn fill(store: &VarStore, tensors: HashMap<String, Tensor>, path: &Path) -> Result<(), CheckpointError> {
    copy_checked(&named(store), tensors, path)
}

/// The same for the part of the store whose names start with `prefix`, from a file of another program, safetensors or PyTorch's:
/// `rename` gives the store's name of a tensor, or `None` for one to leave out; 16-bit numbers are widened.
///
/// # Errors
/// As [`load_checked`].
pub fn load_renamed(
    store: &VarStore,
    path: &Path,
    prefix: &str,
    rename: impl Fn(&str) -> Option<String>,
) -> Result<(), CheckpointError> {
    let widened = |tensor: Tensor| match tensor.kind() {
        Kind::Half | Kind::BFloat16 => tensor.to_kind(Kind::Float),
        _ => tensor,
    };
    let read =
        if TorchFile::recognises(path) { read_torch(path)?.into_iter().collect() } else { read(path)? };
    let found =
        read.into_iter().filter_map(|(name, tensor)| Some((rename(&name)?, widened(tensor)))).collect();
    let mut variables = named(store);
    variables.retain(|(name, _)| name.starts_with(prefix));
    copy_checked(&variables, found, path)
}

/// All tensors of a file.
///
/// # Errors
/// [`CheckpointError::Unreadable`].
pub fn read(path: &Path) -> Result<HashMap<String, Tensor>, CheckpointError> {
    let tensors = Tensor::read_safetensors(path);
    let unreadable =
        |error| CheckpointError::Unreadable { path: path.to_owned(), problem: first_line(&error) };
    Ok(tensors.map_err(unreadable)?.into_iter().collect())
}

/// All tensors of a file of `torch.save` or TorchScript, in its order; nothing in it is run.
///
/// # Errors
/// [`CheckpointError::Torch`].
pub fn read_torch(path: &Path) -> Result<Vec<(String, Tensor)>, CheckpointError> {
    let file = TorchFile::open(path)?;
    let mut tensors = Vec::with_capacity(file.tensors().len());
    for entry in file.tensors() {
        let kind = match entry.dtype {
            Dtype::F16 => Kind::Half,
            Dtype::Bf16 => Kind::BFloat16,
            Dtype::F32 => Kind::Float,
            Dtype::F64 => Kind::Double,
            Dtype::U8 => Kind::Uint8,
            Dtype::I32 => Kind::Int,
            Dtype::I64 => Kind::Int64,
        };
        let shape: Vec<i64> = entry.shape.iter().map(|&size| size as i64).collect();
        let tensor = Tensor::f_from_data_size(&file.numbers(entry)?, &shape, kind);
        let tensor = tensor.map_err(|error| TorchFileError::Content {
            path: path.to_owned(),
            problem: format!("`{}`: {}", entry.name, first_line(&error)),
        })?;
        tensors.push((entry.name.clone(), tensor));
    }
    Ok(tensors)
}

fn copy_checked(
    variables: &[(String, Tensor)],
    found: HashMap<String, Tensor>,
    path: &Path,
) -> Result<(), CheckpointError> {
    let mut differences: Vec<String> =
        variables.iter().filter_map(|(name, variable)| difference(name, variable, found.get(name))).collect();
    let known: HashSet<&str> = variables.iter().map(|(name, _)| &**name).collect();
    let mut extra: Vec<&String> = found.keys().filter(|name| !known.contains(&***name)).collect();
    extra.sort();
    differences.extend(extra.into_iter().map(|name| format!("`{name}` is not in the model")));
    if !differences.is_empty() {
        return Err(CheckpointError::Different { path: path.to_owned(), differences });
    }
    let _guard = tch::no_grad_guard();
    for (name, variable) in variables {
        variable.shallow_clone().copy_(&found[name]);
    }
    Ok(())
}

fn difference(name: &str, variable: &Tensor, found: Option<&Tensor>) -> Option<String> {
    match found {
        None => Some(format!("`{name}` is missing")),
        Some(tensor) if tensor.size() != variable.size() => {
            Some(format!("`{name}` has shape {:?}, expected {:?}", tensor.size(), variable.size()))
        }
        Some(tensor) if tensor.kind() != variable.kind() => {
            Some(format!("`{name}` is {:?}, expected {:?}", tensor.kind(), variable.kind()))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;
    use tch::nn::Init;

    use super::*;

    fn store(sizes: &[i64]) -> VarStore {
        let store = VarStore::new(Device::Cpu);
        let _weight = store.root().var("weight", sizes, Init::Const(1.0));
        store
    }

    #[test]
    fn weights_return_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let tensor = Tensor::from_slice(&[1.5_f32, -2.0]);
        save(&[("weight".to_owned(), tensor.shallow_clone())], &path).unwrap();
        let store = store(&[2]);
        load_checked(&store, &path).unwrap();
        assert_eq!(store.variables()["weight"], tensor);
    }

    #[test]
    fn every_difference_is_listed_and_nothing_is_broadcast() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let one = Tensor::from_slice(&[1.5_f32]);
        save(&[("weight".to_owned(), one.shallow_clone()), ("other".to_owned(), one)], &path).unwrap();
        let error = load_checked(&store(&[2]), &path).unwrap_err().to_string();
        assert!(
            error.ends_with("`weight` has shape [1], expected [2]; `other` is not in the model"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_was_cut_off_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        save(&[("weight".to_owned(), Tensor::from_slice(&[1.5_f32, 2.0]))], &path).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let error = load_checked(&store(&[2]), &path).unwrap_err().to_string();
        assert!(error.contains("not a whole safetensors file"), "{error}");
    }
}
