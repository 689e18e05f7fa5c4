//! The product `x Wᵀ + b` and its gradients through MKL, oneDNN and the automatic choice; throughput in multiplications.
#![expect(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;

use common::nn::gemm::{self, Kernel};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tch::{Device, Kind, Tensor};

/// (rows, inputs, outputs): a tag classifier, an LSTM's input map, a small and a base BERT's maps on 448 and 1,576 tokens.
const SHAPES: [(i64, i64, i64); 7] = [
    (448, 200, 9),
    (32, 100, 60),
    (448, 160, 400),
    (448, 256, 256),
    (448, 256, 1024),
    (1576, 768, 768),
    (1576, 768, 3072),
];

fn inputs(rows: i64, inputs: i64, outputs: i64) -> [Tensor; 3] {
    tch::manual_seed(1);
    [vec![rows, inputs], vec![outputs, inputs], vec![outputs]]
        .map(|shape| Tensor::randn(shape, (Kind::Float, Device::Cpu)))
}

type Product = fn(&Tensor, &Tensor, &Tensor) -> Tensor;

const PRODUCTS: [(&str, Product); 3] = [
    ("mkl", |x, w, b| gemm::linear_by(Kernel::Mkl, x, w, Some(b))),
    ("onednn", |x, w, b| gemm::linear_by(Kernel::OneDnn, x, w, Some(b))),
    ("chosen", |x, w, b| gemm::linear(x, w, Some(b))),
];

fn forward(criterion: &mut Criterion) {
    tch::set_num_threads(1);
    let _guard = tch::no_grad_guard();
    let mut group = criterion.benchmark_group("linear_forward");
    for (rows, width, outputs) in SHAPES {
        let [x, w, b] = inputs(rows, width, outputs);
        group.throughput(Throughput::Elements((rows * width * outputs) as u64));
        for (name, product) in PRODUCTS {
            let id = BenchmarkId::new(name, format!("{rows}x{width}x{outputs}"));
            group.bench_function(id, |bencher| bencher.iter(|| product(black_box(&x), &w, &b)));
        }
    }
    group.finish();
}

/// Forward and all three gradients: three products of the same size.
fn training(criterion: &mut Criterion) {
    tch::set_num_threads(1);
    let mut group = criterion.benchmark_group("linear_training");
    for (rows, width, outputs) in SHAPES {
        let [x, w, b] = inputs(rows, width, outputs).map(|tensor| tensor.set_requires_grad(true));
        group.throughput(Throughput::Elements((3 * rows * width * outputs) as u64));
        for (name, product) in PRODUCTS {
            let id = BenchmarkId::new(name, format!("{rows}x{width}x{outputs}"));
            let step = || {
                let loss = product(black_box(&x), &w, &b).sum(Kind::Float);
                Tensor::run_backward(&[loss], &[&x, &w, &b], false, false)
            };
            group.bench_function(id, |bencher| bencher.iter(step));
        }
    }
    group.finish();
}

criterion_group!(benches, forward, training);
criterion_main!(benches);
