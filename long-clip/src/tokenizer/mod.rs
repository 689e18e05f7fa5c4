//! OpenAI's tokenizer: texts to the ids of its 49,408 byte pairs, equal to `clip.simple_tokenizer.SimpleTokenizer`.

mod clean;
mod merges;
mod words;

use std::io::Read;
use std::path::{Path, PathBuf};

use common::files::{self, FileError};
use flate2::read::MultiGzDecoder;
use thiserror::Error;

use merges::Merges;

/// Rules that CLIP uses of its merges file: lines 1 to 48,894.
const RULES: usize = 49_152 - 256 - 2;

/// Texts to ids and back.
pub struct Tokenizer {
    merges: Merges,
    start: i64,
    end: i64,
}

/// What a text's own `<|startoftext|>` and `<|endoftext|>` mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Specials {
    /// The special tokens, as in OpenAI's tokenizer: an end token in the text ends it for the model.
    Meant,
    /// Nothing: they are cut like any other text.
    #[default]
    Neutral,
}

/// A merges file that cannot be read.
#[derive(Debug, Error)]
pub enum TokenizerError {
    /// Missing or unreadable.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not gzip, or not UTF-8.
    #[error("{path}: {problem}; expected CLIP's `bpe_simple_vocab_16e6.txt.gz` or a `merges.txt`", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A line that is no rule.
    #[error("{path}:{line}: {problem}", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
}

/// A text's ids, from the start to the end token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Ids; the last is the end token.
    pub ids: Vec<i64>,
    /// Ids the whole text has, start and end included.
    pub whole: usize,
}

impl Encoded {
    /// Whether the text was cut.
    pub fn is_cut(&self) -> bool {
        self.whole > self.ids.len()
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Tokenizer({} tokens)", self.vocabulary())
    }
}

impl Tokenizer {
    /// Reads CLIP's merges: `bpe_simple_vocab_16e6.txt.gz`, or the same as text, or the `merges.txt` of a Hugging Face
    /// directory.
    ///
    /// # Errors
    /// [`TokenizerError`].
    pub fn open(path: &Path) -> Result<Self, TokenizerError> {
        let bytes = files::read(path)?;
        let content = |problem: String| TokenizerError::Content { path: path.to_owned(), problem };
        let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut unpacked = Vec::new();
            let read = MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked);
            read.map_err(|error| content(format!("not whole gzip ({error})")))?;
            unpacked
        } else {
            bytes
        };
        let text = String::from_utf8(bytes).map_err(|_| content("not UTF-8".to_owned()))?;
        let lines = text.split('\n').skip(1).take(RULES).take_while(|line| !line.is_empty());
        let merges = Merges::new(lines).map_err(|(line, problem)| TokenizerError::Line {
            path: path.to_owned(),
            line: line + 2,
            problem,
        })?;
        let start = merges.len() as i64;
        Ok(Self { merges, start, end: start + 1 })
    }

    /// Number of ids: 49,408 with CLIP's merges.
    pub fn vocabulary(&self) -> usize {
        self.merges.len() + 2
    }

    /// Id that starts a text: 49406.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// Id that ends a text: 49407.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// Ids of a text without start and end: `SimpleTokenizer.encode` with [`Specials::Meant`].
    pub fn encode(&self, text: &str, specials: Specials) -> Vec<i64> {
        let cleaned = clean::clean(text);
        let mut ids = Vec::with_capacity(cleaned.len() / 4 + 2);
        words::for_each(&cleaned, |word| match word {
            words::START if specials == Specials::Meant => ids.push(self.start),
            words::END if specials == Specials::Meant => ids.push(self.end),
            _ => self.merges.encode(word.as_bytes(), &mut ids),
        });
        ids
    }

    /// Ids from the start to the end token, cut to `context_length`; a cut text keeps its end token
    /// (`clip.tokenize(…, truncate=True)` without its padding). What stands behind the first end token is left out: the
    /// model never sees it.
    ///
    /// # Panics
    /// When `context_length` is below 2.
    pub fn tokenize(&self, text: &str, context_length: usize, specials: Specials) -> Encoded {
        assert!(context_length >= 2, "a text has a start and an end token");
        let mut ids = vec![self.start];
        ids.extend(self.encode(text, specials));
        ids.push(self.end);
        let whole = ids.len();
        if whole > context_length {
            ids.truncate(context_length);
            ids[context_length - 1] = self.end;
        }
        let first_end = ids.iter().position(|&id| id == self.end).unwrap_or(ids.len() - 1);
        let cut = whole > context_length;
        ids.truncate(first_end + 1);
        let whole = if cut { whole } else { ids.len() };
        Encoded { ids, whole }
    }

    /// Ids of the first `tokens` tokens of an encoded text, start and end included: what the model sees at that length.
    ///
    /// # Panics
    /// When `tokens` is below 2.
    pub fn shortened(&self, ids: &[i64], tokens: usize) -> Vec<i64> {
        assert!(tokens >= 2, "a text has a start and an end token");
        if ids.len() <= tokens {
            return ids.to_vec();
        }
        let mut short = ids[..tokens].to_vec();
        short[tokens - 1] = self.end;
        short
    }

    /// `vocab.json` of a Hugging Face directory.
    pub fn vocabulary_json(&self) -> String {
        let names = (0..self.merges.len() as i64).map(|id| self.merges.spelling(id));
        let names = names.chain([words::START.to_owned(), words::END.to_owned()]);
        let map: serde_json::Map<String, serde_json::Value> =
            names.enumerate().map(|(id, name)| (name, id.into())).collect();
        serde_json::Value::Object(map).to_string()
    }

    /// `merges.txt` of a Hugging Face directory.
    pub fn merges_text(&self) -> String {
        let mut text = "#version: 0.2\n".to_owned();
        for (left, right) in self.merges.rules() {
            text.push_str(&self.merges.spelling(left));
            text.push(' ');
            text.push_str(&self.merges.spelling(right));
            text.push('\n');
        }
        text
    }

    /// The text of ids, words separated by spaces; start and end tokens and unknown ids give nothing.
    pub fn decode(&self, ids: &[i64]) -> String {
        let mut bytes = Vec::new();
        for &id in ids {
            bytes.extend_from_slice(self.merges.symbol(id).unwrap_or_default());
            if self.merges.ends_word(id) {
                bytes.push(b' ');
            }
        }
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    }
}
