//! Collections in the field's formats: documents, queries, judgements, runs.
//!
//! | what | formats |
//! |---|---|
//! | documents | BEIR `corpus.jsonl`, TSV `id⇥text[⇥title]`, SQuAD JSON |
//! | queries | BEIR `queries.jsonl`, TSV `id⇥text`, SQuAD JSON |
//! | judgements | BEIR `qrels/*.tsv`, TREC qrels, SQuAD JSON |
//! | runs | TREC |
//! | training examples | ColBERT `[qid, [pid, score], …]`, PyLate `{"query_id", "document_ids", "scores"}` |
//!
//! Every reader takes gzip (`.gz`) too, and names file and line in its errors.

mod collection;
mod examples;
mod squad;
mod table;
mod trec;

use std::collections::BTreeMap;

pub use collection::{Collection, read_collection, read_documents, read_queries, stream_documents};
pub use common::formats::ParseError;
use common::metrics::ranking::Grades;
pub use examples::{ScoredExample, read_examples};
pub use squad::{Squad, read_squad, squad};
pub use trec::{read_judgements, read_run, write_run};

/// A text to be found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Its name, unique in a collection.
    pub id: String,
    /// Its title, empty where it has none.
    pub title: String,
    /// Its text.
    pub text: String,
}

impl Document {
    /// What is encoded and searched: title, a space, text.
    ///
    /// ```
    /// use retrieval::data::Document;
    /// let document = Document { id: "1".into(), title: "Tōdai-ji".into(), text: "A temple.".into() };
    /// assert_eq!(document.full_text(), "Tōdai-ji A temple.");
    /// ```
    pub fn full_text(&self) -> String {
        match self.title.is_empty() {
            true => self.text.clone(),
            false => format!("{} {}", self.title, self.text),
        }
    }
}

/// A question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Its name, unique in a set.
    pub id: String,
    /// Its text.
    pub text: String,
}

/// Grades of documents by query.
pub type Judgements = BTreeMap<String, Grades>;

/// Documents found for each query with their scores, best first.
pub type Run = BTreeMap<String, Vec<(String, f64)>>;
