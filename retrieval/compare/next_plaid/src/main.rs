//! NextPlaid on the inputs that `peer_plaid` wrote; NEXT_PLAID's default build (no BLAS), in the release profile.
//!
//! Arguments: `build|search DOCUMENTS BITS NPROBE THRESHOLD CANDIDATES WORK`, or `fixture WORK FOLDER BITS` for golden files.

use std::time::Instant;

use ndarray::Array2;
use next_plaid::{IndexConfig, MmapIndex, SearchParameters};
use serde_json::json;

const WIDTH: usize = 128;
const TOKENS: usize = 100;
const QUERY_TOKENS: usize = 32;
const REPEATS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments[0] == "fixture" {
        return fixture(&arguments[1], &arguments[2], arguments[3].parse().unwrap());
    }
    let threads = std::env::var("RAYON_NUM_THREADS").map_or(1, |count| count.parse().unwrap());
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().unwrap();
    let [what, documents, bits, nprobe, threshold, candidates, work] = &arguments[..] else { panic!("usage") };
    let folder = format!("{work}/next-{documents}-{bits}.index");
    if what == "build" {
        let texts = read(&format!("{work}/plaid-{documents}.documents"), TOKENS);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let config = IndexConfig { nbits: bits.parse().unwrap(), ..IndexConfig::default() };
        let start = Instant::now();
        let index = MmapIndex::create_with_kmeans(&texts, &folder, &config).unwrap();
        let seconds = start.elapsed().as_secs_f64();
        println!("{}", json!({"seconds": seconds, "items": index.num_embeddings(), "values": []}));
        return;
    }
    let queries = read(&format!("{work}/plaid-{documents}.queries"), QUERY_TOKENS);
    let index = MmapIndex::load(&folder).unwrap();
    let parameters = SearchParameters {
        top_k: 10,
        n_ivf_probe: nprobe.parse().unwrap(),
        centroid_score_threshold: threshold.parse().ok(),
        n_full_scores: candidates.parse().unwrap(),
        ..SearchParameters::default()
    };
    let (mut fastest, mut found) = (f64::INFINITY, Vec::new());
    for _ in 0..REPEATS {
        let start = Instant::now();
        found = index.search_batch(&queries, &parameters, threads > 1, None).unwrap();
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    let exact = std::fs::read_to_string(format!("{work}/plaid-{documents}.exact")).unwrap();
    let exact: Vec<Vec<i64>> = serde_json::from_str(&exact).unwrap();
    let hits = exact.iter().zip(&found).map(|(e, f)| e.iter().filter(|d| f.passage_ids.contains(d)).count());
    let recall = hits.sum::<usize>() as f64 / (10 * queries.len()) as f64;
    println!("{}", json!({"seconds": fastest, "items": queries.len(), "values": [recall], "recall_at_10": recall}));
}

/// Builds an index of the documents in WORK/fixture.json and prints what it reconstructs.
fn fixture(work: &str, folder: &str, bits: usize) {
    let text = std::fs::read_to_string(format!("{work}/fixture.json")).unwrap();
    let documents: Vec<Vec<Vec<f32>>> = serde_json::from_str(&text).unwrap();
    let array = |rows: &Vec<Vec<f32>>| Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap();
    let texts: Vec<Array2<f32>> = documents.iter().map(array).collect();
    std::fs::create_dir_all(folder).unwrap();
    let config = IndexConfig { nbits: bits, ..IndexConfig::default() };
    let index = MmapIndex::create_with_kmeans(&texts, folder, &config).unwrap();
    let ids: Vec<i64> = (0..texts.len() as i64).collect();
    let rows = |document: Array2<f32>| -> Vec<Vec<f32>> { document.rows().into_iter().map(|row| row.to_vec()).collect() };
    let restored: Vec<_> = index.reconstruct(&ids).unwrap().into_iter().map(rows).collect();
    println!("{}", json!(restored));
}

fn read(path: &str, tokens: usize) -> Vec<Array2<f32>> {
    let bytes = std::fs::read(path).unwrap();
    let values: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let text = |values: &[f32]| Array2::from_shape_vec((tokens, WIDTH), values.to_vec()).unwrap();
    values.chunks_exact(tokens * WIDTH).map(text).collect()
}
