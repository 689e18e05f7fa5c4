//! Files of `torch.save` that hold tensors: one, or those of a tuple or list.

use std::path::Path;

use common::torch_file::{Dtype, TorchFile, TorchFileError};

use super::IndexError;
use super::array::{Array, Kind};

/// Reads the tensors of a file.
pub(super) fn read(path: &Path) -> Result<Vec<Array>, IndexError> {
    let foreign = |problem: String| IndexError::Foreign { path: path.to_owned(), problem };
    let failed = |error| match error {
        TorchFileError::File(error) => IndexError::from(error),
        TorchFileError::Content { problem, .. } => foreign(problem),
    };
    let file = TorchFile::open(path).map_err(failed)?;
    let array = |entry| {
        let numbers = file.numbers(entry).map_err(failed)?;
        let kind = match entry.dtype {
            Dtype::U8 => Kind::U8,
            Dtype::I32 => Kind::I32,
            Dtype::I64 => Kind::I64,
            Dtype::F16 => Kind::F16,
            Dtype::F32 => Kind::F32,
            Dtype::Bf16 | Dtype::F64 => {
                return Err(foreign("numbers of a type that no index has".to_owned()));
            }
        };
        Array::new(kind, entry.shape.clone(), numbers, 0)
            .ok_or_else(|| foreign("a tensor that does not fit".to_owned()))
    };
    file.tensors().iter().map(array).collect()
}
