//! Bilingual dictionaries: FreeDict and own lists (`headword<TAB>translation`), MUSE (`source target`).

use std::collections::HashMap;
use std::path::Path;

use common::formats::{self, ParseError};
use unicode_normalization::UnicodeNormalization;

/// Translations of words and phrases in lower case, in the order of their file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dictionary {
    entries: HashMap<String, Vec<String>>,
    pairs: Vec<(String, String)>,
}

impl Dictionary {
    /// The dictionary of pairs; headwords are lower-cased, and both sides brought to Unicode's form NFC. A headword may have
    /// many translations, and a translation many headwords; a pair that comes again is left out.
    pub fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut dictionary = Self::default();
        for (from, to) in pairs {
            let (from, to) = (nfc(&from).to_lowercase(), nfc(&to));
            let translations = dictionary.entries.entry(from.clone()).or_default();
            if !translations.contains(&to) {
                translations.push(to.clone());
                dictionary.pairs.push((from, to));
            }
        }
        dictionary
    }

    /// Reads a file, plain or gzip: one pair per line, split at a tab, or at the only space.
    ///
    /// # Errors
    /// [`ParseError`] with the line: not two parts, an empty part, an empty file.
    pub fn read(path: &Path) -> Result<Self, ParseError> {
        let mut lines = formats::open(path)?;
        let mut pairs = Vec::new();
        while let Some((number, line)) = lines.next_line()? {
            if line.trim().is_empty() {
                continue;
            }
            let parts: Vec<&str> = match line.contains('\t') {
                true => line.split('\t').map(str::trim).collect(),
                false => line.split_whitespace().collect(),
            };
            match parts[..] {
                [from, to, ..] if line.contains('\t') && !from.is_empty() && !to.is_empty() => {
                    pairs.push((from.to_owned(), to.to_owned()));
                }
                [from, to] => pairs.push((from.to_owned(), to.to_owned())),
                _ => {
                    let problem = format!(
                        "`{line}` is no pair; expected `headword TAB translation`, or two words with a space between"
                    );
                    return Err(ParseError::new(
                        path,
                        number,
                        problem,
                        "put a tab between entries of several words",
                    ));
                }
            }
        }
        if pairs.is_empty() {
            return Err(ParseError::new(path, 1, "no pair of words", "is the file empty?"));
        }
        Ok(Self::of(pairs))
    }

    /// Translations of a word or phrase in lower case.
    pub fn translations(&self, phrase: &str) -> &[String] {
        self.entries.get(phrase).map_or(&[], Vec::as_slice)
    }

    /// All pairs in the order of the file.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }
}

/// A text in Unicode's form NFC, in which equal characters are equal code points.
pub fn nfc(text: &str) -> String {
    text.nfc().collect()
}
