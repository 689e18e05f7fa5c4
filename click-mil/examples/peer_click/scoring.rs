//! Scores of proposals and the training of a machine.

use std::path::Path;

use anyhow::{Context, Result};
use click_mil::click_score::{Evidence, Widths};
use click_mil::edge_boxes::Proposal;
use click_mil::features::StoreWriter;
use click_mil::geometry::{BoundingBox, Point};
use click_mil::mil::{Beliefs, appearance};
use click_mil::svm::{self, Examples};
use common::{files, seed};
use cpu_time::ProcessTime;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const WIDTH: usize = 2048;
const IMAGES: usize = 200;
const PROPOSALS: usize = 600;
/// Machines whose weights are written.
const MACHINES: usize = 10;
const POSITIVE: usize = 100;
const NEGATIVE: usize = 4000;
const TRAININGS: usize = 3;

/// A row of length 1 of positive numbers, many small and few large, as behind a rectifier.
fn row(rng: &mut ChaCha8Rng, raised: usize) -> Vec<f32> {
    let mut row: Vec<f32> = (0..WIDTH).map(|_| (rng.random::<f32>() - 0.4).max(0.0).powi(2)).collect();
    row[..raised].iter_mut().for_each(|value| *value += 0.08);
    let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
    row.iter_mut().for_each(|value| *value /= length);
    row
}

fn bytes(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// The most memory that the process had, in bytes.
fn most_memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmHWM")?;
    Ok(kib.parse::<u64>()? * 1024)
}

pub(crate) fn scoring(work: &Path, machines: usize) -> Result<Value> {
    let mut rng = seed::rng(11, "scoring", 0);
    let path = work.join("scoring.bin");
    let weights: Vec<Vec<f32>> =
        (0..MACHINES).map(|_| (0..WIDTH).map(|_| rng.random::<f32>() - 0.5).collect()).collect();
    let (mut proposals, mut clicks) = (Vec::new(), Vec::new());
    for _ in 0..IMAGES {
        let mut proposal = || {
            let [x, y] = [(); 2].map(|()| rng.random_range(0..300) as f64);
            let [w, h] = [(); 2].map(|()| rng.random_range(20..100) as f64);
            let score = 0.01 + 0.3 * rng.random::<f32>();
            Proposal { bbox: BoundingBox::new(x, y, x + w, y + h), score }
        };
        proposals.push((0..PROPOSALS).map(|_| proposal()).collect::<Vec<_>>());
        clicks.push(Point { x: rng.random_range(60..340) as f64, y: rng.random_range(60..340) as f64 });
    }
    let all = || proposals.iter().flatten();
    let rest = weights
        .iter()
        .flatten()
        .copied()
        .chain(all().flat_map(|p| [p.bbox.x0, p.bbox.y0, p.bbox.x1, p.bbox.y1].map(|side| side as f32)))
        .chain(all().map(|proposal| proposal.score))
        .chain(clicks.iter().flat_map(|click| [click.x as f32, click.y as f32]));
    files::write_atomic(&work.join("scoring-rest.bin"), &bytes(rest))?;
    // The first run writes the features, the others read them: memory is then that of scoring.
    if !path.exists() {
        let mut writer = StoreWriter::create(&path, WIDTH)?;
        for _ in 0..IMAGES {
            let rows: Vec<f32> = (0..PROPOSALS).flat_map(|_| row(&mut rng, 0)).collect();
            writer.push(&rows)?;
        }
        drop(writer.finish()?);
    }
    let before = most_memory()?;
    let features = click_mil::features::FeatureStore::open(&path)?;
    let rows: Vec<&[f32]> = weights.iter().take(machines).map(Vec::as_slice).collect();
    let biases = vec![0.0; machines];
    let widths = Widths { centre_px: 25.0, log_area: 1.0 };
    let images: Vec<usize> = (0..IMAGES).collect();
    let best = || -> Vec<f64> {
        let products = features.products_of(&images, &rows, &biases);
        let of_image = |(image, products): (usize, Vec<Vec<f32>>)| {
            let evidence = Evidence::Centre(clicks[image]);
            let beliefs = Beliefs::new(&proposals[image], true, &evidence, widths);
            let best = |decisions: Vec<f32>| {
                let scores = beliefs.scores(decisions.into_iter().map(appearance));
                scores.into_iter().fold(f64::NEG_INFINITY, f64::max)
            };
            products.into_iter().map(best).collect::<Vec<f64>>()
        };
        products.into_iter().enumerate().flat_map(of_image).collect()
    };
    std::hint::black_box(best());
    let peak = most_memory()?.saturating_sub(before);
    let started = ProcessTime::now();
    let values = best();
    let seconds = started.elapsed().as_secs_f64();
    let items = IMAGES * PROPOSALS * machines;
    Ok(json!({"seconds": seconds, "items": items, "values": values, "peak_bytes": peak}))
}

pub(crate) fn svm(work: &Path) -> Result<Value> {
    let mut rng = seed::rng(13, "svm", 0);
    let features: Vec<f32> =
        (0..POSITIVE + NEGATIVE).flat_map(|at| row(&mut rng, if at < POSITIVE { 60 } else { 0 })).collect();
    files::write_atomic(&work.join("svm.bin"), &bytes(features.iter().copied()))?;
    let labels: Vec<bool> = (0..POSITIVE + NEGATIVE).map(|at| at < POSITIVE).collect();
    let examples = Examples { features: &features, labels: &labels, chosen: None };
    let config = svm::Config::usual();
    let mut objective = svm::train(examples, &config, &[], 0)?.svm.objective(examples, &config);
    let started = ProcessTime::now();
    for run in 0..TRAININGS {
        let trained = svm::train(examples, &config, &[], run as u64)?;
        objective = std::hint::black_box(trained.svm).objective(examples, &config);
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(json!({"seconds": seconds, "items": TRAININGS, "values": [objective]}))
}
