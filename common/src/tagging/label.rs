//! The classes of a tagger: `O` as class 0, then one per prefix of the tag scheme for each entity type.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::formats::{Scheme, Sentence, Span};

/// Class of a word outside every entity, the majority class of the paper.
pub const OUTSIDE: i64 = 0;

/// Entity types in a fixed order, and the classes that a tag scheme makes of them: `O`, then for each type one class per
/// prefix of the scheme. Written as the list of types in the scheme IOB2, else as an object with `types` and `scheme`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct LabelSet {
    types: Vec<String>,
    scheme: Scheme,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Types(Vec<String>),
    Schemed { types: Vec<String>, scheme: Scheme },
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
    /// use common::tagging::label::LabelSet;
    /// let span = |label: &str| Span { start: 0, end: 1, label: label.to_owned() };
    /// let sentence = |label| Sentence { words: vec!["x".into()], spans: vec![span(label)], id: None, source: None };
    /// let labels = LabelSet::of(&[sentence("PER"), sentence("LOC"), sentence("PER")]);
    /// assert_eq!(labels.types(), ["LOC", "PER"]);
    /// assert_eq!(labels.n_classes(), 5);
    /// ```
    pub fn of(sentences: &[Sentence]) -> Self {
        Self::of_scheme(sentences, Scheme::Iob2)
    }

    /// The same in another scheme: IOB2 or IOBES, whose prefixes say all about a word's place in its entity.
    ///
    /// # Panics
    /// For another scheme: the caller is the program.
    pub fn of_scheme(sentences: &[Sentence], scheme: Scheme) -> Self {
        assert!(matches!(scheme, Scheme::Iob2 | Scheme::Iobes), "classes of {scheme}");
        let types: BTreeSet<&str> =
            sentences.iter().flat_map(|s| &s.spans).map(|span| &*span.label).collect();
        Self { types: types.into_iter().map(str::to_owned).collect(), scheme }
    }

    /// Letters of the classes of one type, in their order.
    fn prefixes(&self) -> &'static [u8] {
        if self.scheme == Scheme::Iobes { b"BIES" } else { b"BI" }
    }

    /// Entity types in class order.
    pub fn types(&self) -> &[String] {
        &self.types
    }

    /// Number of classes: `O` and one per type and prefix.
    pub fn n_classes(&self) -> i64 {
        1 + (self.prefixes().len() * self.types.len()) as i64
    }

    /// Classes of a sentence of `n_words` words with these entities.
    ///
    /// # Errors
    /// [`UnknownType`] for an entity type outside the set.
    pub fn encode(&self, spans: &[Span], n_words: usize) -> Result<Vec<i64>, UnknownType> {
        let mut classes = vec![OUTSIDE; n_words];
        for span in spans {
            let begin = 1 + (self.prefixes().len() * self.index(&span.label)?) as i64;
            let own = &mut classes[span.start..span.end];
            own.fill(begin + 1);
            own[0] = begin;
            if self.scheme == Scheme::Iobes {
                let single = own.len() == 1;
                *own.last_mut().expect("an entity has a word") = begin + if single { 3 } else { 2 };
            }
        }
        Ok(classes)
    }

    /// Entities in a sequence of classes, read leniently: an `I-` without a beginning starts an entity.
    pub fn decode(&self, classes: &[i64]) -> Vec<Span> {
        let tags: Vec<String> = classes.iter().map(|&class| self.tag(class)).collect();
        self.scheme.decode(&tags).spans
    }

    /// Text of one class, `O`, `B-TYPE`, `I-TYPE` …
    pub fn tag(&self, class: i64) -> String {
        let per_type = self.prefixes().len() as i64;
        match class {
            OUTSIDE => "O".to_owned(),
            _ => {
                let prefix = self.prefixes()[((class - 1) % per_type) as usize] as char;
                format!("{prefix}-{}", self.types[((class - 1) / per_type) as usize])
            }
        }
    }

    /// Text of all classes in order.
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

impl From<Stored> for LabelSet {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Types(types) => Self { types, scheme: Scheme::Iob2 },
            Stored::Schemed { types, scheme } => Self { types, scheme },
        }
    }
}

impl From<LabelSet> for Stored {
    fn from(LabelSet { types, scheme }: LabelSet) -> Self {
        if scheme == Scheme::Iob2 { Self::Types(types) } else { Self::Schemed { types, scheme } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_both_schemes_are_their_tags_and_come_back() {
        let span = |start, end, label: &str| Span { start, end, label: label.to_owned() };
        let spans = vec![span(0, 1, "LOC"), span(1, 4, "PER"), span(5, 7, "LOC")];
        let sentence = Sentence { words: vec!["x".into(); 8], spans: spans.clone(), ..Sentence::default() };
        for scheme in [Scheme::Iob2, Scheme::Iobes] {
            let labels = LabelSet::of_scheme(std::slice::from_ref(&sentence), scheme);
            let classes = labels.encode(&spans, 8).unwrap();
            let tags: Vec<String> = classes.iter().map(|&class| labels.tag(class)).collect();
            assert_eq!(tags, scheme.encode(&spans, 8));
            assert_eq!(labels.decode(&classes), spans);
            let json = serde_json::to_string(&labels).unwrap();
            assert_eq!(serde_json::from_str::<LabelSet>(&json).unwrap(), labels);
        }
        assert_eq!(serde_json::to_string(&LabelSet::of(&[sentence])).unwrap(), r#"["LOC","PER"]"#);
    }
}
