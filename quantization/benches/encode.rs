//! Bytes of f32 per second that each type's encoder takes and its decoder gives, one thread.

#![expect(missing_docs, reason = "criterion's macros make public functions without docs")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quantization::ggml::{GgmlType, decode, encode};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hint::black_box;

const COLUMNS: usize = 1024;
const ROWS: usize = 64;

/// Sums of four uniform numbers: nearly normal, deviation 0.02.
fn weights() -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut one = || (0..4).map(|_| rng.random_range(-1.0_f32..1.0)).sum::<f32>() * 0.0173;
    (0..ROWS * COLUMNS).map(|_| one()).collect()
}

fn importance() -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    (0..COLUMNS).map(|_| rng.random_range(0.1_f32..1.0).powi(2)).collect()
}

fn encoders(criterion: &mut Criterion) {
    let (weights, importance) = (weights(), importance());
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Bytes(4 * weights.len() as u64)).sample_size(10);
    for kind in GgmlType::all() {
        let Some(size) = kind.bytes(weights.len()) else { continue };
        let mut out = vec![0; size];
        for (name, importance) in [("plain", None), ("importance", Some(&importance[..]))] {
            if encode(kind, &weights, COLUMNS, importance, &mut out).is_ok() {
                group.bench_function(format!("{kind}/{name}"), |bencher| {
                    bencher
                        .iter(|| encode(kind, black_box(&weights), COLUMNS, importance, black_box(&mut out)));
                });
            }
        }
    }
}

fn decoders(criterion: &mut Criterion) {
    let mut out = vec![0.0; ROWS * COLUMNS];
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Bytes(4 * out.len() as u64)).sample_size(10);
    for kind in GgmlType::all() {
        let Some(size) = kind.bytes(out.len()) else { continue };
        let bytes = vec![0x2A; size];
        if decode(kind, &bytes, &mut out).is_ok() {
            group.bench_function(kind.name(), |bencher| {
                bencher.iter(|| decode(kind, black_box(&bytes), black_box(&mut out)));
            });
        }
    }
}

criterion_group!(benches, encoders, decoders);
criterion_main!(benches);
