//! Negative windows: random ones at first, then those that a machine takes for the class.

use std::collections::{BTreeSet, HashSet};

use common::seed;
use rand::Rng;

use crate::features::FeatureStore;
use crate::svm::Svm;

/// A window by image and proposal.
pub(crate) type Window = (usize, usize);

/// Where negatives come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// Features of the proposals of each image.
    pub(crate) features: &'a FeatureStore,
    /// Images, by place.
    pub(crate) images: &'a [usize],
    /// Windows of these images that are no negatives.
    pub(crate) kept_out: &'a HashSet<Window>,
}

/// Windows without an object of the class, each once, in a fixed order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Negatives(BTreeSet<Window>);

impl Negatives {
    /// Up to `n` random windows of each image.
    pub(crate) fn random(source: Source<'_>, n: usize, run_seed: u64) -> Self {
        let mut windows = BTreeSet::new();
        for &image in source.images {
            let mut rng = seed::rng(run_seed, "negatives", image as u64);
            let rows = source.features.rows(image);
            let drawn = (0..n.min(rows)).map(|_| (image, rng.random_range(0..rows)));
            windows.extend(drawn.filter(|window| !source.kept_out.contains(window)));
        }
        Self(windows)
    }

    /// Adds the `n` highest-scoring windows of each image.
    pub(crate) fn mine(&mut self, source: Source<'_>, n: usize, svm: &Svm) {
        let products = source.features.products_of(source.images, &[&svm.weights], &[svm.bias]);
        for (&image, mut products) in source.images.iter().zip(products) {
            let decisions = products.remove(0);
            let mut order: Vec<usize> =
                (0..decisions.len()).filter(|&row| !source.kept_out.contains(&(image, row))).collect();
            order.sort_by(|&a, &b| decisions[b].total_cmp(&decisions[a]).then(a.cmp(&b)));
            self.0.extend(order.into_iter().take(n).map(|row| (image, row)));
        }
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The windows by image and proposal.
    pub(crate) fn windows(&self) -> impl Iterator<Item = Window> + '_ {
        self.0.iter().copied()
    }
}
