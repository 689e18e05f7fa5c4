//! Products on one thread: one line per type and tier for a vector, and for 64 tokens in the best tier.
#![expect(missing_docs, reason = "the macro of criterion makes a public function")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quantization::ggml::GgmlType::{self, *};
use quantization::kernel::{Activations, Capability, Kernel, Matrix, with_capability};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hint::black_box;

const TYPES: [GgmlType; 21] = [
    F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4, NVFP4, Q1_0, Q2_0, Q2_K, Q3_K, Q4_K, Q5_K,
    Q6_K, IQ4_XS, TQ1_0, TQ2_0,
];

/// Rows and columns; the small one is a layer of a toy model.
const SHAPES: [[usize; 2]; 2] = [[1024, 4096], [256, 256]];

/// Bytes below 64: every float that they are read as is an ordinary number.
fn weights(kind: GgmlType, [rows, columns]: [usize; 2]) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let n_bytes = kind.bytes(rows * columns).expect("the columns are whole blocks");
    (0..n_bytes).map(|_| rng.random_range(0..64)).collect()
}

fn product(criterion: &mut Criterion, kernel: Kernel, kind: GgmlType, shape: [usize; 2], tokens: usize) {
    let [rows, columns] = shape;
    let weights = weights(kind, shape);
    let x: Vec<f32> = (0..tokens * columns).map(|i| (i as f32 * 0.37).sin()).collect();
    let activations = Activations::quantize(kind, &x, columns).expect("finite activations of whole rows");
    let matrix = Matrix::new(kind, &weights, rows, columns).expect("as many bytes as the matrix has");
    let mut y = vec![0.0; tokens * rows];
    let mut group = criterion.benchmark_group(format!("{rows}x{columns}x{tokens}"));
    group.sample_size(10).throughput(match tokens {
        1 => Throughput::Bytes(weights.len() as u64),
        _ => Throughput::Elements((rows * columns * tokens) as u64),
    });
    group.bench_function(format!("{kind}/{}", kernel.capability().name()), |bencher| {
        bencher.iter(|| kernel.multiply(black_box(&matrix), &activations, &mut y, 1));
    });
    group.finish();
}

fn products(criterion: &mut Criterion) {
    for kind in TYPES {
        for tier in Capability::available() {
            let kernel = with_capability(tier).expect("an available tier");
            SHAPES.iter().for_each(|&shape| product(criterion, kernel, kind, shape, 1));
        }
        product(criterion, Kernel::best(), kind, SHAPES[0], 64);
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
