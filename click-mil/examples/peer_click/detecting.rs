//! From JPEG files to detections.

use std::path::Path;

use anyhow::{Context, Result};
use click_mil::detector::{Detector, Settings};
use click_mil::edge_boxes;
use click_mil::fast_rcnn::{self, Head, Training};
use click_mil::features::{Backbone, Config as FeatureConfig};
use click_mil::learn::{Supervision, described, drawn_boxes};
use click_mil::pipeline::{proposals, read_image};
use common::files;
use common::nn::vision::TrunkName;
use cpu_time::ProcessTime;
use serde_json::{Value, json};
use tch::Device;

/// Photographs that the head learns from, and those that are timed.
const TRAINED: usize = 40;
const TIMED: usize = 40;
const PROPOSALS: usize = 600;
/// Best detections whose scores and boxes both sides print.
const COMPARED: usize = 10;

/// A detector of voc-mix's classes after a short training from drawn boxes, made once.
fn detector(folder: &Path) -> Result<Detector> {
    if folder.join("detector.json").exists() {
        return Ok(Detector::load(folder, Device::Cpu)?);
    }
    std::fs::create_dir_all(folder)?;
    let data = std::env::var_os("BENKYOKAI_DATA").context("BENKYOKAI_DATA names no data folder")?;
    let weights = Path::new(&data).join("squeezenet1_1-features/squeezenet1_1_features.safetensors");
    let (features, network) = (FeatureConfig::usual(), TrunkName::SqueezeNet);
    let backbone = Backbone::read(&weights, network, features, Device::Cpu)?;
    let mut dataset = super::photographs()?;
    let step = dataset.pictures.len() / TRAINED;
    dataset.pictures = dataset.pictures.into_iter().step_by(step).collect();
    let config = edge_boxes::Config::authors();
    let store = folder.join("features.bin");
    let found = described(&dataset, &Supervision::Labels, &backbone, &config, PROPOSALS, &store, |_| true)?;
    let found = found.context("nothing stops it")?;
    let images: Vec<usize> = (0..dataset.pictures.len()).collect();
    let training = Training {
        features: &found.features,
        proposals: &found.proposals,
        images: &images,
        objects: &drawn_boxes(&dataset),
        classes: dataset.classes.len(),
    };
    let head = fast_rcnn::Config { steps: 200, ..fast_rcnn::Config::usual() };
    let trained = Head::train(&training, &head, 1, Device::Cpu)?;
    let (classes, network) = (dataset.classes.clone(), network.name().to_owned());
    let settings =
        Settings { schema: 1, classes, network, features, edge_boxes: config, proposals: PROPOSALS, head };
    let detector = Detector::new(settings, backbone, trained);
    detector.save(folder)?;
    Ok(detector)
}

pub(crate) fn detect(work: &Path) -> Result<Value> {
    let detector = detector(&work.join("detector"))?;
    let dataset = super::photographs()?;
    let step = dataset.pictures.len() / TIMED;
    let paths: Vec<&Path> =
        dataset.pictures.iter().skip(1).step_by(step).take(TIMED).map(|picture| &*picture.file).collect();
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    files::write_atomic(&work.join("photographs.txt"), names.join("\n").as_bytes())?;
    let image = read_image(paths[0])?;
    // Both sides read the same pixels: decoders of JPEG differ by a step.
    image.save(work.join("drawn.png"))?;
    let found = proposals(paths[0], &image, &detector.settings.edge_boxes, PROPOSALS)?;
    let sides = found.iter().flat_map(|p| [p.bbox.x0, p.bbox.y0, p.bbox.x1, p.bbox.y1]);
    let bytes: Vec<u8> = sides.flat_map(|side| (side as f32).to_le_bytes()).collect();
    files::write_atomic(&work.join("boxes.bin"), &bytes)?;
    detector.detect(paths[0], 0)?;
    let started = ProcessTime::now();
    for (place, path) in paths.iter().enumerate() {
        std::hint::black_box(detector.detect(path, place)?);
    }
    let seconds = started.elapsed().as_secs_f64();
    let best = detector.detect_among(paths[0], &image, &found, 0)?;
    let values: Vec<f64> = best
        .iter()
        .take(COMPARED)
        .flat_map(|d| [d.score, d.bbox.x0, d.bbox.y0, d.bbox.x1, d.bbox.y1])
        .collect();
    Ok(json!({"seconds": seconds, "items": paths.len(), "values": values}))
}
