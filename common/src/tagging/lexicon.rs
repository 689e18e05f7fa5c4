//! Words and characters that a from-scratch encoder knows.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::formats::Sentence;

/// Words (lower-cased, digits as `0`) and characters of the training sentences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Lexicon {
    words: HashMap<String, (i64, bool)>,
    characters: HashMap<char, i64>,
    stored: Stored,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// Words seen twice or more in training, in alphabetical order.
    frequent: Vec<String>,
    /// Words seen once.
    once: Vec<String>,
    characters: Vec<char>,
}

impl Lexicon {
    /// Id of padding.
    pub const PADDING: i64 = 0;
    /// Id of unknown words and characters.
    pub const UNKNOWN: i64 = 1;
    const FIRST: i64 = 2;

    /// Lexicon of training sentences, and of the words of a model's queries, which always count as frequent. Ids do
    /// not depend on the order of the sentences.
    pub fn of<'a>(sentences: &[Sentence], queries: impl Iterator<Item = &'a str>) -> Self {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        let mut characters = std::collections::BTreeSet::new();
        let words = sentences.iter().flat_map(|sentence| &sentence.words);
        for (word, count) in words.map(|word| (&**word, 1)).chain(queries.map(|word| (word, 2))) {
            *counts.entry(normalised(word)).or_default() += count;
            characters.extend(word.chars());
        }
        let (frequent, once): (Vec<_>, Vec<_>) = counts.into_iter().partition(|(_, count)| *count > 1);
        let names = |list: Vec<(String, u32)>| list.into_iter().map(|(word, _)| word).collect();
        Stored { frequent: names(frequent), once: names(once), characters: characters.into_iter().collect() }
            .into()
    }

    /// Id of a word, [`Self::UNKNOWN`] when training had none like it.
    pub fn word_id(&self, word: &str) -> i64 {
        self.words.get(&normalised(word)).map_or(Self::UNKNOWN, |(id, _)| *id)
    }

    /// Whether training had the word exactly once: such words stand in for unknown ones during training.
    pub fn seen_once(&self, word: &str) -> bool {
        self.words.get(&normalised(word)).is_some_and(|(_, once)| *once)
    }

    /// Ids of the first `most` characters of a word, case kept.
    pub fn character_ids(&self, word: &str, most: usize) -> Vec<i64> {
        word.chars().take(most).map(|c| *self.characters.get(&c).unwrap_or(&Self::UNKNOWN)).collect()
    }

    /// Number of word ids, padding and unknown included.
    pub fn n_words(&self) -> i64 {
        Self::FIRST + self.words.len() as i64
    }

    /// Number of character ids, padding and unknown included.
    pub fn n_characters(&self) -> i64 {
        Self::FIRST + self.characters.len() as i64
    }
}

impl From<Stored> for Lexicon {
    fn from(stored: Stored) -> Self {
        let flagged = stored.frequent.iter().map(|w| (w, false)).chain(stored.once.iter().map(|w| (w, true)));
        let words =
            (Self::FIRST..).zip(flagged).map(|(id, (word, once))| (word.clone(), (id, once))).collect();
        let characters = (Self::FIRST..).zip(&stored.characters).map(|(id, c)| (*c, id)).collect();
        Self { words, characters, stored }
    }
}

impl From<Lexicon> for Stored {
    fn from(lexicon: Lexicon) -> Self {
        lexicon.stored
    }
}

fn normalised(word: &str) -> String {
    word.chars().flat_map(char::to_lowercase).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}
