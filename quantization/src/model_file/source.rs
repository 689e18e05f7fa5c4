//! A model file as the source of a model to run.

use std::borrow::Cow;

use super::{ModelFile, RowOrder};
use crate::ggml::GgmlType;
use crate::llama::{BoxError, Config, LoadedTensor, TensorSource};

impl TensorSource for ModelFile {
    fn config(&self) -> Result<Config, BoxError> {
        Ok(ModelFile::config(self)?)
    }

    fn has_tensor(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn tensor(&self, name: &str) -> Result<LoadedTensor<'_>, BoxError> {
        let tensor = self.find(name).ok_or_else(|| {
            format!(
                "{} has no tensor `{name}` among its {}; is it complete?",
                self.path().display(),
                self.tensors().len()
            )
        })?;
        let entry = &self.tensors()[tensor];
        if matches!(entry.kind, GgmlType::I8 | GgmlType::I16 | GgmlType::I32 | GgmlType::I64) {
            return Err(format!("it holds integers ({}), expected weights", entry.stored).into());
        }
        let mut bytes = Vec::new();
        self.read_rows(tensor, RowOrder::Pairs, 0..entry.rows(), &mut bytes)?;
        Ok(LoadedTensor { kind: entry.kind, dims: entry.dims.clone(), bytes: Cow::Owned(bytes) })
    }
}
