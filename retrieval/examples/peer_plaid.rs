//! Our side of the peer cases `build-*` and `search-*`; writes the inputs.
//!
//! Arguments: WHAT DOCUMENTS BITS NPROBE THRESHOLD CANDIDATES WORK; WHAT is `build` or `search`. A build is timed in tokens
//! per second, a search in queries per second on one thread with the recall of the ten best hits of an exact search beside it.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

#[path = "../tests/shared/mod.rs"]
mod shared;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use retrieval::index::{Batch, Index, IndexConfig, build};
use retrieval::maxsim::{Exact, Hit, Storage, recall};
use retrieval::plaid::{Plaid, SearchConfig, Stages};
use retrieval::vectors::TokenVectors;
use serde_json::json;

const WIDTH: usize = 128;
const TOKENS: usize = 100;
const QUERIES: usize = 100;
const QUERY_TOKENS: usize = 32;
const REPEATS: usize = 5;
/// Documents of a batch of the source.
const BATCH: usize = 500;

fn main() -> Result<()> {
    let usage = "usage: peer_plaid build|search DOCUMENTS BITS NPROBE THRESHOLD CANDIDATES WORK";
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, documents, bits, nprobe, threshold, candidates, work] = &arguments[..] else { bail!(usage) };
    let documents: usize = documents.parse().context(usage)?;
    let bits: u32 = bits.parse().context(usage)?;
    let threads: usize = std::env::var("RAYON_NUM_THREADS").map_or(Ok(1), |count| count.parse())?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let work = PathBuf::from(work);
    let world = shared::World::new(1, 8192, WIDTH);
    let texts = world.texts("documents", documents, TOKENS);
    let queries = world.queries(&texts, QUERIES, QUERY_TOKENS);
    write(&work.join(format!("plaid-{documents}.documents")), texts.values())?;
    write(&work.join(format!("plaid-{documents}.queries")), queries.values())?;
    let folder = work.join(format!("plaid-{documents}-{bits}.index"));
    if what == "build" {
        let points = std::env::var("POINTS").map_or(Ok(256), |count| count.parse())?;
        let config = IndexConfig { points_per_centroid: points, ..IndexConfig::colbert_v2(bits) };
        let started = Instant::now();
        let index = build(&folder, &config, batches(&texts).map(Ok))?;
        let seconds = started.elapsed().as_secs_f64();
        let summary = index.summary();
        println!(
            "{}",
            json!({"seconds": seconds, "items": summary.tokens, "values": [], "bytes_per_token": summary.bytes_per_token(),
                "centroids": summary.centroids, "peak_mb": peak_mb()})
        );
        return Ok(());
    }
    let index = Index::open(&folder)?;
    let plaid = Plaid::new(&index);
    let threshold = threshold.parse::<f32>().ok();
    let candidates: usize = candidates.parse().context(usage)?;
    let config = SearchConfig {
        nprobe: nprobe.parse().context(usage)?,
        threshold,
        candidates,
        scored: candidates / 4,
    };
    let expected = exact(&work.join(format!("plaid-{documents}.exact")), texts, &queries)?;
    let mut fastest = f64::INFINITY;
    let mut found = Vec::new();
    for _ in 0..REPEATS {
        let started = Instant::now();
        found = plaid.search_batch(&queries, 10, &config)?;
        fastest = fastest.min(started.elapsed().as_secs_f64());
    }
    let stages = mean(&found);
    let hits: Vec<Vec<Hit>> = found.into_iter().map(|(hits, _)| hits).collect();
    println!(
        "{}",
        json!({"seconds": fastest, "items": QUERIES, "values": [recall(&expected, &hits)],
            "recall_at_10": recall(&expected, &hits),
            "candidates": stages.candidates / QUERIES, "kept": stages.kept / QUERIES, "scored": stages.scored / QUERIES,
            "us": {"centroids": micros(stages.centroids_s), "candidates": micros(stages.candidates_s),
                "pruned": micros(stages.pruned_s), "unpruned": micros(stages.unpruned_s), "scored": micros(stages.scored_s)}})
    );
    Ok(())
}

fn micros(seconds: f64) -> f64 {
    (seconds * 1e7 / QUERIES as f64).round() / 10.0
}

/// Sums of what the searches did.
fn mean(found: &[(Vec<Hit>, Stages)]) -> Stages {
    let mut sum = Stages::default();
    for (_, stages) in found {
        sum.centroids_s += stages.centroids_s;
        sum.candidates_s += stages.candidates_s;
        sum.pruned_s += stages.pruned_s;
        sum.unpruned_s += stages.unpruned_s;
        sum.scored_s += stages.scored_s;
        sum.kept += stages.kept;
        sum.candidates += stages.candidates;
        sum.scored += stages.scored;
    }
    sum
}

fn batches(texts: &TokenVectors) -> impl Iterator<Item = Batch> {
    (0..texts.len()).step_by(BATCH).map(|first| {
        let range = first..(first + BATCH).min(texts.len());
        let mut vectors = TokenVectors::new(texts.width());
        range.clone().for_each(|index| vectors.push(texts.text(index)).expect("whole rows"));
        Batch { ids: range.map(|index| format!("d{index}")).collect(), texts: Vec::new(), vectors }
    })
}

/// The ten best hits of an exact search, kept in a file.
fn exact(path: &Path, texts: TokenVectors, queries: &TokenVectors) -> Result<Vec<Vec<Hit>>> {
    if !path.exists() {
        let hits = Exact::new(texts, Storage::Screened)?.search_batch(queries, 10)?;
        let documents: Vec<Vec<u32>> =
            hits.iter().map(|hits| hits.iter().map(|hit| hit.document).collect()).collect();
        std::fs::write(path, serde_json::to_string(&documents)?)?;
    }
    let documents: Vec<Vec<u32>> = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let hits =
        |documents: Vec<u32>| documents.into_iter().map(|document| Hit { document, score: 0.0 }).collect();
    Ok(documents.into_iter().map(hits).collect())
}

/// Greatest resident memory of this process, in MB.
fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

/// Writes little-endian floats, unless the file is there already: its name says what is in it.
fn write(path: &Path, values: &[f32]) -> Result<()> {
    if std::fs::metadata(path).is_ok_and(|file| file.len() == 4 * values.len() as u64) {
        return Ok(());
    }
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(path, bytes).with_context(|| format!("{}: writing", path.display()))
}
