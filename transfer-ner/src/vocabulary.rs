//! What a model knows of words: characters of both resources, and a table of word vectors for each, learned or given.

use std::collections::HashMap;

use common::formats::Sentence;
use common::tagging::lexicon::Lexicon;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::batch::Resource;
use crate::vectors::Vectors;

/// Rows 0 and 1 of the table of words are padding and unknown words.
const FIRST: i64 = 2;

/// Characters and words. The word tables of both resources are parts of one tensor, source rows first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vocabulary {
    /// Characters, and words where their vectors are learned in one table.
    pub lexicon: Lexicon,
    words: Words,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Words {
    /// Learned, one table for both resources.
    Shared,
    /// Learned, a table for each.
    Separate(Box<[Lexicon; 2]>),
    /// Given: rows of words by resource.
    Given(Box<[HashMap<String, i64>; 2]>),
}

/// Vectors that do not fit each other.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "the vectors of the source have {source_width} dimensions, those of the target {target_width}; give vectors of one width"
)]
pub struct WidthMismatch {
    source_width: usize,
    target_width: usize,
}

impl Vocabulary {
    /// Words of the training sentences, their vectors to be learned: in one table, or in one for each resource.
    pub fn learned(source: &[Sentence], target: &[Sentence], share: bool) -> Self {
        let all: Vec<Sentence> = source.iter().chain(target).cloned().collect();
        let of = |sentences: &[Sentence]| Lexicon::of(sentences, std::iter::empty());
        let words = if share { Words::Shared } else { Words::Separate(Box::new([of(source), of(target)])) };
        Self { lexicon: of(&all), words }
    }

    /// Words that have vectors, and the table of them, `[rows, width]` row by row. Padding and unknown words have zeros. With
    /// `share`, the vectors of the target serve both.
    ///
    /// # Errors
    /// [`WidthMismatch`].
    pub fn given(
        source: &[Sentence],
        target: &[Sentence],
        vectors: [&Vectors; 2],
        share: bool,
    ) -> Result<(Self, Vec<f32>), WidthMismatch> {
        let [width, other] = vectors.map(|vectors| vectors.width);
        if width != other {
            return Err(WidthMismatch { source_width: width, target_width: other });
        }
        let mut table = vec![0.0; FIRST as usize * width];
        let mut next = FIRST;
        let mut rows = |vectors: &Vectors| -> HashMap<String, i64> {
            let rows = (next..).zip(&vectors.words).map(|(row, word)| (word.clone(), row)).collect();
            table.extend(&vectors.rows);
            next += vectors.words.len() as i64;
            rows
        };
        let words = if share {
            let rows = rows(vectors[1]);
            [rows.clone(), rows]
        } else {
            vectors.map(rows)
        };
        let all: Vec<Sentence> = source.iter().chain(target).cloned().collect();
        let lexicon = Lexicon::of(&all, std::iter::empty());
        Ok((Self { lexicon, words: Words::Given(Box::new(words)) }, table))
    }

    /// A vocabulary whose word vectors come from a pre-trained encoder.
    pub fn characters_only(source: &[Sentence], target: &[Sentence]) -> Self {
        Self::learned(source, target, true)
    }

    /// Row of a word in the table and whether training had it once, in which case it may be read as unknown. A word that is not
    /// there in its case is looked up in lower case.
    pub fn word_id(&self, word: &str, resource: Resource) -> (i64, bool) {
        match &self.words {
            Words::Shared => (self.lexicon.word_id(word), self.lexicon.seen_once(word)),
            Words::Separate(lexicons) => {
                let own = &lexicons[resource.index()];
                let before = if resource == Resource::Target { lexicons[0].n_words() - FIRST } else { 0 };
                let id = own.word_id(word);
                let row = if id < FIRST { id } else { id + before };
                (row, own.seen_once(word))
            }
            Words::Given(rows) => {
                let own = &rows[resource.index()];
                let found = own.get(word).or_else(|| own.get(&word.to_lowercase()));
                (found.copied().unwrap_or(Lexicon::UNKNOWN), false)
            }
        }
    }

    /// Rows of the table of words, padding and unknown included.
    pub fn n_words(&self) -> i64 {
        match &self.words {
            Words::Shared => self.lexicon.n_words(),
            Words::Separate(lexicons) => lexicons[0].n_words() + lexicons[1].n_words() - FIRST,
            Words::Given(rows) => {
                let last = rows.iter().flat_map(HashMap::values).max();
                last.map_or(FIRST, |last| last + 1)
            }
        }
    }
}
