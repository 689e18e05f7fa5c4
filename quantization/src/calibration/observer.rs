//! Observers: batches in, one range out.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::entropy::{Smoothing, divergence, entropy_bins};
use super::histogram::Histogram;
use crate::affine::{AffineError, Grid, Parameters, Shrink, extremes};

/// Bins of the histogram that entropy calibration uses.
const ENTROPY_BINS: usize = 2048;
/// Bins of the histogram behind percentiles and the error search. Ours: fine beside the steps of 8-bit codes.
const FINE_BINS: usize = 16384;

/// Ends of a range; it contains 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// Lower end, at most 0.
    pub low: f32,
    /// Upper end, at least 0.
    pub high: f32,
}

/// What kind of range the codes need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// `[−c, c]`, from magnitudes.
    Symmetric,
    /// Both ends free.
    Asymmetric,
    /// `[0, c]`, for values that are never negative; negative ones count as 0.
    Unsigned,
}

/// How the range is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The extremes of all batches.
    MinMax,
    /// `m ← momentum · m + (1 − momentum) · extreme` over batches; the first batch sets it.
    MovingAverage {
        /// Weight of the past, in [0, 1).
        momentum: f64,
    },
    /// The range that holds this share of the values (0.999 and the like); asymmetric ranges leave out half of the
    /// rest at each end. From a histogram of 16,384 bins, interpolated inside a bin.
    Percentile(f64),
    /// The shrinkage of the full range with the least `Σ |x − x̂|^norm` on the grid, from a histogram of 16,384 bins.
    Mse(Shrink),
    /// Least relative entropy over a histogram of 2,048 bins, for the grid's number of levels. Asymmetric ranges
    /// shrink both ends in proportion (ours: sources describe one-sided histograms only).
    Entropy(Smoothing),
}

/// Why there is no range.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum CalibrationError {
    /// A value is not finite, or a scale does not fit.
    #[error(transparent)]
    Affine(#[from] AffineError),
    /// No value was observed.
    #[error("the observer has seen no value; show it at least one batch before asking for a range")]
    Empty,
    /// A parameter of the method is out of range.
    #[error("{name} is {value}, expected {expected}")]
    Parameter {
        /// Name of the parameter.
        name: &'static str,
        /// What it was.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
}

/// Takes batches of a tensor's values and proposes a range for a grid.
///
/// ```
/// use quantization::affine::Grid;
/// use quantization::calibration::{Method, Observer, Shape};
/// let mut observer = Observer::new(Method::MinMax, Shape::Asymmetric, Grid::asymmetric(8))?;
/// observer.observe(&[0.0, 1.0, 2.0])?;
/// observer.observe(&[-0.5, 1.0])?;
/// let range = observer.range()?;
/// assert_eq!((range.low, range.high), (-0.5, 2.0));
/// # Ok::<(), quantization::calibration::CalibrationError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Observer {
    method: Method,
    shape: Shape,
    grid: Grid,
    /// Extremes, running or averaged.
    ends: Option<(f64, f64)>,
    histogram: Histogram,
}

impl Observer {
    /// Observer without values yet.
    ///
    /// # Errors
    /// A share, a momentum or a width out of range.
    pub fn new(method: Method, shape: Shape, grid: Grid) -> Result<Self, CalibrationError> {
        grid.check(16)?;
        let wrong = |name, value, expected| Err(CalibrationError::Parameter { name, value, expected });
        match method {
            Method::MovingAverage { momentum } if !(0.0..1.0).contains(&momentum) => {
                return wrong("momentum", momentum, "at least 0 and below 1");
            }
            Method::Percentile(share) if !(share > 0.0 && share <= 1.0) => {
                return wrong("percentile", share, "a share above 0 and at most 1");
            }
            Method::Entropy(Smoothing::Move(amount)) if !(amount > 0.0 && amount < 1.0) => {
                return wrong("smoothing", amount, "a part of one count, above 0 and below 1");
            }
            Method::Entropy(_) if grid.bits > 10 => {
                return wrong("bits", f64::from(grid.bits), "at most 10 for a histogram of 2048 bins");
            }
            _ => {}
        }
        let bins = if matches!(method, Method::Entropy(_)) { ENTROPY_BINS } else { FINE_BINS };
        let histogram = Histogram::growing(bins, shape == Shape::Asymmetric);
        Ok(Self { method, shape, grid, ends: None, histogram })
    }

    /// Takes a batch.
    ///
    /// # Errors
    /// A value that is not finite; the batch is not counted then.
    pub fn observe(&mut self, batch: &[f32]) -> Result<(), CalibrationError> {
        let (low, high) = extremes(batch)?;
        if batch.is_empty() {
            return Ok(());
        }
        let (low, high) = (f64::from(low), f64::from(high));
        self.ends = Some(match (self.ends, self.method) {
            (None, _) => (low, high),
            (Some((old_low, old_high)), Method::MovingAverage { momentum }) => {
                let mix = |old: f64, new: f64| momentum * old + (1.0 - momentum) * new;
                (mix(old_low, low), mix(old_high, high))
            }
            (Some((old_low, old_high)), _) => (old_low.min(low), old_high.max(high)),
        });
        match self.method {
            Method::MinMax | Method::MovingAverage { .. } => {}
            _ if self.shape == Shape::Unsigned => {
                self.histogram.add(&batch.iter().map(|x| x.max(0.0)).collect::<Vec<_>>());
            }
            _ => self.histogram.add(batch),
        }
        Ok(())
    }

    /// The range for the values so far.
    ///
    /// # Errors
    /// [`CalibrationError::Empty`] before the first value.
    pub fn range(&self) -> Result<Range, CalibrationError> {
        let (low, high) = self.ends.ok_or(CalibrationError::Empty)?;
        let full = match self.shape {
            Shape::Symmetric => (-high.max(-low), high.max(-low)),
            Shape::Asymmetric => (low.min(0.0), high.max(0.0)),
            Shape::Unsigned => (0.0, high.max(0.0)),
        };
        let (low, high) = match self.method {
            Method::MinMax | Method::MovingAverage { .. } => full,
            _ if full.0 == full.1 => full,
            Method::Percentile(share) => self.percentile(share, full),
            Method::Mse(shrink) => self.least_error(shrink, full)?,
            Method::Entropy(smoothing) => self.least_divergence(smoothing, full),
        };
        Ok(Range { low: low as f32, high: high as f32 })
    }

    /// Scale and zero-point for the values so far.
    ///
    /// # Errors
    /// As [`range`](Self::range); a scale that does not fit into 16 bits where the grid asks for that.
    pub fn parameters(&self) -> Result<Parameters, CalibrationError> {
        let Range { low, high } = self.range()?;
        Ok(self.grid.parameters(low, high)?)
    }

    fn percentile(&self, share: f64, full: (f64, f64)) -> (f64, f64) {
        let rest = 1.0 - share;
        match self.shape {
            Shape::Asymmetric => {
                let (low, high) = self.histogram.tails(rest / 2.0);
                (low.clamp(full.0, 0.0), high.clamp(0.0, full.1))
            }
            Shape::Symmetric => {
                let clip = self.histogram.tails(rest).1.min(full.1);
                (-clip, clip)
            }
            Shape::Unsigned => (0.0, self.histogram.tails(rest).1.min(full.1)),
        }
    }

    /// Each bin counts as its middle.
    fn least_error(&self, shrink: Shrink, full: (f64, f64)) -> Result<(f64, f64), CalibrationError> {
        let bins: Vec<(f32, f64)> = (0..self.histogram.counts().len())
            .filter(|bin| self.histogram.counts()[*bin] > 0)
            .map(|bin| (self.histogram.middle(bin) as f32, self.histogram.counts()[bin] as f64))
            .collect();
        let mut best = (f64::INFINITY, full);
        for step in 0..shrink.candidates.min(shrink.resolution) {
            let share = 1.0 - f64::from(step) / f64::from(shrink.resolution);
            let range = (share * full.0, share * full.1);
            let parameters = self.grid.parameters(range.0 as f32, range.1 as f32)?;
            let distance = |x: f32| f64::from(x - parameters.value(self.grid.code(parameters, x))).abs();
            let error: f64 =
                bins.iter().map(|(x, count)| count * distance(*x).powf(f64::from(shrink.norm))).sum();
            if error < best.0 {
                best = (error, range);
            }
        }
        Ok(best.1)
    }

    fn least_divergence(&self, smoothing: Smoothing, full: (f64, f64)) -> (f64, f64) {
        let (counts, width) = (self.histogram.counts(), self.histogram.width());
        let levels = 1usize << self.grid.bits;
        if self.shape == Shape::Asymmetric {
            return window(counts, width, levels, smoothing, full);
        }
        let levels = if self.shape == Shape::Symmetric { levels / 2 } else { levels };
        let used = counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        let clip = match entropy_bins(&counts[..used], levels, smoothing) {
            Some((bins, _)) if bins < used => (bins as f64 + 0.5) * width,
            _ => full.1,
        };
        let clip = clip.min(full.1);
        if self.shape == Shape::Symmetric { (-clip, clip) } else { (0.0, clip) }
    }
}

/// The window around 0 with the least divergence among those whose ends shrink in proportion.
fn window(counts: &[u64], width: f64, levels: usize, smoothing: Smoothing, full: (f64, f64)) -> (f64, f64) {
    let zero = counts.len() / 2;
    let (below, above) = ((-full.0 / width).ceil(), (full.1 / width).ceil());
    let mut best = (f64::INFINITY, full);
    for bins in levels..=(below + above) as usize {
        let share = bins as f64 / (below + above);
        let start = zero - ((share * below).round() as usize).min(bins).min(zero);
        let end = (start + bins).min(counts.len());
        let outside = |counts: &[u64]| counts.iter().sum::<u64>();
        let found = divergence(
            &counts[start..end],
            outside(&counts[..start]),
            outside(&counts[end..]),
            levels,
            smoothing,
        );
        if let Some(found) = found.filter(|found| *found < best.0) {
            best = (found, (share * full.0, share * full.1));
        }
    }
    best.1
}
