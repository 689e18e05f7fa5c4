//! Multi-fold multiple-instance learning (Cinbis et al. 2017) with clicks (Papadopoulos et al. 2017): where in the images of a class
//! is the object, when only the class of each image is known?
//!
//! ```text
//! repeat:  split the positive images into K folds
//!          for each fold: train on the windows of the other folds and on negatives, then choose in the fold's images
//!          train on all chosen windows, take the highest-scoring windows of negative images as further negatives
//! S(p) = S_ap(p) · S_bc(p) · S_ba(p),    S_ap = A, or ½ A + ½ O with objectness
//! ```
//! An image's window is never chosen by a machine that was trained on that window: else the first one would stay.

use std::collections::{HashMap, HashSet};

use common::seed;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::click_score::{Evidence, Widths};
use crate::edge_boxes::Proposal;
use crate::features::FeatureStore;
use crate::negatives::{Negatives, Source, Window};
use crate::svm::{self, Examples, Svm, SvmError};

/// How to look for objects.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folds K; 1 is plain MIL. Cinbis et al.: 10.
    pub folds: usize,
    /// Iterations at most. Ours: 10; a pilot needed 4.
    pub iterations: usize,
    /// The search ends when fewer than this share of the windows change. Ours: 0.01.
    pub stop_below: f64,
    /// Random negatives of each negative image. Ours: 10.
    pub random_negatives: usize,
    /// Hard negatives of each negative image per iteration. Ours: 5.
    pub hard_negatives: usize,
    /// Whether objectness is half of the score without clicks.
    pub objectness: bool,
    /// Machine.
    pub svm: svm::Config,
}

impl Config {
    /// Ten folds, ten iterations, objectness.
    pub const fn usual() -> Self {
        Self {
            folds: 10,
            iterations: 10,
            stop_below: 0.01,
            random_negatives: 10,
            hard_negatives: 5,
            objectness: true,
            svm: svm::Config::usual(),
        }
    }
}

/// Images of one class with what is known of them.
#[derive(Clone, Copy, Debug)]
pub struct Bags<'a> {
    /// Features of the proposals of each image.
    pub features: &'a FeatureStore,
    /// Proposals of each image, in the order of the features.
    pub proposals: &'a [Vec<Proposal>],
    /// Images with the class, by place.
    pub positive: &'a [usize],
    /// Images without it, by place.
    pub negative: &'a [usize],
    /// What clicks say in each positive image, in the order of `positive`.
    pub evidence: &'a [Evidence],
    /// Standard deviations of the click scores.
    pub widths: Widths,
    /// Features of the first window of each positive image, in the order of `positive`.
    pub first: &'a [Vec<f32>],
}

/// Where the objects were found.
#[derive(Clone, Debug)]
pub struct Localised {
    /// Proposal chosen in each positive image after each iteration; `None` for an image without proposals.
    pub chosen: Vec<Vec<Option<usize>>>,
    /// Machine trained on the last windows.
    pub svm: Svm,
    /// Share of the windows that changed in each iteration.
    pub changed: Vec<f64>,
}

impl Localised {
    /// Proposals chosen last.
    pub fn last(&self) -> &[Option<usize>] {
        self.chosen.last().map_or(&[], Vec::as_slice)
    }
}

/// Bags that nothing can be learned from.
#[derive(Debug, Error, PartialEq)]
pub enum MilError {
    /// No image with the class, or none without it.
    #[error(
        "{positive} images with the class and {negative} without; expected some of both: a class in every image has no negatives"
    )]
    OneSided {
        /// Images with the class.
        positive: usize,
        /// Images without it.
        negative: usize,
    },
    /// Lists of different lengths.
    #[error(
        "{positive} positive images with {evidence} clicks and {first} first windows; expected one of each per image"
    )]
    Lengths {
        /// Positive images.
        positive: usize,
        /// Entries of evidence.
        evidence: usize,
        /// First windows.
        first: usize,
    },
    /// The machine.
    #[error(transparent)]
    Svm(#[from] SvmError),
}

/// Appearance of a proposal from a machine's decision, `A = σ(w·x + b)`, so that it can be multiplied with what clicks say.
pub fn appearance(decision: f32) -> f64 {
    1.0 / (1.0 + f64::from(-decision).exp())
}

/// What is known of the proposals of an image besides their appearance: the factors of `S_ap · S_bc · S_ba` that no machine changes.
#[derive(Clone, Debug)]
pub struct Beliefs {
    /// `½ O` where objectness counts, `O` being the score over the image's greatest.
    object: Option<Vec<f64>>,
    /// `S_bc · S_ba`.
    click: Vec<f64>,
}

impl Beliefs {
    /// Of proposals, with objectness as half of the score without clicks or not.
    pub fn new(proposals: &[Proposal], objectness: bool, evidence: &Evidence, widths: Widths) -> Self {
        let greatest = proposals.iter().map(|proposal| proposal.score).fold(0.0, f32::max);
        let object = |proposal: &Proposal| match greatest > 0.0 {
            true => 0.5 * f64::from(proposal.score / greatest),
            false => 0.0,
        };
        Self {
            object: objectness.then(|| proposals.iter().map(object).collect()),
            click: proposals.iter().map(|proposal| evidence.score(&proposal.bbox, widths)).collect(),
        }
    }

    /// Scores of the proposals, `S_ap · S_bc · S_ba`, from their appearances A in [0, 1]: `S_ap = A`, or with objectness `½ A + ½ O`.
    pub fn scores(&self, appearances: impl Iterator<Item = f64>) -> Vec<f64> {
        match &self.object {
            Some(object) => {
                let own = appearances.zip(object).map(|(appearance, object)| 0.5 * appearance + object);
                own.zip(&self.click).map(|(own, click)| own * click).collect()
            }
            None => appearances.zip(&self.click).map(|(own, click)| own * click).collect(),
        }
    }
}

/// Finds the objects of a class.
///
/// # Errors
/// [`MilError`].
pub fn localise(bags: &Bags<'_>, config: &Config, run_seed: u64) -> Result<Localised, MilError> {
    let n = bags.positive.len();
    if n == 0 || bags.negative.is_empty() {
        return Err(MilError::OneSided { positive: n, negative: bags.negative.len() });
    }
    if bags.evidence.len() != n || bags.first.len() != n {
        return Err(MilError::Lengths {
            positive: n,
            evidence: bags.evidence.len(),
            first: bags.first.len(),
        });
    }
    let mut search = Search::new(bags, config, run_seed);
    let (mut all, mut changed) = (Vec::new(), Vec::new());
    if config.folds > 1 {
        // The first folds start from one machine's multipliers instead of from nothing each.
        search.train_on_all(run_seed)?;
    }
    for iteration in 0..config.iterations.max(1) {
        let before = search.chosen.clone();
        search.choose_by_folds(run_seed, iteration)?;
        let moved = before.iter().zip(&search.chosen).filter(|(before, after)| before != after).count();
        changed.push(moved as f64 / n as f64);
        all.push(search.chosen.clone());
        let svm = search.train_on_all(run_seed)?;
        if changed[iteration] < config.stop_below || iteration + 1 == config.iterations.max(1) {
            return Ok(Localised { chosen: all, svm, changed });
        }
        search.negatives.mine(source(bags, &HashSet::new()), config.hard_negatives, &svm);
    }
    unreachable!("the last iteration returns")
}

/// Any window of an image without the class.
fn source<'a>(bags: &Bags<'a>, kept_out: &'a HashSet<Window>) -> Source<'a> {
    Source { features: bags.features, images: bags.negative, kept_out }
}

struct Search<'a> {
    bags: &'a Bags<'a>,
    config: &'a Config,
    /// Proposal chosen in each positive image; `None` stands for the first window.
    chosen: Vec<Option<usize>>,
    negatives: Negatives,
    /// Multipliers of the last training, by window.
    multipliers: HashMap<Window, f64>,
    /// Of each positive image.
    beliefs: Vec<Beliefs>,
}

/// Rows to train on: the windows of positive images first.
struct Rows {
    features: Vec<f32>,
    labels: Vec<bool>,
    windows: Vec<Window>,
}

impl<'a> Search<'a> {
    fn new(bags: &'a Bags<'a>, config: &'a Config, run_seed: u64) -> Self {
        let negatives = Negatives::random(source(bags, &HashSet::new()), config.random_negatives, run_seed);
        let chosen = vec![None; bags.positive.len()];
        let beliefs = bags.positive.iter().zip(bags.evidence).map(|(&image, evidence)| {
            Beliefs::new(&bags.proposals[image], config.objectness, evidence, bags.widths)
        });
        Self { bags, config, chosen, negatives, multipliers: HashMap::new(), beliefs: beliefs.collect() }
    }

    fn rows(&self) -> Rows {
        let mut features =
            Vec::with_capacity((self.chosen.len() + self.negatives.len()) * self.bags.features.width());
        let mut windows = Vec::new();
        for (place, (&image, chosen)) in self.bags.positive.iter().zip(&self.chosen).enumerate() {
            match chosen {
                Some(proposal) => features.extend(self.bags.features.row(image, *proposal)),
                None => features.extend_from_slice(&self.bags.first[place]),
            }
            windows.push((image, chosen.unwrap_or(usize::MAX)));
        }
        for (image, proposal) in self.negatives.windows() {
            features.extend(self.bags.features.row(image, proposal));
            windows.push((image, proposal));
        }
        let labels = (0..windows.len()).map(|row| row < self.chosen.len()).collect();
        Rows { features, labels, windows }
    }

    /// Trains on the rows chosen, from the multipliers that their windows had.
    fn train(&self, rows: &Rows, chosen: Option<&[u32]>, run_seed: u64) -> Result<svm::Trained, SvmError> {
        let known = |window: &Window| self.multipliers.get(window).copied().unwrap_or(0.0);
        let start: Vec<f64> = rows.windows.iter().map(known).collect();
        let examples = Examples { features: &rows.features, labels: &rows.labels, chosen };
        svm::train(examples, &self.config.svm, &start, run_seed)
    }

    fn choose_by_folds(&mut self, run_seed: u64, iteration: usize) -> Result<(), MilError> {
        let n = self.chosen.len();
        let mut order: Vec<usize> = (0..n).collect();
        order.shuffle(&mut seed::rng(run_seed, "folds", iteration as u64));
        let folds = self.config.folds.clamp(1, n);
        let rows = self.rows();
        let fold = |fold: usize| -> Result<Vec<(usize, Option<usize>)>, SvmError> {
            let own: Vec<usize> = order.iter().copied().skip(fold).step_by(folds).collect();
            // With one fold, plain MIL: the machine has seen the very windows.
            let left_out = |row: u32| folds > 1 && own.contains(&(row as usize));
            let chosen: Vec<u32> = (0..rows.labels.len() as u32).filter(|&row| !left_out(row)).collect();
            let svm = self.train(&rows, Some(&chosen), run_seed)?.svm;
            Ok(own.into_iter().map(|place| (place, self.best(place, &svm))).collect())
        };
        let found: Result<Vec<_>, SvmError> = (0..folds).into_par_iter().map(fold).collect();
        for (place, best) in found?.into_iter().flatten() {
            self.chosen[place] = best.or(self.chosen[place]);
        }
        Ok(())
    }

    /// Best proposal of a positive image; `None` without proposals.
    fn best(&self, place: usize, svm: &Svm) -> Option<usize> {
        let image = self.bags.positive[place];
        let decisions = self.bags.features.products(image, &[&svm.weights], &[svm.bias]).remove(0);
        let scores = self.beliefs[place].scores(decisions.into_iter().map(appearance));
        (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a)))
    }

    fn train_on_all(&mut self, run_seed: u64) -> Result<Svm, MilError> {
        let rows = self.rows();
        let trained = self.train(&rows, None, run_seed)?;
        self.multipliers = rows.windows.iter().copied().zip(trained.multipliers).collect();
        Ok(trained.svm)
    }
}
