//! BM25, the floor that a neural retriever has to clear, and the source of hard negatives.

mod analyzer;

use std::collections::HashMap;

pub use analyzer::{Analyzer, UnknownAnalyzer};
use rayon::prelude::*;

/// The two parameters of BM25.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// How soon further occurrences of a term stop to count.
    pub k1: f32,
    /// How much long documents are held against themselves, 0 to 1.
    pub b: f32,
}

impl Parameters {
    /// `k1` 0.9 and `b` 0.4, Anserini's and Pyserini's defaults for passages.
    pub const PASSAGES: Self = Self { k1: 0.9, b: 0.4 };
}

/// Documents that a term stands in, with what it adds to their scores.
type Postings = Vec<(u32, f32)>;

/// An index of documents in memory.
///
/// ```text
/// score(q, d) = Σ over terms t of q:  ln(1 + (N − n_t + ½) / (n_t + ½)) · f / (f + k1 (1 − b + b |d| / mean |d|))
/// ```
/// with `f` the occurrences of `t` in `d`: the form of Lucene since version 8 (Kamphuis et al., ECIR 2020, table 1).
#[derive(Debug)]
pub struct Bm25 {
    analyzer: Analyzer,
    postings: HashMap<String, Postings>,
    n_documents: usize,
}

impl Bm25 {
    /// The index of `texts`.
    ///
    /// ```
    /// use retrieval::bm25::{Analyzer, Bm25, Parameters};
    /// let index = Bm25::new(&["東大寺は奈良にある", "金閣寺は京都にある"], Analyzer::Bigrams, Parameters::PASSAGES);
    /// assert_eq!(index.search("奈良の寺", 10)[0].0, 0);
    /// ```
    pub fn new(texts: &[impl AsRef<str> + Sync], analyzer: Analyzer, parameters: Parameters) -> Self {
        let counted: Vec<(usize, HashMap<String, u32>)> =
            texts.par_iter().map(|text| count(&analyzer, text.as_ref())).collect();
        let total: usize = counted.iter().map(|(length, _)| length).sum();
        let mean = total as f32 / counted.len().max(1) as f32;
        let mut postings: HashMap<String, Postings> = HashMap::new();
        let Parameters { k1, b } = parameters;
        for (document, (length, terms)) in counted.into_iter().enumerate() {
            let norm = k1 * (1.0 - b + b * length as f32 / mean);
            for (term, n) in terms {
                let n = n as f32;
                postings.entry(term).or_default().push((document as u32, n / (n + norm)));
            }
        }
        let n_documents = texts.len();
        for list in postings.values_mut() {
            let n = list.len() as f64;
            let idf = (1.0 + (n_documents as f64 - n + 0.5) / (n + 0.5)).ln() as f32;
            list.iter_mut().for_each(|(_, weight)| *weight *= idf);
        }
        Self { analyzer, postings, n_documents }
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.n_documents
    }

    /// Whether there is no document.
    pub fn is_empty(&self) -> bool {
        self.n_documents == 0
    }

    /// The `k` best documents with their scores, best first, equal scores by document; those without a common term are
    /// not found.
    pub fn search(&self, query: &str, k: usize) -> Vec<(u32, f32)> {
        let mut scores = vec![0.0_f32; self.n_documents];
        let mut terms: Vec<String> = Vec::new();
        self.analyzer.for_each_term(query, |term| terms.push(term.to_owned()));
        for (document, weight) in terms.iter().filter_map(|term| self.postings.get(term)).flatten() {
            scores[*document as usize] += weight;
        }
        let mut hits: Vec<(u32, f32)> = (0..).zip(scores).filter(|(_, score)| *score > 0.0).collect();
        let better = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if hits.len() > k {
            if k == 0 {
                return Vec::new();
            }
            hits.select_nth_unstable_by(k - 1, better);
            hits.truncate(k);
        }
        hits.sort_unstable_by(better);
        hits
    }

    /// [`Bm25::search`] of many queries, on all threads.
    pub fn search_all(&self, queries: &[impl AsRef<str> + Sync], k: usize) -> Vec<Vec<(u32, f32)>> {
        queries.par_iter().map(|query| self.search(query.as_ref(), k)).collect()
    }
}

fn count(analyzer: &Analyzer, text: &str) -> (usize, HashMap<String, u32>) {
    let (mut length, mut terms) = (0, HashMap::new());
    analyzer.for_each_term(text, |term| {
        length += 1;
        match terms.get_mut(term) {
            Some(n) => *n += 1,
            None => drop(terms.insert(term.to_owned(), 1)),
        }
    });
    (length, terms)
}
