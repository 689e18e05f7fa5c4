//! Entity scores of 200,000 noisy tags.
#![expect(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;

use common::metrics::entity::EntityScores;
use common::seed;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::Rng;

const TAGS: [&str; 9] = ["O", "O", "O", "O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC"];

fn scoring(criterion: &mut Criterion) {
    let mut rng = seed::rng(1, "tags", 0);
    let mut sentences = || -> Vec<Vec<&str>> {
        (0..10_000).map(|_| (0..20).map(|_| TAGS[rng.random_range(0..TAGS.len())]).collect()).collect()
    };
    let (gold, predicted) = (sentences(), sentences());
    let mut group = criterion.benchmark_group("entity scoring");
    group.throughput(Throughput::Elements(200_000));
    group.bench_function("of tags, words", |b| {
        b.iter(|| EntityScores::of_tags(black_box(&gold), black_box(&predicted)))
    });
    group.finish();
}

criterion_group!(benches, scoring);
criterion_main!(benches);
