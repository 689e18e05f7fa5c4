//! ColBERT's token sequences: `[CLS] marker w1 … wk [SEP]`, filled up with `[MASK]` in queries.
//!
//! | part | here | source |
//! |---|---|---|
//! | markers, truncation | [`Tokenizer::query`], [`Tokenizer::document`] | ColBERT's `QueryTokenizer`, `DocTokenizer`; PyLate |
//! | filling up | [`Augmentation`] | JaColBERTv2.5, section 3.5 |
//! | skipped punctuation | [`Layout::skiplist`] | ColBERT, section 3.2 |
//! | Japanese words | [`Tokenizer::new`] with a segmenter | `BertJapaneseTokenizer` |
//! | own vocabularies | [`train`] | |

mod augmentation;
mod merges;
pub mod train;

use std::collections::HashSet;
use std::ops::Range;

use common::text::pieces::{Piece, Pieces};
use common::text::segment::Segmenter;
use thiserror::Error;
use tokenizers::NormalizedString;
use tokenizers::tokenizer::normalizer::Range as Side;

pub use augmentation::{Augmentation, UnknownAugmentation};

/// The 32 characters of Python's `string.punctuation`, whose document tokens ColBERT does not keep.
pub const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// Tokens that are looked for in the text itself.
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// A tokenizer that cannot make ColBERT's sequences.
#[derive(Debug, Error)]
pub enum TokenizerError {
    /// A special token that the vocabulary lacks.
    #[error("the vocabulary has no `{0}`; expected the tokenizer that belongs to the checkpoint")]
    Missing(String),
    /// Words have to be found first.
    #[error(
        "the tokenizer takes words from `{0}`: give a MeCab dictionary as the segmenter (such as the folder \
         `unidic_lite/dicdir` of the Python package `unidic-lite`), or `characters`"
    )]
    Words(String),
    /// A length too short for the special tokens.
    #[error("{name} is {found}, expected at least {least}: special tokens need {least}")]
    Length {
        /// What is too short.
        name: &'static str,
        /// Its value.
        found: usize,
        /// The least.
        least: usize,
    },
    /// The word pieces' own error.
    #[error("a text cannot be cut into pieces: {0}")]
    Pieces(String),
}

/// What a checkpoint says about its sequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Token behind `[CLS]` of a query, by its spelling in the vocabulary; absent: none, as in other encoders
    /// than ColBERT.
    pub query_marker: Option<String>,
    /// Token behind `[CLS]` of a document.
    pub document_marker: Option<String>,
    /// How queries are filled up.
    pub augmentation: Augmentation,
    /// Whether the added tokens of a query are attended to.
    pub attend_to_expansion: bool,
    /// Longest query in total; at most the model's positions.
    pub query_length: usize,
    /// Longest document in total; at most the model's positions.
    pub document_length: usize,
    /// Texts whose first token is dropped from documents; those that the vocabulary does not know are passed
    /// over.
    pub skiplist: Vec<String>,
}

impl Layout {
    /// ColBERT's published layout: `[unused0]` and `[unused1]`, queries of exactly 32 tokens of which the
    /// `[MASK]` ones are not attended to, documents of up to 300, ASCII punctuation skipped.
    pub fn colbert() -> Self {
        Self {
            query_marker: Some("[unused0]".to_owned()),
            document_marker: Some("[unused1]".to_owned()),
            augmentation: Augmentation::Fixed(32),
            attend_to_expansion: false,
            query_length: 512,
            document_length: 300,
            skiplist: punctuation(),
        }
    }

    /// The layout of an encoder that is no ColBERT: only `[CLS]` and `[SEP]`, nothing added, nothing skipped.
    pub fn plain(length: usize) -> Self {
        Self {
            query_marker: None,
            document_marker: None,
            augmentation: Augmentation::None,
            attend_to_expansion: false,
            query_length: length,
            document_length: length,
            skiplist: Vec::new(),
        }
    }
}

/// The characters of [`PUNCTUATION`] as a skiplist.
pub fn punctuation() -> Vec<String> {
    PUNCTUATION.chars().map(String::from).collect()
}

/// The tokens of one query or document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// Token ids, special ones included.
    pub ids: Vec<i64>,
    /// Bytes of the text that each token stands for; empty for tokens that the text does not have.
    pub places: Vec<Range<usize>>,
    /// Whether the token's vector is kept.
    pub keep: Vec<bool>,
    /// Tokens from the start that are attended to: all, or those before the added ones.
    pub visible: usize,
    /// Tokens before the added ones.
    pub real: usize,
}

/// Makes the sequences of one checkpoint.
#[derive(Debug)]
pub struct Tokenizer {
    pieces: Pieces,
    segmenter: Option<Segmenter>,
    layout: Layout,
    query_marker: Option<i64>,
    document_marker: Option<i64>,
    mask: i64,
    padding: i64,
    skipped: HashSet<i64>,
}

impl Tokenizer {
    /// The tokenizer of `pieces` in this layout. The subword part of a `BertJapaneseTokenizer` needs a
    /// segmenter: text is brought to NFKC, divided into words, and each word into pieces, as `transformers`
    /// does. With a compiled MeCab dictionary the words are MeCab's; with another dictionary or `characters`
    /// they, and so the pieces, differ from those that the checkpoint was trained on.
    ///
    /// # Errors
    /// [`TokenizerError`] for a special token that the vocabulary lacks, a missing segmenter, a length
    /// without room for a word.
    pub fn new(pieces: Pieces, segmenter: Option<Segmenter>, layout: Layout) -> Result<Self, TokenizerError> {
        let id = |token: &str| pieces.id(token).ok_or_else(|| TokenizerError::Missing(token.to_owned()));
        // A prompt of sentence-transformers is a marker with a space behind it, which belongs to the token of
        // some tokenizers.
        let marker = |token: &Option<String>| {
            token
                .as_deref()
                .map(|token| id(token).or_else(|error| pieces.id(token.trim_end()).ok_or(error)))
                .transpose()
        };
        let (query_marker, document_marker) =
            (marker(&layout.query_marker)?, marker(&layout.document_marker)?);
        let (mask, padding) = (id("[MASK]")?, id("[PAD]")?);
        if let (Some(words), None) = (pieces.words_apart(), &segmenter) {
            return Err(TokenizerError::Words(words.to_owned()));
        }
        let mut tokenizer = Self {
            pieces,
            segmenter,
            query_marker,
            document_marker,
            mask,
            padding,
            skipped: HashSet::new(),
            layout: Layout::plain(0),
        };
        tokenizer.adopt(layout)?;
        Ok(tokenizer)
    }

    /// Another augmentation, other lengths or another skiplist; the markers stay those of the checkpoint.
    ///
    /// # Errors
    /// [`TokenizerError::Length`]; the tokenizer is as before then.
    pub fn set_layout(&mut self, layout: Layout) -> Result<(), TokenizerError> {
        let Layout { query_marker, document_marker, .. } = self.layout.clone();
        self.adopt(Layout { query_marker, document_marker, ..layout })
    }

    fn adopt(&mut self, layout: Layout) -> Result<(), TokenizerError> {
        let room = layout.augmentation.room(layout.query_length);
        let lengths = [
            ("the query length", room, self.query_marker),
            ("the document length", layout.document_length, self.document_marker),
        ];
        for (name, found, marker) in lengths {
            let least = 2 + usize::from(marker.is_some());
            if found < least {
                return Err(TokenizerError::Length { name, found, least });
            }
        }
        let first = |text: &String| self.cut(text).ok()?.first().map(|piece| piece.id);
        let known = |id: &i64| *id != self.pieces.unknown();
        self.skipped = layout.skiplist.iter().filter_map(first).filter(known).collect();
        self.layout = layout;
        Ok(())
    }

    /// What the sequences look like.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The word pieces below.
    pub fn pieces(&self) -> &Pieces {
        &self.pieces
    }

    /// Ids of the document tokens that are not kept, in ascending order.
    pub fn skipped(&self) -> Vec<i64> {
        let mut ids: Vec<i64> = self.skipped.iter().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// The sequence of a query, cut and filled up; every token is kept.
    ///
    /// # Errors
    /// [`TokenizerError::Pieces`].
    pub fn query(&self, text: &str) -> Result<Sequence, TokenizerError> {
        let Layout { augmentation, query_length, attend_to_expansion, .. } = self.layout;
        let mut sequence = self.framed(text, self.query_marker, augmentation.room(query_length))?;
        let total = augmentation.total(sequence.real).min(query_length.max(sequence.real));
        let filler = if matches!(augmentation, Augmentation::Padding(_)) { self.padding } else { self.mask };
        sequence.ids.resize(total, filler);
        sequence.places.resize(total, text.len()..text.len());
        sequence.keep = vec![true; total];
        sequence.visible = if attend_to_expansion { total } else { sequence.real };
        Ok(sequence)
    }

    /// The sequence of a document, cut; tokens of the skiplist are not kept.
    ///
    /// # Errors
    /// [`TokenizerError::Pieces`].
    pub fn document(&self, text: &str) -> Result<Sequence, TokenizerError> {
        self.framed(text, self.document_marker, self.layout.document_length)
    }

    /// `[CLS] w1 … wk [SEP]` without marker and filling, as single-vector encoders take it, of at most
    /// `length` tokens.
    ///
    /// # Errors
    /// [`TokenizerError::Pieces`].
    pub fn plain(&self, text: &str, length: usize) -> Result<Sequence, TokenizerError> {
        self.framed(text, None, length)
    }

    fn framed(&self, text: &str, marker: Option<i64>, length: usize) -> Result<Sequence, TokenizerError> {
        let mut pieces = self.cut(text)?;
        pieces.truncate(length.saturating_sub(2 + usize::from(marker.is_some())));
        let special = |id| Piece { id, place: 0..0 };
        let front = [Some(self.pieces.classify()), marker].into_iter().flatten().map(special);
        let end = text.len()..text.len();
        let back = Piece { id: self.pieces.separate(), place: end };
        let (ids, places): (Vec<i64>, Vec<Range<usize>>) =
            front.chain(pieces).chain([back]).map(|piece| (piece.id, piece.place)).unzip();
        let keep = ids.iter().map(|id| !self.skipped.contains(id)).collect();
        Ok(Sequence { visible: ids.len(), real: ids.len(), ids, places, keep })
    }

    fn cut(&self, text: &str) -> Result<Vec<Piece>, TokenizerError> {
        match &self.segmenter {
            Some(segmenter) if self.pieces.words_apart().is_some() => self.around_special(text, segmenter),
            _ => self.pieces.encode(text).map_err(TokenizerError::Pieces),
        }
    }

    /// A special token that stands in the text is that token, as in `transformers`: JSQuAD writes `title
    /// [SEP] paragraph`.
    fn around_special(&self, text: &str, segmenter: &Segmenter) -> Result<Vec<Piece>, TokenizerError> {
        let (mut pieces, mut start) = (Vec::new(), 0);
        let shifted =
            |piece: Piece, by: usize| Piece { place: piece.place.start + by..piece.place.end + by, ..piece };
        loop {
            let found =
                SPECIAL.iter().filter_map(|token| Some((start + text[start..].find(token)?, *token))).min();
            let end = found.map_or(text.len(), |(at, _)| at);
            let words = self.by_words(&text[start..end], segmenter)?;
            pieces.extend(words.into_iter().map(|piece| shifted(piece, start)));
            let Some((at, token)) = found else { return Ok(pieces) };
            start = at + token.len();
            let id = self.pieces.id(token).unwrap_or(self.pieces.unknown());
            pieces.push(Piece { id, place: at..start });
        }
    }

    /// NFKC, words, pieces of each word; places lead back to the text as it was given.
    fn by_words(&self, text: &str, segmenter: &Segmenter) -> Result<Vec<Piece>, TokenizerError> {
        let mut normal = NormalizedString::from(text);
        normal.nfkc();
        let nfkc = normal.get();
        let mut starts: Vec<usize> = nfkc.char_indices().map(|(byte, _)| byte).collect();
        starts.push(nfkc.len());
        let mut pieces = Vec::new();
        for (start, end) in segmenter.words(nfkc) {
            let (start, end) = (starts[start], starts[end]);
            for piece in self.pieces.encode(&nfkc[start..end]).map_err(TokenizerError::Pieces)? {
                let inside = start + piece.place.start..start + piece.place.end;
                let place = normal.convert_offsets(Side::Normalized(inside)).unwrap_or(0..0);
                pieces.push(Piece { place, ..piece });
            }
        }
        Ok(pieces)
    }
}
