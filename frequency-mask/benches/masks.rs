//! Masks of one image: bytes to bytes, one core, a fresh mask each time.
#![expect(missing_docs, reason = "criterion's macro makes functions")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use frequency_mask::mask::{Band, FrequencyMask, Kind, Mask, Masker};
use image::RgbImage;

fn image(side: u32) -> RgbImage {
    RgbImage::from_fn(side, side, |x, y| {
        image::Rgb([(x * 7 % 251) as u8, (y * 5 % 241) as u8, ((x + y) * 3 % 239) as u8])
    })
}

fn masks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    group.throughput(Throughput::Elements(1));
    for side in [64, 224, 256] {
        let image = image(side);
        for band in Band::EACH {
            for (mode, frequency) in
                [("compat", FrequencyMask::compat(band)), ("clean", FrequencyMask::clean(band))]
            {
                let mask = Mask::new(Kind::Frequency(frequency), 0.15).expect("a ratio between 0 and 1");
                let masker = Masker::new(mask);
                let mut index = 0;
                group.bench_function(BenchmarkId::new(format!("{mode}-{}", band.name()), side), |bencher| {
                    bencher.iter(|| {
                        index += 1;
                        masker.apply(&image, 0, index, 0)
                    });
                });
            }
        }
    }
}

criterion_group!(benches, masks);
criterion_main!(benches);
