//! Text to tokens and back.

mod byte_pair;
mod cut;
mod gpt2_words;
mod llama3_words;
mod merge;
mod sentence_piece;
mod utf8;

pub use byte_pair::BytePair;
pub use sentence_piece::SentencePiece;
pub use utf8::Utf8Stream;

use thiserror::Error;

/// GGUF's numbers of token types (`tokenizer.ggml.token_type`).
mod kinds {
    pub(super) const NORMAL: i32 = 1;
    pub(super) const UNKNOWN: i32 = 2;
    pub(super) const CONTROL: i32 = 3;
    pub(super) const USER: i32 = 4;
    pub(super) const BYTE: i32 = 6;
}

/// A tokenizer that cannot be made.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TokenizerError {
    /// A model that this module does not compute.
    #[error("`tokenizer.ggml.model` is `{found}`, expected `llama`, `gpt2` or `no_vocab` with 256 tokens")]
    Model {
        /// Its name.
        found: String,
    },
    /// A way to cut words that this module does not know.
    #[error("`tokenizer.ggml.pre` is `{found}`, expected `gpt-2`, `llama-bpe`, `qwen2` or `smollm`")]
    Words {
        /// Its name.
        found: String,
    },
    /// Lists of different lengths.
    #[error("the tokenizer has {found} {what} for {pieces} tokens; expected one each")]
    Length {
        /// The list.
        what: &'static str,
        /// Its length.
        found: usize,
        /// Number of tokens.
        pieces: usize,
    },
    /// A byte token that names no byte.
    #[error("byte token `{piece}` names no byte, expected a name such as `<0x0A>`")]
    Byte {
        /// Its spelling.
        piece: String,
    },
    /// A merge whose sides or result are no tokens.
    #[error(
        "merge {rank} is `{found}`, expected two tokens with a space between whose concatenation is a token"
    )]
    Merge {
        /// Its place in the list.
        rank: usize,
        /// Its text.
        found: String,
    },
}

/// What files say about a tokenizer; names are those of GGUF's `tokenizer.ggml.*`.
#[derive(Clone, Debug, Default)]
pub struct TokenizerParts {
    /// `model`: `llama`, `gpt2` or `no_vocab`.
    pub model: String,
    /// `pre`: how words are cut.
    pub pre: Option<String>,
    /// `tokens`.
    pub pieces: Vec<Vec<u8>>,
    /// `scores`.
    pub scores: Vec<f32>,
    /// `token_type`.
    pub types: Vec<i32>,
    /// `merges`; of `llama` only where they decide, and not the scores.
    pub merges: Vec<String>,
    /// `bos_token_id`.
    pub bos: Option<u32>,
    /// `eos_token_id`.
    pub eos: Option<u32>,
    /// `unknown_token_id`.
    pub unknown: Option<u32>,
    /// `add_bos_token`; absent: yes for `llama`, no otherwise.
    pub add_bos: Option<bool>,
    /// `add_space_prefix`; absent: yes.
    pub add_space_prefix: Option<bool>,
    /// Size of the model's vocabulary.
    pub vocab: usize,
}

impl TokenizerParts {
    /// The parts of a llama2.c tokenizer: ids 0, 1, 2 are unknown, BOS and EOS, 3 to 258 the bytes.
    pub fn llama2c(pieces: &[Vec<u8>], scores: Vec<f32>) -> Self {
        let kind = |id: usize| match id {
            0 => kinds::UNKNOWN,
            1 | 2 => kinds::CONTROL,
            3..259 => kinds::BYTE,
            _ => kinds::NORMAL,
        };
        Self {
            model: "llama".into(),
            types: (0..pieces.len()).map(kind).collect(),
            vocab: pieces.len(),
            pieces: pieces.iter().map(|piece| sentence_piece::with_marked_spaces(piece)).collect(),
            scores,
            bos: Some(1),
            eos: Some(2),
            unknown: Some(0),
            ..Self::default()
        }
    }
}

/// Tokens with a meaning of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Specials {
    bos: Option<u32>,
    eos: Option<u32>,
    unknown: Option<u32>,
    add_bos: bool,
}

impl Specials {
    fn new(parts: &TokenizerParts, add_bos: bool) -> Self {
        let TokenizerParts { bos, eos, unknown, .. } = *parts;
        Self { bos, eos, unknown, add_bos: parts.add_bos.unwrap_or(add_bos) }
    }
}

/// A tokenizer.
#[derive(Clone, Debug)]
pub enum Tokenizer {
    /// Scores decide which pieces merge.
    SentencePiece(SentencePiece),
    /// Ranks decide which bytes merge.
    BytePair(BytePair),
    /// Bytes are the tokens.
    Bytes,
}

impl Tokenizer {
    /// The tokenizer with these parts.
    ///
    /// # Errors
    /// [`TokenizerError`] for an unknown model or parts that do not fit.
    pub fn new(parts: TokenizerParts) -> Result<Self, TokenizerError> {
        match (parts.model.as_str(), parts.vocab) {
            ("llama", _) => SentencePiece::new(parts).map(Self::SentencePiece),
            ("gpt2", _) => BytePair::new(parts).map(Self::BytePair),
            ("no_vocab" | "none", 256) => Ok(Self::Bytes),
            _ => Err(TokenizerError::Model { found: parts.model }),
        }
    }

    /// The tokens of a text, BOS first where the tokenizer asks for it. Names of control tokens in the text are text.
    ///
    /// ```
    /// use quantization::llama::Tokenizer;
    /// assert_eq!(Tokenizer::Bytes.encode("né"), [110, 195, 169]);
    /// ```
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let specials = self.specials();
        let mut tokens = Vec::new();
        tokens.extend(specials.bos.filter(|_| specials.add_bos));
        match self {
            Self::SentencePiece(tokenizer) => tokenizer.encode(text, &mut tokens),
            Self::BytePair(tokenizer) => tokenizer.encode(text, &mut tokens),
            Self::Bytes => tokens.extend(text.bytes().map(u32::from)),
        }
        tokens
    }

    /// The bytes of a whole text: control tokens have none, and the space that [`Self::encode`] puts in front is gone.
    pub fn decode(&self, tokens: &[u32]) -> Vec<u8> {
        let mut bytes = Vec::new();
        tokens.iter().for_each(|&token| self.decode_into(token, &mut bytes));
        if matches!(self, Self::SentencePiece(inner) if inner.adds_space()) && bytes.first() == Some(&b' ') {
            bytes.remove(0);
        }
        bytes
    }

    /// The bytes of one token amid a text; none for control tokens and ids outside the vocabulary.
    pub fn piece(&self, token: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.decode_into(token, &mut bytes);
        bytes
    }

    /// The token that begins a text.
    pub fn bos(&self) -> Option<u32> {
        self.specials().bos
    }

    /// The token that ends a text.
    pub fn eos(&self) -> Option<u32> {
        self.specials().eos
    }

    /// Whether [`Self::encode`] puts BOS in front.
    pub fn adds_bos(&self) -> bool {
        self.specials().add_bos && self.bos().is_some()
    }

    /// Number of tokens.
    #[expect(clippy::len_without_is_empty, reason = "a tokenizer without tokens is of no use to ask about")]
    pub fn len(&self) -> usize {
        match self {
            Self::SentencePiece(tokenizer) => tokenizer.len(),
            Self::BytePair(tokenizer) => tokenizer.len(),
            Self::Bytes => 256,
        }
    }

    fn decode_into(&self, token: u32, bytes: &mut Vec<u8>) {
        match self {
            Self::SentencePiece(tokenizer) => tokenizer.decode(token, bytes),
            Self::BytePair(tokenizer) => tokenizer.decode(token, bytes),
            Self::Bytes => bytes.extend(u8::try_from(token)),
        }
    }

    fn specials(&self) -> Specials {
        match self {
            Self::SentencePiece(tokenizer) => tokenizer.specials,
            Self::BytePair(tokenizer) => tokenizer.specials,
            Self::Bytes => Specials::default(),
        }
    }
}
