//! Calibration: which range of a tensor's values gets codes, found from samples seen batch by batch.
//!
//! | method | range |
//! |---|---|
//! | [`Method::MinMax`] | all values seen |
//! | [`Method::MovingAverage`] | exponential moving average of each batch's extremes |
//! | [`Method::Percentile`] | all but the outermost share of values |
//! | [`Method::Mse`] | the shrinkage with the least power of the error |
//! | [`Method::Entropy`] | the window whose histogram diverges least from its quantized form |
//!
//! [`Observer`] takes batches; [`percentile`] and [`entropy_bins`] are the exact forms for values or a histogram at hand.

mod entropy;
mod histogram;
mod observer;
mod percentile;

pub use entropy::{Smoothing, divergence, entropy_bins};
pub use histogram::Histogram;
pub use observer::{CalibrationError, Method, Observer, Range, Shape};
pub use percentile::percentile;
