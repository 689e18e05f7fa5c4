//! Query augmentation: what fills a query behind its `[SEP]`, and how far.

use std::fmt;
use std::str::FromStr;

/// Multiple to which the dynamic rules fill a query up.
const STEP: usize = 32;
/// Fewest tokens that the dynamic rules add.
const FEWEST: usize = 8;

/// How a query is filled up behind `[SEP]`; the added positions are scored like words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Augmentation {
    /// Nothing is added.
    None,
    /// `[MASK]` up to this length in total; longer queries are cut.
    Fixed(usize),
    /// `[MASK]` up to this length in total; longer queries stay as they are.
    AtLeast(usize),
    /// This many `[MASK]`.
    Plus(usize),
    /// JaColBERTv2.5, section 3.5: up to the next multiple of 32, or by 8 where that would add fewer.
    Paper,
    /// The code behind the paper's JQaRA numbers: by 8 where the length modulo 32 is at most 8, else to the
    /// next multiple of 32.
    Code,
    /// `[PAD]` instead of `[MASK]` up to this length: the control arm, scored like the others.
    Padding(usize),
}

impl Augmentation {
    /// The length in total of a query of `length` tokens, `[CLS]`, marker and `[SEP]` included.
    ///
    /// ```
    /// use retrieval::tokenizer::Augmentation;
    /// assert_eq!((Augmentation::Paper.total(30), Augmentation::Code.total(30)), (38, 32));
    /// assert_eq!((Augmentation::Paper.total(33), Augmentation::Code.total(33)), (64, 41));
    /// ```
    pub fn total(self, length: usize) -> usize {
        let next = length.div_ceil(STEP) * STEP;
        match self {
            Self::None => length,
            Self::Fixed(total) | Self::Padding(total) => total,
            Self::AtLeast(total) => length.max(total),
            Self::Plus(added) => length + added,
            Self::Paper if next - length >= FEWEST => next,
            Self::Code if length % STEP > FEWEST => next,
            Self::Paper | Self::Code => length + FEWEST,
        }
    }

    /// Most real tokens that a query may have, so that it stays within `limit` in total.
    pub(super) fn room(self, limit: usize) -> usize {
        match self {
            Self::Fixed(total) | Self::Padding(total) => total.min(limit),
            Self::Plus(added) => limit.saturating_sub(added),
            Self::None | Self::AtLeast(_) => limit,
            Self::Paper | Self::Code => limit.saturating_sub(FEWEST),
        }
    }
}

/// Not the name of an augmentation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no query length; expected `none`, `paper`, `code`, `fixed:N`, `min:N`, `plus:N` or `pad:N` \
     with N at least 1 (`fixed:`, `min:` and `pad:` at least 4)"
)]
pub struct UnknownAugmentation(String);

impl FromStr for Augmentation {
    type Err = UnknownAugmentation;

    fn from_str(text: &str) -> Result<Self, UnknownAugmentation> {
        let unknown = || UnknownAugmentation(text.to_owned());
        let number = |digits: &str, least| match digits.parse::<usize>() {
            Ok(number) if number >= least => Ok(number),
            _ => Err(unknown()),
        };
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None if text == "paper" => Ok(Self::Paper),
            None if text == "code" => Ok(Self::Code),
            Some(("fixed", digits)) => number(digits, 4).map(Self::Fixed),
            Some(("min", digits)) => number(digits, 4).map(Self::AtLeast),
            Some(("plus", digits)) => number(digits, 1).map(Self::Plus),
            Some(("pad", digits)) => number(digits, 4).map(Self::Padding),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Augmentation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.write_str("none"),
            Self::Paper => formatter.write_str("paper"),
            Self::Code => formatter.write_str("code"),
            Self::Fixed(total) => write!(formatter, "fixed:{total}"),
            Self::AtLeast(total) => write!(formatter, "min:{total}"),
            Self::Plus(added) => write!(formatter, "plus:{added}"),
            Self::Padding(total) => write!(formatter, "pad:{total}"),
        }
    }
}
