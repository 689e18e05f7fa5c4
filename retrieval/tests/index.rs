//! An index on the disk: what it holds, what it refuses, what survives an interruption.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up cannot go on")]

mod shared;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::residual;
use common::residual::Cells;
use proptest::prelude::*;
use retrieval::index::{Batch, Codec, Index, IndexConfig, IndexError, SourceItem, Writer, build, import};
use retrieval::plaid::{Plaid, SearchConfig};
use retrieval::vectors::TokenVectors;
use tempfile::TempDir;

const WIDTH: usize = 32;

fn config() -> IndexConfig {
    IndexConfig { centroids: Some(16), segment_tokens: 300, ..IndexConfig::colbert_v2(2) }
}

/// Documents `first …` of the collection in batches of seven, with texts.
fn source(texts: &TokenVectors, first: usize, count: usize) -> Vec<SourceItem> {
    let batch = |start: usize| {
        let range = start..(start + 7).min(first + count);
        let mut vectors = TokenVectors::new(texts.width());
        range.clone().for_each(|index| vectors.push(texts.text(index)).unwrap());
        let ids = range.clone().map(|index| format!("doc-{index}")).collect();
        Ok(Batch { ids, texts: range.map(|index| format!("text {index} é")).collect(), vectors })
    };
    (first..first + count).step_by(7).map(batch).collect()
}

/// Documents of 0 to 30 tokens.
fn ragged(count: usize, width: usize) -> TokenVectors {
    let all = shared::clustered(7, "ragged", count, 30, width);
    let mut texts = TokenVectors::new(width);
    for (index, rows) in all.iter().enumerate() {
        texts.push(&rows[..(index * 7 % 31) * width]).unwrap();
    }
    texts
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let content = |entry: &fs::DirEntry| fs::read(entry.path()).unwrap();
    entries.map(|entry| (entry.file_name().into_string().unwrap(), content(&entry))).collect()
}

fn ids(index: &Index) -> Vec<String> {
    let live = (0..index.slots() as u32).filter(|&document| !index.is_deleted(document));
    live.map(|document| index.id(document).unwrap().to_owned()).collect()
}

fn built(folder: &Path, texts: &TokenVectors) -> Index {
    build(folder, &config(), source(texts, 0, texts.len())).unwrap()
}

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
fn an_open_index_does_not_see_what_is_written_afterwards() {
    let (folder, texts) = (TempDir::new().unwrap(), ragged(60, WIDTH));
    let old = build(folder.path(), &config(), source(&texts, 0, 40)).unwrap();
    let mut writer = Writer::open(folder.path()).unwrap();
    writer.delete(&["doc-1"]).unwrap();
    writer.compact().unwrap();
    assert_eq!((old.len(), old.id(1).unwrap()), (40, "doc-1"));
    assert!(!old.vectors(2).is_empty());
    assert_eq!(Index::open(folder.path()).unwrap().len(), 39);
}

#[test]
fn two_writers_at_once_are_refused_and_readers_are_not() {
    let (folder, texts) = (TempDir::new().unwrap(), ragged(20, WIDTH));
    built(folder.path(), &texts);
    let writer = Writer::open(folder.path()).unwrap();
    let refused = Writer::open(folder.path()).unwrap_err().to_string();
    assert!(
        refused.ends_with("another program is writing to this index; wait until it is done"),
        "{refused}"
    );
    let rebuilt = build(folder.path(), &config(), source(&texts, 0, 20));
    assert!(matches!(rebuilt, Err(IndexError::Locked { .. })));
    assert_eq!(Index::open(folder.path()).unwrap().len(), 20);
    drop(writer);
    Writer::open(folder.path()).unwrap();
}

/// Every state that an interruption can leave on the disk: the old files, and the new ones up to some byte of some file, with
/// the old manifest; the new manifest appears by a rename.
#[test]
fn an_interrupted_write_leaves_the_old_index() {
    let texts = ragged(60, WIDTH);
    let folder = TempDir::new().unwrap();
    build(folder.path(), &config(), source(&texts, 0, 40)).unwrap();
    let old = files(folder.path());
    let expected = ids(&Index::open(folder.path()).unwrap());
    type Change = fn(&Path, &TokenVectors);
    let changes: [Change; 4] = [
        |path, texts| Writer::open(path).unwrap().add(source(texts, 40, 20)).unwrap(),
        |path, _| Writer::open(path).unwrap().delete(&["doc-7"]).unwrap(),
        |path, _| Writer::open(path).unwrap().compact().unwrap(),
        |path, texts| drop(built(path, texts)),
    ];
    for change in changes {
        let after = TempDir::new().unwrap();
        restore(after.path(), &old);
        change(after.path(), &texts);
        let new = files(after.path());
        let written: Vec<(&String, &Vec<u8>)> =
            new.iter().filter(|(name, bytes)| old.get(*name) != Some(bytes)).collect();
        assert!(!written.is_empty());
        for stop in 0..=written.len() {
            for cut in [0, 1, 2] {
                let state = TempDir::new().unwrap();
                restore(state.path(), &old);
                for (name, bytes) in &written[..stop] {
                    // A rename is whole or has not happened; until then the manifest has another name.
                    let target = if *name == "manifest.json" { "manifest.json.77.tmp" } else { name };
                    fs::write(state.path().join(target), bytes).unwrap();
                }
                if let Some((name, bytes)) = written.get(stop) {
                    fs::write(state.path().join(format!("{name}.tmp")), []).unwrap();
                    let target = if *name == "manifest.json" { "manifest.json.77.tmp" } else { name };
                    fs::write(state.path().join(target), &bytes[..bytes.len() * cut / 2]).unwrap();
                }
                let index = Index::open(state.path()).unwrap();
                index.verify().unwrap();
                assert_eq!(ids(&index), expected);
                change(state.path(), &texts); // and the write can be made again
                assert_eq!(
                    ids(&Index::open(state.path()).unwrap()),
                    ids(&Index::open(after.path()).unwrap())
                );
            }
        }
    }
}

fn restore(folder: &Path, files: &BTreeMap<String, Vec<u8>>) {
    files.iter().for_each(|(name, bytes)| fs::write(folder.join(name), bytes).unwrap());
}

/// Not a test of its own: what [`a_killed_writer_leaves_a_whole_index`] kills.
#[test]
#[ignore = "a child process of another test"]
fn child_that_writes_for_ever() {
    let Some(path) = std::env::var_os("BENKYOKAI_TEST_INDEX") else { return };
    let (path, texts) = (Path::new(&path), ragged(60, WIDTH));
    for round in 0.. {
        let mut writer = Writer::open(path).unwrap();
        writer.add(source(&texts, 40, 20)).unwrap();
        let gone: Vec<String> = (40..60).map(|index| format!("doc-{index}")).collect();
        writer.delete(&gone.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        writer.compact().unwrap();
        drop(writer);
        if round % 4 == 3 {
            build(path, &config(), source(&texts, 0, 40)).unwrap();
        }
    }
}

#[test]
fn a_killed_writer_leaves_a_whole_index() {
    let (folder, texts) = (TempDir::new().unwrap(), ragged(60, WIDTH));
    build(folder.path(), &config(), source(&texts, 0, 40)).unwrap();
    let expected = ids(&Index::open(folder.path()).unwrap());
    for round in 0..12 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_writes_for_ever", "--ignored"])
            .env("BENKYOKAI_TEST_INDEX", folder.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20 + 37 * round));
        assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        let index = Index::open(folder.path()).unwrap();
        index.verify().unwrap();
        let found = ids(&index);
        // Before or after any of its changes: the first forty are always there, the others all or none.
        assert_eq!(found[..40], expected[..]);
        assert!([40, 60].contains(&found.len()), "{} documents", found.len());
        let mut writer = Writer::open(folder.path()).unwrap(); // the lock went with the process
        let late: Vec<&str> = found[40..].iter().map(String::as_str).collect();
        writer.delete(&late).unwrap();
    }
}

#[test]
fn a_failing_source_leaves_the_old_index() {
    let (folder, texts) = (TempDir::new().unwrap(), ragged(40, WIDTH));
    built(folder.path(), &texts);
    let old = files(folder.path());
    let broken = || {
        let mut items = source(&texts, 0, 14);
        items.push(Err("the encoder stopped".into()));
        items
    };
    let error = build(folder.path(), &config(), broken()).unwrap_err();
    assert_eq!(error.to_string(), "reading the documents: the encoder stopped");
    assert_eq!(files(folder.path()), old);
    let mut writer = Writer::open(folder.path()).unwrap();
    assert!(writer.add(broken()).is_err());
    drop(writer);
    assert_eq!(files(folder.path()), old);
}

#[test]
fn every_corrupt_file_is_named() {
    let (folder, texts) = (TempDir::new().unwrap(), ragged(60, WIDTH));
    built(folder.path(), &texts);
    Writer::open(folder.path()).unwrap().delete(&["doc-5"]).unwrap();
    let whole = files(folder.path());
    for (name, bytes) in whole.iter().filter(|(name, _)| name.ends_with(".bin")) {
        for place in [0, 9, 17, 25, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
            let place = place % bytes.len();
            let mut changed = bytes.clone();
            changed[place] ^= 0x10;
            fs::write(folder.path().join(name), &changed).unwrap();
            let found = Index::open(folder.path()).and_then(|index| index.verify()).unwrap_err().to_string();
            assert!(found.contains(name.as_str()), "{name} byte {place}: {found}");
            // Whatever a search of it gives, it does not panic.
            if let Ok(index) = Index::open(folder.path()) {
                let query = shared::clustered(7, "query", 1, 5, WIDTH);
                let settings = SearchConfig { nprobe: 16, threshold: None, candidates: 9, scored: 5 };
                Plaid::new(&index).search(query.text(0), 3, &settings).unwrap();
                for document in 0..60 {
                    let _ = (index.id(document), index.text(document));
                }
            }
        }
        fs::write(folder.path().join(name), &bytes[..bytes.len() - 1]).unwrap();
        let cut = Index::open(folder.path()).unwrap_err().to_string();
        assert!(cut.contains(name.as_str()), "{cut}");
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    Index::open(folder.path()).unwrap().verify().unwrap();
}

#[test]
fn unusable_input_is_refused_in_words() {
    let folder = TempDir::new().unwrap();
    let one = |id: &str, values: &[f32], width: usize| -> Vec<SourceItem> {
        let mut vectors = TokenVectors::new(width);
        vectors.push(values).unwrap();
        vec![Ok(Batch { ids: vec![id.to_owned()], texts: Vec::new(), vectors })]
    };
    let two = |a: Vec<SourceItem>, b: Vec<SourceItem>| a.into_iter().chain(b).collect::<Vec<_>>();
    let build = |source: Vec<SourceItem>| build(folder.path(), &config(), source).unwrap_err().to_string();
    let ragged = Batch { ids: vec!["a".to_owned()], texts: Vec::new(), vectors: TokenVectors::new(2) };
    let expected = [
        (build(one("", &[1.0], 1)), "document 0 of the source has an empty id; every document needs one"),
        (
            build(two(one("a", &[1.0], 1), one("a", &[1.0], 1))),
            "document id `a` occurs twice; ids are unique (to replace a document, delete it first)",
        ),
        (
            build(two(one("a", &[1.0], 1), one("b", &[1.0, 0.0], 2))),
            "document `b` has vectors of width 2, expected 1; encode all with one model",
        ),
        (
            build(one("a", &[1.0, 0.0, f32::NAN, 0.0], 2)),
            "document `a`: token 1 holds a number that is not finite; the model or its input is broken",
        ),
        (
            build(vec![Ok(ragged)]),
            "a batch has 1 ids, 0 texts and 0 documents of vectors; expected equal numbers",
        ),
        (build(Vec::new()), "the documents have no token at all; there is nothing to learn centroids from"),
        (
            build(one("a", &[], 4)),
            "the documents have no token at all; there is nothing to learn centroids from",
        ),
    ];
    for (found, expected) in expected {
        assert_eq!(found, expected);
    }
    let missing = Index::open(folder.path()).unwrap_err().to_string();
    assert!(
        missing.ends_with("no index (no `manifest.json`); build one first, or check the path"),
        "{missing}"
    );
    assert!(matches!(Writer::open(&folder.path().join("nowhere")), Err(IndexError::Missing { .. })));
    let settings = IndexConfig { bits: 3, ..config() };
    let refused = retrieval::index::build(folder.path(), &settings, Vec::new()).unwrap_err().to_string();
    assert_eq!(refused, "`bits` is 3, expected 1, 2 or 4");
}

#[test]
fn another_version_is_refused() {
    let (folder, texts) = (TempDir::new().unwrap(), ragged(10, WIDTH));
    built(folder.path(), &texts);
    let path = folder.path().join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"version\": 1", "\"version\": 9")).unwrap();
    let found = Index::open(folder.path()).unwrap_err().to_string();
    assert!(found.contains("version 9 of the format, expected 1"), "{found}");
    fs::write(&path, "{").unwrap();
    assert!(matches!(Index::open(folder.path()), Err(IndexError::Corrupt { .. })));
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
fn indexes_of_fast_plaid_and_next_plaid_are_read() {
    for name in ["fast-plaid", "next-plaid"] {
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

#[test]
fn foreign_indexes_that_are_not_read_say_what_to_do() {
    let (foreign, target) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let refused = || import(foreign.path(), target.path()).unwrap_err().to_string();
    fs::write(foreign.path().join("centroids.pt"), b"PK").unwrap();
    assert!(refused().contains("PyTorch files, which are not read; convert each"), "{}", refused());
    fs::remove_file(foreign.path().join("centroids.pt")).unwrap();
    assert!(refused().contains("metadata.json"), "{}", refused());
    fs::write(foreign.path().join("metadata.json"), r#"{"nbits": 2, "binary": true}"#).unwrap();
    assert!(refused().contains("signs only"), "{}", refused());
    assert!(Index::open(target.path()).is_err());
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
