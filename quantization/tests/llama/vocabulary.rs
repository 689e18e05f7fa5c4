//! Readers of the data folder's tokenizers, as far as these tests need them.

use std::collections::HashMap;

use quantization::llama::{Tokenizer, TokenizerParts};

use crate::sources::data;

/// `tok512.bin`.
pub(crate) fn stories() -> Option<Tokenizer> {
    let bytes = std::fs::read(data("stories260k")?.join("tok512.bin")).unwrap();
    let (mut rest, mut pieces, mut scores) = (&bytes[4..], Vec::new(), Vec::new());
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        scores.push(f32::from_le_bytes(rest[..4].try_into().unwrap()));
        pieces.push(rest[8..8 + length].to_vec());
        rest = &rest[8 + length..];
    }
    Some(Tokenizer::new(TokenizerParts::llama2c(&pieces, scores)).unwrap())
}

/// The tokenizer of `stories260K-f32.gguf`.
pub(crate) fn stories_gguf() -> Option<Tokenizer> {
    tokenizer(&std::fs::read(data("stories260k")?.join("stories260K-f32.gguf")).unwrap())
}

/// The tokenizer of `ggml-vocab-gpt-2.gguf`.
pub(crate) fn gpt2() -> Option<Tokenizer> {
    tokenizer(&std::fs::read(data("gguf-vocab")?.join("ggml-vocab-gpt-2.gguf")).unwrap())
}

fn tokenizer(gguf: &[u8]) -> Option<Tokenizer> {
    let mut fields = metadata(gguf);
    let mut list = |name: &str| fields.remove(&format!("tokenizer.ggml.{name}")).unwrap_or_default();
    let text = |raw: &Vec<u8>| String::from_utf8(raw.clone()).unwrap();
    let id = |raw: Vec<Vec<u8>>| raw.first().map(|raw| u32::from_le_bytes(raw[..].try_into().unwrap()));
    let parts = TokenizerParts {
        model: text(&list("model")[0]),
        pre: list("pre").first().map(text),
        pieces: list("tokens"),
        scores: list("scores").iter().map(|raw| f32::from_le_bytes(raw[..].try_into().unwrap())).collect(),
        types: list("token_type").iter().map(|raw| i32::from_le_bytes(raw[..].try_into().unwrap())).collect(),
        merges: list("merges").iter().map(text).collect(),
        bos: id(list("bos_token_id")),
        eos: id(list("eos_token_id")),
        unknown: id(list("unknown_token_id")),
        add_bos: list("add_bos_token").first().map(|raw| raw[0] == 1),
        add_space_prefix: None,
        vocab: 0,
    };
    Some(Tokenizer::new(parts).unwrap())
}

/// Raw values of each key; a scalar is a list of one.
fn metadata(gguf: &[u8]) -> HashMap<String, Vec<Vec<u8>>> {
    let keys = u64::from_le_bytes(gguf[16..24].try_into().unwrap());
    let mut rest = &gguf[24..];
    let mut fields = HashMap::new();
    for _ in 0..keys {
        let key = String::from_utf8(value(&mut rest, 8)).unwrap();
        let kind = number(&mut rest, 4) as u32;
        let (kind, count) =
            if kind == 9 { (number(&mut rest, 4) as u32, number(&mut rest, 8)) } else { (kind, 1) };
        fields.insert(key, (0..count).map(|_| value(&mut rest, kind)).collect());
    }
    fields
}

fn value(rest: &mut &[u8], kind: u32) -> Vec<u8> {
    let size = match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        8 => number(rest, 8),
        _ => 8,
    };
    let (value, after) = rest.split_at(size);
    *rest = after;
    value.to_vec()
}

fn number(rest: &mut &[u8], size: usize) -> usize {
    let (bytes, after) = rest.split_at(size);
    *rest = after;
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte))
}
