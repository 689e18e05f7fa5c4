//! Writing a model as other programs read it: as a Stanford ColBERT directory, or as one of PyLate.

use std::path::Path;

use common::files;
use common::nn::checkpoint::{named, save};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use super::directory::{AUGMENTATION, METADATA, MODULES, SETTINGS};
use super::error::{EncoderError, content};
use super::projection::IDENTITY;
use super::{ColBert, ENCODER, PROJECTION};
use crate::tokenizer::{Augmentation, train};

/// Files of a tokenizer, each where there is one.
const TOKENIZER: [&str; 5] =
    ["tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json", "added_tokens.json"];

/// The tokenizer's files in a folder.
pub(super) fn tokenizer_files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, EncoderError> {
    let mut found = Vec::new();
    for name in TOKENIZER {
        let path = folder.join(name);
        if path.exists() {
            found.push((name.to_owned(), files::read(&path)?));
        }
    }
    Ok(found)
}

impl ColBert {
    /// Writes the model as a Stanford ColBERT directory: `artifact.metadata`, `config.json`,
    /// `model.safetensors`, tokenizer.
    ///
    /// # Errors
    /// [`EncoderError`] when a file cannot be written, or the model has not exactly one projection without
    /// bias, activation and residual path.
    pub fn save_stanford(&self, directory: &Path) -> Result<(), EncoderError> {
        let plain = |config: &super::DenseConfig| {
            !config.bias && !config.use_residual && config.activation_function == IDENTITY
        };
        let [dense] = &self.projections[..] else {
            let n = self.projections.len();
            return Err(content(
                directory,
                format!(
                    "a ColBERT directory holds one projection, the model has {n}; save it for PyLate instead"
                ),
            ));
        };
        if !plain(&dense.config) {
            let problem = "a ColBERT directory's projection has no bias, activation or residual path, the \
                           model's has; save it for PyLate instead";
            return Err(content(directory, problem));
        }
        self.write_common(directory, json!(["HF_ColBERT"]))?;
        let own = format!("{PROJECTION}.0.");
        let name = |name: &str| name.strip_prefix(&own).map_or(name.to_owned(), str::to_owned);
        self.write_tensors(&directory.join("model.safetensors"), "", name)?;
        let layout = self.tokenizer.layout();
        let mut metadata = json!({
            "query_token_id": layout.query_marker, "doc_token_id": layout.document_marker,
            "query_token": "[Q]", "doc_token": "[D]",
            "query_maxlen": self.pad_target(), "doc_maxlen": layout.document_length, "dim": self.width(),
            "mask_punctuation": !layout.skiplist.is_empty(), "attend_to_mask_tokens": layout.attend_to_expansion,
            "similarity": "cosine", "interaction": "colbert",
        });
        self.note_augmentation(&mut metadata, matches!(layout.augmentation, Augmentation::Fixed(_)));
        write_json(&directory.join(METADATA), &metadata)
    }

    /// Writes the model as a directory of PyLate, which sentence-transformers loads, too.
    ///
    /// # Errors
    /// [`EncoderError`] when a file cannot be written.
    pub fn save_pylate(&self, directory: &Path) -> Result<(), EncoderError> {
        self.write_common(directory, json!(["BertModel"]))?;
        self.write_tensors(&directory.join("model.safetensors"), ENCODER, str::to_owned)?;
        let mut modules = vec![json!({
            "idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"
        })];
        for (i, dense) in self.projections.iter().enumerate() {
            let name = format!("{}_Dense", i + 1);
            let folder = directory.join(&name);
            files::make_folder(&folder)?;
            let config = serde_json::to_value(&dense.config).expect("numbers and strings");
            write_json(&folder.join("config.json"), &config)?;
            self.write_tensors(
                &folder.join("model.safetensors"),
                &format!("{PROJECTION}.{i}."),
                str::to_owned,
            )?;
            modules.push(json!({
                "idx": i + 1, "name": format!("{}", i + 1), "path": name, "type": "pylate.models.Dense.Dense"
            }));
        }
        let layout = self.tokenizer.layout();
        let mut settings = json!({
            "prompts": {}, "default_prompt_name": null, "similarity_fn_name": "MaxSim",
            "model_type": "SentenceTransformer",
            "query_prefix": layout.query_marker.as_deref().unwrap_or_default(),
            "document_prefix": layout.document_marker.as_deref().unwrap_or_default(),
            "query_length": self.pad_target(), "document_length": layout.document_length,
            "attend_to_expansion_tokens": layout.attend_to_expansion, "skiplist_words": layout.skiplist,
            "do_query_expansion": layout.augmentation != Augmentation::None,
        });
        let plain = matches!(layout.augmentation, Augmentation::Fixed(_) | Augmentation::None);
        self.note_augmentation(&mut settings, plain);
        write_json(&directory.join(SETTINGS), &settings)?;
        let longest = layout.document_length.max(self.pad_target());
        write_json(
            &directory.join("sentence_bert_config.json"),
            &json!({"max_seq_length": longest, "do_lower_case": false}),
        )?;
        write_json(&directory.join(MODULES), &Value::Array(modules))
    }

    /// The fixed query length nearest to the augmentation, for readers that know no other.
    fn pad_target(&self) -> usize {
        let layout = self.tokenizer.layout();
        match layout.augmentation {
            Augmentation::Fixed(total) | Augmentation::Padding(total) | Augmentation::AtLeast(total) => total,
            Augmentation::None => layout.query_length,
            Augmentation::Plus(_) | Augmentation::Paper | Augmentation::Code => 32.min(layout.query_length),
        }
    }

    fn note_augmentation(&self, settings: &mut Value, known: bool) {
        if !known {
            settings[AUGMENTATION] = self.tokenizer.layout().augmentation.to_string().into();
        }
    }

    fn write_common(&self, directory: &Path, architectures: Value) -> Result<(), EncoderError> {
        files::make_folder(directory)?;
        let mut config = serde_json::to_value(self.bert.config()).expect("numbers and strings");
        config["architectures"] = architectures;
        write_json(&directory.join("config.json"), &config)?;
        for (name, bytes) in &self.files {
            files::write_atomic(&directory.join(name), bytes)?;
        }
        if self.files.is_empty() {
            self.tokenizer.pieces().write(directory)?;
            write_json(&directory.join("tokenizer_config.json"), &train::configuration())?;
        }
        Ok(())
    }

    /// The variables below `prefix` as f32 on the CPU; `rename` gets their names without it.
    fn write_tensors(
        &self,
        path: &Path,
        prefix: &str,
        rename: impl Fn(&str) -> String,
    ) -> Result<(), EncoderError> {
        let own = named(&self.store)
            .into_iter()
            .filter_map(|(name, tensor)| Some((rename(name.strip_prefix(prefix)?), tensor)));
        let plain = |tensor: Tensor| tensor.detach().to_kind(Kind::Float).to_device(tch::Device::Cpu);
        let tensors: Vec<(String, Tensor)> = own.map(|(name, tensor)| (name, plain(tensor))).collect();
        Ok(save(&tensors, path)?)
    }
}

fn write_json(path: &Path, value: &Value) -> Result<(), EncoderError> {
    Ok(files::write_atomic(path, format!("{value:#}\n").as_bytes())?)
}
