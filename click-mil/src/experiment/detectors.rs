//! Detectors trained from the windows of an arm, and their average precision on the test images.

use anyhow::Result;
use common::outcome::Outcome;
use common::seed;
use tch::Device;

use super::arms::Arm;
use super::design::Job;
use super::windows::{Window, Windows, mil_config, run_seed};
use super::world::World;
use crate::evaluate::{Detection, voc};
use crate::fast_rcnn::{self, Head, Training};
use crate::geometry::BoundingBox;
use crate::linear::{ClassWindows, LinearDetector};

/// Settings of linear detectors, after the data set's name.
pub(super) const LINEAR: &str = "linear";
/// Settings of Fast R-CNN, likewise.
pub(super) const HEAD: &str = "fast-rcnn";

/// Trains both detectors, and keeps their average precisions at overlaps 0.5 and 0.7.
///
/// # Errors
/// Diverged training, boxes that no proposal overlaps.
pub(super) fn train_and_test(
    world: &World,
    test: &World,
    job: &Job,
    windows: &Windows,
    device: Device,
    outcome: &mut Outcome,
) -> Result<()> {
    let linear = linear(world, job, windows)?;
    let config = head_config(job);
    let head = head(world, job, windows, device)?;
    let (mut by_linear, mut by_head) = (Vec::new(), Vec::new());
    for (place, picture) in test.dataset.pictures.iter().enumerate() {
        let proposals = &test.proposals[place];
        by_linear.extend(linear.detect(
            &test.features,
            place,
            proposals,
            place,
            config.thin_out,
            config.most,
        ));
        let size = [picture.width, picture.height];
        by_head.extend(head.detect(&test.features.all_rows(place), proposals, place, size, &config));
    }
    score(test, job, LINEAR, &by_linear, outcome);
    score(test, job, HEAD, &by_head, outcome);
    Ok(())
}

/// Settings of the head.
pub(super) fn head_config(job: &Job) -> fast_rcnn::Config {
    fast_rcnn::Config {
        steps: job.sizes.head_steps,
        images: job.sizes.head_images,
        ..fast_rcnn::Config::usual()
    }
}

/// A head trained from the windows.
///
/// # Errors
/// Diverged training, boxes that no proposal overlaps.
pub(super) fn head(world: &World, job: &Job, windows: &Windows, device: Device) -> Result<Head> {
    let objects: Vec<Vec<(usize, BoundingBox)>> =
        windows.images.iter().map(|&image| windows.objects(world, image)).collect();
    let training = Training {
        features: &world.features,
        proposals: &world.proposals,
        images: &windows.images,
        objects: &objects,
        classes: world.dataset.classes.len(),
    };
    let head_seed = seed::derive(run_seed(job, 0), "head", 0);
    Ok(Head::train(&training, &head_config(job), head_seed, device)?)
}

fn linear(world: &World, job: &Job, windows: &Windows) -> Result<LinearDetector> {
    let every = ClassWindows { negative: windows.images.clone(), ..ClassWindows::default() };
    let mut classes = vec![every; world.dataset.classes.len()];
    for &(image, class, window) in &windows.last {
        let (features, bbox) = match window {
            Window::Proposal(at) => (world.features.row(image, at), world.proposals[image][at].bbox),
            Window::Drawn(bbox) => (world.describe(image, &[bbox])?.remove(0), bbox),
        };
        classes[class].positive.push(features);
        classes[class].keep_out(image, &world.proposals[image], &bbox);
    }
    let config = mil_config(job, &Arm::named(&job.arm));
    Ok(LinearDetector::train(&world.features, &classes, &config, job.sizes.mining, run_seed(job, 0))?)
}

fn score(test: &World, job: &Job, detector: &str, detections: &[Detection], outcome: &mut Outcome) {
    let setting = format!("{}/{detector}", job.set.name);
    let mut put = |metric: &str, value: Option<f64>| {
        outcome.put(&setting, &job.arm, metric, vec![value.unwrap_or_default()]);
    };
    for (overlap, name) in [(0.5, "map_50"), (0.7, "map_70")] {
        let scores = voc(&test.dataset, detections, overlap);
        put(name, scores.mean_area());
        put(&format!("{name}_11_point"), scores.mean_eleven_point());
        if overlap == 0.5 {
            for (name, class) in test.dataset.classes.iter().zip(&scores.classes) {
                put(&format!("ap_50_{name}"), class.map(|class| class.area));
            }
        }
    }
}
