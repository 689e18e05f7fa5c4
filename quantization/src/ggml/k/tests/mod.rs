//! K-quants against the bytes of ggml and against the searches written block by block.

use std::path::PathBuf;

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::dispatch::Level;
use super::*;

mod decode;
mod measure;

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
            dispatch::encode(level, Job { kind, weights, row_len, importance, out, beyond: false });
        });
    }
}

/// Kinds of blocks.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Normal,
    HeavyTailed,
    Positive,
    Constant,
    Zero,
    Tiny,
    Huge,
    Negative,
    Outlier,
    Ternary,
    Halves,
    SomeZero,
    NearlyConstant,
}

const SHAPES: [Shape; 13] = {
    use Shape::*;
    [
        Normal,
        HeavyTailed,
        Positive,
        Constant,
        Zero,
        Tiny,
        Huge,
        Negative,
        Outlier,
        Ternary,
        Halves,
        SomeZero,
        NearlyConstant,
    ]
};

fn sample(shape: Shape, count: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let constant = random.random_range(-1.0..1.0f32);
    let value = |i: usize| {
        let normal = 0.02 * (0..12).map(|_| random.random_range(-0.5..0.5f32)).sum::<f32>();
        let uniform = random.random_range(0.001..1.0f32);
        match shape {
            Shape::Normal => normal,
            Shape::HeavyTailed => normal / uniform.sqrt(),
            Shape::Positive => uniform * uniform,
            Shape::Constant => constant,
            Shape::Zero => 0.0,
            Shape::Tiny => normal * 5e-6,
            Shape::Huge => normal * 5e4,
            Shape::Negative => -normal.abs(),
            Shape::Outlier => normal * if i % 256 == 77 { 50.0 } else { 1.0 },
            Shape::Ternary => 0.0375 * random.random_range(-1..=1) as f32,
            Shape::Halves => 0.5 * random.random_range(-8..=7) as f32,
            Shape::SomeZero => {
                normal
                    * random.random_range(0..=1) as f32
                    * if (i / 32).is_multiple_of(3) { 0.0 } else { 1.0 }
            }
            Shape::NearlyConstant => constant * (1.0 + 1e-7 * random.random_range(0..=2) as f32),
        }
    };
    (0..count).map(value).collect()
}

fn squared(kind: GgmlType, x: &[f32], w: &[f32], block: &[u8]) -> f64 {
    let decoded = decode::decode(kind, block);
    let terms = x.iter().zip(w).zip(decoded);
    terms.map(|((&x, &w), decoded)| f64::from(w) * (f64::from(x) - f64::from(decoded)).powi(2)).sum()
}

/// Rows with every kind of block, and an importance (none, some, some with zeros).
fn rows() -> impl Strategy<Value = (Vec<f32>, usize, Option<Vec<f32>>)> {
    (1..4usize, 1..8usize, any::<u64>(), 0..4usize).prop_map(|(rows, blocks, seed, mode)| {
        let mut weights = Vec::new();
        for block in 0..rows * blocks {
            let shape = SHAPES[(seed as usize).wrapping_add(block * 5) % SHAPES.len()];
            weights.extend(sample(shape, 256, seed.wrapping_add(block as u64)));
        }
        let mut importance = sample(Shape::Positive, 256 * blocks, seed);
        for (i, v) in importance.iter_mut().enumerate() {
            let zero = (mode == 2 && i % 3 == 0) || (mode == 3 && i / 32 % 2 == 0);
            *v = if zero { 0.0 } else { *v };
        }
        (weights, 256 * blocks, (mode > 0).then_some(importance))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_lanes_give_the_bytes_of_the_block_by_block_searches((weights, row_len, importance) in rows()) {
        let importance = importance.as_deref();
        for kind in KINDS.into_iter().chain([GgmlType::Q8_K]) {
            let mut expected = vec![0; kind.bytes(weights.len()).unwrap()];
            scalar::encode(kind, &weights, row_len, importance, &mut expected);
            for level in Level::available() {
                let mut found = vec![0xa5; expected.len()];
                let out = found.as_mut_slice();
                let job = Job { kind, weights: &weights, row_len, importance, out, beyond: false };
                dispatch::encode(level, job);
                let size = kind.block_bytes();
                let wrong = found.chunks(size).zip(expected.chunks(size)).position(|(a, b)| a != b);
                prop_assert_eq!(wrong, None, "super-block of {} on {:?}", kind, level);
            }
        }
    }

    #[test]
    fn the_further_search_is_nowhere_worse_than_ggml((weights, row_len, importance) in rows()) {
        for kind in KINDS {
            for level in Level::available() {
                let [before, after] = [false, true].map(|beyond| {
                    let mut bytes = vec![0; kind.bytes(weights.len()).unwrap()];
                    let (importance, out) = (importance.as_deref(), bytes.as_mut_slice());
                    dispatch::encode(level, Job { kind, weights: &weights, row_len, importance, out, beyond });
                    bytes
                });
                let size = kind.block_bytes();
                for (i, x) in weights.chunks_exact(256).enumerate() {
                    let start = i * 256 % row_len;
                    let ones = [1.0; 256];
                    let w = importance.as_ref().map_or(&ones[..], |v| &v[start..start + 256]);
                    let [before, after] = [&before, &after].map(|y| squared(kind, x, w, &y[i * size..][..size]));
                    prop_assert!(after <= before, "{kind} on {level:?}: {after} > {before} in block {i}");
                }
            }
        }
    }
}
