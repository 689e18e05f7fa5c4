//! One training step of the base tagger, of F-Transfer with its discriminator, and of DATNet-F: words per second.
#![expect(missing_docs, reason = "criterion's macros make functions without documentation")]

use std::hint::black_box;

use common::formats::{Sentence, Span};
use common::nn::checkpoint::named;
use common::optim::{AdamW, AdamWConfig, clip_grad_norm};
use common::seed;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::Rng;
use tch::Device;
use transfer_ner::batch::Resource;
use transfer_ner::config::{Config, Method};
use transfer_ner::model::{Model, Training};
use transfer_ner::step::gradients;

/// 16 sentences of 12 to 28 words.
fn sentences() -> Vec<Sentence> {
    let mut rng = seed::rng(1, "sentences", 0);
    (0..16)
        .map(|row| {
            let words =
                (0..12 + row).map(|_| "abcdefghijklm"[..rng.random_range(2..13)].to_owned()).collect();
            let span = Span { start: 1, end: 3, label: ["PER", "LOC"][row % 2].to_owned() };
            Sentence { words, spans: vec![span], ..Sentence::default() }
        })
        .collect()
}

fn steps(criterion: &mut Criterion) {
    tch::set_num_threads(1);
    common::memory::keep_freed();
    let data = sentences();
    let words: usize = data.iter().map(|sentence| sentence.words.len()).sum();
    let mut group = criterion.benchmark_group("steps");
    group.throughput(Throughput::Elements(words as u64));
    let plain = "none".parse().expect("a perturbation");
    let perturbed = "sentence:1".parse().expect("a perturbation");
    for (name, method, discriminate, adversarial) in [
        ("base", Method::Base, false, plain),
        ("base with AT", Method::Base, false, perturbed),
        ("F with GRAD", Method::DatnetF, true, plain),
        ("DATNet-F", Method::DatnetF, true, perturbed),
        ("DATNet-F, one gradient", Method::DatnetF, true, "total:1".parse().expect("a perturbation")),
        ("DATNet-P", Method::DatnetP, true, perturbed),
    ] {
        let training = Training { source: &data, target: &data, ..Training::default() };
        let model =
            Model::new(Config::small(method), training, 1, Device::Cpu).expect("a valid configuration");
        let prepared = model.prepare(&data, Resource::Target, true).expect("known types");
        let rows: Vec<usize> = (0..data.len()).collect();
        let mut optimiser = AdamW::new(&model.store, AdamWConfig::adam());
        assert!(!named(&model.store).is_empty());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                optimiser.zero_grad();
                let batch = prepared.batch(&rows, None, Device::Cpu);
                let loss = gradients(&model.network, &batch, Resource::Target, discriminate, adversarial);
                clip_grad_norm(&model.store, 5.0).expect("finite gradients");
                optimiser.step(1e-4);
                black_box(loss.expect("a finite loss"))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
