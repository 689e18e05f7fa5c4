//! Entities that are well formed in a given scheme, as seqeval's strict mode reads them: which pairs of tags begin, continue
//! and end an entity is a table per scheme, and whatever fits none is no entity.

use thiserror::Error;

use super::scheme::split_tag;
use super::{Scheme, Span};

/// A tag whose prefix the scheme does not have.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "tag `{tag}` is not of the scheme {scheme}; expected prefixes {expected}; choose another --scheme, or drop --strict"
)]
pub struct ForeignTag {
    tag: String,
    scheme: Scheme,
    expected: &'static str,
}

/// Prefixes of the previous tag, prefixes of the tag, and whether their types must agree: `Some(true)` for the same type,
/// `Some(false)` for another, `None` for any.
type Pattern = (&'static str, &'static str, Option<bool>);

struct Patterns {
    prefixes: &'static str,
    start: &'static [Pattern],
    inside: &'static [Pattern],
    end: &'static [Pattern],
}

const SAME: Option<bool> = Some(true);
const OTHER: Option<bool> = Some(false);
const ANY: &str = "IOBESUL";

const IOB1: Patterns = Patterns {
    prefixes: "IOB",
    start: &[("OB", "I", None), ("I", "I", OTHER), ("IB", "B", SAME)],
    inside: &[("BI", "I", SAME)],
    end: &[("IB", "I", OTHER), ("IB", "O", None), ("I", "B", None), ("B", "B", SAME)],
};
const IOB2: Patterns = Patterns {
    prefixes: "IOB",
    start: &[(ANY, "B", None)],
    inside: &[("BI", "I", SAME)],
    end: &[("IB", "OB", None), ("IB", "I", OTHER)],
};
const IOE1: Patterns = Patterns {
    prefixes: "IOE",
    start: &[("OE", "I", None), ("I", "I", OTHER), ("E", "E", SAME)],
    inside: &[("I", "IE", SAME)],
    end: &[("I", "IE", OTHER), ("I", "O", None), ("E", "IE", SAME)],
};
const IOE2: Patterns = Patterns {
    prefixes: "IOE",
    start: &[("OE", "IE", None), ("I", "IE", OTHER)],
    inside: &[("I", "IE", SAME)],
    end: &[("E", ANY, None)],
};
const IOBES: Patterns = Patterns {
    prefixes: "IOBES",
    start: &[(ANY, "BS", None)],
    inside: &[("BI", "IE", SAME)],
    end: &[("SE", ANY, None)],
};
const BILOU: Patterns = Patterns {
    prefixes: "BILOU",
    start: &[(ANY, "BU", None)],
    inside: &[("BI", "IL", SAME)],
    end: &[("UL", ANY, None)],
};

impl Scheme {
    /// The entities that are well formed in this scheme (seqeval 1.2 with `mode="strict"`); all other tags count as O.
    ///
    /// ```
    /// use common::formats::Scheme;
    /// assert!(Scheme::Iob2.decode_strict(&["I-PER", "O"])?.is_empty());
    /// assert_eq!(Scheme::Iob1.decode_strict(&["I-PER", "O"])?.len(), 1);
    /// # Ok::<(), common::formats::ForeignTag>(())
    /// ```
    ///
    /// # Errors
    /// [`ForeignTag`] for a prefix that the scheme does not have.
    pub fn decode_strict<T: AsRef<str>>(self, tags: &[T]) -> Result<Vec<Span>, ForeignTag> {
        let patterns = match self {
            Self::Iob1 => IOB1,
            Self::Iob2 => IOB2,
            Self::Ioe1 => IOE1,
            Self::Ioe2 => IOE2,
            Self::Iobes => IOBES,
            Self::Bilou => BILOU,
        };
        let outside = (b'O', "_");
        let mut parts = Vec::with_capacity(tags.len() + 1);
        for tag in tags {
            let (prefix, label) = split_tag(tag.as_ref());
            if !patterns.prefixes.as_bytes().contains(&prefix) {
                let (tag, expected) = (tag.as_ref().to_owned(), patterns.prefixes);
                return Err(ForeignTag { tag, scheme: self, expected });
            }
            parts.push(if prefix == b'O' { outside } else { (prefix, label) });
        }
        parts.push(outside);
        let fits = |table: &[Pattern], before: (u8, &str), now: (u8, &str)| {
            table.iter().any(|(previous, current, same)| {
                previous.as_bytes().contains(&before.0)
                    && current.as_bytes().contains(&now.0)
                    && same.is_none_or(|same| same == (before.1 == now.1))
            })
        };
        let mut spans = Vec::new();
        let (mut place, mut before) = (0, outside);
        while place < parts.len() {
            let start = place;
            place += 1;
            if fits(patterns.start, before, parts[start]) {
                while fits(patterns.inside, parts[place - 1], parts[place]) {
                    place += 1;
                }
                if fits(patterns.end, parts[place - 1], parts[place]) {
                    spans.push(Span { start, end: place, label: parts[start].1.to_owned() });
                }
            }
            before = parts[place - 1];
        }
        Ok(spans)
    }
}
