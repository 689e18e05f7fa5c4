//! Our side of the peer cases of masks: the same image over and over, a fresh mask each time, one core (or `two` cores).
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use common::files;
use frequency_mask::mask::{Band, Cast, FrequencyMask, Kind, Mask, Masker};
use image::RgbImage;
use rayon::prelude::*;
use serde_json::json;

const SIDE: u32 = 224;
const IMAGES: u64 = 400;
/// Bins of which both sides' values are made: every seventh along each axis, inside of the band's rectangle.
const STRIDE: usize = 7;

fn image() -> RgbImage {
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let wave = 70.0 * (0.11 * f64::from(x) + 0.05 * f64::from(y)).sin();
        let noise = (x * 7919 + y * 104_729 + x * y) % 61;
        image::Rgb([0, 20, 40].map(|offset| (90.0 + wave + f64::from(noise + offset)) as u8))
    })
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [band, cores, work] = &arguments[..] else { bail!("usage: peer_mask BAND one|two WORK") };
    let band: Band = band.parse().map_err(anyhow::Error::msg)?;
    let work = PathBuf::from(work);
    let image = image();
    files::write_atomic(&work.join("mask.rgb"), image.as_raw()).context("the input of both sides")?;
    let masker = Masker::new(Mask::new(Kind::Frequency(FrequencyMask::compat(band)), 0.15)?);
    let threads = if cores == "two" { 2 } else { 1 };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let sums = |from: u64, to: u64| -> u64 {
        let one = |index| masker.apply(&image, 1, index, 0).as_raw()[0];
        pool.install(|| (from..to).into_par_iter().map(|index| u64::from(one(index))).sum())
    };
    std::hint::black_box(sums(0, 20));
    let started = Instant::now();
    std::hint::black_box(sums(20, 20 + IMAGES));
    let seconds = started.elapsed().as_secs_f64();
    // The same bins on both sides: mean byte of each channel, where bytes that differ by rounding weigh nothing.
    let part = |size: usize| match band {
        Band::Low => 0..size / 4,
        Band::Mid => size / 4..3 * size / 4,
        Band::High => 3 * size / 4..size,
        Band::All => 0..size,
    };
    let bins: Vec<[usize; 2]> = part(SIDE as usize)
        .flat_map(|row| part(SIDE as usize).map(move |column| [row, column]))
        .filter(|[row, column]| row % STRIDE == 3 && column % STRIDE == 2)
        .collect();
    let out = Masker::apply_bins(&image, &bins, Cast::Wrap);
    let mean = |channel: usize| {
        let sum: f64 = out.pixels().map(|pixel| f64::from(pixel.0[channel])).sum();
        sum / f64::from(SIDE * SIDE)
    };
    println!("{}", json!({"seconds": seconds, "items": IMAGES, "values": [mean(0), mean(1), mean(2)]}));
    Ok(())
}
