//! What an index refuses, and what survives interruptions, corruption and other writers.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up cannot go on")]

mod shared;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use retrieval::index::{Batch, Index, IndexConfig, IndexError, SourceItem, Writer, build, import};
use retrieval::plaid::{Plaid, SearchConfig};
use retrieval::vectors::TokenVectors;
use shared::indexes::{WIDTH, built, config, files, ids, ragged, source};
use tempfile::TempDir;

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
fn an_index_can_be_opened_at_any_moment_of_a_write() {
    let (folder, texts) = (TempDir::new().unwrap(), ragged(60, WIDTH));
    build(folder.path(), &config(), source(&texts, 0, 40)).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut opened = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let index = Index::open(folder.path()).unwrap();
                assert_eq!(ids(&index)[..40].last().unwrap(), "doc-39");
                opened += 1;
            }
            opened
        });
        for _ in 0..8 {
            let mut writer = Writer::open(folder.path()).unwrap();
            writer.add(source(&texts, 40, 20)).unwrap();
            let gone: Vec<String> = (40..60).map(|index| format!("doc-{index}")).collect();
            writer.delete(&gone.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
            writer.compact().unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
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
    fs::write(&path, text.replace("codec-", "../codec-")).unwrap();
    let found = Index::open(folder.path()).unwrap_err().to_string();
    assert!(found.contains("is no file of an index"), "{found}");
    fs::write(&path, text.replace("\"version\": 1", "\"version\": 9")).unwrap();
    assert_eq!(built(folder.path(), &texts).len(), 10); // and replaced when an index is built in its place
    for other in ["{", "{\"name\": \"a web page\"}"] {
        fs::write(&path, other).unwrap();
        assert!(matches!(Index::open(folder.path()), Err(IndexError::Corrupt { .. })));
        let refused = build(folder.path(), &config(), source(&texts, 0, 10)).unwrap_err().to_string();
        assert!(refused.contains("is no manifest of an index and is not overwritten"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), other);
    }
}

#[test]
fn foreign_indexes_that_are_not_read_say_what_to_do() {
    let (foreign, target) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let refused = || import(foreign.path(), target.path()).unwrap_err().to_string();
    assert!(refused().contains("metadata.json"), "{}", refused());
    fs::write(foreign.path().join("metadata.json"), r#"{"nbits": 2, "binary": true}"#).unwrap();
    assert!(refused().contains("signs only"), "{}", refused());
    fs::write(foreign.path().join("metadata.json"), r#"{"nbits": 2, "num_chunks": 1}"#).unwrap();
    fs::write(foreign.path().join("centroids.pt"), b"PK").unwrap();
    assert!(refused().contains("not a file of `torch.save`"), "{}", refused());
    assert!(Index::open(target.path()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn damaged_foreign_indexes_are_refused_or_read_but_never_panic(
        which in 0_usize..3,
        file in 0_usize..20,
        places in proptest::collection::vec((0_usize..6000, any::<u8>()), 1..4),
        cut in 0_usize..4000,
    ) {
        let name = ["fast-plaid", "next-plaid", "colbert"][which];
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let (foreign, target) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let mut whole = files(&golden);
        let names: Vec<String> = whole.keys().cloned().collect();
        let bytes = whole.get_mut(&names[file % names.len()]).unwrap();
        for (place, value) in places {
            let place = place % bytes.len();
            bytes[place] = value;
        }
        if cut % 3 == 0 {
            bytes.truncate(cut % (bytes.len() + 1));
        }
        restore(foreign.path(), &whole);
        if let Ok(index) = import(foreign.path(), target.path()) {
            index.verify().unwrap();
        }
    }
}
