//! Uniform quantization: absmax and zero-point grids, granularity, error measures, best clip.
//!
//! A weight `x` becomes a code `q` on an integer grid and back:
//!
//! ```text
//! q = clamp(round(x / s) + z, lowest, highest)        x̂ = s · (q − z)
//! ```
//!
//! Codes are unsigned everywhere in this crate: a symmetric grid has the fixed zero-point `z = 2^(b−1)`, so that the
//! signed code is `q − z`. That is what packed checkpoints store.

mod clip;
mod dispatch;
mod error;
mod fit;
mod gaussian;
mod grid;
mod matrix;
mod measure;

pub use clip::{Clip, best_clip, clip_curve};
pub use error::AffineError;
pub use fit::{Fit, Shrink};
pub use gaussian::{Levels, gaussian_best_clip, gaussian_mse};
pub use grid::{Grid, Parameters, Rounding, Scheme};
pub use matrix::{Granularity, Quantized, fake_quantize, quantize, quantize_fixed};
pub use measure::{ErrorMeasures, measure};

pub(crate) use dispatch::multiversion;
pub(crate) use grid::{Line, byte};
pub(crate) use measure::{extremes, first_non_finite};
