//! GGUF files as models.

use std::ops::Range;
use std::path::Path;

use super::error::ModelFileError;
use super::metadata::{hugging_face_config, scalar};
use super::storage::{Entry, RowOrder, Storage};
use crate::encoder::EncoderConfig;
use crate::gguf::{Array, File, Metadata, Value};
use crate::llama::{self, Config};

/// An open GGUF file.
pub(super) struct Gguf {
    file: File,
    entries: Vec<Entry>,
}

impl Gguf {
    pub(super) fn open(path: &Path) -> Result<Self, ModelFileError> {
        let file = File::open(path)?;
        let config = config_of(&file).ok();
        let entry = |tensor: &crate::gguf::TensorInfo| Entry {
            name: tensor.name.clone(),
            gguf_name: Some(tensor.name.clone()),
            dims: tensor.dims.iter().map(|&size| size as usize).collect(),
            kind: tensor.kind,
            stored: tensor.kind.name().to_owned(),
            bytes: tensor.bytes,
            heads: config.as_ref().and_then(|config| llama::permuted_heads(&tensor.name, config)),
        };
        let entries = file.tensors().iter().map(entry).collect();
        Ok(Self { file, entries })
    }
}

fn config_of(file: &File) -> Result<Config, llama::LlamaError> {
    let get = |key: &str| file.get(key).and_then(scalar);
    Config::from_gguf(&get, &|name| file.header().tensor(name).is_some())
}

impl Storage for Gguf {
    fn format(&self) -> &'static str {
        "GGUF"
    }

    fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn row_order(&self) -> RowOrder {
        RowOrder::Pairs
    }

    fn append_rows(
        &self,
        tensor: usize,
        rows: Range<usize>,
        out: &mut Vec<u8>,
    ) -> Result<(), ModelFileError> {
        let info = &self.file.tensors()[tensor];
        let row = info.bytes / self.entries[tensor].rows() as u64;
        let start = out.len();
        out.resize(start + rows.len() * row as usize, 0);
        Ok(self.file.read_range(info, rows.start as u64 * row, &mut out[start..])?)
    }

    fn config(&self) -> Result<Config, ModelFileError> {
        config_of(&self.file).map_err(|problem| ModelFileError::config(self.file.path(), problem))
    }

    fn encoder(&self) -> Option<EncoderConfig> {
        EncoderConfig::from_gguf(&|key: &str| self.file.get(key).and_then(scalar))
    }

    fn gguf_metadata(&self) -> Result<Metadata, ModelFileError> {
        Ok(self.file.metadata().clone())
    }

    fn hugging_face_config(&self) -> Result<serde_json::Value, ModelFileError> {
        match self.encoder() {
            Some(encoder) => Ok(encoder.hugging_face_config()),
            None => Ok(hugging_face_config(&self.config()?)),
        }
    }

    fn description(&self) -> Vec<(String, String)> {
        self.file.metadata().iter().map(|(key, value)| (key.to_owned(), show(value))).collect()
    }
}

/// Characters of a text that `inspect` shows.
const SHOWN: usize = 60;

fn show(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let start: String = text.chars().take(SHOWN).collect();
            if start.len() < text.len() { format!("{start}…") } else { start }
        }
        Value::Bool(flag) => flag.to_string(),
        Value::F32(value) => value.to_string(),
        Value::F64(value) => value.to_string(),
        Value::U8(v) => v.to_string(),
        Value::I8(v) => v.to_string(),
        Value::U16(v) => v.to_string(),
        Value::I16(v) => v.to_string(),
        Value::U32(v) => v.to_string(),
        Value::I32(v) => v.to_string(),
        Value::U64(v) => v.to_string(),
        Value::I64(v) => v.to_string(),
        Value::Array(Array::String(strings)) => {
            let first = strings.iter().take(4).map(|text| format!("`{}`", String::from_utf8_lossy(text)));
            let first: Vec<String> = first.collect();
            let rest = if strings.len() > 4 { ", …" } else { "" };
            format!("{} strings: {}{rest}", strings.len(), first.join(", "))
        }
        Value::Array(array) => format!("{} ({} elements)", array.type_name(), array.len()),
    }
}
