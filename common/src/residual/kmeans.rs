//! Seeded k-means, the same on every machine and thread count.

use crate::seed;
use rand::seq::index;
use serde::{Deserialize, Serialize};

use super::nearest::{best, dot};
use super::{ResidualError, rows};

/// Settings of [`kmeans`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KmeansConfig {
    /// Centroids.
    pub centroids: usize,
    /// Rounds of Lloyd's algorithm; ColBERTv2 runs 4 (20 for few vectors).
    pub rounds: usize,
}

/// Centroids `[centroids, dim]` of `vectors` `[rows, dim]`, not normalised.
///
/// Starts from distinct rows drawn by `run_seed`; the assignment is the nearest in Euclidean distance, the lowest id of
/// equals; sums are f64 in the order of the rows. A centroid without a vector takes the vector farthest from its own.
///
/// # Errors
/// [`ResidualError`] for ragged, non-finite or too few vectors.
pub fn kmeans(
    vectors: &[f32],
    dim: usize,
    config: KmeansConfig,
    run_seed: u64,
) -> Result<Vec<f32>, ResidualError> {
    let count = rows("vectors", vectors, dim)?;
    if count < config.centroids || config.centroids == 0 {
        return Err(ResidualError::TooFew { found: count, expected: config.centroids.max(1) });
    }
    let mut rng = seed::rng(run_seed, "kmeans", 0);
    let mut start = index::sample(&mut rng, count, config.centroids).into_vec();
    start.sort_unstable();
    let mut centroids: Vec<f32> =
        start.into_iter().flat_map(|row| vectors[row * dim..][..dim].iter().copied()).collect();
    for _ in 0..config.rounds {
        let owners = assign(vectors, &centroids, dim);
        update(vectors, dim, &owners, &mut centroids);
    }
    Ok(centroids)
}

/// Nearest centroid of each vector in Euclidean distance, with half the squared distance less the vector's own half square.
fn assign(vectors: &[f32], centroids: &[f32], dim: usize) -> Vec<(u32, f32)> {
    let halves: Vec<f32> = centroids.chunks_exact(dim).map(|c| -0.5 * dot(c, c)).collect();
    best(vectors, centroids, dim, &halves)
}

fn update(vectors: &[f32], dim: usize, owners: &[(u32, f32)], centroids: &mut [f32]) {
    let count = centroids.len() / dim;
    let mut sums = vec![0.0_f64; centroids.len()];
    let mut members = vec![0_u32; count];
    for (vector, &(owner, _)) in vectors.chunks_exact(dim).zip(owners) {
        members[owner as usize] += 1;
        let sum = &mut sums[owner as usize * dim..][..dim];
        sum.iter_mut().zip(vector).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    let empty = members.contains(&0);
    let mut farthest = if empty { by_distance(vectors, dim, owners) } else { Vec::new() }.into_iter();
    for (id, centroid) in centroids.chunks_exact_mut(dim).enumerate() {
        if members[id] > 0 {
            let sum = &sums[id * dim..][..dim];
            centroid.iter_mut().zip(sum).for_each(|(c, &s)| *c = (s / f64::from(members[id])) as f32);
        } else if let Some(row) = farthest.next() {
            centroid.copy_from_slice(&vectors[row * dim..][..dim]);
        }
    }
}

/// Rows from the farthest to the nearest to their centroid, lower rows first among equals.
fn by_distance(vectors: &[f32], dim: usize, owners: &[(u32, f32)]) -> Vec<usize> {
    let distance: Vec<f32> = vectors
        .chunks_exact(dim)
        .zip(owners)
        .map(|(vector, &(_, score))| 0.5 * dot(vector, vector) - score)
        .collect();
    let mut order: Vec<usize> = (0..distance.len()).collect();
    order.sort_by(|&a, &b| distance[b].total_cmp(&distance[a]).then(a.cmp(&b)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: KmeansConfig = KmeansConfig { centroids: 2, rounds: 8 };

    #[test]
    fn two_clouds_become_their_means() {
        let vectors = [0.0, 0.0, 0.0, 2.0, 10.0, 0.0, 10.0, 2.0];
        let mut found = kmeans(&vectors, 2, CONFIG, 3).unwrap();
        if found[0] > found[2] {
            found.rotate_left(2);
        }
        assert_eq!(found, [0.0, 1.0, 10.0, 1.0]);
    }

    #[test]
    fn a_centroid_without_vectors_takes_a_far_one() {
        let vectors = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 9.0];
        for run_seed in 0..8 {
            let mut found = kmeans(&vectors, 1, CONFIG, run_seed).unwrap();
            found.sort_by(f32::total_cmp);
            assert_eq!(found, [1.0, 9.0], "seed {run_seed}");
        }
    }

    #[test]
    fn fewer_vectors_than_centroids_are_refused() {
        let message = kmeans(&[1.0], 1, CONFIG, 0).unwrap_err().to_string();
        assert!(message.starts_with("1 vectors, expected at least 2"), "{message}");
    }
}
