//! Exact scores against the obvious double loop, on every tier and storage.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up cannot go on")]

mod shared;

use proptest::prelude::*;
use retrieval::maxsim::{Exact, Hit, MaxSimError, Storage, Tier, explain, score};
use retrieval::vectors::TokenVectors;

/// Rounding of f32 sums of up to a few hundred products below 1.
const ROUNDING: f32 = 1e-5;
/// Rounding of both sides to brain floats, per query token.
const BRAIN: f32 = 0.01;
const STORAGES: [Storage; 3] = [Storage::F32, Storage::Bf16, Storage::Screened];

fn double_loop(query: &[f32], document: &[f32], width: usize) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let best = |q| document.chunks_exact(width).map(|d| dot(q, d)).fold(f64::NEG_INFINITY, f64::max);
    query.chunks_exact(width).map(best).sum::<f64>() as f32
}

fn order(scores: &[f32], k: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.retain(|&i| scores[i as usize] > f32::NEG_INFINITY);
    order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b)));
    order.truncate(k);
    order
}

fn documents(hits: &[Hit]) -> Vec<u32> {
    hits.iter().map(|hit| hit.document).collect()
}

/// Texts of 0 to 40 tokens.
fn ragged(width: usize, count: usize) -> TokenVectors {
    let all = shared::clustered(3, "ragged", count, 40, width);
    let mut texts = TokenVectors::new(width);
    for (index, rows) in all.iter().enumerate() {
        texts.push(&rows[..(index * 7 % 41) * width]).unwrap();
    }
    texts
}

#[test]
fn every_tier_and_storage_agrees_with_the_double_loop() {
    for width in [1, 7, 16, 96, 128] {
        let texts = ragged(width, 50);
        for query_tokens in [1, 5, 16, 17, 32, 33, 70] {
            let query = shared::clustered(3, "query", 1, query_tokens, width);
            for tier in Tier::available() {
                for storage in STORAGES {
                    let exact = Exact::on(texts.clone(), storage, tier).unwrap();
                    let tolerance =
                        query_tokens as f32 * if storage == Storage::Bf16 { BRAIN } else { ROUNDING };
                    for (found, document) in exact.scores(query.text(0)).unwrap().iter().zip(texts.iter()) {
                        let expected = double_loop(query.text(0), document, width);
                        assert!(
                            *found == expected || (found - expected).abs() <= tolerance,
                            "{tier:?} {storage:?} width {width}, {query_tokens} tokens: {found} {expected}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_screened_search_gives_the_same_hits_and_scores_as_an_exact_one() {
    for tier in Tier::available() {
        for width in [7, 64, 128] {
            let clustered = shared::clustered(9, "documents", 400, 20, width);
            let mut rows = seeded(400 * 20 * width);
            rows.chunks_exact_mut(width).for_each(normalize);
            let random = TokenVectors::from_parts(width, (1..=400).map(|i| i * 20).collect(), rows).unwrap();
            for texts in [clustered, random, ragged(width, 60)] {
                let exact = Exact::on(texts.clone(), Storage::F32, tier).unwrap();
                let screened = Exact::on(texts, Storage::Screened, tier).unwrap();
                for query in shared::clustered(9, "queries", 4, 32, width).iter() {
                    for k in [0, 1, 10, 1000] {
                        let expected = exact.search(query, k).unwrap();
                        let (found, screening) = screened.search_counted(query, k).unwrap();
                        assert_eq!(found, expected, "{tier:?} width {width} k {k}");
                        assert!(screening.scored <= screening.documents);
                    }
                }
            }
        }
    }
}

#[test]
fn screening_leaves_most_of_a_clustered_collection_out() {
    let texts = shared::clustered(9, "documents", 2000, 20, 128);
    let screened = Exact::new(texts, Storage::Screened).unwrap();
    let queries = shared::clustered(9, "queries", 4, 32, 128);
    for query in queries.iter() {
        let (_, screening) = screened.search_counted(query, 10).unwrap();
        assert!(screening.scored < 400, "{screening:?}");
    }
}

fn seeded(count: usize) -> Vec<f32> {
    use rand::Rng;
    let mut rng = common::seed::rng(4, "values", 0);
    (0..count).map(|_| rng.random_range(-1.0_f32..1.0)).collect()
}

fn normalize(row: &mut [f32]) {
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    row.iter_mut().for_each(|x| *x /= length);
}

#[test]
fn hits_do_not_depend_on_threads_or_on_searching_in_batches() {
    let texts = ragged(96, 300);
    let queries = shared::clustered(3, "queries", 37, 20, 96);
    for storage in STORAGES {
        let exact = Exact::new(texts.clone(), storage).unwrap();
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| exact.search_batch(&queries, 10).unwrap())
        };
        let one_by_one: Vec<_> = queries.iter().map(|query| exact.search(query, 10).unwrap()).collect();
        assert_eq!(on(1), one_by_one);
        assert_eq!(on(3), one_by_one);
    }
}

#[test]
fn equal_scores_come_in_the_order_of_the_documents_and_empty_documents_never() {
    let rows = [1.0, 0.0].repeat(6);
    let texts = TokenVectors::from_parts(2, vec![0, 1, 2, 2, 5, 6], rows).unwrap();
    for storage in STORAGES {
        let exact = Exact::new(texts.clone(), storage).unwrap();
        assert_eq!(documents(&exact.search(&[1.0, 0.0], 9).unwrap()), [1, 2, 4, 5], "{storage:?}");
        assert_eq!(documents(&exact.search(&[1.0, 0.0], 2).unwrap()), [1, 2], "{storage:?}");
    }
    assert_eq!(score(&[1.0, 0.0], &[], 2).unwrap(), f32::NEG_INFINITY);
    let empty = Exact::new(TokenVectors::new(2), Storage::Screened).unwrap();
    assert!(empty.is_empty() && empty.search(&[1.0, 0.0], 3).unwrap().is_empty());
}

#[test]
fn the_explanation_sums_to_the_score() {
    let texts = shared::clustered(5, "documents", 3, 30, 96);
    let query = shared::clustered(5, "query", 1, 12, 96);
    for storage in STORAGES {
        let exact = Exact::new(texts.clone(), storage).unwrap();
        let matches = exact.explain(query.text(0), 1).unwrap();
        let sum: f32 = matches.iter().map(|found| found.similarity).sum();
        let tolerance = if storage == Storage::Bf16 { 12.0 * BRAIN } else { 12.0 * ROUNDING };
        assert!((sum - exact.scores(query.text(0)).unwrap()[1]).abs() < tolerance);
    }
    assert_eq!(explain(&[1.0], &[0.5, 2.0, 2.0], 1).unwrap()[0].token, 1);
    assert!(explain(&[1.0], &[], 1).unwrap().is_empty());
}

#[test]
fn unusable_vectors_are_refused_in_words() {
    let nan = TokenVectors::from_parts(2, vec![1, 2], vec![0.0, 1.0, f32::NAN, 0.0]).unwrap();
    let exact = Exact::new(TokenVectors::new(2), Storage::F32).unwrap();
    let messages = [
        Exact::new(nan, Storage::F32).unwrap_err().to_string(),
        exact.search(&[1.0], 1).unwrap_err().to_string(),
        exact.search(&[], 1).unwrap_err().to_string(),
        exact.search_batch(&TokenVectors::new(3), 1).unwrap_err().to_string(),
    ];
    let expected = [
        "documents: row 1 holds a number that is not finite; the model or its input is broken",
        "query: 1 values do not fill rows of width 2; were they made by another model?",
        "the query has no token; expected at least one row",
        "the queries have width 3, the documents 2; encode both with one model",
    ];
    assert_eq!(messages, expected);
    assert_eq!(score(&[f32::INFINITY], &[1.0], 1), Err(MaxSimError::NotFinite { name: "query", row: 0 }));
}

proptest! {
    #[test]
    fn scores_ignore_the_order_of_document_tokens_and_grow_with_more(
        query in proptest::collection::vec(-1.0_f32..1.0, 9),
        document in proptest::collection::vec(proptest::collection::vec(-1.0_f32..1.0, 3), 1..30),
    ) {
        let forward = score(&query, &document.concat(), 3).unwrap();
        let mut turned = document.clone();
        turned.reverse();
        prop_assert_eq!(forward, score(&query, &turned.concat(), 3).unwrap());
        prop_assert!((forward - double_loop(&query, &document.concat(), 3)).abs() < ROUNDING);
        let fewer = score(&query, &document[1..].concat(), 3).unwrap();
        prop_assert!(fewer <= forward);
    }

    #[test]
    fn the_best_documents_are_those_of_a_full_sort(
        lengths in proptest::collection::vec(0_usize..4, 1..40),
        values in proptest::collection::vec(-3_i8..4, 160),
        k in 0_usize..12,
    ) {
        let mut texts = TokenVectors::new(1);
        let mut values = values.iter().map(|&x| f32::from(x));
        for length in lengths {
            texts.push(&values.by_ref().take(length).collect::<Vec<_>>()).unwrap();
        }
        let scores: Vec<f32> = texts.iter().map(|text| double_loop(&[1.0, -0.5], text, 1)).collect();
        for storage in STORAGES {
            let exact = Exact::new(texts.clone(), storage).unwrap();
            prop_assert_eq!(documents(&exact.search(&[1.0, -0.5], k).unwrap()), order(&scores, k));
        }
    }
}
