//! Deep MIL (Papadopoulos et al. 2017, section 3): after multi-fold MIL, further iterations in which the appearance of a proposal is
//! what Fast R-CNN says instead of a support vector machine.
//!
//! ```text
//! repeat:  train Fast R-CNN on the chosen windows of all classes
//!          in each image, for each of its classes: take the proposal with the highest S_ap · S_bc · S_ba,
//!          A(p) = share of the class in the softmax
//! ```
//! The network below the proposals' features stays frozen, so it is the head that is trained again. As before, an image's window is
//! not chosen by a head that was trained on that window: images are split into folds.

use common::seed;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use tch::Device;

use crate::click_score::Widths;
use crate::dataset::Dataset;
use crate::fast_rcnn::{self, Head, HeadError, Training};
use crate::geometry::BoundingBox;
use crate::learn::{OfClass, Supervision, chosen_boxes};
use crate::mil::Beliefs;
use crate::pipeline::Described;

/// How to go on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Iterations. Papadopoulos et al.: 2.
    pub iterations: usize,
    /// Folds; 1 lets a head choose in the images that it was trained on. Ours: 2.
    pub folds: usize,
    /// Whether objectness is half of the score without clicks, as in the iterations before.
    pub objectness: bool,
    /// The heads.
    pub head: fast_rcnn::Config,
}

impl Config {
    /// Two iterations, two folds, objectness.
    pub const fn usual() -> Self {
        Self { iterations: 2, folds: 2, objectness: true, head: fast_rcnn::Config::usual() }
    }
}

/// Images with what is known of them.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Images and their classes.
    pub dataset: &'a Dataset,
    /// Clicks, if any.
    pub supervision: &'a Supervision<'a>,
    /// Proposals and features.
    pub described: &'a Described,
    /// Standard deviations of the click scores.
    pub widths: Widths,
}

/// Goes on from the windows of all classes, whose further choices are added to theirs.
///
/// # Errors
/// [`HeadError`] of a fold's training.
pub fn go_on(
    known: &Known<'_>,
    classes: &mut [OfClass],
    config: &Config,
    run_seed: u64,
    device: Device,
) -> Result<(), HeadError> {
    let n = known.dataset.pictures.len();
    let folds = config.folds.clamp(1, n.max(1));
    for iteration in 0..config.iterations {
        let objects = chosen_boxes(known.dataset, known.described, classes);
        let mut next: Vec<Vec<Option<usize>>> =
            classes.iter().map(|of_class| of_class.found.last().to_vec()).collect();
        let mut order: Vec<usize> = (0..n).collect();
        order.shuffle(&mut seed::rng(run_seed, "deep folds", iteration as u64));
        for fold in 0..folds {
            let mut own: Vec<usize> = order.iter().copied().skip(fold).step_by(folds).collect();
            own.sort_unstable();
            let left_out = |image: &usize| folds > 1 && own.binary_search(image).is_ok();
            let images: Vec<usize> = (0..n).filter(|image| !left_out(image)).collect();
            let head_seed = seed::derive(run_seed, "deep", (iteration * folds + fold) as u64);
            let head = train(known, &objects, &images, &config.head, head_seed, device)?;
            for &image in &own {
                choose(known, classes, config.objectness, &head, image, &mut next);
            }
        }
        for (of_class, next) in classes.iter_mut().zip(next) {
            let before = of_class.found.last();
            let moved = before.iter().zip(&next).filter(|(before, after)| before != after).count();
            of_class.found.changed.push(moved as f64 / next.len().max(1) as f64);
            of_class.found.chosen.push(next);
        }
    }
    Ok(())
}

fn train(
    known: &Known<'_>,
    objects: &[Vec<(usize, BoundingBox)>],
    images: &[usize],
    config: &fast_rcnn::Config,
    run_seed: u64,
    device: Device,
) -> Result<Head, HeadError> {
    let objects: Vec<Vec<(usize, BoundingBox)>> =
        images.iter().map(|&image| objects[image].clone()).collect();
    let training = Training {
        features: &known.described.features,
        proposals: &known.described.proposals,
        images,
        objects: &objects,
        classes: known.dataset.classes.len(),
    };
    Head::train(&training, config, run_seed, device)
}

/// Chooses the window of each class of an image; `next` holds those of all classes.
fn choose(
    known: &Known<'_>,
    classes: &[OfClass],
    objectness: bool,
    head: &Head,
    image: usize,
    next: &mut [Vec<Option<usize>>],
) {
    let Known { dataset, supervision, described, widths } = *known;
    let proposals = &described.proposals[image];
    if proposals.is_empty() {
        return;
    }
    let shares = head.shares(&described.features.all_rows(image), proposals.len());
    let row = dataset.classes.len() + 1;
    for class in dataset.pictures[image].classes() {
        let Ok(place) = classes[class].images.binary_search(&image) else { continue };
        let appearance = shares.chunks_exact(row).map(|shares| shares[class + 1]);
        let evidence = supervision.evidence(image, class);
        let scores = Beliefs::new(proposals, objectness, &evidence, widths).scores(appearance);
        // Of equal scores the first proposal's.
        next[class][place] =
            (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a)));
    }
}
