//! The vocabulary of a Hugging Face folder in GGUF's keys.
//!
//! Keys and values are those of llama.cpp's `convert_hf_to_gguf.py`. Two differ for `tokenizer.json` files of
//! SentencePiece's kind, where that program has nothing to give but scores of −1000: pieces are scored by the rank of their
//! merge, as SentencePiece scores them, and the merges are written beside them.

mod hub;

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use hub::Hub;

use super::error::ModelFileError;
use crate::gguf::{Metadata, Strings};

/// Numbers of the kinds of pieces in `tokenizer.ggml.token_type`.
pub(super) const NORMAL: i32 = 1;
pub(super) const UNKNOWN: i32 = 2;
pub(super) const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
pub(super) const BYTE: i32 = 6;

/// Tokens without a piece that a model may have at the end. Ours: vocabularies are filled up to round numbers, and a damaged
/// configuration must not claim all memory.
const MOST_UNUSED: usize = 1 << 16;

/// What came of a folder's tokenizer.
pub(super) enum Found {
    /// No tokenizer file.
    Nothing,
    /// The keys, and what a user should know about them.
    Keys(Metadata, Option<String>),
    /// A tokenizer that GGUF's keys cannot tell, and why.
    Unknown(String),
}

/// The vocabulary of a folder, filled up to the model's `vocab` tokens.
pub(super) fn read(folder: &Path, vocab: usize) -> Result<Found, ModelFileError> {
    let path = folder.join("tokenizer.json");
    let settings = super::hugging_face::read_json(&folder.join("tokenizer_config.json"))?;
    let settings = settings.unwrap_or(Value::Null);
    let Some(json) = super::hugging_face::read_json(&path)? else {
        return pieces_by_line(&folder.join("vocab.txt"), &settings, vocab);
    };
    let model = super::hugging_face::read_json(&folder.join("config.json"))?.unwrap_or(Value::Null);
    let hub = Hub { path: &path, json: &json, settings: &settings, model: &model, vocab };
    hub.found()
}

/// Pieces by id with their kinds.
struct Pieces {
    texts: Vec<String>,
    kinds: Vec<i32>,
    ids: HashMap<String, u32>,
}

impl Pieces {
    fn new(texts: Vec<Option<(String, i32)>>) -> Self {
        let unused = |id: usize| (format!("[PAD{id}]"), UNUSED);
        let (texts, kinds): (Vec<String>, Vec<i32>) =
            texts.into_iter().enumerate().map(|(id, piece)| piece.unwrap_or_else(|| unused(id))).unzip();
        let ids = texts.iter().enumerate().rev().map(|(id, text)| (text.clone(), id as u32)).collect();
        Self { texts, kinds, ids }
    }
}

fn set_pieces(keys: &mut Metadata, pieces: &Pieces) {
    keys.set(
        "tokenizer.ggml.tokens",
        pieces.texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Strings>(),
    );
    keys.set("tokenizer.ggml.token_type", pieces.kinds.clone());
}

/// `bert`: pieces that begin a word have `▁` in front, those that go on with one have nothing.
fn set_word_pieces(keys: &mut Metadata, pieces: &Pieces, lower_case: bool) {
    let phantom = |(text, kind): (&String, &i32)| -> Vec<u8> {
        match text.strip_prefix("##") {
            _ if *kind == CONTROL => text.clone().into_bytes(),
            Some(rest) => rest.as_bytes().to_vec(),
            None => format!("\u{2581}{text}").into_bytes(),
        }
    };
    keys.set("tokenizer.ggml.model", "bert");
    // The name by which llama.cpp knows the vocabulary of the published lower-casing models; it is read nowhere.
    let published = lower_case && pieces.texts.len() == 30_522;
    keys.set("tokenizer.ggml.pre", if published { "bert-bge" } else { "default" });
    keys.set(
        "tokenizer.ggml.tokens",
        pieces.texts.iter().zip(&pieces.kinds).map(phantom).collect::<Strings>(),
    );
    keys.set("tokenizer.ggml.token_type", pieces.kinds.clone());
    keys.set("tokenizer.ggml.normalizer.lowercase", lower_case);
}

/// The vocabulary of a BERT folder without `tokenizer.json`: one piece per line.
fn pieces_by_line(path: &Path, settings: &Value, vocab: usize) -> Result<Found, ModelFileError> {
    if !path.is_file() {
        return Ok(Found::Nothing);
    }
    let text = common::files::read_text(path)?;
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    let kind = |line: &str| if special.contains(&line) { CONTROL } else { NORMAL };
    let mut texts: Vec<_> = text.lines().map(|line| Some((line.to_owned(), kind(line)))).collect();
    if texts.len() > vocab || vocab > texts.len() + MOST_UNUSED {
        let problem = format!("has {} pieces, the model has {vocab} tokens", texts.len());
        return Err(ModelFileError::content(path, problem));
    }
    texts.resize(vocab, None);
    let pieces = Pieces::new(texts);
    let mut keys = Metadata::default();
    set_word_pieces(&mut keys, &pieces, settings["do_lower_case"].as_bool().unwrap_or(true));
    let named =
        [("bos", 2), ("eos", 3), ("unknown", 1), ("seperator", 3), ("padding", 0), ("cls", 2), ("mask", 4)];
    for (role, token) in named {
        if let Some(&id) = pieces.ids.get(special[token]) {
            keys.set(format!("tokenizer.ggml.{role}_token_id"), id);
        }
    }
    Ok(Found::Keys(keys, None))
}

/// Whether a part of a tokenizer is of this kind, or one of its own parts is.
fn mentions(part: &Value, kind: &str) -> bool {
    match part {
        Value::Object(fields) => {
            fields.get("type").is_some_and(|own| own == kind)
                || fields.values().any(|part| mentions(part, kind))
        }
        Value::Array(parts) => parts.iter().any(|part| mentions(part, kind)),
        _ => false,
    }
}

/// A piece such as `<0x0A>`.
fn is_byte(text: &str) -> bool {
    let digits = text.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && u8::from_str_radix(digits, 16).is_ok())
}

/// Tokens that llama.cpp's converter takes for control tokens although their file does not say so.
fn looks_special(text: &str) -> bool {
    let framed = |start: &str, end: &str| text.starts_with(start) && text.ends_with(end);
    ["<pad>", "<mask>", "<2mass>", "[@BOS@]"].contains(&text)
        || framed("<|", "|>")
        || framed("<｜", "｜>")
        || framed("<unused", ">")
}
