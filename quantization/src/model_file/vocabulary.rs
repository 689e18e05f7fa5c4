//! The vocabulary of a Hugging Face folder in GGUF's keys.
//!
//! Keys and values are those of llama.cpp's `convert_hf_to_gguf.py`. Two differ for `tokenizer.json` files of
//! SentencePiece's kind, where that program has nothing to give but scores of −1000: pieces are scored by the rank of their
//! merge, as SentencePiece scores them, and the merges are written beside them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::Value;

use super::error::ModelFileError;
use crate::gguf::{Metadata, Strings};

/// Numbers of the kinds of pieces in `tokenizer.ggml.token_type`.
pub(super) const NORMAL: i32 = 1;
pub(super) const UNKNOWN: i32 = 2;
pub(super) const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
pub(super) const BYTE: i32 = 6;

/// Tokens with a role: names in `tokenizer_config.json` before `_token`, names of GGUF's keys before `_token_id`. The
/// misspelling is GGUF's.
const ROLES: [(&str, &str); 7] = [
    ("bos", "bos"),
    ("eos", "eos"),
    ("unk", "unknown"),
    ("sep", "seperator"),
    ("pad", "padding"),
    ("cls", "cls"),
    ("mask", "mask"),
];

/// Ways to cut words before merging, by regular expression: GGUF's names.
const CUTS: [(&str, &str); 3] = [
    (
        "llama-bpe",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    (
        "qwen2",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    ("gpt-2", r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"),
];

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

/// The files of a Hugging Face tokenizer.
struct Hub<'a> {
    path: &'a Path,
    json: &'a Value,
    settings: &'a Value,
    /// The model's `config.json`.
    model: &'a Value,
    vocab: usize,
}

/// Pieces by id with their kinds.
struct Pieces {
    texts: Vec<String>,
    kinds: Vec<i32>,
    ids: HashMap<String, u32>,
}

impl Hub<'_> {
    fn found(&self) -> Result<Found, ModelFileError> {
        let kind = self.json["model"]["type"].as_str().unwrap_or("BPE");
        let byte_level = mentions(&self.json["pre_tokenizer"], "ByteLevel")
            || mentions(&self.json["decoder"], "ByteLevel");
        let fallback = self.json["model"]["byte_fallback"] == true;
        let mut keys = Metadata::default();
        let note = match kind {
            "WordPiece" => {
                self.word_pieces(&mut keys)?;
                None
            }
            "BPE" if byte_level => self.byte_pairs(&mut keys)?,
            "BPE" if fallback => {
                self.sentence_pieces(&mut keys)?;
                None
            }
            _ => {
                return Ok(Found::Unknown(format!(
                    "{} has a model of the kind `{kind}`{}, expected `BPE` on bytes (GPT-2, Llama 3), `BPE` with byte_fallback \
                     (Llama 2) or `WordPiece` (BERT)",
                    self.path.display(),
                    if kind == "BPE" { " without bytes" } else { "" }
                )));
            }
        };
        Ok(Found::Keys(keys, note))
    }

    fn word_pieces(&self, keys: &mut Metadata) -> Result<(), ModelFileError> {
        let pieces = self.pieces(&[])?;
        let lower = &self.json["normalizer"]["lowercase"];
        set_word_pieces(keys, &pieces, lower.as_bool().unwrap_or(true));
        self.set_roles(keys, &pieces);
        Ok(())
    }

    /// `gpt2`: bytes spelled as letters, merged by rank.
    fn byte_pairs(&self, keys: &mut Metadata) -> Result<Option<String>, ModelFileError> {
        let pieces = self.pieces(&[])?;
        let cut = self.cut();
        keys.set("tokenizer.ggml.model", "gpt2");
        keys.set("tokenizer.ggml.pre", cut.unwrap_or("default"));
        set_pieces(keys, &pieces);
        keys.set(
            "tokenizer.ggml.merges",
            self.merges()?.into_iter().map(String::into_bytes).collect::<Strings>(),
        );
        self.set_roles(keys, &pieces);
        Ok(cut.is_none().then(|| {
            format!(
                "{}: its pre_tokenizer cuts words in a way without a name here; `tokenizer.ggml.pre` is `default`, and llama.cpp \
                 will cut words otherwise than the model was trained with: set the key to the right name",
                self.path.display()
            )
        }))
    }

    /// `llama`: pieces with `▁` for the space, and bytes for characters without a piece.
    fn sentence_pieces(&self, keys: &mut Metadata) -> Result<(), ModelFileError> {
        let unknown = self.json["model"]["unk_token"].as_str().unwrap_or("<unk>");
        let pieces = self.pieces(&[unknown])?;
        let merges = self.merges()?;
        let mut scores = vec![0.0_f32; pieces.texts.len()];
        for (rank, merge) in merges.iter().enumerate().rev() {
            if let Some(&id) = pieces.ids.get(&merge.replacen(' ', "", 1)) {
                scores[id as usize] = -(rank as f32) - 1.0; // in reverse: the first of equal results stays
            }
        }
        keys.set("tokenizer.ggml.model", "llama");
        keys.set("tokenizer.ggml.pre", "default");
        set_pieces(keys, &pieces);
        keys.set("tokenizer.ggml.scores", scores);
        keys.set("tokenizer.ggml.merges", merges.into_iter().map(String::into_bytes).collect::<Strings>());
        if !self.adds_space() {
            keys.set("tokenizer.ggml.add_space_prefix", false);
        }
        self.set_roles(keys, &pieces);
        Ok(())
    }

    /// All pieces; ids that the file leaves out are unused.
    fn pieces(&self, unknown: &[&str]) -> Result<Pieces, ModelFileError> {
        let wrong = |problem: String| ModelFileError::content(self.path, problem);
        let listed = self.json["model"]["vocab"].as_object();
        let listed = listed.ok_or_else(|| wrong("`model.vocab` is no table of tokens and ids".to_owned()))?;
        let mut texts: Vec<Option<(String, i32)>> = vec![None; self.vocab];
        let mut put = |id: Option<u64>, text: &str, kind: i32| match id
            .map(|id| (id, texts.get_mut(id as usize)))
        {
            Some((_, Some(place))) => {
                *place = Some((text.to_owned(), kind));
                Ok(())
            }
            id => Err(wrong(format!(
                "token `{text}` has id {}, the model has {} tokens; take the tokenizer that the model was trained with",
                id.map_or("none".to_owned(), |(id, _)| id.to_string()),
                self.vocab
            ))),
        };
        for (text, id) in listed {
            let kind = match text.as_str() {
                text if unknown.contains(&text) => UNKNOWN,
                text if is_byte(text) => BYTE,
                _ => NORMAL,
            };
            put(id.as_u64(), text, kind)?;
        }
        for added in self.json["added_tokens"].as_array().into_iter().flatten() {
            let text = added["content"].as_str().unwrap_or_default();
            let special = added["special"] == true || looks_special(text);
            match (special, unknown.contains(&text)) {
                (_, true) => put(added["id"].as_u64(), text, UNKNOWN)?,
                (true, _) => put(added["id"].as_u64(), text, CONTROL)?,
                (false, _) => put(added["id"].as_u64(), &text.replace('\u{2581}', " "), USER_DEFINED)?,
            }
        }
        Ok(Pieces::new(texts))
    }

    /// Merges as `left right`.
    fn merges(&self) -> Result<Vec<String>, ModelFileError> {
        let merge = |merge: &Value| match merge {
            Value::String(line) => Some(line.clone()),
            Value::Array(sides) => match sides.as_slice() {
                // A space inside a side would be taken for the one between: it is spelled Ġ, as llama.cpp's converter does.
                [Value::String(left), Value::String(right)] => {
                    Some(format!("{} {}", left.replace(' ', "Ġ"), right.replace(' ', "Ġ")))
                }
                _ => None,
            },
            _ => None,
        };
        let listed = self.json["model"]["merges"].as_array();
        let merges = listed.and_then(|merges| merges.iter().map(merge).collect());
        merges
            .ok_or_else(|| ModelFileError::content(self.path, "`model.merges` is no list of pairs of tokens"))
    }

    /// GGUF's name of the way in which words are cut.
    fn cut(&self) -> Option<&'static str> {
        let cutter = &self.json["pre_tokenizer"];
        let parts: Vec<&Value> = match cutter["pretokenizers"].as_array() {
            Some(parts) => parts.iter().collect(),
            None => vec![cutter],
        };
        let byte_level = |part: &Value, regex: bool| {
            part["type"] == "ByteLevel"
                && part["use_regex"].as_bool().unwrap_or(true) == regex
                && part["add_prefix_space"] != true
        };
        match parts.as_slice() {
            [bytes] if byte_level(bytes, true) => Some("gpt-2"),
            [digits, bytes] if digits["type"] == "Digits" && byte_level(bytes, true) => {
                (digits["individual_digits"] == true).then_some("smollm")
            }
            [split, bytes] if split["type"] == "Split" && byte_level(bytes, false) => {
                let regex = split["pattern"]["Regex"].as_str()?;
                let isolated = split["behavior"] == "Isolated" && split["invert"] != true;
                CUTS.iter().find(|cut| isolated && cut.1 == regex).map(|cut| cut.0)
            }
            _ => None,
        }
    }

    /// Whether a space is put in front of a text.
    fn adds_space(&self) -> bool {
        let cutter = &self.json["pre_tokenizer"];
        let scheme = cutter["prepend_scheme"].as_str();
        let meta =
            cutter["type"] == "Metaspace" && scheme != Some("never") && cutter["add_prefix_space"] != false;
        meta || mentions(&self.json["normalizer"], "Prepend")
    }

    /// Ids of the tokens with a role, and whether they are put around a text.
    fn set_roles(&self, keys: &mut Metadata, pieces: &Pieces) {
        let named: BTreeMap<&str, Option<u32>> =
            ROLES.iter().map(|(role, _)| (*role, self.role(role, pieces))).collect();
        let of = |role: &str| named.get(role).copied().flatten();
        let (first, last) = self.frame();
        let id = |text: &Option<String>| text.as_ref().and_then(|text| pieces.ids.get(text)).copied();
        let bos = of("bos").or(of("cls")).or(id(&first));
        let eos = of("eos").or(of("sep")).or(id(&last));
        for (role, key) in ROLES {
            let found = match role {
                "bos" => bos,
                "eos" => eos,
                other => of(other),
            };
            if let Some(id) = found {
                keys.set(format!("tokenizer.ggml.{key}_token_id"), id);
            }
        }
        for (role, framed, wanted) in [("bos", &first, bos), ("eos", &last, eos)] {
            let typed = self.settings[format!("add_{role}_token").as_str()].as_bool();
            let framed =
                (first.is_some() || last.is_some()).then(|| id(framed).is_some_and(|id| Some(id) == wanted));
            if let Some(adds) = typed.or(framed) {
                keys.set(format!("tokenizer.ggml.add_{role}_token"), adds);
            }
        }
    }

    /// Id of a role: its token in `tokenizer_config.json`, else its id in the model's `config.json`.
    fn role(&self, role: &str, pieces: &Pieces) -> Option<u32> {
        let named = &self.settings[format!("{role}_token").as_str()];
        let text = named.as_str().or_else(|| named["content"].as_str());
        let own = text.and_then(|text| pieces.ids.get(text).copied());
        let of_model = || self.model[format!("{role}_token_id").as_str()].as_u64();
        own.or_else(|| of_model().filter(|id| *id < self.vocab as u64).map(|id| id as u32))
    }

    /// The special tokens that the post-processor puts around a text.
    fn frame(&self) -> (Option<String>, Option<String>) {
        let processor = &self.json["post_processor"];
        let parts = processor["processors"].as_array();
        let all: Vec<&Value> = parts.map_or_else(|| vec![processor], |parts| parts.iter().collect());
        let template = all.into_iter().find(|part| part["type"] == "TemplateProcessing");
        let special = |place: Option<&Value>| Some(place?["SpecialToken"]["id"].as_str()?.to_owned());
        let single = template.and_then(|template| template["single"].as_array());
        let single = single.filter(|single| single.len() > 1);
        (special(single.and_then(|single| single.first())), special(single.and_then(|single| single.last())))
    }
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
    if texts.len() > vocab {
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
