//! The classes of a tagger: `O` as class 0, then `B-TYPE`, `I-TYPE` for each entity type.

use std::collections::BTreeSet;

use common::formats::{Scheme, Sentence, Span};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Class of a word outside every entity, the majority class of the paper.
pub const OUTSIDE: i64 = 0;

/// Entity types in a fixed order, and the BIO classes made of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LabelSet {
    types: Vec<String>,
}

/// An entity whose type the model does not know.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "entity type `{found}` is not one of the model's types ({known}); retrain with it, or map it to a known type"
)]
pub struct UnknownType {
    found: String,
    known: String,
}

impl LabelSet {
    /// Label set of all entity types in `sentences`, in alphabetical order.
    ///
    /// ```
    /// use common::formats::{Sentence, Span};
    /// use ner_mom::label::LabelSet;
    /// let span = |label: &str| Span { start: 0, end: 1, label: label.to_owned() };
    /// let sentence = |label| Sentence { words: vec!["x".into()], spans: vec![span(label)], id: None, source: None };
    /// let labels = LabelSet::of(&[sentence("PER"), sentence("LOC"), sentence("PER")]);
    /// assert_eq!(labels.types(), ["LOC", "PER"]);
    /// assert_eq!(labels.n_classes(), 5);
    /// ```
    pub fn of(sentences: &[Sentence]) -> Self {
        let types: BTreeSet<&str> =
            sentences.iter().flat_map(|s| &s.spans).map(|span| &*span.label).collect();
        Self { types: types.into_iter().map(str::to_owned).collect() }
    }

    /// Entity types in class order.
    pub fn types(&self) -> &[String] {
        &self.types
    }

    /// Number of BIO classes: `O` and two per type.
    pub fn n_classes(&self) -> i64 {
        1 + 2 * self.types.len() as i64
    }

    /// Classes of a sentence of `n_words` words with these entities.
    ///
    /// # Errors
    /// [`UnknownType`] for an entity type outside the set.
    pub fn encode(&self, spans: &[Span], n_words: usize) -> Result<Vec<i64>, UnknownType> {
        let mut classes = vec![OUTSIDE; n_words];
        for span in spans {
            let begin = 1 + 2 * self.index(&span.label)? as i64;
            classes[span.start..span.end].fill(begin + 1);
            classes[span.start] = begin;
        }
        Ok(classes)
    }

    /// Entities in a sequence of classes, read leniently: an `I-` without a beginning starts an entity.
    pub fn decode(&self, classes: &[i64]) -> Vec<Span> {
        let tags: Vec<String> = classes.iter().map(|&class| self.tag(class)).collect();
        Scheme::Iob2.decode(&tags).spans
    }

    /// BIO text of one class, `O`, `B-TYPE` or `I-TYPE`.
    pub fn tag(&self, class: i64) -> String {
        match class {
            OUTSIDE => "O".to_owned(),
            _ if class % 2 == 1 => format!("B-{}", self.types[(class as usize - 1) / 2]),
            _ => format!("I-{}", self.types[(class as usize - 1) / 2]),
        }
    }

    /// BIO text of all classes in order.
    pub fn tags(&self) -> Vec<String> {
        (0..self.n_classes()).map(|class| self.tag(class)).collect()
    }

    /// Place of `label` among the types.
    ///
    /// # Errors
    /// [`UnknownType`] for an entity type outside the set.
    pub fn index(&self, label: &str) -> Result<usize, UnknownType> {
        self.types
            .iter()
            .position(|known| known == label)
            .ok_or_else(|| UnknownType { found: label.to_owned(), known: self.types.join(", ") })
    }
}

/// Words of each class in `sentences`: the counts behind inverse-frequency weights.
///
/// # Errors
/// [`UnknownType`] for an entity type outside the set.
pub fn class_counts(labels: &LabelSet, sentences: &[Sentence]) -> Result<Vec<u64>, UnknownType> {
    let mut counts = vec![0; labels.n_classes() as usize];
    for sentence in sentences {
        for class in labels.encode(&sentence.spans, sentence.words.len())? {
            counts[class as usize] += 1;
        }
    }
    Ok(counts)
}
