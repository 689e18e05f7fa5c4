//! Our side of the peer cases `maxsim-*`: every document scored on one thread; writes the inputs.
//!
//! Arguments: STORAGE DOCUMENTS WORK. The values are the ten best scores of four queries.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

#[path = "../tests/shared/mod.rs"]
mod shared;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use retrieval::maxsim::{Exact, Hit, Limits, Storage};
use retrieval::vectors::TokenVectors;
use serde_json::json;

const WIDTH: usize = 128;
const TOKENS: usize = 100;
const QUERIES: usize = 4;
const QUERY_TOKENS: usize = 32;
const REPEATS: usize = 5;

fn main() -> Result<()> {
    let usage = "usage: peer_maxsim STORAGE DOCUMENTS WORK";
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [storage, documents, work] = &arguments[..] else { bail!(usage) };
    let storage = match storage.as_str() {
        "f32" => Storage::F32,
        "bf16" => Storage::Bf16,
        "screened" => Storage::Screened,
        other => bail!("storage `{other}` is none of f32, bf16, screened"),
    };
    let documents: usize = documents.parse().context(usage)?;
    let work = PathBuf::from(work);
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?; // before anything uses the default pool
    let world = shared::World::new(1, 8192, WIDTH);
    let texts = world.texts("documents", documents, TOKENS);
    let queries = world.queries(&texts, QUERIES, QUERY_TOKENS);
    write(&work.join(format!("maxsim-{documents}.documents")), texts.values())?;
    write(&work.join("maxsim.queries"), queries.values())?;
    let reference = Exact::new(texts.clone(), Storage::F32)?;
    let exact = Exact::new(texts, storage)?;
    let mut fastest = f64::INFINITY;
    let mut found = Vec::new();
    for _ in 0..REPEATS {
        let started = Instant::now();
        found = search(&exact, &queries)?;
        fastest = fastest.min(started.elapsed().as_secs_f64());
    }
    let recall = retrieval::maxsim::recall(&search(&reference, &queries)?, &found);
    let values: Vec<f32> = found.iter().flatten().map(|hit| hit.score).collect();
    let (_, screening) = exact.search_counted(queries.text(0), 10)?;
    let (products, bytes) =
        (QUERIES * QUERY_TOKENS * documents * TOKENS * WIDTH, QUERIES * documents * TOKENS * WIDTH);
    let value_bytes = match storage {
        Storage::F32 => 4,
        Storage::Bf16 => 2,
        Storage::Screened => 1,
    };
    let limits = Limits::measure();
    println!(
        "{}",
        json!({"seconds": fastest, "items": QUERIES * documents, "values": values, "recall_at_10": recall,
            "scored": screening.scored, "share_of_f32_limit": limits.share(products as f64, (value_bytes * bytes) as f64, fastest),
            "bandwidth_gb_per_s": limits.bytes_per_s / 1e9, "f32_products_g_per_s": limits.products_per_s / 1e9})
    );
    Ok(())
}

fn search(exact: &Exact, queries: &TokenVectors) -> Result<Vec<Vec<Hit>>> {
    queries.iter().map(|query| Ok(exact.search(query, 10)?)).collect()
}

/// Writes little-endian floats, unless the file is there already: its name says what is in it.
fn write(path: &Path, values: &[f32]) -> Result<()> {
    if std::fs::metadata(path).is_ok_and(|file| file.len() == 4 * values.len() as u64) {
        return Ok(());
    }
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(path, bytes).with_context(|| format!("{}: writing", path.display()))
}
