//! Documents per second that an exact search scores, by storage and instruction set, one thread.

#![expect(missing_docs, reason = "criterion's macros make public functions without docs")]

#[path = "../tests/shared/mod.rs"]
mod shared;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use retrieval::maxsim::{Exact, Storage, Tier};

const WIDTH: usize = 128;

fn storages(criterion: &mut Criterion) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    let world = shared::World::new(1, 1024, WIDTH);
    for documents in [200, 2000] {
        let texts = world.texts("documents", documents, 100);
        let queries = world.queries(&texts, 1, 32);
        let mut group = criterion.benchmark_group("exact");
        group.throughput(Throughput::Elements(documents as u64)).sample_size(10);
        for tier in Tier::available() {
            for storage in [Storage::F32, Storage::Bf16, Storage::Screened] {
                let exact = Exact::on(texts.clone(), storage, tier).expect("finite vectors");
                let id = BenchmarkId::new(format!("{storage:?}/{}", tier.name()), documents);
                group.bench_function(id, |bencher| {
                    pool.install(|| bencher.iter(|| exact.search(black_box(queries.text(0)), 10)));
                });
            }
        }
    }
}

criterion_group!(benches, storages);
criterion_main!(benches);
