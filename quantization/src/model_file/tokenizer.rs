//! The tokenizer of a model, from its own keys or from another file.

use std::path::Path;

use super::ModelFile;
use super::error::ModelFileError;
use super::metadata::set_sentence_pieces;
use crate::gguf::{File, Metadata, Strings};
use crate::llama::{Tokenizer, TokenizerParts};
use crate::llama2c;

impl ModelFile {
    /// The tokenizer: the file's own, or that of `other`, a GGUF file, a Hugging Face folder or a
    /// llama2.c vocabulary (`.bin`). Without a vocabulary, a model
    /// of 256 tokens reads bytes.
    ///
    /// # Errors
    /// [`ModelFileError`] when there is none, or one of another size than the model's vocabulary.
    pub fn tokenizer(&self, other: Option<&Path>) -> Result<Tokenizer, ModelFileError> {
        let vocab = self.config()?.vocab;
        let (keys, path) = match other {
            None => (self.gguf_metadata()?, self.path()),
            Some(path) if path.is_dir() => (Self::open(path)?.gguf_metadata()?, path),
            Some(path) => (keys_of(path)?, path),
        };
        let wrong = |problem: String| ModelFileError::content(path, problem);
        if let (None, Some(note)) = (other, self.vocabulary_note()?) {
            return Err(wrong(format!(
                "its tokenizer is not understood: {note}; give one with --tokenizer, a GGUF file of the same model"
            )));
        }
        let parts = parts(&keys, vocab);
        let bare = ["no_vocab", "none", ""].contains(&parts.model.as_str());
        if bare && vocab != 256 {
            return Err(wrong(format!(
                "has no tokenizer, and the model has {vocab} tokens, not the 256 of bytes; give one with --tokenizer, a GGUF file of the same model or a llama2.c tokenizer.bin"
            )));
        }
        let tokenizer = Tokenizer::new(parts).map_err(|problem| wrong(problem.to_string()))?;
        if tokenizer.len() != vocab {
            return Err(wrong(format!(
                "its tokenizer has {} tokens, the model {vocab}; take the tokenizer that the model was trained with",
                tokenizer.len()
            )));
        }
        Ok(tokenizer)
    }
}

fn keys_of(path: &Path) -> Result<Metadata, ModelFileError> {
    if path.extension().is_some_and(|extension| extension == "bin") {
        let tokenizer = llama2c::Tokenizer::read(path, None)?;
        let mut keys = Metadata::default();
        set_sentence_pieces(&mut keys, &tokenizer.pieces);
        return Ok(keys);
    }
    Ok(File::open(path)?.metadata().clone())
}

fn parts(keys: &Metadata, vocab: usize) -> TokenizerParts {
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let text = |name: &str| keys.get_str(&key(name)).ok().map(str::to_owned);
    let id = |name: &str| keys.get_u32(&key(name)).ok();
    let list = |strings: &Strings| strings.iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
    let merges = keys.get_strings(&key("merges")).map(list).unwrap_or_default();
    TokenizerParts {
        model: text("model").unwrap_or_default(),
        pre: text("pre"),
        pieces: keys.get_strings(&key("tokens")).map(list).unwrap_or_default(),
        scores: keys.get_f32s(&key("scores")).map(<[f32]>::to_vec).unwrap_or_default(),
        types: keys.get_i32s(&key("token_type")).map(<[i32]>::to_vec).unwrap_or_default(),
        merges: merges.iter().map(|merge| String::from_utf8_lossy(merge).into_owned()).collect(),
        bos: id("bos_token_id"),
        eos: id("eos_token_id"),
        unknown: id("unknown_token_id"),
        add_bos: keys.get_bool(&key("add_bos_token")).ok(),
        add_space_prefix: keys.get_bool(&key("add_space_prefix")).ok(),
        vocab,
    }
}
