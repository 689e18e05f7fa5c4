//! What the numbers of a tensor are like: moments, range, outliers, histogram.

use rayon::prelude::*;

use super::{ModelFile, ModelFileError, RowOrder};

/// Rows that are read together hold about this many weights.
const PIECE: usize = 1 << 18;
/// Standard deviations beyond which a weight is called an outlier. Ours: of 10⁹ normal weights, two lie there.
pub const OUTLIER: f64 = 6.0;
/// Half the width of the histogram, in standard deviations.
pub const HISTOGRAM_REACH: f64 = 12.0;
/// Bins of the histogram; each is a quarter of a standard deviation wide.
pub const HISTOGRAM_BINS: usize = 96;

/// The numbers of a tensor in short.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Finite weights.
    pub count: u64,
    /// Weights that are NaN or infinite; they are left out of all else.
    pub non_finite: u64,
    /// Weights that are 0.
    pub zeros: u64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
    /// Least weight.
    pub min: f32,
    /// Greatest weight.
    pub max: f32,
    /// Weights farther than [`OUTLIER`] standard deviations from the mean.
    pub outliers: u64,
    /// Weights by distance from the mean in standard deviations, from −[`HISTOGRAM_REACH`] to it; those beyond are in the first and last bin.
    pub histogram: Vec<u64>,
}

#[derive(Clone)]
struct Sums {
    count: u64,
    non_finite: u64,
    zeros: u64,
    sum: f64,
    squares: f64,
    min: f32,
    max: f32,
}

impl Statistics {
    /// Greatest distance from 0 in standard deviations; `None` for constant tensors.
    pub fn reach(&self) -> Option<f64> {
        let most = f64::from(self.max.abs().max(self.min.abs()));
        (self.deviation > 0.0).then(|| most / self.deviation)
    }
}

impl ModelFile {
    /// The numbers of a tensor in short, from two passes over its rows; `None` for integers.
    ///
    /// # Errors
    /// [`ModelFileError`] when reading fails.
    pub fn statistics(&self, tensor: usize) -> Result<Option<Statistics>, ModelFileError> {
        if !self.tensors()[tensor].is_numeric() {
            return Ok(None);
        }
        let sums = self.fold(tensor, &sums_of)?.into_iter().reduce(joined);
        let Some(sums) = sums.filter(|sums| sums.count > 0) else { return Ok(None) };
        let mean = sums.sum / sums.count as f64;
        let deviation = (sums.squares / sums.count as f64 - mean * mean).max(0.0).sqrt();
        let bins = self.fold(tensor, &|weights| histogram(weights, mean, deviation))?;
        let mut histogram = vec![0; HISTOGRAM_BINS];
        let mut outliers = 0;
        for (bins, beyond) in bins {
            histogram.iter_mut().zip(bins).for_each(|(sum, part)| *sum += part);
            outliers += beyond;
        }
        Ok(Some(Statistics {
            count: sums.count,
            non_finite: sums.non_finite,
            zeros: sums.zeros,
            mean,
            deviation,
            min: sums.min,
            max: sums.max,
            outliers,
            histogram,
        }))
    }

    /// A function of each piece of a tensor, in order.
    fn fold<T: Send>(
        &self,
        tensor: usize,
        each: &(dyn Fn(&[f32]) -> T + Sync),
    ) -> Result<Vec<T>, ModelFileError> {
        let entry = &self.tensors()[tensor];
        let rows = (PIECE / entry.row_len().max(1)).max(1);
        let starts: Vec<usize> = (0..entry.rows()).step_by(rows).collect();
        let piece = |(bytes, weights): &mut (Vec<u8>, Vec<f32>), start: &usize| {
            let end = (start + rows).min(entry.rows());
            self.read_weights(tensor, RowOrder::Pairs, *start..end, bytes, weights)?;
            Ok(each(weights))
        };
        starts.par_iter().map_init(Default::default, piece).collect()
    }
}

fn sums_of(weights: &[f32]) -> Sums {
    let mut sums = Sums {
        count: 0,
        non_finite: 0,
        zeros: 0,
        sum: 0.0,
        squares: 0.0,
        min: f32::INFINITY,
        max: f32::NEG_INFINITY,
    };
    for &weight in weights {
        if !weight.is_finite() {
            sums.non_finite += 1;
            continue;
        }
        sums.count += 1;
        sums.zeros += u64::from(weight == 0.0);
        sums.sum += f64::from(weight);
        sums.squares += f64::from(weight).powi(2);
        sums.min = sums.min.min(weight);
        sums.max = sums.max.max(weight);
    }
    sums
}

fn joined(a: Sums, b: Sums) -> Sums {
    Sums {
        count: a.count + b.count,
        non_finite: a.non_finite + b.non_finite,
        zeros: a.zeros + b.zeros,
        sum: a.sum + b.sum,
        squares: a.squares + b.squares,
        min: a.min.min(b.min),
        max: a.max.max(b.max),
    }
}

fn histogram(weights: &[f32], mean: f64, deviation: f64) -> (Vec<u64>, u64) {
    let (mut bins, mut outliers) = (vec![0; HISTOGRAM_BINS], 0);
    for &weight in weights.iter().filter(|weight| weight.is_finite()) {
        let distance = if deviation > 0.0 { (f64::from(weight) - mean) / deviation } else { 0.0 };
        outliers += u64::from(distance.abs() > OUTLIER);
        let place = (distance + HISTOGRAM_REACH) / (2.0 * HISTOGRAM_REACH) * HISTOGRAM_BINS as f64;
        bins[(place.max(0.0) as usize).min(HISTOGRAM_BINS - 1)] += 1;
    }
    (bins, outliers)
}
