//! `tokenizer.json` with the files beside it.

use std::path::Path;

use serde_json::Value;

use super::{
    BYTE, CONTROL, Found, MOST_UNUSED, NORMAL, Pieces, UNKNOWN, USER_DEFINED, is_byte, looks_special,
    mentions, set_pieces, set_word_pieces,
};
use crate::gguf::{Metadata, Strings};
use crate::model_file::ModelFileError;

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

/// The files of a Hugging Face tokenizer.
pub(super) struct Hub<'a> {
    pub(super) path: &'a Path,
    pub(super) json: &'a Value,
    pub(super) settings: &'a Value,
    /// The model's `config.json`.
    pub(super) model: &'a Value,
    pub(super) vocab: usize,
}

impl Hub<'_> {
    pub(super) fn found(&self) -> Result<Found, ModelFileError> {
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
        let added = self.json["added_tokens"].as_array().map_or(0, Vec::len);
        if self.vocab > listed.len() + added + MOST_UNUSED {
            return Err(wrong(format!(
                "has {} tokens, the model {}; take the tokenizer that the model was trained with",
                listed.len() + added,
                self.vocab
            )));
        }
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
        let named = |role: &str| self.named_role(role, pieces);
        let of_model = |role: &str| {
            let id = self.model[format!("{role}_token_id").as_str()].as_u64();
            id.filter(|id| *id < self.vocab as u64).map(|id| id as u32)
        };
        let (first, last) = self.frame();
        let id = |text: &Option<String>| text.as_ref().and_then(|text| pieces.ids.get(text)).copied();
        let bos = named("bos").or(named("cls")).or(id(&first)).or(of_model("bos"));
        let eos = named("eos").or(named("sep")).or(id(&last)).or(of_model("eos"));
        for (role, key) in ROLES {
            let found = match role {
                "bos" => bos,
                "eos" => eos,
                other => named(other).or(of_model(other)),
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

    /// Id of the token that `tokenizer_config.json` gives a role.
    fn named_role(&self, role: &str, pieces: &Pieces) -> Option<u32> {
        let named = &self.settings[format!("{role}_token").as_str()];
        let text = named.as_str().or_else(|| named["content"].as_str());
        text.and_then(|text| pieces.ids.get(text).copied())
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
