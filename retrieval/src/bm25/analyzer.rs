//! Terms of a text.

use std::sync::Arc;

use common::text::segment::Segmenter;
use rust_stemmers::{Algorithm, Stemmer};
use thiserror::Error;

/// Lucene's English stop words.
const STOP_WORDS: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no",
    "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to",
    "was", "will", "with",
];

/// A way to cut text into terms.
#[derive(Clone)]
pub enum Analyzer {
    /// Lower-case words without stop words, stemmed by Snowball's English stemmer.
    English,
    /// Overlapping pairs of characters where words are not set apart (Chinese, Japanese, Korean), lower-case words
    /// elsewhere: Lucene's `CJKAnalyzer`. Full-width letters count as their plain forms.
    Bigrams,
    /// Lower-case words of a segmenter, such as MeCab with a dictionary.
    Words(Arc<Segmenter>),
}

/// A name that is no analyzer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no analyzer; expected `english` or `bigrams`")]
pub struct UnknownAnalyzer(String);

impl std::str::FromStr for Analyzer {
    type Err = UnknownAnalyzer;

    fn from_str(name: &str) -> Result<Self, UnknownAnalyzer> {
        match name {
            "english" => Ok(Self::English),
            "bigrams" => Ok(Self::Bigrams),
            _ => Err(UnknownAnalyzer(name.to_owned())),
        }
    }
}

impl std::fmt::Debug for Analyzer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::English => "English",
            Self::Bigrams => "Bigrams",
            Self::Words(_) => "Words",
        })
    }
}

impl Analyzer {
    /// Hands each term to `take`, in order.
    ///
    /// ```
    /// use retrieval::bm25::Analyzer;
    /// let terms = |analyzer: Analyzer, text| {
    ///     let mut terms = Vec::new();
    ///     analyzer.for_each_term(text, |term| terms.push(term.to_owned()));
    ///     terms
    /// };
    /// assert_eq!(terms(Analyzer::English, "The temples of Nara"), ["templ", "nara"]);
    /// assert_eq!(terms(Analyzer::Bigrams, "東大寺とＪＲ奈良駅"), ["東大", "大寺", "寺と", "jr", "奈良", "良駅"]);
    /// ```
    pub fn for_each_term(&self, text: &str, mut take: impl FnMut(&str)) {
        match self {
            Self::English => {
                let stemmer = Stemmer::create(Algorithm::English);
                let lower = text.to_lowercase();
                let words = lower.split(|c: char| !c.is_alphanumeric() && c != '\'');
                for word in words.map(|word| word.trim_matches('\'')) {
                    let word = word.strip_suffix("'s").unwrap_or(word);
                    if !word.is_empty() && !STOP_WORDS.contains(&word) {
                        take(&stemmer.stem(word));
                    }
                }
            }
            Self::Bigrams => for_each_bigram(text, take),
            Self::Words(segmenter) => {
                let characters: Vec<char> = text.chars().collect();
                for (start, end) in segmenter.words(text) {
                    let word: String = characters[start..end].iter().copied().map(plain).collect();
                    if word.chars().any(char::is_alphanumeric) {
                        take(&word.to_lowercase());
                    }
                }
            }
        }
    }
}

/// The ASCII character of a full-width one, others as they are.
fn plain(character: char) -> char {
    match character {
        '！'..='～' => char::from_u32(character as u32 - 0xfee0).unwrap_or(character),
        _ => character,
    }
}

/// Whether words of the script are not set apart by spaces.
fn is_joined(character: char) -> bool {
    matches!(character, '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{3ffff}')
        && character != '\u{30fb}' // the middle dot of katakana
}

fn for_each_bigram(text: &str, mut take: impl FnMut(&str)) {
    let characters: Vec<char> = text.chars().map(plain).collect();
    let mut rest = &characters[..];
    let mut term = String::new();
    while let Some(&first) = rest.first() {
        let joined = is_joined(first);
        if !joined && !first.is_alphanumeric() {
            rest = &rest[1..];
            continue;
        }
        let same = |character: &&char| match joined {
            true => is_joined(**character),
            false => character.is_alphanumeric() && !is_joined(**character),
        };
        let length = rest.iter().take_while(same).count();
        let (stretch, after) = rest.split_at(length);
        let mut give = |characters: &[char]| {
            term.clear();
            term.extend(characters.iter().flat_map(|c| c.to_lowercase()));
            take(&term);
        };
        match joined && length > 1 {
            true => stretch.windows(2).for_each(give),
            false => give(stretch),
        }
        rest = after;
    }
}
