//! An index on the disk: what it holds and how it changes.

mod shared;

use std::fs;
use std::path::Path;

use common::residual;
use common::residual::Cells;
use proptest::prelude::*;
use retrieval::index::{Batch, Codec, Index, IndexConfig, IndexError, Writer, build, import};
use retrieval::plaid::{Plaid, SearchConfig};
use shared::indexes::{WIDTH, built, config, files, ids, ragged, source};
use tempfile::TempDir;

#[test]
fn an_index_returns_ids_texts_and_decompressed_vectors() {
    let (folder, texts) = (TempDir::new().unwrap(), ragged(60, WIDTH));
    let index = built(folder.path(), &texts);
    assert_eq!((index.len(), index.slots()), (60, 60));
    let summary = index.summary();
    assert!(summary.segments > 1 && summary.tokens == texts.rows() && summary.text_bytes > 0);
    index.verify().unwrap();
    for document in 0..60_u32 {
        assert_eq!(index.id(document).unwrap(), format!("doc-{document}"));
        assert_eq!(index.text(document).unwrap(), format!("text {document} é"));
        let rows = texts.text(document as usize);
        let expected = index.codec().decompress(&index.codec().compress(rows));
        assert_eq!(index.vectors(document), expected);
    }
    assert_eq!(index.find(&["doc-9", "doc-2"]).unwrap(), [9, 2]);
}

#[test]
fn the_codec_equals_colberts_on_widths_that_both_take() {
    let texts = shared::clustered(1, "documents", 30, 20, 64);
    for (bits, cells) in
        [(1, Cells::Quantile), (2, Cells::LloydMax), (2, Cells::Quantile), (4, Cells::Quantile)]
    {
        let settings = IndexConfig { centroids: Some(24), cells, ..IndexConfig::colbert_v2(bits) };
        let codec = Codec::train(texts.values().to_vec(), 64, texts.rows(), &settings).unwrap();
        let (cutoffs, weights) = (codec.cutoffs().to_vec(), codec.weights().to_vec());
        let reference =
            residual::Codec::from_parts(64, bits, codec.centroids().to_vec(), cutoffs, weights).unwrap();
        let (found, expected) = (codec.compress(texts.values()), reference.compress(texts.values()).unwrap());
        assert_eq!(found.centroids, expected.centroids);
        let turned: Vec<u8> = found.residuals.iter().map(|byte| byte.reverse_bits()).collect();
        assert_eq!(turned, expected.residuals, "{bits} bits");
        assert_eq!(codec.decompress(&found), reference.decompress(&expected).unwrap());
    }
}

#[test]
fn the_same_source_gives_the_same_bytes_on_any_number_of_threads() {
    let texts = ragged(80, 96);
    let on = |threads| {
        let folder = TempDir::new().unwrap();
        let settings = IndexConfig { centroids: Some(70), ..config() };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| build(folder.path(), &settings, source(&texts, 0, 80)).unwrap());
        files(folder.path())
    };
    let first = on(1);
    assert_eq!(on(2), first);
    assert_eq!(on(3), first);
}

#[test]
fn documents_are_added_deleted_and_compacted() {
    let (folder, texts) = (TempDir::new().unwrap(), ragged(60, WIDTH));
    build(folder.path(), &config(), source(&texts, 0, 40)).unwrap();
    let mut writer = Writer::open(folder.path()).unwrap();
    writer.add(source(&texts, 40, 20)).unwrap();
    assert_eq!(writer.index().len(), 60);
    let before: Vec<Vec<f32>> = (0..60).map(|document| writer.index().vectors(document)).collect();
    writer.delete(&["doc-3", "doc-59", "doc-40"]).unwrap();
    assert_eq!((writer.index().len(), writer.index().slots()), (57, 60));
    assert!(matches!(writer.delete(&["doc-3"]), Err(IndexError::UnknownId { .. })));
    assert!(matches!(writer.add(source(&texts, 5, 1)), Err(IndexError::DuplicateId { .. })));
    writer.add(source(&texts, 3, 1)).unwrap(); // the id is free again
    let left = ids(writer.index());
    let size = writer.index().summary().bytes;
    writer.compact().unwrap();
    assert_eq!(ids(writer.index()), left);
    assert_eq!((writer.index().len(), writer.index().slots()), (58, 58));
    assert!(writer.index().summary().bytes < size);
    drop(writer);
    let index = Index::open(folder.path()).unwrap();
    index.verify().unwrap();
    for document in 0..58 {
        let number: usize = index.id(document).unwrap()[4..].parse().unwrap();
        assert_eq!(index.vectors(document), before[number]);
        assert_eq!(index.text(document).unwrap(), format!("text {number} é"));
    }
    let named = files(folder.path()).len();
    assert!(named <= 3 + 2 * index.summary().segments, "rubbish is left: {named} files");
}

#[test]
fn tiny_collections_and_odd_widths_are_indexed() {
    for width in [1, 3, 7, 96] {
        for bits in [1, 2, 4] {
            let folder = TempDir::new().unwrap();
            let texts = shared::clustered(2, "documents", 3, 1, width);
            let settings = IndexConfig::colbert_v2(bits);
            let index = build(folder.path(), &settings, source(&texts, 0, 3)).unwrap();
            assert_eq!(index.codec().row_bytes(), (width * bits as usize).div_ceil(8));
            for document in 0..3 {
                let found = index.vectors(document);
                let length = found.iter().map(|x| x * x).sum::<f32>().sqrt();
                assert!((length - 1.0).abs() < 1e-5, "width {width}, {bits} bits");
            }
        }
    }
}

/// Rounding of centroids to 8 bits (half a step of their greatest component, below 0.8, over 127) and of the file to 4
/// decimals, each doubled by the division by the length.
const FOREIGN: f32 = 2.0 * (0.4 / 127.0 + 5e-5);

#[test]
fn indexes_of_colbert_fast_plaid_and_next_plaid_are_read() {
    for name in ["fast-plaid", "next-plaid", "colbert"] {
        let foreign = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let folder = TempDir::new().unwrap();
        let index = import(&foreign, folder.path()).unwrap();
        index.verify().unwrap();
        let text = fs::read_to_string(foreign.join("expected.json")).unwrap();
        let expected: Vec<Vec<Vec<f32>>> = serde_json::from_str(&text).unwrap();
        assert_eq!(index.len(), expected.len());
        for (document, expected) in (0..).zip(expected) {
            assert_eq!(index.id(document).unwrap(), document.to_string());
            let found = index.vectors(document);
            assert_eq!(found.len(), expected.concat().len());
            let off = found.iter().zip(expected.concat()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < FOREIGN, "{name} document {document}: off by {off}");
        }
        let query = index.vectors(5);
        let settings = SearchConfig { nprobe: 4, ..SearchConfig::for_k(1) };
        assert_eq!(Plaid::new(&index).search(&query, 1, &settings).unwrap().0[0].document, 5);
    }
}

/// A full index of 2 bits and width 128 is what the README says it is.
#[test]
fn two_bits_take_at_most_40_bytes_per_token() {
    let folder = TempDir::new().unwrap();
    let texts = shared::World::new(5, 2048, 128).texts("documents", 1200, 100);
    let settings = IndexConfig { points_per_centroid: 8, rounds: 1, ..IndexConfig::colbert_v2(2) };
    let batch = Batch {
        ids: (0..1200).map(|index| index.to_string()).collect(),
        texts: Vec::new(),
        vectors: texts.clone(),
    };
    let index = build(folder.path(), &settings, [Ok(batch)]).unwrap();
    let found = index.summary().bytes_per_token().unwrap();
    assert!(found <= 40.0, "{found} bytes per token");
    let on_disk: usize = files(folder.path()).values().map(Vec::len).sum();
    assert_eq!(on_disk as u64, index.summary().bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_sequence_of_changes_equals_a_list_of_documents(
        changes in proptest::collection::vec((0_u8..3, 0_usize..30), 1..8),
    ) {
        let (folder, texts) = (TempDir::new().unwrap(), ragged(30, 16));
        let settings = IndexConfig { centroids: Some(4), segment_tokens: 60, ..IndexConfig::colbert_v2(4) };
        build(folder.path(), &settings, source(&texts, 0, 10)).unwrap();
        let mut model: Vec<String> = (0..10).map(|index| format!("doc-{index}")).collect();
        let mut writer = Writer::open(folder.path()).unwrap();
        for (change, number) in changes {
            let id = format!("doc-{number}");
            let there = model.iter().position(|other| *other == id);
            match change {
                0 => {
                    prop_assert_eq!(writer.add(source(&texts, number, 1)).is_ok(), there.is_none());
                    if there.is_none() { model.push(id); }
                }
                1 => {
                    prop_assert_eq!(writer.delete(&[&id]).is_ok(), there.is_some());
                    if let Some(place) = there { model.remove(place); }
                }
                _ => writer.compact().unwrap(),
            }
            prop_assert_eq!(&ids(writer.index()), &model);
        }
        writer.index().verify().unwrap();
    }
}
