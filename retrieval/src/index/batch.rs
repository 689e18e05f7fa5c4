//! Documents as a source gives them.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::IndexError;
use crate::vectors::TokenVectors;

/// Some documents: their ids, their texts (or none), their token vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Unique ids.
    pub ids: Vec<String>,
    /// The texts to store, one per document, or no one.
    pub texts: Vec<String>,
    /// Token vectors of the documents.
    pub vectors: TokenVectors,
}

/// What a source gives: batches, or its own error.
pub type SourceItem = Result<Batch, Box<dyn std::error::Error + Send + Sync>>;

impl Batch {
    /// The documents with ids, texts and rows.
    pub(super) fn documents(&self) -> impl Iterator<Item = (&str, Option<&str>, &[f32])> {
        let texts = (0..self.ids.len()).map(|index| self.texts.get(index).map(String::as_str));
        self.ids
            .iter()
            .map(String::as_str)
            .zip(texts)
            .zip(self.vectors.iter())
            .map(|((id, text), rows)| (id, text, rows))
    }
}

/// Checks batches as they come: numbers, widths, finite values, new ids.
pub(super) struct Gate {
    width: Option<usize>,
    /// 128-bit hashes of the ids so far: a quarter of the memory of the ids, and no two ids collide in practice.
    seen: HashSet<[u64; 2]>,
    position: usize,
}

impl Gate {
    pub(super) fn new(width: Option<usize>) -> Self {
        Self { width, seen: HashSet::new(), position: 0 }
    }

    /// Whether `id` is new; it is known from now on.
    pub(super) fn insert(&mut self, id: &str) -> bool {
        let half = |first: u8| {
            let mut hasher = DefaultHasher::new();
            (first, id).hash(&mut hasher);
            hasher.finish()
        };
        self.seen.insert([half(0), half(1)])
    }

    pub(super) fn width(&self) -> Option<usize> {
        self.width
    }

    pub(super) fn check(&mut self, batch: &Batch) -> Result<(), IndexError> {
        let (ids, texts, vectors) = (batch.ids.len(), batch.texts.len(), batch.vectors.len());
        if ids != vectors || ![0, ids].contains(&texts) {
            return Err(IndexError::Batch { ids, texts, vectors });
        }
        let found = batch.vectors.width();
        let expected = *self.width.get_or_insert(found);
        for (id, _, rows) in batch.documents() {
            if id.is_empty() {
                return Err(IndexError::EmptyId { position: self.position });
            }
            if found != expected {
                return Err(IndexError::Width { id: id.to_owned(), found, expected });
            }
            if let Some(value) = rows.iter().position(|value| !value.is_finite()) {
                return Err(IndexError::NotFinite { id: id.to_owned(), token: value / expected });
            }
            if !self.insert(id) {
                return Err(IndexError::DuplicateId { id: id.to_owned() });
            }
            self.position += 1;
        }
        Ok(())
    }
}
