//! Our side of the peer case `segmentation`: words of Japanese sentences with the dictionary of the peer's package.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use common::formats::stockmark;
use common::text::segment::Segmenter;
use serde_json::json;

fn main() -> Result<()> {
    let work = PathBuf::from(std::env::args().nth(1).context("usage: peer_segmentation WORK")?);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let data = std::env::var("BENKYOKAI_DATA").map_or_else(|_| root.join("data"), PathBuf::from);
    let texts = stockmark::read(&data.join("stockmark-ner-wikipedia/ner.json"))?;
    let texts: Vec<String> = texts.into_iter().map(|text| text.text).collect();
    std::fs::write(work.join("segmentation.json"), serde_json::to_vec(&texts)?)?;
    let dictionary = dictionary(&root.join(".venv-compare/lib"))?;
    let segmenter = Segmenter::open(&dictionary.display().to_string())?;
    let started = Instant::now();
    let words: Vec<Vec<(usize, usize)>> = texts.iter().map(|text| segmenter.words(text)).collect();
    let seconds = started.elapsed().as_secs_f64();
    // One number per sentence, in which every border of a word counts.
    let values: Vec<usize> = words.iter().map(|words| words.iter().map(|(_, end)| end * end).sum()).collect();
    println!(
        "{}",
        json!({"seconds": seconds, "items": words.iter().map(Vec::len).sum::<usize>(), "values": values})
    );
    Ok(())
}

/// Folder of the package unidic-lite below the peers' environment.
fn dictionary(lib: &Path) -> Result<PathBuf> {
    let mut versions = std::fs::read_dir(lib)?.filter_map(|entry| Some(entry.ok()?.path()));
    let folder = |python: PathBuf| python.join("site-packages/unidic_lite/dicdir");
    versions
        .find_map(|python| Some(folder(python)).filter(|folder| folder.exists()))
        .context("no unidic-lite")
}
