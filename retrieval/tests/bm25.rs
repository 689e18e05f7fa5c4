//! BM25 against bm25s.

use std::sync::Arc;

use common::text::segment::Segmenter;
use retrieval::bm25::{Analyzer, Bm25, Parameters};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    texts: Vec<String>,
    queries: Vec<String>,
    scores: Vec<Vec<f32>>,
}

#[test]
fn scores_equal_lucenes_form_in_bm25s() {
    let golden: Golden = serde_json::from_str(include_str!("golden/bm25.json")).unwrap();
    let spaces = Analyzer::Words(Arc::new(Segmenter::Spaces));
    let index = Bm25::new(&golden.texts, spaces, Parameters::PASSAGES);
    for (query, expected) in golden.queries.iter().zip(&golden.scores) {
        let hits = index.search(query, 100);
        assert!(hits.is_sorted_by(|a, b| a.1 >= b.1));
        let mut scores = vec![0.0; golden.texts.len()];
        hits.iter().for_each(|&(document, score)| scores[document as usize] = score);
        for (found, expected) in scores.iter().zip(expected) {
            assert!((found - expected).abs() < 2e-6, "{query}: {found}, bm25s {expected}");
        }
        assert_eq!(index.search(query, 2), hits[..2.min(hits.len())]);
    }
}

#[test]
fn nothing_in_common_finds_nothing() {
    let index = Bm25::new(&["", "東京"], Analyzer::Bigrams, Parameters::PASSAGES);
    assert!(index.search("大阪", 10).is_empty());
    assert!(index.search("", 10).is_empty());
    assert!(index.search("東京", 0).is_empty());
    assert!(Bm25::new(&[""; 0], Analyzer::English, Parameters::PASSAGES).search("x", 3).is_empty());
}
