//! K-quants against the bytes of ggml and against the searches written block by block.

use std::path::PathBuf;

use super::dispatch::Level;
use super::*;

const KINDS: [GgmlType; 5] = [GgmlType::Q2_K, GgmlType::Q3_K, GgmlType::Q4_K, GgmlType::Q5_K, GgmlType::Q6_K];

/// `data/ggml-golden` of the data root, `None` (and a line) without it.
fn golden() -> Option<PathBuf> {
    let folder = std::env::var_os("BENKYOKAI_DATA").map(|root| PathBuf::from(root).join("ggml-golden"));
    let folder = folder.filter(|folder| folder.is_dir());
    if folder.is_none() {
        eprintln!("skipped: BENKYOKAI_DATA has no ggml-golden");
    }
    folder
}

fn floats(path: PathBuf) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    bytes.chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect()
}

fn check_golden(encode: impl Fn(GgmlType, &[f32], usize, Option<&[f32]>, &mut [u8])) {
    let Some(folder) = golden() else { return };
    let input = floats(folder.join("input.f32"));
    let importance = floats(folder.join("importance.f32"));
    for kind in KINDS {
        for (suffix, importance) in [("", None), ("_im", Some(importance.as_slice()))] {
            let expected = std::fs::read(folder.join(format!("{kind}{suffix}.bin"))).unwrap();
            let mut bytes = vec![0xa5; expected.len()];
            encode(kind, &input, 1024, importance, &mut bytes);
            let size = kind.block_bytes();
            let wrong = (0..expected.len() / size)
                .filter(|i| bytes[i * size..][..size] != expected[i * size..][..size]);
            assert_eq!(wrong.collect::<Vec<_>>(), [0; 0], "super-blocks of {kind}{suffix}");
        }
    }
}

#[test]
fn the_block_by_block_searches_give_the_bytes_of_ggml() {
    check_golden(scalar::encode);
}

#[test]
fn the_lanes_give_the_bytes_of_ggml() {
    for level in Level::available() {
        check_golden(|kind, weights, row_len, importance, out| {
            dispatch::encode(level, Job { kind, weights, row_len, importance, out });
        });
    }
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    use rand::{Rng, SeedableRng};
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let weights: Vec<f32> =
        (0..1 << 18).map(|_| (0..6).map(|_| random.random_range(-1.0..1.0f32)).sum()).collect();
    let importance: Vec<f32> = (0..4096).map(|_| random.random_range(0.01..1.0f32)).collect();
    for kind in KINDS.into_iter().chain([GgmlType::Q8_K]) {
        for importance in [None, Some(importance.as_slice())] {
            let mut out = vec![0; kind.bytes(weights.len()).unwrap()];
            let mut line = format!("{kind} {:5}", importance.is_some());
            let mut time = |name: &str, run: &mut dyn FnMut(&mut [u8])| {
                let best = (0..5).map(|_| {
                    let start = std::time::Instant::now();
                    run(&mut out);
                    start.elapsed().as_secs_f64()
                });
                let best = best.fold(f64::MAX, f64::min);
                line += &format!("  {name} {:6.0} MB/s", 4e-6 * weights.len() as f64 / best);
            };
            time("scalar", &mut |out| scalar::encode(kind, &weights, 4096, importance, out));
            for level in Level::available() {
                let name = format!("{level:?}");
                time(&name, &mut |out| {
                    dispatch::encode(level, Job { kind, weights: &weights, row_len: 4096, importance, out })
                });
            }
            eprintln!("{line}");
        }
    }
}
