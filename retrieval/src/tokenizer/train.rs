//! Vocabularies of our own: characters, or word pieces trained on the corpus, as a directory that
//! `transformers` loads.

use std::collections::HashMap;
use std::path::Path;

use common::files::{self, FileError};
use common::text::pieces::{Pieces, PiecesError};
use serde_json::json;
use thiserror::Error;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{Lowercase, NFKC, Sequence as Normalizers};
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{
    AddedToken, NormalizedString, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer,
};

use super::merges::merged;

/// Special tokens in the order of their ids: BERT's, then ColBERT's two markers.
pub const SPECIAL: [&str; 7] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]"];
/// Runs of one script: Japanese has no spaces, and a piece across scripts is hardly ever a word.
const SCRIPT_RUNS: &str = concat!(
    r"\p{Hiragana}+|[\p{Katakana}ー]+|\p{Han}+|\p{Latin}+|\p{Hangul}+|\p{Cyrillic}+|\p{Greek}+|\p{Nd}|",
    r"[^\p{Hiragana}\p{Katakana}ー\p{Han}\p{Latin}\p{Hangul}\p{Cyrillic}\p{Greek}\p{Nd}]",
);
/// Any character: white space was split at before, and the Python package's expressions know no `(?s)`.
const ANY: &str = ".";

/// A vocabulary that could not be made or written.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The tokenizer's own message.
    #[error("training the vocabulary: {0}")]
    Tokenizer(String),
    /// Its files.
    #[error(transparent)]
    Pieces(#[from] PiecesError),
    /// Its configuration.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What the entries of a vocabulary are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Characters that occur at least this often.
    Characters {
        /// Fewest occurrences.
        fewest: usize,
    },
    /// Pieces within runs of one script, with this many entries, special ones included: all characters, then
    /// the pairs that byte-pair encoding merges, the most frequent first. The trainer of the `tokenizers`
    /// crate is not used: it breaks ties by chance.
    WordPiece {
        /// Number of entries.
        size: usize,
    },
}

/// A tokenizer trained on these texts. Text is brought to NFKC and to lower case; accents stay, since
/// dropping them would turn が into か.
///
/// ```
/// use retrieval::tokenizer::train::{train, Kind};
/// let pieces = train(["東京都", "京都 "], Kind::Characters { fewest: 2 })?;
/// assert_eq!(pieces.len(), 7 + 2); // 京 and 都
/// assert_eq!(pieces.encode("京都市").unwrap().len(), 3);
/// # Ok::<(), retrieval::tokenizer::train::TrainError>(())
/// ```
///
/// # Errors
/// [`TrainError::Tokenizer`].
pub fn train<'a>(texts: impl IntoIterator<Item = &'a str>, kind: Kind) -> Result<Pieces, TrainError> {
    let tokenizer = match kind {
        Kind::Characters { fewest } => characters(texts, fewest)?,
        Kind::WordPiece { size } => word_pieces(texts, size)?,
    };
    Ok(Pieces::with(tokenizer, Path::new("tokenizer.json"))?)
}

/// Writes `tokenizer.json` and `tokenizer_config.json`, which `transformers` loads as a
/// `PreTrainedTokenizerFast`.
///
/// # Errors
/// [`TrainError`].
pub fn write(pieces: &Pieces, directory: &Path) -> Result<(), TrainError> {
    files::make_folder(directory)?;
    pieces.write(directory)?;
    let text = format!("{:#}\n", configuration());
    Ok(files::write_atomic(&directory.join("tokenizer_config.json"), text.as_bytes())?)
}

/// `tokenizer_config.json` of a tokenizer made here.
pub fn configuration() -> serde_json::Value {
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, "do_lower_case": true,
        "strip_accents": false,
        "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]",
        "mask_token": "[MASK]",
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    })
}

fn problem(error: impl std::fmt::Display) -> TrainError {
    TrainError::Tokenizer(error.to_string())
}

fn split(pattern: &str) -> Result<PreTokenizerWrapper, TrainError> {
    let pattern = SplitPattern::Regex(pattern.to_owned());
    let pieces = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(problem)?;
    Ok(PreTokenizers::new(vec![WhitespaceSplit.into(), pieces.into()]).into())
}

fn normalizer() -> Normalizers {
    Normalizers::new(vec![NFKC.into(), Lowercase.into()])
}

fn characters<'a>(texts: impl IntoIterator<Item = &'a str>, fewest: usize) -> Result<Tokenizer, TrainError> {
    let mut counts: HashMap<char, usize> = HashMap::new();
    for text in texts {
        for character in normal(text).get().chars().filter(|c| !c.is_whitespace()) {
            *counts.entry(character).or_default() += 1;
        }
    }
    let mut frequent: Vec<(char, usize)> = counts.into_iter().filter(|(_, count)| *count >= fewest).collect();
    frequent.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    assembled(frequent.iter().map(|(c, _)| c.to_string()), split(ANY)?)
}

fn word_pieces<'a>(texts: impl IntoIterator<Item = &'a str>, size: usize) -> Result<Tokenizer, TrainError> {
    let words = split(SCRIPT_RUNS)?;
    let mut counts: HashMap<String, usize> = HashMap::new();
    for text in texts {
        let mut runs = PreTokenizedString::from(normal(text));
        words.pre_tokenize(&mut runs).map_err(problem)?;
        for (run, ..) in runs.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            *counts.entry(run.to_owned()).or_default() += 1;
        }
    }
    assembled(merged(counts, size.saturating_sub(SPECIAL.len())), words)
}

/// Text as the vocabulary sees it.
fn normal(text: &str) -> NormalizedString {
    let mut normal = NormalizedString::from(text);
    normal.nfkc().lowercase();
    normal
}

/// The tokenizer of these entries, longest match first; a piece is spelled alike at the start of a word and
/// inside, since marking it would double the entries of a script with thousands of characters.
fn assembled(
    entries: impl IntoIterator<Item = String>,
    words: PreTokenizerWrapper,
) -> Result<Tokenizer, TrainError> {
    let entries = SPECIAL.iter().map(|token| (*token).to_owned()).chain(entries);
    let vocabulary: HashMap<String, u32> = (0u32..).zip(entries).map(|(id, token)| (token, id)).collect();
    // The builder takes a map of a crate that is not ours to name.
    let model = json!({
        "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "",
        "max_input_chars_per_word": 100, "vocab": vocabulary
    });
    let model: WordPiece = serde_json::from_str(&model.to_string()).map_err(problem)?;
    let mut tokenizer = Tokenizer::new(model);
    finish(&mut tokenizer, words);
    Ok(tokenizer)
}

/// The parts around the model, which both kinds share.
fn finish(tokenizer: &mut Tokenizer, words: PreTokenizerWrapper) {
    tokenizer.with_normalizer(Some(normalizer())).with_pre_tokenizer(Some(words));
    tokenizer.add_special_tokens(&SPECIAL.map(|token| AddedToken::from(token, true)));
    let id = |token: &str| (token.to_owned(), tokenizer.token_to_id(token).unwrap_or_default());
    let frame = BertProcessing::new(id("[SEP]"), id("[CLS]"));
    tokenizer.with_post_processor(Some(frame));
}
