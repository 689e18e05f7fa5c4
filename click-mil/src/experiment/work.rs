//! Carrying out one job: features of a part of a set, or windows and detectors of an arm.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use common::nn::vision::TrunkName;
use common::outcome::Outcome;
use cpu_time::ProcessTime;
use tch::Device;

use super::arms::{Arm, Known};
use super::design::{Job, NETWORK, Set, TEST, TRAINING, Work};
use super::windows::{self, Windows};
use super::world::{self, World};
use super::{detectors, pictures};
use crate::dataset::Dataset;
use crate::evaluate::{corloc, mean_defined};
use crate::features::{Backbone, Config as FeatureConfig};
use crate::geometry::BoundingBox;

const WEIGHTS: &str = "squeezenet1_1_features.safetensors";

/// Seconds for one click: derived from the paper, whose 35 s per box and factor of 18 for one click give 1.9 s.
pub const CLICK_S: f64 = 1.9;
/// Seconds for a drawn box: the paper's introduction.
pub const BOX_S: f64 = 35.0;

/// What the jobs of a worker share.
pub struct Lab {
    /// Data root.
    data: PathBuf,
    /// Folder of the run's features.
    features: PathBuf,
    device: Device,
    worlds: BTreeMap<String, World>,
}

impl Lab {
    /// Nothing read yet.
    pub fn new(data: PathBuf, features: PathBuf, device: Device) -> Self {
        Self { data, features, device, worlds: BTreeMap::new() }
    }

    /// Carries out one job.
    ///
    /// # Errors
    /// Missing data, diverged training, files.
    pub fn carry_out(&mut self, job: &Job) -> Result<Outcome> {
        let (started, processor) = (Instant::now(), ProcessTime::now());
        let mut outcome = match job.work {
            Work::Describe => self.describe(job)?,
            Work::Learn => self.learn(job)?,
            Work::Draw => {
                let (data, device) = (self.data.clone(), self.device);
                pictures::draw(self.world(&job.set, TRAINING)?, &data, job, device)?
            }
        };
        (outcome.wall_s, outcome.cpu_s) =
            (started.elapsed().as_secs_f64(), processor.elapsed().as_secs_f64());
        Ok(outcome)
    }

    fn describe(&self, job: &Job) -> Result<Outcome> {
        let weights = weights(&self.data);
        let backbone = Backbone::read(&weights, TrunkName::SqueezeNet, FeatureConfig::usual(), self.device)?;
        let (set, split) = (&job.set, &*job.arm);
        let dataset = self.dataset(set, split)?;
        let name = file_name(set, split);
        let found = world::describe(&dataset, set, job.part, &backbone, &self.features, &name)?;
        let mut outcome = Outcome::default();
        // Found by any proposal, at both overlaps; objects that count only.
        let (mut objects, mut hits) = (0.0, [0.0; 2]);
        for (picture, proposals) in
            dataset.pictures[world::own(dataset.pictures.len(), job.part)].iter().zip(&found)
        {
            for object in picture.objects.iter().filter(|object| object.counts()) {
                let best =
                    proposals.iter().map(|proposal| proposal.bbox.iou(&object.bbox)).fold(0.0, f64::max);
                objects += 1.0;
                [0.5, 0.7]
                    .iter()
                    .zip(&mut hits)
                    .for_each(|(at, hits)| *hits += f64::from(u8::from(best >= *at)));
            }
        }
        let counts = found.iter().map(Vec::len).sum::<usize>() as f64;
        let setting = format!("{}/{split}", set.name);
        for (metric, value) in [
            ("images", found.len() as f64),
            ("proposals", counts),
            ("objects", objects),
            ("found_50", hits[0]),
            ("found_70", hits[1]),
        ] {
            outcome.put(&setting, "proposals", metric, vec![value]);
        }
        Ok(outcome)
    }

    fn dataset(&self, set: &Set, split: &str) -> Result<Dataset> {
        let root = self.data.join(&set.name);
        if split == TEST {
            // The classes are those of the training split.
            let training = world::dataset(&root, TRAINING, set.images, set.least_images)?;
            let mut test = world::dataset(&root, TEST, set.test_images, 0)?;
            test.name_classes(&training.classes);
            return Ok(test);
        }
        world::dataset(&root, split, set.images, set.least_images)
    }

    fn world(&mut self, set: &Set, split: &str) -> Result<&World> {
        let name = file_name(set, split);
        if !self.worlds.contains_key(&name) {
            let dataset = self.dataset(set, split)?;
            let world = World::open(dataset, &self.features, &name, FeatureConfig::usual())
                .with_context(|| format!("features of {} {split}", set.name))?;
            self.worlds.insert(name.clone(), world);
        }
        Ok(&self.worlds[&name])
    }

    /// Windows of an arm, how good they are, and what detectors trained from them find.
    fn learn(&mut self, job: &Job) -> Result<Outcome> {
        let arm = Arm::named(&job.arm);
        if job.detect {
            self.world(&job.set, TEST)?;
        }
        self.world(&job.set, TRAINING)?;
        let world = &self.worlds[&file_name(&job.set, TRAINING)];
        let mut outcome = Outcome::default();
        let windows = windows::of(world, job, &arm)?;
        measure(world, job, &arm, &windows, &mut outcome);
        if job.detect {
            let test = &self.worlds[&file_name(&job.set, TEST)];
            detectors::train_and_test(world, test, job, &windows, self.device, &mut outcome)?;
        }
        Ok(outcome)
    }
}

fn file_name(set: &Set, split: &str) -> String {
    format!("{}-{split}", set.name)
}

/// Time of annotation, and how well the windows of the last and of every iteration lie.
fn measure(world: &World, job: &Job, arm: &Arm, windows: &Windows, outcome: &mut Outcome) {
    let setting = &*job.set.name;
    let mut put = |metric: &str, values: Vec<f64>| outcome.put(setting, &job.arm, metric, values);
    put("seconds", vec![CLICK_S * windows.clicks as f64 + BOX_S * windows.drawn as f64]);
    if arm.known == Known::Boxes {
        return;
    }
    put("sigma_px", vec![windows.sigma_px]);
    if let Some(error) = windows.click_error_px {
        put("click_error_px", vec![error]);
    }
    let share = |overlap: f64, iteration: usize| {
        let chosen = |picture: usize, class: usize| windows.of(iteration, picture, class);
        mean_defined(corloc(&world.dataset, overlap, chosen)).unwrap_or_default()
    };
    let last = windows.iterations() - 1;
    put("corloc", vec![share(0.5, last)]);
    put("corloc_70", vec![share(0.7, last)]);
    put("corloc_by_iteration", (0..=last).map(|iteration| share(0.5, iteration)).collect());
    let overlaps = overlaps(world, |picture, class| windows.of(last, picture, class));
    put("overlaps", overlaps);
    let images = |class: usize| world.sides_of(class).0.len() as f64;
    put("images_by_class", (0..world.dataset.classes.len()).map(images).collect());
}

/// Overlap of the chosen window with the best object, class by class, image by image; 0 without a window.
fn overlaps(world: &World, chosen: impl Fn(usize, usize) -> Option<BoundingBox>) -> Vec<f64> {
    let of_class = |class: usize| {
        let chosen = &chosen;
        world.sides_of(class).0.into_iter().map(move |picture| {
            let best = |found: BoundingBox| {
                world.objects(picture, class).map(|object| object.bbox.iou(&found)).fold(0.0, f64::max)
            };
            // Three places are enough to know which side of an overlap it is on, and keep the stored runs small.
            (chosen(picture, class).map_or(0.0, best) * 1000.0).floor() / 1000.0
        })
    };
    (0..world.dataset.classes.len()).flat_map(of_class).collect()
}

/// Where the weights of the network are looked for below the data root.
pub(super) fn weights(data: &Path) -> PathBuf {
    data.join(NETWORK).join(WEIGHTS)
}
