//! The residual codec against numpy, and on vectors like those of a late-interaction index.

#![expect(clippy::unwrap_used, reason = "a test without its golden file cannot go on")]

use std::path::Path;

use common::residual::{Cells, Codec, CodecConfig, KmeansConfig, cells, kmeans};
use common::seed;
use proptest::prelude::*;
use rand::Rng;
use serde_json::Value;

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/residual.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn integers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as u32).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |worst, (a, b)| worst.max((a - b).abs()))
}

/// One rounding of f32 at the size of a component.
const ROUNDING: f32 = 1e-7;

#[test]
fn cells_codes_bytes_and_vectors_equal_numpy() {
    for case in golden()["cases"].as_array().unwrap() {
        let bits = case["bits"].as_u64().unwrap() as u32;
        let (cutoffs, weights) = cells(Cells::Quantile, &floats(&case["sample"]), bits);
        assert!(largest_difference(&cutoffs, &floats(&case["cutoffs"])) < ROUNDING, "{bits} bits");
        assert!(largest_difference(&weights, &floats(&case["weights"])) < ROUNDING, "{bits} bits");
        let (cutoffs, weights) = (floats(&case["cutoffs"]), floats(&case["weights"]));
        let codec = Codec::from_parts(32, bits, floats(&case["centroids"]), cutoffs, weights).unwrap();
        let compressed = codec.compress(&floats(&case["vectors"])).unwrap();
        assert_eq!(compressed.centroids, integers(&case["ids"]));
        assert_eq!(
            compressed.residuals.iter().map(|&b| u32::from(b)).collect::<Vec<_>>(),
            integers(&case["packed"])
        );
        let decoded = codec.decompress(&compressed).unwrap();
        assert!(largest_difference(&decoded, &floats(&case["decoded"])) < 2.0 * ROUNDING, "{bits} bits");
    }
}

/// Unit vectors of 64 dimensions around twenty directions.
fn cloud(count: usize) -> Vec<f32> {
    let mut rng = seed::rng(5, "cloud", 0);
    let mut draw = |spread: f32| -> Vec<f32> {
        let uniform = (0..64).map(|_| (0..4).map(|_| rng.random::<f32>() - 0.5).sum::<f32>());
        uniform.map(|x| x * spread).collect()
    };
    let centres: Vec<Vec<f32>> = (0..20).map(|_| draw(1.0)).collect();
    let mut vectors = Vec::new();
    for row in 0..count {
        let vector: Vec<f32> = draw(0.4).iter().zip(&centres[row % 20]).map(|(x, c)| x + c).collect();
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vectors.extend(vector.iter().map(|x| x / length));
    }
    vectors
}

fn config(bits: u32, cells: Cells) -> CodecConfig {
    CodecConfig { bits, kmeans: KmeansConfig { centroids: 20, rounds: 8 }, held_out: 0.1, cells }
}

/// Mean cosine between vectors and what the codec makes of them.
fn cosine(codec: &Codec, vectors: &[f32]) -> f64 {
    let decoded = codec.decompress(&codec.compress(vectors).unwrap()).unwrap();
    let dot: f64 = decoded.iter().zip(vectors).map(|(a, b)| f64::from(a * b)).sum();
    dot / (vectors.len() / codec.dim()) as f64
}

/// Neither kind of cells is made for the mean cosine: which one is nearer depends on the data, and is not claimed here.
#[test]
fn more_bits_come_closer_with_either_kind_of_cells() {
    let vectors = cloud(800);
    for kind in [Cells::Quantile, Cells::LloydMax] {
        let found = [1, 2, 4]
            .map(|bits| cosine(&Codec::train(&vectors, 64, &config(bits, kind), 1).unwrap(), &vectors));
        assert!(found[0] < found[1] && found[1] < found[2] && found[2] > 0.99, "{kind:?}: {found:?}");
    }
}

#[test]
fn a_vector_of_128_dimensions_takes_36_bytes_at_2_bits() {
    let bytes = |bits| {
        let cells = 1_usize << bits;
        Codec::from_parts(128, bits, vec![0.0; 128], vec![0.0; cells - 1], vec![0.0; cells])
            .unwrap()
            .vector_bytes()
    };
    assert_eq!([1, 2, 4].map(bytes), [20, 36, 68]);
}

#[test]
fn the_same_seed_gives_the_same_codec_on_any_number_of_threads() {
    let vectors = cloud(300);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Codec::train(&vectors, 64, &config(2, Cells::Quantile), 9).unwrap())
    };
    assert_eq!(on(1), on(3));
    let other = Codec::train(&vectors, 64, &config(2, Cells::Quantile), 10).unwrap();
    assert_ne!(on(1), other);
}

#[test]
fn more_rounds_of_k_means_never_raise_the_error() {
    let vectors = cloud(300);
    let error = |rounds| {
        let centroids = kmeans(&vectors, 64, KmeansConfig { centroids: 12, rounds }, 3).unwrap();
        let nearest = |vector: &[f32]| {
            let squared =
                |c: &[f32]| vector.iter().zip(c).map(|(x, c)| f64::from(x - c).powi(2)).sum::<f64>();
            centroids.chunks_exact(64).map(squared).fold(f64::INFINITY, f64::min)
        };
        vectors.chunks_exact(64).map(nearest).sum::<f64>()
    };
    let errors: Vec<f64> = (0..6).map(error).collect();
    assert!(errors.windows(2).all(|pair| pair[1] <= pair[0] + 1e-6), "{errors:?}");
}

proptest! {
    #[test]
    fn decoded_vectors_have_unit_length_and_compress_row_by_row(
        rows in proptest::collection::vec(proptest::collection::vec(-1.0_f32..1.0, 16), 1..6),
    ) {
        let weights = vec![-0.3, -0.1, 0.1, 0.3];
        let centroids = (0..48).map(|i| (i as f32 * 0.7).sin()).collect();
        let codec = Codec::from_parts(16, 2, centroids, vec![-0.2, 0.0, 0.2], weights).unwrap();
        let together = codec.compress(&rows.concat()).unwrap();
        let alone: Vec<_> = rows.iter().map(|row| codec.compress(row).unwrap()).collect();
        prop_assert_eq!(&together.residuals, &alone.iter().flat_map(|c| c.residuals.clone()).collect::<Vec<_>>());
        for vector in codec.decompress(&together).unwrap().chunks_exact(16) {
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            prop_assert!((length - 1.0).abs() < 1e-5);
        }
    }
}
