//! Word pieces of a BERT directory (`tokenizer.json`, or `vocab.txt` with `tokenizer_config.json`), word by
//! word.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{BertNormalizer, NFKC};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer};

use crate::files::{self, FileError};

const TOKENIZER: &str = "tokenizer.json";
const UNKNOWN: &str = "[UNK]";

/// A directory without usable tokenizer files.
#[derive(Debug, Error)]
pub enum PiecesError {
    /// Unreadable or unwritable.
    #[error(transparent)]
    File(#[from] FileError),
    /// Read, but of no use.
    #[error("{path}: {problem}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// The tokenizer of a BERT model, for text that is divided into words already.
#[derive(Debug, Clone)]
pub struct Pieces {
    tokenizer: Tokenizer,
    classify: i64,
    separate: i64,
    unknown: i64,
    words_apart: Option<String>,
}

/// One piece of a text with its place there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Id in the vocabulary.
    pub id: i64,
    /// Bytes of the text that it stands for.
    pub place: Range<usize>,
}

/// The keys of `tokenizer_config.json` that decide how a vocabulary is used.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Settings {
    tokenizer_class: String,
    do_lower_case: bool,
    strip_accents: Option<bool>,
    tokenize_chinese_chars: bool,
    subword_tokenizer_type: String,
    word_tokenizer_type: String,
}

impl Default for Settings {
    /// What `transformers` assumes for keys that are absent.
    fn default() -> Self {
        Self {
            tokenizer_class: "BertTokenizer".to_owned(),
            do_lower_case: true,
            strip_accents: None,
            tokenize_chinese_chars: true,
            subword_tokenizer_type: "wordpiece".to_owned(),
            word_tokenizer_type: "basic".to_owned(),
        }
    }
}

impl Pieces {
    /// The tokenizer of a directory in Hugging Face's layout. `BertJapaneseTokenizer` directories give the
    /// subword part alone (NFKC, then word pieces or characters); their words come from a corpus or a
    /// segmenter.
    ///
    /// # Errors
    /// [`PiecesError`] naming the file and what is wrong with it.
    pub fn read(directory: &Path) -> Result<Self, PiecesError> {
        let path = directory.join(TOKENIZER);
        let settings = directory.join("tokenizer_config.json");
        let settings: Settings = match settings.exists() {
            true => parse(&settings)?,
            false => Settings::default(),
        };
        let japanese = settings.tokenizer_class.starts_with("BertJapanese");
        let (path, tokenizer) = if path.exists() && !japanese {
            let tokenizer = Tokenizer::from_file(&path).map_err(|error| content(&path, error.to_string()))?;
            (path, tokenizer)
        } else {
            let path = directory.join("vocab.txt");
            let mut tokenizer = from_vocabulary(&path, &settings, japanese)?;
            add_tokens(&mut tokenizer, &directory.join("added_tokens.json"))?;
            (path, tokenizer)
        };
        let words_apart = japanese.then_some(settings.word_tokenizer_type);
        Ok(Self { words_apart, ..Self::with(tokenizer, &path)? })
    }

    /// The tokenizer of a list of pieces, ids by place, as BERT's own: `##` in front of those that go on with a word.
    /// `path` is where the list comes from.
    ///
    /// # Errors
    /// [`PiecesError`] when a special token is missing.
    pub fn from_vocabulary(
        pieces: impl IntoIterator<Item = String>,
        lower_case: bool,
        path: &Path,
    ) -> Result<Self, PiecesError> {
        let mut vocabulary = serde_json::Map::new();
        for (id, piece) in pieces.into_iter().enumerate() {
            vocabulary.entry(piece).or_insert_with(|| id.into());
        }
        let json = serde_json::json!({
            "version": "1.0",
            "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": null, "lowercase": lower_case },
            "pre_tokenizer": { "type": "BertPreTokenizer" },
            "model": { "type": "WordPiece", "unk_token": UNKNOWN, "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": vocabulary },
        });
        let tokenizer = Tokenizer::from_bytes(json.to_string().as_bytes());
        Self::with(tokenizer.map_err(|error| content(path, error.to_string()))?, path)
    }

    /// The pieces of a tokenizer that was made in memory; `path` is named in the error.
    ///
    /// # Errors
    /// [`PiecesError::Content`] when it lacks one of BERT's special tokens.
    pub fn with(mut tokenizer: Tokenizer, path: &Path) -> Result<Self, PiecesError> {
        let special = |token: &str| {
            let id = tokenizer.token_to_id(token).map(i64::from);
            id.ok_or_else(|| {
                content(path, format!("no `{token}` in the vocabulary; expected a BERT tokenizer"))
            })
        };
        let (classify, separate, unknown) = (special("[CLS]")?, special("[SEP]")?, special(UNKNOWN)?);
        // A word must never be cut, filled up or framed here: that is the batch's business.
        tokenizer
            .with_padding(None)
            .with_truncation(None)
            .map_err(|error| content(path, error.to_string()))?;
        Ok(Self { tokenizer, classify, separate, unknown, words_apart: None })
    }

    /// The kind of word tokenizer that must come first (`mecab`, …), for the subword part of a
    /// `BertJapaneseTokenizer`.
    pub fn words_apart(&self) -> Option<&str> {
        self.words_apart.as_deref()
    }

    /// Spelling of an id, when the vocabulary has it.
    pub fn token(&self, id: i64) -> Option<String> {
        u32::try_from(id).ok().and_then(|id| self.tokenizer.id_to_token(id))
    }

    /// Id of a token by its spelling in the vocabulary.
    pub fn id(&self, token: &str) -> Option<i64> {
        self.tokenizer.token_to_id(token).map(i64::from)
    }

    /// Pieces of a whole text, in order; a text of nothing but white space has none.
    ///
    /// # Errors
    /// The tokenizer's own message.
    pub fn encode(&self, text: &str) -> Result<Vec<Piece>, String> {
        let encoding = self.tokenizer.encode(text, false).map_err(|error| error.to_string())?;
        let pieces = encoding.get_ids().iter().zip(encoding.get_offsets());
        Ok(pieces.map(|(&id, &(start, end))| Piece { id: id.into(), place: start..end }).collect())
    }

    /// Ids of one word's pieces, at least one: a word that normalises to nothing is unknown.
    pub fn ids(&self, word: &str) -> Vec<i64> {
        let ids = self.tokenizer.encode_fast(word, false).map(|encoding| encoding.get_ids().to_vec());
        match ids {
            Ok(ids) if !ids.is_empty() => ids.into_iter().map(i64::from).collect(),
            _ => vec![self.unknown],
        }
    }

    /// Id of `[CLS]`.
    pub fn classify(&self) -> i64 {
        self.classify
    }

    /// Id of `[UNK]`.
    pub fn unknown(&self) -> i64 {
        self.unknown
    }

    /// Id of `[SEP]`.
    pub fn separate(&self) -> i64 {
        self.separate
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// Whether there is no piece at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes `tokenizer.json`, which [`Pieces::read`] reads back.
    ///
    /// # Errors
    /// [`PiecesError`]; an older file stays whole.
    pub fn write(&self, directory: &Path) -> Result<(), PiecesError> {
        let path = directory.join(TOKENIZER);
        let json = self.tokenizer.to_string(false).map_err(|error| content(&path, error.to_string()))?;
        Ok(files::write_atomic(&path, json.as_bytes())?)
    }
}

fn content(path: &Path, problem: String) -> PiecesError {
    PiecesError::Content { path: path.to_owned(), problem }
}

fn parse<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T, PiecesError> {
    serde_json::from_str(&files::read_text(path)?).map_err(|error| content(path, error.to_string()))
}

/// Tokens that were added behind the vocabulary, from `added_tokens.json` where there is one.
fn add_tokens(tokenizer: &mut Tokenizer, path: &Path) -> Result<(), PiecesError> {
    if !path.exists() {
        return Ok(());
    }
    let mut added: Vec<(String, u32)> = parse::<HashMap<String, u32>>(path)?.into_iter().collect();
    added.sort_by_key(|(_, id)| *id);
    for (token, id) in added {
        tokenizer.add_tokens(&[AddedToken::from(token.as_str(), false)]);
        if tokenizer.token_to_id(&token) != Some(id) {
            let problem = format!("`{token}` has id {id}, expected the next one behind the vocabulary");
            return Err(content(path, problem));
        }
    }
    Ok(())
}

fn from_vocabulary(path: &Path, settings: &Settings, japanese: bool) -> Result<Tokenizer, PiecesError> {
    files::read_text(path)?; // the model's own reader names neither the file nor the cause
    let model = WordPiece::from_file(&path.to_string_lossy()).unk_token(UNKNOWN.to_owned()).build();
    let mut tokenizer = Tokenizer::new(model.map_err(|error| content(path, error.to_string()))?);
    if japanese {
        tokenizer.with_normalizer(Some(NormalizerWrapper::from(NFKC)));
        tokenizer.with_pre_tokenizer(Some(match settings.subword_tokenizer_type.as_str() {
            "wordpiece" => PreTokenizerWrapper::from(WhitespaceSplit),
            "character" => {
                let every = SplitPattern::Regex("(?s).".to_owned());
                let split = Split::new(every, SplitDelimiterBehavior::Isolated, false);
                PreTokenizerWrapper::from(split.map_err(|error| content(path, error.to_string()))?)
            }
            other => {
                let problem =
                    format!("`subword_tokenizer_type` is `{other}`, expected `wordpiece` or `character`");
                return Err(content(&path.with_file_name("tokenizer_config.json"), problem));
            }
        }));
    } else {
        let Settings { tokenize_chinese_chars, strip_accents, do_lower_case, .. } = *settings;
        let normalizer = BertNormalizer::new(true, tokenize_chinese_chars, strip_accents, do_lower_case);
        tokenizer.with_normalizer(Some(NormalizerWrapper::from(normalizer)));
        tokenizer.with_pre_tokenizer(Some(PreTokenizerWrapper::from(BertPreTokenizer)));
    }
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].into_iter();
    let known: Vec<AddedToken> = special
        .filter(|token| tokenizer.token_to_id(token).is_some())
        .map(|token| AddedToken::from(token, true))
        .collect();
    tokenizer.add_special_tokens(&known);
    Ok(tokenizer)
}
