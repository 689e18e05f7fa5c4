//! Importance beside llama.cpp's: what its graph sees on the same text, and the models that it quantizes with it. Skipped
//! without the data folder.

use std::collections::BTreeMap;

use super::real_models::digest;
use super::{data, succeeds};
use quantization::gguf::File;
use quantization::imatrix::{Entry, Imatrix};
use serde::Deserialize;

/// Of a sum of squares: llama.cpp adds products in another order.
const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Golden {
    context: usize,
    chunks: usize,
    sums: BTreeMap<String, Sums>,
    hashes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Sums {
    count: f32,
    sum: f64,
    picked: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/imatrix_llama.json")).unwrap()
}

#[test]
fn importance_is_what_llama_cpps_graph_sees() {
    let Some(data) = data().filter(|data| data.join("tinystories-sample/sample.txt").exists()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let golden = golden();
    let model = data.join("stories260k/stories260K-f32.gguf");
    let text = data.join("tinystories-sample/sample.txt");
    let [context, chunks] = [golden.context, golden.chunks].map(|number| number.to_string());
    let arguments =
        ["imatrix", model.to_str().unwrap(), text.to_str().unwrap(), "out.gguf", "--context", &context];
    succeeds(folder.path(), &[&arguments[..], &["--chunks", &chunks, "-q"]].concat());
    let ours = Imatrix::read(folder.path().join("out.gguf")).unwrap();
    assert!(ours.entries.keys().eq(golden.sums.keys()), "{:?}", ours.entries.keys());
    for (name, expected) in golden.sums {
        let entry = &ours.entries[&name];
        assert_eq!(entry.counts, [expected.count], "{name}");
        let near = |found: f64, expected: f64| (found - expected).abs() <= TOLERANCE * expected;
        let sum: f64 = entry.sums.iter().map(|&sum| f64::from(sum)).sum();
        assert!(near(sum, expected.sum), "{name}: {sum}, expected {}", expected.sum);
        let picked = entry.sums.iter().step_by((entry.sums.len() / 4).max(1));
        for (&found, expected) in picked.zip(expected.picked) {
            assert!(near(f64::from(found), expected), "{name}: {found}, expected {expected}");
        }
    }
}

/// The golden script's formula: squares of (7·column + length of the name) mod 23 + 1, over 64.
fn by_formula(model: &File) -> Imatrix {
    let blocks =
        model.tensors().iter().filter(|tensor| tensor.name.starts_with("blk.") && tensor.dims.len() == 2);
    let entry = |name: &str, columns: u64| {
        let root = |column: u64| ((7 * column + name.len() as u64) % 23 + 1) as f32;
        Entry { sums: (0..columns).map(|column| root(column).powi(2) / 64.0).collect(), counts: vec![1.0] }
    };
    let entries = blocks.map(|tensor| (tensor.name.clone(), entry(&tensor.name, tensor.dims[0]))).collect();
    Imatrix { chunk_count: 1, chunk_size: 1, entries, ..Imatrix::default() }
}

#[test]
fn with_importance_whole_models_are_llama_cpps_byte_for_byte() {
    let input = data().map(|data| data.join("shakespeare-llama-256/model-f16.gguf"));
    let Some(input) = input.filter(|input| input.exists()) else { return };
    let folder = tempfile::tempdir().unwrap();
    by_formula(&File::open(&input).unwrap()).write(folder.path().join("importance.gguf")).unwrap();
    for (kind, expected) in golden().hashes {
        let arguments = ["quantize", input.to_str().unwrap(), "out.gguf", "--type", &kind];
        succeeds(folder.path(), &[&arguments[..], &["--imatrix", "importance.gguf", "-q"]].concat());
        assert_eq!(digest(&folder.path().join("out.gguf")), expected, "{kind}");
    }
}
