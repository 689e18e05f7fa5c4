//! Tag schemes: entities as one tag per word, and back.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Span;

/// How entities are written as tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// `B-` only between two touching entities of one type.
    Iob1,
    /// `B-` at every beginning; also called BIO.
    Iob2,
    /// `E-` only between two touching entities of one type.
    Ioe1,
    /// `E-` at every end.
    Ioe2,
    /// `B-`, `I-`, `E-`, and `S-` for entities of one word; also called BIOES.
    Iobes,
    /// As [`Scheme::Iobes`] with `L-` for the end and `U-` for one word.
    Bilou,
}

/// Entities read from tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Entities in order.
    pub spans: Vec<Span>,
    /// Tags that a writer of the scheme would have written differently.
    pub repaired: usize,
}

/// A name that is no tag scheme.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a tag scheme; expected iob1, iob2 (bio), ioe1, ioe2, iobes (bioes) or bilou")]
pub struct UnknownScheme(String);

impl FromStr for Scheme {
    type Err = UnknownScheme;

    fn from_str(name: &str) -> Result<Self, UnknownScheme> {
        match name.to_ascii_lowercase().as_str() {
            "iob1" => Ok(Self::Iob1),
            "iob2" | "bio" => Ok(Self::Iob2),
            "ioe1" => Ok(Self::Ioe1),
            "ioe2" => Ok(Self::Ioe2),
            "iobes" | "bioes" => Ok(Self::Iobes),
            "bilou" => Ok(Self::Bilou),
            _ => Err(UnknownScheme(name.to_owned())),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iob1 => "iob1",
            Self::Iob2 => "iob2",
            Self::Ioe1 => "ioe1",
            Self::Ioe2 => "ioe2",
            Self::Iobes => "iobes",
            Self::Bilou => "bilou",
        })
    }
}

impl Scheme {
    /// Tags of a sentence of `n_words` words. Spans are sorted and do not overlap.
    ///
    /// ```
    /// use common::formats::{Scheme, Span};
    /// let spans = [Span { start: 0, end: 2, label: "PER".into() }, Span { start: 2, end: 3, label: "PER".into() }];
    /// assert_eq!(Scheme::Iob1.encode(&spans, 4), ["I-PER", "I-PER", "B-PER", "O"]);
    /// assert_eq!(Scheme::Iobes.encode(&spans, 4), ["B-PER", "E-PER", "S-PER", "O"]);
    /// ```
    ///
    /// A span that ends after `n_words` is cut there.
    pub fn encode(self, spans: &[Span], n_words: usize) -> Vec<String> {
        let mut tags = vec!["O".to_owned(); n_words];
        for (index, span) in spans.iter().enumerate() {
            let touches = |a: &Span, b: &Span| a.end == b.start && a.label == b.label;
            let after = index > 0 && touches(&spans[index - 1], span);
            let before = spans.get(index + 1).is_some_and(|next| touches(span, next));
            for (place, tag) in tags.iter_mut().enumerate().take(span.end).skip(span.start) {
                let prefix = self.prefix(place == span.start, place + 1 == span.end, after, before);
                *tag = format!("{prefix}-{}", span.label);
            }
        }
        tags
    }

    fn prefix(self, first: bool, last: bool, after: bool, before: bool) -> char {
        match self {
            Self::Iob1 if first && after => 'B',
            Self::Iob2 if first => 'B',
            Self::Ioe1 if last && before => 'E',
            Self::Ioe2 if last => 'E',
            Self::Iobes if first && last => 'S',
            Self::Bilou if first && last => 'U',
            Self::Iobes | Self::Bilou if first => 'B',
            Self::Iobes if last => 'E',
            Self::Bilou if last => 'L',
            _ => 'I',
        }
    }

    /// Entities in tags, read leniently as conlleval and seqeval's default do, whatever the scheme; tags that
    /// this scheme would write differently are counted as repaired.
    ///
    /// ```
    /// use common::formats::Scheme;
    /// let decoded = Scheme::Iob2.decode(&["I-PER", "I-PER", "O"]);
    /// assert_eq!((decoded.spans.len(), decoded.repaired), (1, 1));
    /// ```
    pub fn decode<T: AsRef<str>>(self, tags: &[T]) -> Decoded {
        let mut spans = Vec::new();
        for_each_chunk(tags, |start, end, label| spans.push(Span { start, end, label: label.to_owned() }));
        let canonical = self.encode(&spans, tags.len());
        let repaired =
            canonical.iter().zip(tags).filter(|(canonical, tag)| *canonical != tag.as_ref()).count();
        Decoded { spans, repaired }
    }

    /// Scheme that explains all tags, the plainest first; IOB2 where none does.
    pub fn detect<'a>(sentences: impl Iterator<Item = &'a [String]> + Clone) -> Self {
        let plausible = [Self::Iob2, Self::Iob1, Self::Iobes, Self::Bilou, Self::Ioe2, Self::Ioe1];
        let mut repairs = plausible.map(|scheme| {
            let repaired: usize = sentences.clone().map(|tags| scheme.decode(tags).repaired).sum();
            (repaired, scheme)
        });
        repairs.sort_by_key(|(repaired, _)| *repaired);
        repairs[0].1
    }
}

/// Prefix and type of a tag: `B-PER` is `('B', "PER")`, `O` is `('O', "")`; a bare `B` has the type `_` as in seqeval.
pub(crate) fn split_tag(tag: &str) -> (u8, &str) {
    let prefix = tag.as_bytes().first().copied().unwrap_or(b'O');
    match tag.as_bytes() {
        [_, b'-', ..] => (prefix, &tag[2..]),
        [b'O'] | [] => (b'O', ""),
        _ => (prefix, "_"),
    }
}

/// Calls `chunk(start, end, type)` for every entity of the lenient reading (conlleval, seqeval's default):
/// an entity begins at `B`, `S`, `U`, at any other entity tag after `O`, `E`, `S`, `L`, `U`, and where the type changes.
pub(crate) fn for_each_chunk<'a, T: AsRef<str>>(tags: &'a [T], mut chunk: impl FnMut(usize, usize, &'a str)) {
    let mut open: Option<(usize, &str)> = None;
    let mut previous = b'O';
    for (place, tag) in tags.iter().enumerate() {
        let (prefix, label) = split_tag(tag.as_ref());
        let begins = prefix != b'O'
            && (matches!(prefix, b'B' | b'S' | b'U')
                || matches!(previous, b'O' | b'E' | b'S' | b'L' | b'U')
                || open.is_none_or(|(_, current)| current != label));
        if let Some((start, current)) = open.filter(|_| begins || prefix == b'O') {
            chunk(start, place, current);
            open = None;
        }
        if begins {
            open = Some((place, label));
        }
        previous = prefix;
    }
    if let Some((start, label)) = open {
        chunk(start, tags.len(), label);
    }
}
