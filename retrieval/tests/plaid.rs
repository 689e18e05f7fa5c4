//! Searches of an index against exact scores of the same vectors.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up cannot go on")]

mod shared;

use proptest::prelude::*;
use retrieval::index::{Batch, Index, IndexConfig, Writer, build};
use retrieval::maxsim::{Exact, Hit, Storage, Tier, recall};
use retrieval::plaid::{Plaid, SearchConfig, recall_against_exact};
use retrieval::vectors::TokenVectors;
use tempfile::TempDir;

/// Sums of f32 in another order.
const ROUNDING: f32 = 1e-4;
/// Looks at everything.
const ALL: SearchConfig =
    SearchConfig { nprobe: 1 << 20, threshold: None, candidates: 1 << 30, scored: 1 << 30 };

fn index_of(folder: &TempDir, texts: &TokenVectors, bits: u32, centroids: usize) -> Index {
    let config =
        IndexConfig { centroids: Some(centroids), segment_tokens: 2000, ..IndexConfig::colbert_v2(bits) };
    let ids = (0..texts.len()).map(|index| index.to_string()).collect();
    build(folder.path(), &config, [Ok(Batch { ids, texts: Vec::new(), vectors: texts.clone() })]).unwrap()
}

/// What the index holds, decompressed.
fn decompressed(index: &Index) -> TokenVectors {
    let mut texts = TokenVectors::new(index.codec().width());
    (0..index.slots() as u32).for_each(|document| texts.push(&index.vectors(document)).unwrap());
    texts
}

fn ragged(count: usize, width: usize) -> TokenVectors {
    let all = shared::clustered(7, "ragged", count, 30, width);
    let mut texts = TokenVectors::new(width);
    for (index, rows) in all.iter().enumerate() {
        texts.push(&rows[..(index * 7 % 31) * width]).unwrap();
    }
    texts
}

#[test]
fn scores_equal_those_of_the_decompressed_vectors() {
    for (width, bits) in [(128, 2), (128, 1), (128, 4), (96, 2), (7, 2), (1, 4), (20, 1)] {
        let (folder, texts) = (TempDir::new().unwrap(), ragged(70, width));
        let index = index_of(&folder, &texts, bits, 30);
        let exact = Exact::new(decompressed(&index), Storage::F32).unwrap();
        for tier in Tier::available() {
            let plaid = Plaid::on(&index, tier);
            for tokens in [1, 16, 32, 45] {
                let query = shared::clustered(7, "query", 1, tokens, width);
                let expected = exact.scores(query.text(0)).unwrap();
                let (hits, stages) = plaid.search(query.text(0), 1000, &ALL).unwrap();
                let with_tokens = texts.iter().filter(|rows| !rows.is_empty()).count();
                assert_eq!(
                    (hits.len(), stages.scored),
                    (with_tokens, with_tokens),
                    "width {width}, {bits} bits"
                );
                for hit in hits {
                    let off = (hit.score - expected[hit.document as usize]).abs();
                    assert!(off < ROUNDING, "{tier:?} width {width}, {bits} bits: off by {off}");
                }
            }
        }
    }
}

#[test]
fn clustered_collections_are_found_with_few_documents_scored() {
    let world = shared::World::new(11, 1024, 64);
    let texts = world.texts("documents", 3000, 20);
    let queries = world.queries(&texts, 40, 32);
    let exact = Exact::new(texts.clone(), Storage::F32).unwrap();
    let expected = exact.search_batch(&queries, 10).unwrap();
    let folder = TempDir::new().unwrap();
    let config = IndexConfig { rounds: 4, ..IndexConfig::colbert_v2(4) };
    let ids = (0..texts.len()).map(|index| index.to_string()).collect();
    let index =
        build(folder.path(), &config, [Ok(Batch { ids, texts: Vec::new(), vectors: texts })]).unwrap();
    let plaid = Plaid::new(&index);
    let searched = plaid.search_batch(&queries, 10, &SearchConfig::for_k(100)).unwrap();
    let found: Vec<Vec<Hit>> = searched.iter().map(|(hits, _)| hits.clone()).collect();
    let share = recall(&expected, &found).unwrap();
    let config = SearchConfig::for_k(100);
    assert_eq!(recall_against_exact(&plaid, &exact, &queries, 10, &config).unwrap(), Some(share));
    assert!(share > 0.9, "recall {share}");
    for (_, stages) in &searched {
        assert!(stages.scored <= 256 && stages.total_s() > 0.0 && stages.probed <= 64, "{stages:?}");
    }
    let first: Vec<u32> = expected.iter().map(|hits| hits[0].document).collect();
    let found: Vec<u32> = found.iter().map(|hits| hits[0].document).collect();
    assert_eq!(first, found);
}

/// PLAID's four steps, one after another, in the plainest form, with the query's 8-bit codes in the first three.
fn plain(index: &Index, query: &[f32], k: usize, config: &SearchConfig) -> Vec<u32> {
    let width = index.codec().width();
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let round = |row: &[f32]| -> Vec<f32> {
        let scale = row.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / 127.0;
        row.iter().map(|x| (x / scale).round() * scale).collect()
    };
    let products: Vec<Vec<f64>> = query
        .chunks_exact(width)
        .map(|q| index.codec().centroids().chunks_exact(width).map(|c| dot(&round(q), c)).collect())
        .collect();
    let codes: Vec<Vec<u32>> =
        (0..index.slots() as u32).map(|document| index.centroids_of(document)).collect();
    let mut probed = Vec::new();
    for products in &products {
        let mut order: Vec<usize> = (0..products.len()).collect();
        order.sort_by(|&a, &b| products[b].total_cmp(&products[a]).then(a.cmp(&b)));
        probed.extend(order.into_iter().take(config.nprobe).map(|centroid| centroid as u32));
    }
    let mut documents: Vec<u32> = (0..index.slots() as u32)
        .filter(|&document| codes[document as usize].iter().any(|code| probed.contains(code)))
        .collect();
    let reaches = |code: u32| {
        let most = products.iter().map(|products| products[code as usize]).fold(f64::MIN, f64::max);
        config.threshold.is_none_or(|threshold| most >= f64::from(threshold))
    };
    let rank = |documents: &mut Vec<u32>, count: usize, all: bool| {
        let score = |document: u32| -> f64 {
            let kept: Vec<u32> =
                codes[document as usize].iter().copied().filter(|&code| all || reaches(code)).collect();
            let most =
                |products: &Vec<f64>| kept.iter().map(|&code| products[code as usize]).fold(-1e4, f64::max);
            products.iter().map(most).sum()
        };
        documents.sort_by(|&a, &b| score(b).total_cmp(&score(a)).then(a.cmp(&b)));
        documents.truncate(count);
    };
    rank(&mut documents, config.candidates.max(k), false);
    rank(&mut documents, config.scored.max(k), true);
    let exact = |document: u32| {
        let rows = index.vectors(document);
        let best = |q: &[f32]| rows.chunks_exact(width).map(|d| dot(q, d)).fold(f64::MIN, f64::max);
        query.chunks_exact(width).map(best).sum::<f64>()
    };
    documents.sort_by(|&a, &b| exact(b).total_cmp(&exact(a)).then(a.cmp(&b)));
    documents.truncate(k);
    documents
}

#[test]
fn every_tier_finds_what_the_plain_four_steps_find() {
    let world = shared::World::new(13, 64, 48);
    let texts = world.texts("documents", 250, 12);
    let queries = world.queries(&texts, 6, 40);
    let folder = TempDir::new().unwrap();
    let index = index_of(&folder, &texts, 2, 60);
    let settings =
        [(1, Some(0.5), 40, 10), (2, Some(0.6), 60, 20), (3, None, 30, 30), (60, Some(0.7), 50, 12)];
    for (nprobe, threshold, candidates, scored) in settings {
        let config = SearchConfig { nprobe, threshold, candidates, scored };
        for query in queries.iter() {
            let expected = plain(&index, query, 8, &config);
            for tier in Tier::available() {
                let (hits, _) = Plaid::on(&index, tier).search(query, 8, &config).unwrap();
                let found: Vec<u32> = hits.iter().map(|hit| hit.document).collect();
                assert_eq!(found, expected, "{tier:?} {config:?}");
            }
        }
    }
}

#[test]
fn deleted_documents_are_not_found_and_compaction_changes_no_score() {
    let (folder, texts) = (TempDir::new().unwrap(), ragged(60, 32));
    drop(index_of(&folder, &texts, 2, 20));
    let query = shared::clustered(7, "query", 1, 8, 32);
    let search = |index: &Index| -> Vec<(String, f32)> {
        let (hits, _) = Plaid::new(index).search(query.text(0), 20, &ALL).unwrap();
        hits.iter().map(|hit| (index.id(hit.document).unwrap().to_owned(), hit.score)).collect()
    };
    let mut writer = Writer::open(folder.path()).unwrap();
    let before = search(writer.index());
    writer.delete(&[&before[0].0, &before[3].0]).unwrap();
    let after = search(writer.index());
    let mut expected = before.clone();
    expected.remove(3);
    expected.remove(0);
    assert_eq!(after[..18], expected[..18]);
    writer.compact().unwrap();
    assert_eq!(search(writer.index()), after);
}

#[test]
fn an_index_without_documents_finds_nothing() {
    let (folder, texts) = (TempDir::new().unwrap(), ragged(4, 32));
    drop(index_of(&folder, &texts, 2, 3));
    let mut writer = Writer::open(folder.path()).unwrap();
    writer.delete(&["0", "1", "2", "3"]).unwrap();
    let query = shared::clustered(7, "query", 1, 8, 32);
    assert!(Plaid::new(writer.index()).search(query.text(0), 5, &ALL).unwrap().0.is_empty());
    writer.compact().unwrap();
    let summary = writer.index().summary();
    assert_eq!((summary.documents, summary.segments, summary.bytes_per_token()), (0, 0, None));
    assert!(Plaid::new(writer.index()).search(query.text(0), 5, &ALL).unwrap().0.is_empty());
    writer.index().verify().unwrap();
}

/// A query with one great component: its codes are longer than itself, and the 16-bit products must still fit.
#[test]
fn lopsided_queries_do_not_overflow() {
    let mut texts = TokenVectors::new(200);
    let mut row = vec![0.003_93; 200];
    row[0] = 1.0;
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    row.iter_mut().for_each(|x| *x /= length);
    texts.push(&row).unwrap();
    texts.push(&row.iter().map(|x| -x).collect::<Vec<_>>()).unwrap();
    let folder = TempDir::new().unwrap();
    let index = index_of(&folder, &texts, 2, 2);
    for tier in Tier::available() {
        let config = SearchConfig { nprobe: 2, threshold: None, candidates: 1, scored: 1 };
        let (hits, _) = Plaid::on(&index, tier).search(&row, 1, &config).unwrap();
        assert_eq!(hits[0].document, 0, "{tier:?}");
    }
}

#[test]
fn searches_do_not_depend_on_threads_or_earlier_searches() {
    let (folder, texts) = (TempDir::new().unwrap(), ragged(100, 32));
    let index = index_of(&folder, &texts, 2, 40);
    let queries = shared::clustered(7, "queries", 30, 12, 32);
    let config = SearchConfig { nprobe: 2, threshold: Some(0.4), candidates: 30, scored: 12 };
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let found = pool.install(|| Plaid::new(&index).search_batch(&queries, 5, &config).unwrap());
        found.into_iter().map(|(hits, _)| hits).collect::<Vec<_>>()
    };
    let alone: Vec<_> =
        queries.iter().map(|query| Plaid::new(&index).search(query, 5, &config).unwrap().0).collect();
    assert_eq!(on(1), alone);
    assert_eq!(on(3), alone);
}

#[test]
fn unusable_queries_and_settings_are_refused_in_words() {
    let (folder, texts) = (TempDir::new().unwrap(), ragged(10, 32));
    let index = index_of(&folder, &texts, 2, 4);
    let plaid = Plaid::new(&index);
    let query = [0.1; 32];
    let config = SearchConfig { nprobe: 0, ..ALL };
    let messages = [
        plaid.search(&query, 1, &config).unwrap_err().to_string(),
        plaid.search(&[0.1; 31], 1, &ALL).unwrap_err().to_string(),
        plaid.search(&[], 1, &ALL).unwrap_err().to_string(),
        plaid.search(&[f32::NAN; 32], 1, &ALL).unwrap_err().to_string(),
        plaid.search_batch(&TokenVectors::new(3), 1, &ALL).unwrap_err().to_string(),
    ];
    let expected = [
        "`nprobe` is 0, expected at least 1",
        "query: 31 values do not fill rows of width 32; were they made by another model?",
        "the query has no token; expected at least one row",
        "query: row 0 holds a number that is not finite; the model or its input is broken",
        "the queries have width 3, the documents 32; encode both with one model",
    ];
    assert_eq!(messages, expected);
    assert!(plaid.search(&query, 0, &ALL).unwrap().0.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn more_effort_never_scores_fewer_documents(
        nprobe in 1_usize..5,
        candidates in 5_usize..40,
        values in proptest::collection::vec(-1.0_f32..1.0, 64),
    ) {
        let (folder, texts) = (TempDir::new().unwrap(), ragged(40, 32));
        let index = index_of(&folder, &texts, 2, 16);
        let plaid = Plaid::new(&index);
        let config = SearchConfig { nprobe, threshold: Some(0.2), candidates, scored: candidates };
        let less = plaid.search(&values, 5, &config).unwrap();
        let more = SearchConfig { nprobe: nprobe + 1, candidates: candidates + 5, scored: candidates + 5, ..config };
        let more = plaid.search(&values, 5, &more).unwrap();
        prop_assert!(less.1.candidates <= more.1.candidates && less.1.scored <= more.1.scored);
        prop_assert!(less.0.iter().zip(&more.0).all(|(less, more)| less.score <= more.score + ROUNDING));
    }
}
