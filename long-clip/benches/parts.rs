//! Parts of training and preprocessing: coarse features with their gradient, a step of a small model, an image.
#![allow(missing_docs, reason = "criterion's macros")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use long_clip::config::{Activation, ModelConfig, TextConfig, VisionConfig};
use long_clip::model::{Clip, normalised};
use long_clip::pcm::{AxesGradient, coarse};
use long_clip::preprocess::{self, Mode, Picture, Rules};
use long_clip::step::{Batch, Objective, ShortObjective, gradients};
use tch::{Device, Kind, Tensor};

fn coarse_features(criterion: &mut Criterion) {
    tch::set_num_threads(1);
    tch::manual_seed(1);
    let mut group = criterion.benchmark_group("coarse");
    for batch in [64, 128, 1024] {
        let features = normalised(&Tensor::randn([batch, 512], (Kind::Float, Device::Cpu)));
        group.throughput(Throughput::Elements(batch as u64));
        for gradient in [AxesGradient::Full, AxesGradient::Detached] {
            group.bench_function(format!("{batch} rows, {gradient:?}"), |bencher| {
                bencher.iter(|| {
                    let leaf = features.detach().set_requires_grad(true);
                    coarse(&leaf, 32, gradient).square().sum(Kind::Float).backward();
                    black_box(leaf.grad())
                });
            });
        }
    }
    group.finish();
}

fn step(criterion: &mut Criterion) {
    tch::set_num_threads(1);
    tch::manual_seed(1);
    let config = ModelConfig {
        embed_dim: 64,
        vision: VisionConfig { image_px: 48, patch_px: 8, width: 96, layers: 2, heads: 3, mlp_width: 384 },
        text: TextConfig {
            context_length: 248,
            vocabulary: 256,
            width: 96,
            layers: 2,
            heads: 3,
            mlp_width: 384,
        },
        activation: Activation::QuickGelu,
        norm_epsilon: 1e-5,
    };
    let model = Clip::new(config, Device::Cpu).expect("the sizes make a model");
    let images = Tensor::randn([64, 3, 48, 48], (Kind::Float, Device::Cpu));
    let texts = |tokens: usize| -> Vec<Vec<i64>> {
        (0..64)
            .map(|text| (0..tokens + text % 8).map(|token| ((token * 7 + text) % 256) as i64).collect())
            .collect()
    };
    let (long, short) = (texts(86), texts(10));
    let batch = Batch { images: &images, long: &long, short: &short };
    let paper = Objective::paper();
    let sixteen = paper.short.map(|short| ShortObjective { components: Some(16), ..short });
    let objective = Objective { short: sixteen, ..paper };
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(64)).sample_size(10);
    group.bench_function("64 pairs, width 96", |bencher| {
        bencher.iter(|| black_box(gradients(&model, &batch, &objective)).expect("finite losses"));
    });
    group.finish();
}

fn image(criterion: &mut Criterion) {
    let samples = (0..640 * 480 * 3).map(|i| (i * 31 % 251) as u8).collect();
    let picture = Picture::new(640, 480, Mode::Rgb, samples).expect("the samples fill it");
    let mut group = criterion.benchmark_group("image");
    group.throughput(Throughput::Elements(1));
    group.bench_function("640 × 480 to a tensor of 224", |bencher| {
        bencher.iter(|| black_box(preprocess::preprocess(black_box(&picture), 224, Rules::OpenAi)));
    });
    group.finish();
}

criterion_group!(benches, coarse_features, step, image);
criterion_main!(benches);
