//! Our side of the peer cases: writes the inputs into WORK and prints time, items and values on one line of JSON.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

mod detecting;
mod scoring;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use click_mil::dataset::{Dataset, Object, Picture};
use click_mil::edge_boxes::{Config, Proposal, propose};
use click_mil::edges::EdgeMap;
use click_mil::evaluate::{self, Detection};
use click_mil::formats::{coco, voc};
use click_mil::geometry::BoundingBox;
use click_mil::pipeline::read_image;
use common::{files, seed};
use cpu_time::ProcessTime;
use rand::Rng;
use serde_json::{Value, json};

/// Photographs whose proposals are timed.
const PHOTOGRAPHS: usize = 24;
/// Images, classes, objects and detections per image of the evaluation.
const EVALUATION: [usize; 4] = [1000, 20, 4, 60];

fn main() -> Result<()> {
    common::memory::keep_freed();
    let mut arguments = std::env::args().skip(1);
    let usage =
        "usage: peer_click edge-boxes THREADS | evaluation | scoring MACHINES | svm | detect, then WORK";
    let mode = arguments.next().context(usage)?;
    let rest: Vec<String> = arguments.collect();
    let (work, numbers) = rest.split_last().context(usage)?;
    let work = PathBuf::from(work).join("click");
    std::fs::create_dir_all(&work)?;
    let number = || -> Result<usize> { Ok(numbers.first().context(usage)?.parse()?) };
    let threads = if mode == "edge-boxes" { number()? } else { 1 };
    tch::set_num_threads(1);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let answer = match &*mode {
        "edge-boxes" => edge_boxes(&work, threads)?,
        "evaluation" => evaluation(&work)?,
        "scoring" => scoring::scoring(&work, number()?)?,
        "svm" => scoring::svm(&work)?,
        "detect" => detecting::detect(&work)?,
        _ => bail!(usage),
    };
    println!("{answer}");
    Ok(())
}

/// The training images of voc-mix.
fn photographs() -> Result<Dataset> {
    let data = std::env::var_os("BENKYOKAI_DATA").context("BENKYOKAI_DATA names no data folder")?;
    Ok(voc::read(&Path::new(&data).join("voc-mix"), "trainval")?.dataset)
}

fn edge_boxes(work: &Path, threads: usize) -> Result<Value> {
    let dataset = photographs()?;
    let step = dataset.pictures.len() / PHOTOGRAPHS;
    let folder = work.join("edges");
    std::fs::create_dir_all(&folder)?;
    let mut maps = Vec::new();
    for (place, picture) in dataset.pictures.iter().step_by(step).take(PHOTOGRAPHS).enumerate() {
        let map = EdgeMap::of_image(&read_image(&picture.file)?)?;
        let mut bytes: Vec<u8> =
            [map.width(), map.height()].iter().flat_map(|&side| (side as u32).to_le_bytes()).collect();
        let values = map.strength().iter().chain(map.orientation());
        bytes.extend(values.flat_map(|value| value.to_le_bytes()));
        files::write_atomic(&folder.join(format!("{place:02}.bin")), &bytes)?;
        maps.push(map);
    }
    let config = Config::authors();
    propose(&maps[0], &config)?;
    let (used, clock) = (ProcessTime::now(), Instant::now());
    let found: Result<Vec<Vec<Proposal>>, _> = maps.iter().map(|map| propose(map, &config)).collect();
    let seconds = if threads == 1 { used.elapsed() } else { clock.elapsed() }.as_secs_f64();
    let values: Vec<f64> = found?.iter().flat_map(|found| checksum(found)).collect();
    Ok(json!({"seconds": seconds, "items": maps.len(), "values": values}))
}

/// Number of boxes; sums of corners, sides and scores by their places.
fn checksum(found: &[Proposal]) -> [f64; 6] {
    let mut sums = [found.len() as f64, 0.0, 0.0, 0.0, 0.0, 0.0];
    for (place, Proposal { bbox, score }) in found.iter().enumerate() {
        let values = [bbox.x0, bbox.y0, bbox.width(), bbox.height(), f64::from(*score)];
        sums[1..].iter_mut().zip(values).for_each(|(sum, value)| *sum += (place + 1) as f64 * value);
    }
    sums
}

fn evaluation(work: &Path) -> Result<Value> {
    let [images, classes, objects, found] = EVALUATION;
    let mut rng = seed::rng(7, "evaluation", 0);
    let mut dataset = Dataset {
        classes: (0..classes).map(|class| format!("class {class}")).collect(),
        pictures: Vec::new(),
    };
    let mut detections = Vec::new();
    for picture in 0..images {
        let mut bbox = |least: f64| {
            let [w, h] = [(); 2].map(|()| least + 250.0 * rng.random::<f64>().powi(2));
            let [x, y] = [500.0 - w, 400.0 - h].map(|most| most * rng.random::<f64>());
            (BoundingBox::new(x, y, x + w, y + h), rng.random_range(0..classes), rng.random::<f64>())
        };
        let truth: Vec<(BoundingBox, usize, f64)> = (0..objects).map(|_| bbox(8.0)).collect();
        for at in 0..found {
            let (mut box_, mut class, score) = bbox(8.0);
            if at < 3 * objects {
                // Near an object, the nearer the better.
                let (near, of, off) = (&truth[at % objects].0, truth[at % objects].1, 0.3 * (1.0 - score));
                let [dx, dy] = [near.width(), near.height()].map(|side| off * side);
                (box_, class) = (BoundingBox::new(near.x0 + dx, near.y0 + dy, near.x1, near.y1 + dy), of);
            }
            detections.push(Detection { picture, class, bbox: box_, score });
        }
        let objects = truth
            .into_iter()
            .map(|(bbox, class, crowd)| Object { crowd: crowd < 0.02, ..Object::new(class, bbox) });
        let (id, file) = ((picture + 1).to_string(), format!("{picture}.jpg").into());
        dataset.pictures.push(Picture { id, file, width: 500, height: 400, objects: objects.collect() });
    }
    coco::write(&work.join("truth.json"), &dataset)?;
    let numbered = coco::read(&work.join("truth.json"), Path::new(""))?;
    coco::write_results(&work.join("found.json"), &detections, &numbered)?;
    let detections = coco::read_results(&work.join("found.json"), &numbered)?;
    evaluate::coco(&numbered.dataset, &detections);
    let started = ProcessTime::now();
    let scores = evaluate::coco(&numbered.dataset, &detections);
    let seconds = started.elapsed().as_secs_f64();
    // pycocotools prints −1 where there is no object of the size.
    let values: Vec<f64> = scores.named().iter().map(|(_, value)| value.unwrap_or(-1.0)).collect();
    Ok(json!({"seconds": seconds, "items": detections.len(), "values": values}))
}
