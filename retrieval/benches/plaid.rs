//! Queries per second of PLAID and tokens per second of a build, one thread.

#![expect(missing_docs, reason = "criterion's macros make public functions without docs")]
#![expect(clippy::print_stdout, reason = "quality is printed beside speed")]

#[path = "../tests/shared/mod.rs"]
mod shared;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use retrieval::index::{Batch, Index, IndexConfig, build};
use retrieval::maxsim::{Exact, Storage};
use retrieval::plaid::{Plaid, SearchConfig, recall_against_exact};
use retrieval::vectors::TokenVectors;

const WIDTH: usize = 128;

fn index_of(folder: &tempfile::TempDir, texts: &TokenVectors, bits: u32) -> Index {
    let config = IndexConfig { points_per_centroid: 32, ..IndexConfig::colbert_v2(bits) };
    let ids = (0..texts.len()).map(|index| index.to_string()).collect();
    let batch = Batch { ids, texts: Vec::new(), vectors: texts.clone() };
    build(folder.path(), &config, [Ok(batch)]).expect("usable vectors")
}

fn searches(criterion: &mut Criterion) {
    let world = shared::World::new(1, 1024, WIDTH);
    let texts = world.texts("documents", 1000, 50);
    let queries = world.queries(&texts, 20, 32);
    let exact = Exact::new(texts.clone(), Storage::Screened).expect("finite vectors");
    let mut group = criterion.benchmark_group("plaid");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    for bits in [1, 2, 4] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let index = index_of(&folder, &texts, bits);
        let plaid = Plaid::new(&index);
        for k in [10, 100] {
            let config = SearchConfig::for_k(k);
            let recall = recall_against_exact(&plaid, &exact, &queries, 10, &config).expect("usable queries");
            println!("{bits} bits, settings for k = {k}: recall at 10 of exact search {recall:?}");
            group.bench_function(BenchmarkId::new(format!("{bits}-bit"), k), |bencher| {
                bencher.iter(|| plaid.search(black_box(queries.text(0)), k, &config));
            });
        }
    }
}

fn builds(criterion: &mut Criterion) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    let mut group = criterion.benchmark_group("build");
    group.sample_size(10);
    for documents in [100, 400] {
        let texts = shared::World::new(1, 1024, WIDTH).texts("documents", documents, 50);
        group.throughput(Throughput::Elements(texts.rows() as u64));
        group.bench_function(BenchmarkId::new("2-bit", documents), |bencher| {
            pool.install(|| {
                bencher.iter(|| index_of(&tempfile::tempdir().expect("a temporary folder"), &texts, 2))
            });
        });
    }
}

criterion_group!(benches, searches, builds);
criterion_main!(benches);
