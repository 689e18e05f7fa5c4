//! Which file holds the weights, and the tensors in it.

use std::path::{Path, PathBuf};

use common::files::{self, FileError};
use common::nn::checkpoint;
use tch::Tensor;

use super::ModelFileError;

/// Names of weights in a directory, the first that is there.
const WEIGHTS: [&str; 5] = [
    "open_clip_model.safetensors",
    "model.safetensors",
    "open_clip_pytorch_model.bin",
    "pytorch_model.bin",
    "model.pt",
];

/// A file with weights.
pub(super) struct Source {
    pub(super) path: PathBuf,
    /// In the order of the file, or of their names.
    pub(super) tensors: Vec<(String, Tensor)>,
}

pub(super) fn open(path: &Path) -> Result<Source, ModelFileError> {
    let path = if path.is_dir() { in_directory(path)? } else { path.to_owned() };
    let start = start_of(&path)?;
    let tensors = if start.starts_with(b"PK") || !looks_like_safetensors(&start) {
        checkpoint::read_torch(&path)?
    } else {
        let mut tensors: Vec<_> = checkpoint::read(&path)?.into_iter().collect();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        tensors
    };
    Ok(Source { path, tensors })
}

fn in_directory(folder: &Path) -> Result<PathBuf, ModelFileError> {
    let found = WEIGHTS.iter().map(|name| folder.join(name)).find(|path| path.exists());
    found.ok_or_else(|| {
        let sharded = folder.join("model.safetensors.index.json").exists();
        let problem = if sharded {
            "weights in several files are not read; save the model as one `model.safetensors`".to_owned()
        } else {
            format!("no weights in it; expected one of `{}`", WEIGHTS.join("`, `"))
        };
        ModelFileError::Tensors { path: folder.to_owned(), problem }
    })
}

fn start_of(path: &Path) -> Result<Vec<u8>, FileError> {
    use std::io::Read as _;
    let mut start = Vec::new();
    let read = files::open(path)?.take(16).read_to_end(&mut start);
    read.map(|_| start).map_err(|error| FileError::content(path, error.to_string()))
}

/// A length of eight bytes, then the brace of a JSON object.
fn looks_like_safetensors(start: &[u8]) -> bool {
    start.get(8) == Some(&b'{')
}
