//! GPTQ and its parts on layers of two shapes, with round to nearest beside it.
#![expect(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;

use common::seed;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use quantization::affine::{Fit, Granularity, Grid, Shrink, quantize};
use quantization::gptq::{Hessian, Options, gptq, inverse_factor};
use rand::Rng;

fn layers(criterion: &mut Criterion) {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("the pool is built once");
    for (rows, columns) in [(256, 256), (1024, 1024)] {
        let mut rng = seed::rng(1, "bench", 0);
        let mut uniform =
            |count: usize| -> Vec<f32> { (0..count).map(|_| rng.random_range(-1.0..1.0)).collect() };
        let (weights, mut inputs) = (uniform(rows * columns), uniform(2 * columns * columns));
        for row in inputs.chunks_mut(columns) {
            (1..columns).for_each(|j| row[j] += 0.7 * row[j - 1]);
        }
        let mut hessian = Hessian::new(columns);
        hessian.add(&inputs).expect("finite inputs");
        let mut group = criterion.benchmark_group(format!("{rows}x{columns}"));
        group.sample_size(10);
        group.throughput(Throughput::Elements((2 * columns) as u64)); // inputs per second
        group.bench_function("hessian", |bencher| {
            bencher.iter(|| Hessian::new(columns).add(black_box(&inputs)).expect("finite inputs"));
        });
        group.throughput(Throughput::Elements((rows * columns) as u64)); // weights per second
        let matrix = hessian.matrix();
        group
            .bench_function("factor", |bencher| bencher.iter(|| inverse_factor(black_box(&matrix), columns)));
        for (name, fit) in [("min-max", Fit::MinMax), ("searched range", Fit::Mse(Shrink::gptq()))] {
            let options = Options { fit, ..Options::grouped(4, 128) };
            group.bench_function(BenchmarkId::new("gptq", name), |bencher| {
                bencher.iter(|| gptq(black_box(&weights), &hessian, &options).expect("a good layer"));
            });
            let granularity = Granularity::Group(128);
            group.bench_function(BenchmarkId::new("nearest", name), |bencher| {
                bencher
                    .iter(|| quantize(black_box(&weights), columns, &Grid::asymmetric(4), granularity, &fit));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, layers);
criterion_main!(benches);
