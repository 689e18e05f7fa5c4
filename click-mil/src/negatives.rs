//! Negative windows: random ones at first, then those that a machine takes for the class.

use std::collections::BTreeSet;

use common::seed;
use rand::Rng;

use crate::features::FeatureStore;
use crate::svm::Svm;

/// A window by image and proposal.
pub(crate) type Window = (usize, usize);

/// Windows of images without the class, each once, in a fixed order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Negatives(BTreeSet<Window>);

impl Negatives {
    /// Up to `n` random windows of each image.
    pub(crate) fn random(features: &FeatureStore, images: &[usize], n: usize, run_seed: u64) -> Self {
        let mut windows = BTreeSet::new();
        for &image in images {
            let mut rng = seed::rng(run_seed, "negatives", image as u64);
            let rows = features.rows(image);
            for _ in 0..n.min(rows) {
                windows.insert((image, rng.random_range(0..rows)));
            }
        }
        Self(windows)
    }

    /// Adds the `n` highest-scoring windows of each image.
    pub(crate) fn mine(&mut self, features: &FeatureStore, images: &[usize], n: usize, svm: &Svm) {
        let products = features.products_of(images, &[&svm.weights], &[svm.bias]);
        for (&image, mut products) in images.iter().zip(products) {
            let decisions = products.remove(0);
            let mut order: Vec<usize> = (0..decisions.len()).collect();
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
