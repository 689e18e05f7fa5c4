//! What is localised and detected: sets, arms, seeds and sizes of each preset.

use common::outcome::Outcome;
use common::workers;
use serde::{Deserialize, Serialize};

pub use common::run::Preset;

use crate::area_prior::Sides;

/// A data set and what is done with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// Name of the data set.
    pub name: String,
    /// Images that windows are chosen in: at most so many of the split `trainval`.
    pub images: usize,
    /// Images that detectors are tested on: at most so many of the split `test`.
    pub test_images: usize,
    /// Classes of fewer images are left out.
    pub least_images: usize,
    /// Proposals per image.
    pub proposals: usize,
    /// Smallest window of EdgeBoxes in square pixels.
    pub min_box_area: f32,
    /// Sides of objects that are expected, in pixels, uniform: a guess from what the images show, never from their boxes.
    pub sides_px: [f64; 2],
    /// Arms of localisation.
    pub arms: Vec<String>,
    /// Arms from whose windows detectors are trained too.
    pub detectors: Vec<String>,
}

impl Set {
    /// Prior of sides.
    pub fn sides(&self) -> Sides {
        Sides::Uniform(self.sides_px[0], self.sides_px[1])
    }
}

/// Sizes of learning.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Folds K.
    pub folds: usize,
    /// Iterations T.
    pub iterations: usize,
    /// Rounds of mining of the linear detector.
    pub mining: usize,
    /// Steps of the Fast R-CNN head.
    pub head_steps: usize,
    /// Images per step.
    pub head_images: usize,
}

/// The runs of a preset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Design {
    /// Name in reports and run directories.
    pub preset: Preset,
    /// Seeds of the clicks: the units of replication.
    pub click_seeds: Vec<u64>,
    /// Folds, negatives and detectors of each click seed: runs that are averaged.
    pub fold_seeds: Vec<u64>,
    /// Data sets.
    pub sets: Vec<Set>,
    /// Sizes.
    pub sizes: Sizes,
    /// Whether pictures are drawn.
    pub pictures: bool,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Stores proposals, maps and features of a part of the images.
    Describe,
    /// Chooses windows, and trains and tests detectors on them.
    Learn,
    /// Draws pictures.
    Draw,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// What is done.
    pub work: Work,
    /// Data set and its plan; arms are left out.
    pub set: Set,
    /// Arm under comparison, or the split that is described.
    pub arm: String,
    /// Which part of the split, of [`PARTS`].
    pub part: usize,
    /// Seed of the clicks.
    pub click_seed: u64,
    /// Seed of folds, negatives and detectors.
    pub fold_seed: u64,
    /// Whether detectors are trained.
    pub detect: bool,
    /// Sizes.
    pub sizes: Sizes,
}

/// Parts that a split is described in.
pub const PARTS: usize = 8;
/// Split that windows are chosen in.
pub const TRAINING: &str = "trainval";
/// Split that detectors are tested on.
pub const TEST: &str = "test";
/// The set that detectors are trained for.
pub const MIX: &str = "voc-mix";
/// The set with clutter, whose pictures may be shown.
pub const COCO: &str = "coco-cc-160";
/// The set with small objects.
pub const CELLS: &str = "voc-bccd";
/// The network.
pub const NETWORK: &str = "squeezenet1_1-features";

impl workers::Job for Job {
    type Outcome = Outcome;

    fn describe(&self) -> String {
        match self.work {
            Work::Describe => format!("features of {} {}, part {}", self.set.name, self.arm, self.part + 1),
            Work::Learn => {
                let (click, fold) = (self.click_seed, self.fold_seed);
                format!("{} {}, click seed {click}, fold seed {fold}", self.set.name, self.arm)
            }
            Work::Draw => format!("pictures of {}", self.set.name),
        }
    }
}

/// Kinds of supervision and controls, for every set.
const LEVELS: [&str; 7] = ["random", "labels", "middle", "click-only", "click-1", "click-2", "click-2+area"];
/// What is left out.
const WITHOUT: [&str; 4] = ["labels-folds", "labels-objectness", "click-1-folds", "click-1-objectness"];
/// Other uses of the distance of two clicks.
const AREAS: [&str; 2] = ["click-2+broad", "click-2+oracle"];
/// Other widths of the box-centre score.
const SIGMAS: [&str; 3] = ["click-1@sigma=10", "click-1@sigma=50", "click-1@sigma=100"];
/// Other click errors; 0.09 is the usual one.
const ERRORS: [&str; 4] = ["click-1@s=0.25", "click-1@s=0.03", "click-1@s=0", "click-1@s=0.15"];
/// Boxes that were drawn, of all images or as many as time allows.
const BOXES: [&str; 4] = ["boxes@time-1", "boxes@time-2", "boxes@1/4", "boxes"];
/// Arms without boxes that have detectors.
const DETECTED: [&str; 3] = ["labels", "click-1", "click-2+area"];

fn owned(lists: &[&[&str]]) -> Vec<String> {
    lists.concat().iter().map(|arm| (*arm).to_owned()).collect()
}

/// Sets with all arms.
fn all_sets() -> Vec<Set> {
    let mix = Set {
        name: MIX.to_owned(),
        images: usize::MAX,
        test_images: usize::MAX,
        least_images: 1,
        proposals: 600,
        min_box_area: 1000.0,
        sides_px: [50.0, 330.0],
        arms: owned(&[&LEVELS, &BOXES, &WITHOUT, &AREAS, &ERRORS, &SIGMAS]),
        detectors: owned(&[&DETECTED, &BOXES]),
    };
    let coco = Set {
        name: COCO.to_owned(),
        test_images: 0,
        least_images: 15,
        proposals: 1000,
        sides_px: [30.0, 400.0],
        arms: owned(&[&LEVELS]),
        detectors: vec![],
        ..mix.clone()
    };
    let cells = Set {
        name: CELLS.to_owned(),
        least_images: 1,
        min_box_area: 150.0,
        sides_px: [15.0, 130.0],
        ..coco.clone()
    };
    vec![mix, coco, cells]
}

impl Design {
    /// A look within a minute: two click seeds, few images.
    pub fn quick() -> Self {
        let cpu = Self::cpu();
        let mix = Set {
            images: 48,
            test_images: 24,
            proposals: 200,
            least_images: 2,
            arms: owned(&[&["labels", "click-only", "click-1", "click-2", "boxes"]]),
            detectors: owned(&[&["labels", "click-1", "boxes"]]),
            ..cpu.sets[0].clone()
        };
        Self {
            preset: Preset::Quick,
            click_seeds: vec![1, 2],
            fold_seeds: vec![1],
            sets: vec![mix],
            sizes: Sizes { folds: 3, iterations: 2, mining: 1, head_steps: 60, ..cpu.sizes },
            pictures: false,
        }
    }

    /// The verdict preset.
    pub fn cpu() -> Self {
        Self {
            preset: Preset::Cpu,
            click_seeds: (101..=105).collect(),
            fold_seeds: vec![1, 2],
            pictures: true,
            sets: all_sets(),
            sizes: Sizes { folds: 4, iterations: 4, mining: 3, head_steps: 1500, head_images: 4 },
        }
    }

    /// All arms and more of everything: for a GPU.
    pub fn full() -> Self {
        let mut sets = all_sets();
        sets.iter_mut().for_each(|set| set.proposals = 2000);
        Self {
            preset: Preset::Full,
            click_seeds: (1..=10).collect(),
            fold_seeds: vec![1, 2],
            pictures: true,
            sets,
            sizes: Sizes { folds: 10, iterations: 10, mining: 5, head_steps: 4000, head_images: 8 },
        }
    }

    /// Data sets that the design reads.
    pub fn data_sets(&self) -> Vec<&str> {
        self.sets.iter().map(|set| &*set.name).chain([NETWORK]).collect()
    }

    /// Proposals and features that all other jobs share.
    pub fn describing(&self) -> Vec<Job> {
        let of_set = |set: &Set| {
            let splits = [TRAINING].into_iter().chain((set.test_images > 0).then_some(TEST));
            let part = |split: &str, part| Job { part, ..self.job(Work::Describe, set, split, 0, 0) };
            splits.flat_map(|split| (0..PARTS).map(move |at| part(split, at))).collect::<Vec<_>>()
        };
        self.sets.iter().flat_map(of_set).collect()
    }

    /// Runs of all arms, and the pictures.
    pub fn learning(&self) -> Vec<Job> {
        // Arm by arm: those with detectors first, for they take longest.
        let mut ordered: Vec<(&Set, &String)> =
            self.sets.iter().flat_map(|set| set.arms.iter().map(move |arm| (set, arm))).collect();
        ordered.sort_by_key(|(set, arm)| !set.detectors.contains(arm));
        let mut jobs = Vec::new();
        for (set, arm) in ordered {
            for &click in &self.click_seeds {
                jobs.extend(self.fold_seeds.iter().map(|&fold| self.job(Work::Learn, set, arm, click, fold)));
            }
        }
        let shown = self.sets.iter().find(|set| set.name == COCO).filter(|_| self.pictures);
        jobs.extend(
            shown.map(|set| self.job(Work::Draw, set, "click-1", self.click_seeds[0], self.fold_seeds[0])),
        );
        jobs
    }

    fn job(&self, work: Work, set: &Set, arm: &str, click_seed: u64, fold_seed: u64) -> Job {
        let detect = work == Work::Learn && set.detectors.iter().any(|known| known == arm);
        let set = Set { arms: vec![], detectors: vec![], ..set.clone() };
        Job { work, set, arm: arm.to_owned(), part: 0, click_seed, fold_seed, detect, sizes: self.sizes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::arms::Arm;

    #[test]
    fn every_arm_of_every_preset_is_known_and_every_detected_one_is_run() {
        for design in [Design::quick(), Design::cpu(), Design::full()] {
            for set in &design.sets {
                set.arms.iter().for_each(|arm| _ = Arm::named(arm));
                assert!(set.detectors.iter().all(|arm| set.arms.contains(arm)), "{}", set.name);
            }
            let jobs = design.learning();
            let one = jobs.iter().filter(|job| job.arm == "click-1" && job.work == Work::Learn).count();
            assert_eq!(one, design.sets.len() * design.click_seeds.len() * design.fold_seeds.len());
        }
    }
}
