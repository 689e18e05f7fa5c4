//! How much of what an encoder says about sentences is left when its vectors move.

use common::stats;
use rayon::prelude::*;

/// Neighbours that are compared.
pub const NEIGHBOURS: usize = 10;

/// Sentences that are compared pairwise, at most, evenly spread. Ours: their similarities fit into 70 MB.
pub const MOST_PAIRED: usize = 3000;

/// Agreement of two encoders on the same sentences. What is undefined (one sentence has no neighbour) is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// Cosine between the two vectors of each sentence.
    pub cosines: Vec<f64>,
    /// Sentences that were compared with each other.
    pub paired: usize,
    /// Spearman's correlation of the similarities of all pairs of sentences.
    pub spearman: Option<f64>,
    /// Share of sentences with the same nearest neighbour.
    pub same_nearest: Option<f64>,
    /// Share of the nearest [`NEIGHBOURS`] (or all others, where they are fewer) that both have, by sentence.
    pub overlaps: Vec<f64>,
}

impl Agreement {
    /// Agreement of unit vectors, `[sentences][width]` both.
    ///
    /// ```
    /// use quantization::encoder::Agreement;
    /// let vectors = vec![vec![1.0, 0.0], vec![0.8, 0.6], vec![0.0, 1.0]];
    /// let turned: Vec<Vec<f32>> = vectors.iter().map(|v| vec![-v[1], v[0]]).collect();
    /// let agreement = Agreement::of(&vectors, &turned);
    /// assert_eq!((agreement.mean_cosine(), agreement.same_nearest), (Some(0.0), Some(1.0)));
    /// ```
    ///
    /// # Panics
    /// When the numbers of sentences differ.
    pub fn of(base: &[Vec<f32>], other: &[Vec<f32>]) -> Self {
        assert_eq!(base.len(), other.len(), "the same sentences");
        let cosines = base.iter().zip(other).map(|(a, b)| dot(a, b)).collect();
        let paired = base.len().min(MOST_PAIRED);
        let spread = |all: &[Vec<f32>]| -> Vec<Vec<f32>> {
            (0..paired).map(|place| all[place * all.len() / paired].clone()).collect()
        };
        let similarities = [similarities(&spread(base)), similarities(&spread(other))];
        let upper = |table: &[Vec<f64>]| -> Vec<f64> {
            table.iter().enumerate().flat_map(|(row, values)| values[row + 1..].to_vec()).collect()
        };
        let spearman = stats::spearman(&upper(&similarities[0]), &upper(&similarities[1]));
        let near = similarities.each_ref().map(|table| neighbours(table));
        let pairs = || near[0].iter().zip(&near[1]).filter(|(a, _)| !a.is_empty());
        let same = pairs().filter(|(a, b)| a[0] == b[0]).count();
        let overlap = |(a, b): (&Vec<usize>, &Vec<usize>)| {
            a.iter().filter(|place| b.contains(place)).count() as f64 / a.len() as f64
        };
        Self {
            cosines,
            paired,
            spearman,
            same_nearest: (paired > 1).then(|| same as f64 / paired as f64),
            overlaps: pairs().map(overlap).collect(),
        }
    }

    /// Mean of [`Self::cosines`].
    pub fn mean_cosine(&self) -> Option<f64> {
        stats::mean(&self.cosines)
    }

    /// Least of [`Self::cosines`].
    pub fn least_cosine(&self) -> Option<f64> {
        self.cosines.iter().copied().reduce(f64::min)
    }

    /// Mean of [`Self::overlaps`].
    pub fn overlap(&self) -> Option<f64> {
        stats::mean(&self.overlaps)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// `[sentences][sentences]`
fn similarities(vectors: &[Vec<f32>]) -> Vec<Vec<f64>> {
    vectors.par_iter().map(|a| vectors.iter().map(|b| dot(a, b)).collect()).collect()
}

/// The nearest others of each row, the nearest first; of equally near ones the earlier.
fn neighbours(similarities: &[Vec<f64>]) -> Vec<Vec<usize>> {
    let nearest = |(row, values): (usize, &Vec<f64>)| {
        let mut others: Vec<usize> = (0..values.len()).filter(|&other| other != row).collect();
        others.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
        others.truncate(NEIGHBOURS);
        others
    };
    similarities.par_iter().enumerate().map(nearest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unit vectors in the plane at these angles.
    fn at(degrees: &[f32]) -> Vec<Vec<f32>> {
        degrees.iter().map(|angle| vec![angle.to_radians().cos(), angle.to_radians().sin()]).collect()
    }

    #[test]
    fn a_moved_sentence_changes_its_cosine_and_neighbours_only() {
        let base = at(&[0.0, 10.0, 50.0, 70.0]);
        let same = Agreement::of(&base, &base);
        assert_eq!((same.spearman, same.same_nearest, same.overlap()), (Some(1.0), Some(1.0), Some(1.0)));
        let moved = Agreement::of(&base, &at(&[0.0, 40.0, 50.0, 70.0]));
        assert!((moved.least_cosine().unwrap() - 30f64.to_radians().cos()).abs() < 1e-6);
        assert!((moved.mean_cosine().unwrap() - (3.0 + 30f64.to_radians().cos()) / 4.0).abs() < 1e-6);
        assert_eq!(moved.same_nearest, Some(0.5)); // the second and the third have each other now
        assert_eq!(moved.overlap(), Some(1.0)); // three others are all of them
        assert!(moved.spearman.unwrap() < 1.0);
    }

    #[test]
    fn one_sentence_has_no_neighbour() {
        let one = Agreement::of(&at(&[5.0]), &at(&[5.0]));
        assert_eq!((one.spearman, one.same_nearest, one.overlap()), (None, None, None));
        assert_eq!(one.paired, 1);
    }
}
