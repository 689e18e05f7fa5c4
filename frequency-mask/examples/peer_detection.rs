//! Our side of the peer cases `training` and `detect`: a folder of JPEG files, which it writes first where it is not there.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use common::nn::checkpoint::{named, save};
use common::train::Checkpoints;
use frequency_mask::augment::centre;
use frequency_mask::data::labelled;
use frequency_mask::detector::{Architecture, Detector};
use frequency_mask::mask::{Band, FrequencyMask, Kind, Mask};
use frequency_mask::score::{View, score_files};
use frequency_mask::train::{Config, Images, Labelled, train};
use image::RgbImage;
use serde_json::json;
use tch::Device;

const IMAGES: u32 = 128;
const SIDE: u32 = 256;
const CROP: u32 = 224;
const BATCH: usize = 32;

fn write(folder: &Path) -> Result<()> {
    for at in 0..IMAGES {
        let class = folder.join(if at % 2 == 0 { "0_real" } else { "1_fake" });
        std::fs::create_dir_all(&class)?;
        let image = RgbImage::from_fn(SIDE, SIDE, |x, y| {
            let wave = 60.0 * (0.02 * f64::from(x * (at % 7 + 1)) + 0.03 * f64::from(y)).sin();
            let board = if at % 2 == 1 && (x + y) % 2 == 0 { 8.0 } else { 0.0 };
            image::Rgb([0.0, 10.0, 20.0].map(|offset| (110.0 + wave + board + offset) as u8))
        });
        let file = std::fs::File::create(class.join(format!("{at:03}.jpg")))?;
        image::codecs::jpeg::JpegEncoder::new_with_quality(file, 92).encode_image(&image)?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, work] = &arguments[..] else { bail!("usage: peer_detection training|detect WORK") };
    let work = PathBuf::from(work);
    let folder = work.join("pictures");
    if !folder.join("1_fake/127.jpg").exists() {
        write(&folder)?;
    }
    let set = labelled(&folder)?;
    tch::set_num_threads(1);
    let detector = Detector::new(Architecture::SmallResnet, 1, Device::Cpu);
    let (seconds, values) = match &**what {
        "training" => (training(&detector, &set)?, vec![]),
        "detect" => detection(&detector, &set, &work)?,
        other => bail!("`{other}`: expected training or detect"),
    };
    println!("{}", json!({"seconds": seconds, "items": IMAGES, "values": values}));
    Ok(())
}

/// An epoch from files to weights.
fn training(detector: &Detector, set: &frequency_mask::data::Labelled) -> Result<f64> {
    let mask = Mask::new(Kind::Frequency(FrequencyMask::compat(Band::All)), 0.15)?;
    let config = Config { epochs: 1, batch: BATCH, ..Config::official(Some(mask)) };
    let labelled = Labelled { images: Images::Files(set.paths.clone()), labels: set.labels.clone() };
    // Both classes, as training asks for; the scores after the epoch are not timed.
    let few =
        Labelled { images: Images::Files(set.paths[62..66].to_vec()), labels: set.labels[62..66].to_vec() };
    let history = train(detector, labelled, &few, &config, 1, &Checkpoints::default(), |_| true)?;
    Ok(history.steps_s)
}

/// Every picture of the folder, from file to score; the weights and the scores of both sides are equal.
fn detection(
    detector: &Detector,
    set: &frequency_mask::data::Labelled,
    work: &Path,
) -> Result<(f64, Vec<f64>)> {
    save(&named(&detector.store), &work.join("small-resnet.safetensors"))?;
    let started = Instant::now();
    let mut logits = Vec::new();
    score_files(detector, &set.paths, View::Centre, CROP, |_, logit| {
        logits.push(logit?);
        anyhow::Ok(true)
    })?;
    let seconds = started.elapsed().as_secs_f64();
    // Of the values only what does not depend on the JPEG decoder: a drawn picture.
    let drawn = RgbImage::from_fn(SIDE, SIDE, |x, y| {
        image::Rgb([(x % 251) as u8, (y % 241) as u8, ((x + y) % 239) as u8])
    });
    Ok((seconds, detector.score(&[centre(&drawn, CROP)], 1)))
}
