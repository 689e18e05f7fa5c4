//! CRF loss with gradient and decoding: 32 sentences of 40 tokens, 9 tags, one thread.
#![expect(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;

use common::crf::Crf;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

fn crf(criterion: &mut Criterion) {
    tch::set_num_threads(1);
    tch::manual_seed(1);
    let store = VarStore::new(Device::Cpu);
    let crf = Crf::new(&store.root(), 9);
    let emissions = Tensor::randn([32, 40, 9], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let gold: Vec<Vec<usize>> = (0..32).map(|row| (0..40).map(|t| (row * 7 + t * 5) % 9).collect()).collect();
    let mut group = criterion.benchmark_group("crf");
    group.throughput(Throughput::Elements(32 * 40));
    group.bench_function("loss and gradient, tokens", |b| {
        b.iter(|| black_box(crf.loss(&emissions, &gold)).backward())
    });
    group.bench_function("decode, tokens", |b| b.iter(|| black_box(crf.decode(&emissions, &[40; 32]))));
    group.finish();
}

criterion_group!(benches, crf);
criterion_main!(benches);
