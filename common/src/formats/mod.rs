//! Annotated text in the field's formats: CoNLL columns, KNP, Stockmark JSON, JSON lines.
//!
//! Readers give [`Sentence`]s (words with spans) or [`AnnotatedText`]s (text with code-point spans), and carry
//! line and column into every [`ParseError`].

pub mod conll;
pub mod jsonl;
pub mod knp;
mod scheme;
pub mod stockmark;
mod strict;
mod text;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(crate) use scheme::for_each_chunk;
pub use scheme::{Decoded, Scheme, UnknownScheme};
pub use strict::ForeignTag;
pub use text::{Lines, MAX_LINE_BYTES, open};

/// A labelled stretch of words (or code points), `end` exclusive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// First word.
    pub start: usize,
    /// One past the last word.
    pub end: usize,
    /// Entity type.
    pub label: String,
}

/// Words with entities, sorted by start and not overlapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentence {
    /// Words in order.
    pub words: Vec<String>,
    /// Entities in words.
    pub spans: Vec<Span>,
    /// Name of the sentence or its document, where the format has one.
    pub id: Option<String>,
    /// Text that the words were cut from, where there is one.
    pub source: Option<SourceText>,
}

/// Text and the places of words in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceText {
    /// The text.
    pub text: String,
    /// Code-point offsets of each word, end exclusive.
    pub offsets: Vec<(usize, usize)>,
}

/// Text with entities in code points, sorted by start and not overlapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnotatedText {
    /// Name of the text or its document, where the format has one.
    pub id: Option<String>,
    /// The text.
    pub text: String,
    /// Entities in code points.
    pub spans: Vec<Span>,
}

/// Input that does not follow its format.
#[derive(Debug, Error)]
#[error("{path}:{line}:{at} {problem}{hint}", path = path.display(), at = column.map_or(String::new(), |c| format!("{c}:")), hint = hint_text(.hint))]
pub struct ParseError {
    /// File, or `<stdin>`.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Byte column, from 1, where known.
    pub column: Option<usize>,
    /// What was found and what was expected.
    pub problem: String,
    /// How to mend it; may be empty.
    pub hint: String,
}

fn hint_text(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!(" ({hint})") }
}

impl ParseError {
    /// An error in a line as a whole.
    pub fn new(path: &Path, line: usize, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, column: None, problem: problem.into(), hint: hint.into() }
    }
}

impl AnnotatedText {
    /// One word per code point, entities as they are: the reading for scripts without spaces.
    ///
    /// ```
    /// use common::formats::{AnnotatedText, Span};
    /// let text = AnnotatedText { id: None, text: "東京へ".into(), spans: vec![Span { start: 0, end: 2, label: "LOC".into() }] };
    /// assert_eq!(text.into_characters().words, ["東", "京", "へ"]);
    /// ```
    pub fn into_characters(self) -> Sentence {
        let words: Vec<String> = self.text.chars().map(String::from).collect();
        let offsets = (0..words.len()).map(|at| (at, at + 1)).collect();
        Sentence {
            words,
            spans: self.spans,
            id: self.id,
            source: Some(SourceText { text: self.text, offsets }),
        }
    }
}

/// A text cut into words, and what its entities lost by that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projected {
    /// The words with the entities on them.
    pub sentence: Sentence,
    /// Entities with a border within a word; they take in the whole word.
    pub straddling: usize,
    /// Entities left out, because their words belong to the entity before them, or because they lie between words.
    pub lost: usize,
}

impl AnnotatedText {
    /// The text as words at these code-point offsets, sorted and without overlaps.
    ///
    /// ```
    /// use common::formats::{AnnotatedText, Span};
    /// let text = AnnotatedText { id: None, text: "東京都へ".into(), spans: vec![Span { start: 0, end: 2, label: "LOC".into() }] };
    /// let cut = text.into_words(&[(0, 3), (3, 4)]);
    /// assert_eq!((cut.sentence.words, cut.straddling), (vec!["東京都".to_owned(), "へ".to_owned()], 1));
    /// ```
    pub fn into_words(self, offsets: &[(usize, usize)]) -> Projected {
        let characters: Vec<char> = self.text.chars().collect();
        let words = offsets.iter().map(|&(start, end)| characters[start..end].iter().collect()).collect();
        let (mut spans, mut straddling, mut lost): (Vec<Span>, usize, usize) = (Vec::new(), 0, 0);
        for span in self.spans {
            let start = offsets.partition_point(|&(_, end)| end <= span.start);
            let end = offsets.partition_point(|&(start, _)| start < span.end);
            if start >= end || spans.last().is_some_and(|last| start < last.end) {
                lost += 1;
                continue;
            }
            straddling += usize::from((offsets[start].0, offsets[end - 1].1) != (span.start, span.end));
            spans.push(Span { start, end, label: span.label });
        }
        let source = Some(SourceText { text: self.text, offsets: offsets.to_vec() });
        Projected { sentence: Sentence { words, spans, id: self.id, source }, straddling, lost }
    }
}

/// Sorts spans and refuses overlapping ones.
///
/// # Errors
/// The first pair that overlaps, as text for a message.
pub fn sort_spans(spans: &mut [Span]) -> Result<(), String> {
    spans.sort();
    match spans.windows(2).find(|pair| pair[1].start < pair[0].end) {
        None => Ok(()),
        Some([a, b]) => Err(format!(
            "entities `{}` [{}, {}) and `{}` [{}, {}) overlap; expected flat entities",
            a.label, a.start, a.end, b.label, b.start, b.end
        )),
        Some(_) => Ok(()),
    }
}
