//! Safetensors files as models, with the `config.json` beside them and GPTQ layers seen as matrices.

mod packed;
mod settings;

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub(super) use settings::read_json;
use settings::{has_tensor, holds_encoder, pooling, quantize_config, read_config};

use super::error::ModelFileError;
use super::metadata::{json_scalar, llama_metadata};
use super::storage::{Entry, RowOrder, Storage};
use super::vocabulary::{self, Found};
use crate::encoder::{self, EncoderConfig};
use crate::ggml::GgmlType;
use crate::gguf::Metadata;
use crate::gptq_layout::{Packed, QuantizeConfig, Verdict, zero_point_convention};
use crate::llama::{self, Config};
use crate::safetensors::{Dtype, Sharded};

/// Layers that the judge of zero-points looks at. Ours: each is read whole, and a few hundred groups decide.
const JUDGED_LAYERS: usize = 8;

/// One or several safetensors files.
pub(super) struct Files {
    path: PathBuf,
    folder: Option<PathBuf>,
    sharded: Sharded,
    json: Option<serde_json::Value>,
    config: Option<Result<Config, String>>,
    encoder: Option<EncoderConfig>,
    quantize_config: Option<QuantizeConfig>,
    entries: Vec<Entry>,
    kinds: Vec<Kind>,
    /// The packed layer that was read last: its rows come one after the other.
    packed: Mutex<Option<(usize, Arc<Packed>)>>,
}

/// How an entry lies in the files.
enum Kind {
    /// As a tensor of its own name.
    Plain(Dtype),
    /// As a packed layer of this prefix and width.
    Packed { prefix: String, bits: u32 },
}

impl Files {
    pub(super) fn open(path: &Path, folder: Option<&Path>) -> Result<Self, ModelFileError> {
        let sharded = Sharded::open(path)?;
        let folder = folder.map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
        let json = folder.map(|folder| read_json(&folder.join("config.json"))).transpose()?.flatten();
        let quantize_config = quantize_config(folder, json.as_ref())?;
        let has = |name: &str| has_tensor(&sharded, name);
        let config = json.as_ref().map(|json| read_config(json, &has).map_err(|error| error.to_string()));
        let pooling = pooling(folder)?;
        let encoder = json.as_ref().filter(|_| holds_encoder(&sharded)).and_then(|json| {
            EncoderConfig::from_hugging_face(&|key: &str| json.get(key).and_then(json_scalar), pooling)
        });
        let mut files = Self {
            path: path.to_owned(),
            folder: folder.map(Path::to_owned),
            sharded,
            json,
            config,
            encoder,
            quantize_config,
            entries: Vec::new(),
            kinds: Vec::new(),
            packed: Mutex::new(None),
        };
        files.list()?;
        Ok(files)
    }

    /// Fills the list of entries.
    fn list(&mut self) -> Result<(), ModelFileError> {
        let llama = self.config.as_ref().and_then(|config| config.as_ref().ok());
        let prefixes: HashSet<&str> =
            self.sharded.tensors().filter_map(|(_, tensor)| tensor.name.strip_suffix(".qweight")).collect();
        let mut listed = Vec::new();
        for (_, tensor) in self.sharded.tensors() {
            if let Some(prefix) = tensor.name.strip_suffix(".qweight") {
                listed.push(self.packed_entry(prefix)?);
                continue;
            }
            let part = tensor.name.rsplit_once('.');
            let belongs = part.is_some_and(|(prefix, last)| {
                prefixes.contains(prefix) && ["qzeros", "scales", "g_idx"].contains(&last)
            });
            let unused = llama.is_some_and(|config| {
                tensor.name.ends_with("rotary_emb.inv_freq")
                    || (config.tied && tensor.name == "lm_head.weight")
            });
            if belongs || unused {
                continue;
            }
            let entry = Entry {
                name: tensor.name.clone(),
                gguf_name: None,
                dims: tensor.shape.iter().rev().copied().collect(),
                kind: handed_out(tensor.dtype),
                stored: tensor.dtype.name().to_owned(),
                bytes: tensor.bytes(),
                heads: None,
            };
            if entry.weights() == 0 {
                continue; // nothing to read, and GGUF has no empty tensors
            }
            listed.push((entry, Kind::Plain(tensor.dtype)));
        }
        if let Some(config) = llama {
            for (entry, _) in &mut listed {
                entry.gguf_name = llama::gguf_name(&entry.name);
                entry.heads = entry.gguf_name.as_deref().and_then(|name| llama::permuted_heads(name, config));
            }
        }
        if self.encoder.is_some() {
            listed.iter_mut().for_each(|(entry, _)| entry.gguf_name = encoder::gguf_name(&entry.name));
        }
        listed.sort_by(|a, b| natural(&a.0.name).cmp(&natural(&b.0.name)));
        (self.entries, self.kinds) = listed.into_iter().unzip();
        Ok(())
    }

    /// The vocabulary in the folder.
    fn vocabulary(&self) -> Result<Found, ModelFileError> {
        let of_encoder = self.encoder.as_ref().map(|encoder| encoder.vocab);
        let of_llama =
            || self.config.as_ref().and_then(|config| config.as_ref().ok()).map(|config| config.vocab);
        match (&self.folder, of_encoder.or_else(of_llama)) {
            (Some(folder), Some(vocab)) => vocabulary::read(folder, vocab),
            _ => Ok(Found::Nothing),
        }
    }

    fn encoder_keys(&self, encoder: &EncoderConfig, name: &str) -> Result<Metadata, ModelFileError> {
        if !encoder.activation.starts_with("gelu") {
            let problem = format!(
                "`hidden_act` is `{}`, but GGUF files of the architecture `bert` have GELU; keep it as safetensors (--method rtn)",
                encoder.activation
            );
            return Err(ModelFileError::content(&self.path, problem));
        }
        Ok(encoder.gguf_keys(name))
    }
}

/// Type in which elements are handed out; types that ggml lacks become F32.
fn handed_out(dtype: Dtype) -> GgmlType {
    match dtype {
        Dtype::F16 => GgmlType::F16,
        Dtype::BF16 => GgmlType::BF16,
        Dtype::I8 => GgmlType::I8,
        Dtype::I16 => GgmlType::I16,
        Dtype::I32 => GgmlType::I32,
        Dtype::I64 => GgmlType::I64,
        _ => GgmlType::F32,
    }
}

/// Name in pieces that sort numbers by value.
fn natural(name: &str) -> Vec<(u64, &str)> {
    let number = |part: &str| part.parse().unwrap_or(u64::MAX);
    name.split('.').map(|part| (number(part), part)).collect()
}

impl Storage for Files {
    fn format(&self) -> &'static str {
        let packed = self.kinds.iter().any(|kind| matches!(kind, Kind::Packed { .. }));
        if packed { "safetensors with GPTQ layers" } else { "safetensors" }
    }

    fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn row_order(&self) -> RowOrder {
        RowOrder::Halves
    }

    fn append_rows(
        &self,
        tensor: usize,
        rows: Range<usize>,
        out: &mut Vec<u8>,
    ) -> Result<(), ModelFileError> {
        let entry = &self.entries[tensor];
        let dtype = match &self.kinds[tensor] {
            Kind::Packed { prefix, bits } => {
                return self.unpack_rows(&*self.packed(tensor, prefix, *bits)?, rows, out);
            }
            Kind::Plain(dtype) => *dtype,
        };
        let (file, info) = self.sharded.tensor(&entry.name).ok_or_else(|| {
            ModelFileError::content(&self.path, format!("tensor `{}` vanished from the index", entry.name))
        })?;
        let row = entry.row_len() * dtype.bytes();
        let (start, first) = (out.len(), (rows.start * row) as u64);
        let direct = entry.kind.block_bytes() == dtype.bytes() && dtype != Dtype::U32;
        if direct {
            out.resize(start + rows.len() * row, 0);
            return Ok(file.read_range(info, first, &mut out[start..])?);
        }
        let mut raw = vec![0; rows.len() * row];
        file.read_range(info, first, &mut raw)?;
        let values = dtype.to_f32(&raw).map_err(|problem| ModelFileError::Tensor {
            path: self.path.clone(),
            name: entry.name.clone(),
            problem: problem.to_string(),
        })?;
        out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        Ok(())
    }

    fn config(&self) -> Result<Config, ModelFileError> {
        match &self.config {
            Some(Ok(config)) => Ok(config.clone()),
            Some(Err(problem)) => Err(ModelFileError::content(&self.path, problem.clone())),
            None => Err(ModelFileError::content(
                &self.path,
                "has no config.json beside it; put the model's there",
            )),
        }
    }

    fn encoder(&self) -> Option<EncoderConfig> {
        self.encoder.clone()
    }

    fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    fn vocabulary_note(&self) -> Result<Option<String>, ModelFileError> {
        Ok(match self.vocabulary()? {
            Found::Nothing => None,
            Found::Keys(_, note) => note,
            Found::Unknown(problem) => Some(format!("{problem}; the file gets no vocabulary")),
        })
    }

    fn gguf_metadata(&self) -> Result<Metadata, ModelFileError> {
        let folder = self.path.parent().and_then(Path::file_name);
        let name = folder.or(self.path.file_stem()).unwrap_or_default().to_string_lossy();
        let mut keys = match (&self.encoder, self.config()) {
            (Some(encoder), _) => self.encoder_keys(encoder, &name)?,
            (None, Ok(config)) => llama_metadata(&name, &config),
            (None, Err(_)) => {
                // A container of quantized tensors for programs that know the architecture by other means.
                let kind =
                    self.json.as_ref().and_then(|json| json.get("model_type")).and_then(|kind| kind.as_str());
                let mut keys = Metadata::default();
                keys.set("general.architecture", kind.unwrap_or("unknown"));
                keys.set("general.name", name.as_ref());
                return Ok(keys);
            }
        };
        if let Found::Keys(vocabulary, _) = self.vocabulary()? {
            for (key, value) in vocabulary.iter() {
                keys.set(key, value.clone());
            }
        }
        Ok(keys)
    }

    fn hugging_face_config(&self) -> Result<serde_json::Value, ModelFileError> {
        let mut json = self.json.clone().ok_or_else(|| {
            ModelFileError::content(&self.path, "has no config.json beside it; put the model's there")
        })?;
        if let Some(fields) = json.as_object_mut() {
            fields.remove("quantization_config");
        }
        Ok(json)
    }

    fn description(&self) -> Vec<(String, String)> {
        let fields = self.json.as_ref().and_then(|json| json.as_object());
        let metadata = self.sharded.files().iter().flat_map(|file| file.header().metadata.iter());
        let mut lines: Vec<(String, String)> =
            metadata.map(|(key, value)| (key.clone(), value.clone())).collect();
        lines.extend(fields.into_iter().flatten().map(|(key, value)| (key.clone(), value.to_string())));
        lines
    }

    fn zero_points(&self) -> Result<Option<Verdict>, ModelFileError> {
        let mut layers = Vec::new();
        for kind in &self.kinds {
            if let (Kind::Packed { prefix, bits }, true) = (kind, layers.len() < JUDGED_LAYERS) {
                layers.push(self.read_packed(prefix, *bits)?);
            }
        }
        if layers.is_empty() {
            return Ok(None);
        }
        zero_point_convention(self.quantize_config.as_ref(), &layers)
            .map(Some)
            .map_err(|problem| ModelFileError::layout(&self.path, "of the first ones", problem))
    }
}
