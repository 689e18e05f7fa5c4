//! llama2.c checkpoints as models.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::ModelFileError;
use super::metadata::{hugging_face_config, llama_metadata, set_sentence_pieces};
use super::storage::{Entry, RowOrder, Storage};
use crate::ggml::GgmlType;
use crate::gguf::Metadata;
use crate::llama::{Config, Gate, Norms, permuted_heads};
use crate::llama2c::{Checkpoint, Tensor, Tokenizer};

/// An open checkpoint.
pub(super) struct Llama2c {
    path: PathBuf,
    checkpoint: Checkpoint,
    file: fs::File,
    entries: Vec<Entry>,
    /// First byte of each tensor.
    starts: Vec<u64>,
}

impl Llama2c {
    pub(super) fn open(path: &Path) -> Result<Self, ModelFileError> {
        let checkpoint = Checkpoint::open(path)?;
        let file =
            fs::File::open(path).map_err(|problem| ModelFileError::Io { path: path.to_owned(), problem })?;
        let sizes = checkpoint.config();
        let config = config_of(sizes);
        let (mut entries, mut starts) = (Vec::new(), Vec::new());
        for tensor in sizes.tensors() {
            let (Some(name), Some([rows, columns]), Some(range)) =
                (name(tensor), sizes.shape(tensor), sizes.range(tensor))
            else {
                continue;
            };
            let dims = if rows == 1 { vec![columns] } else { vec![columns, rows] };
            entries.push(Entry {
                heads: permuted_heads(&name, &config),
                gguf_name: Some(name.clone()),
                name,
                dims,
                kind: GgmlType::F32,
                stored: "F32".to_owned(),
                bytes: range.end - range.start,
            });
            starts.push(range.start);
        }
        Ok(Self { path: path.to_owned(), checkpoint, file, entries, starts })
    }

    /// The vocabulary beside the checkpoint: `tokenizer.bin`, or the only `tok*.bin` with as many pieces as the model.
    fn vocabulary(&self) -> Result<Option<Tokenizer>, ModelFileError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let vocab = self.checkpoint.config().vocab;
        let named = folder.join(format!("tok{vocab}.bin"));
        for path in [named, folder.join("tokenizer.bin")] {
            if path.is_file() {
                return Ok(Some(Tokenizer::read(&path, Some(vocab))?));
            }
        }
        Ok(None)
    }
}

fn config_of(sizes: &crate::llama2c::Config) -> Config {
    Config {
        dim: sizes.dim,
        ffn: sizes.hidden_dim,
        layers: sizes.layers,
        heads: sizes.heads,
        kv_heads: sizes.kv_heads,
        head_dim: sizes.dim / sizes.heads,
        vocab: sizes.vocab,
        context: sizes.context,
        norm_epsilon: 1e-5, // llama2.c, `rmsnorm`
        rope_base: 10_000.0,
        rope_dims: sizes.dim / sizes.heads,
        tied: sizes.tied,
        norms: Norms { block: true, sub: false, projection: false },
        gate: Gate::Silu,
    }
}

/// GGUF name of a tensor, `None` for the unused rotary tables.
fn name(tensor: Tensor) -> Option<String> {
    use Tensor::*;
    let block = |layer: usize, part: &str| format!("blk.{layer}.{part}.weight");
    Some(match tensor {
        TokenEmbedding => "token_embd.weight".to_owned(),
        AttentionNorm(layer) => block(layer, "attn_norm"),
        Query(layer) => block(layer, "attn_q"),
        Key(layer) => block(layer, "attn_k"),
        Value(layer) => block(layer, "attn_v"),
        AttentionOutput(layer) => block(layer, "attn_output"),
        FeedForwardNorm(layer) => block(layer, "ffn_norm"),
        Gate(layer) => block(layer, "ffn_gate"),
        Down(layer) => block(layer, "ffn_down"),
        Up(layer) => block(layer, "ffn_up"),
        FinalNorm => "output_norm.weight".to_owned(),
        Output => "output.weight".to_owned(),
        RotaryCosine | RotarySine => return None,
    })
}

impl Storage for Llama2c {
    fn format(&self) -> &'static str {
        "llama2.c"
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
        let row = 4 * self.entries[tensor].row_len();
        let start = out.len();
        out.resize(start + rows.len() * row, 0);
        let at = self.starts[tensor] + (rows.start * row) as u64;
        common::files::read_exact_at(&self.file, &mut out[start..], at)
            .map_err(|problem| ModelFileError::Io { path: self.path.clone(), problem })
    }

    fn config(&self) -> Result<Config, ModelFileError> {
        config_of(self.checkpoint.config())
            .checked()
            .map_err(|problem| ModelFileError::config(&self.path, problem))
    }

    fn gguf_metadata(&self) -> Result<Metadata, ModelFileError> {
        let name = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let mut keys = llama_metadata(&name, &self.config()?);
        if let Some(vocabulary) = self.vocabulary()? {
            set_sentence_pieces(&mut keys, &vocabulary.pieces);
        }
        Ok(keys)
    }

    fn hugging_face_config(&self) -> Result<serde_json::Value, ModelFileError> {
        Ok(hugging_face_config(&self.config()?))
    }

    fn description(&self) -> Vec<(String, String)> {
        let sizes = self.checkpoint.config();
        let mut lines: Vec<(String, String)> = [
            ("dim", sizes.dim),
            ("hidden_dim", sizes.hidden_dim),
            ("layers", sizes.layers),
            ("heads", sizes.heads),
            ("kv_heads", sizes.kv_heads),
            ("vocab", sizes.vocab),
            ("context", sizes.context),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_string()))
        .into();
        lines.push(("tied".to_owned(), sizes.tied.to_string()));
        lines
    }
}
