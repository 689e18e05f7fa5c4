//! Indexes that tests make.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "every test uses its part; one that cannot set up cannot go on"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use retrieval::index::{Batch, Index, IndexConfig, SourceItem, build};
use retrieval::vectors::TokenVectors;

pub(crate) const WIDTH: usize = 32;

pub(crate) fn config() -> IndexConfig {
    IndexConfig { centroids: Some(16), segment_tokens: 300, ..IndexConfig::colbert_v2(2) }
}

/// Documents `first …` of the collection in batches of seven, with texts.
pub(crate) fn source(texts: &TokenVectors, first: usize, count: usize) -> Vec<SourceItem> {
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
pub(crate) fn ragged(count: usize, width: usize) -> TokenVectors {
    let all = super::clustered(7, "ragged", count, 30, width);
    let mut texts = TokenVectors::new(width);
    for (index, rows) in all.iter().enumerate() {
        texts.push(&rows[..(index * 7 % 31) * width]).unwrap();
    }
    texts
}

pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let content = |entry: &fs::DirEntry| fs::read(entry.path()).unwrap();
    entries.map(|entry| (entry.file_name().into_string().unwrap(), content(&entry))).collect()
}

pub(crate) fn ids(index: &Index) -> Vec<String> {
    let live = (0..index.slots() as u32).filter(|&document| !index.is_deleted(document));
    live.map(|document| index.id(document).unwrap().to_owned()).collect()
}

pub(crate) fn built(folder: &Path, texts: &TokenVectors) -> Index {
    build(folder, &config(), source(texts, 0, texts.len())).unwrap()
}
