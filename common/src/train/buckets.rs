//! Batches of near-equal lengths.

use rand::seq::SliceRandom;

use crate::seed;

/// Sentences shuffled together before they are sorted by length, in batches: enough for near-equal lengths, few
/// enough for batches to differ from epoch to epoch. Ours.
const POOL_BATCHES: usize = 32;

/// Batches of `size` rows with near-equal `lengths`, each row once, in a random order that `run_seed` and `epoch` decide.
///
/// ```
/// use common::train::length_buckets;
/// let batches = length_buckets(&[3, 9, 3, 8], 2, 1, 0);
/// assert!(batches.iter().all(|batch| batch == &[0, 2] || batch == &[3, 1]));
/// ```
pub fn length_buckets(lengths: &[usize], size: usize, run_seed: u64, epoch: usize) -> Vec<Vec<usize>> {
    let mut rng = seed::rng(run_seed, "shuffle", epoch as u64);
    let mut rows: Vec<usize> = (0..lengths.len()).collect();
    rows.shuffle(&mut rng);
    for pool in rows.chunks_mut(POOL_BATCHES * size) {
        pool.sort_by_key(|&row| lengths[row]);
    }
    let mut batches: Vec<Vec<usize>> = rows.chunks(size).map(<[usize]>::to_vec).collect();
    batches.shuffle(&mut rng);
    batches
}
