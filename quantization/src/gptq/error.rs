//! What can keep a layer from being quantized.

use thiserror::Error;

use crate::affine::AffineError;

/// A layer that GPTQ cannot quantize.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum GptqError {
    /// The weights or the grid are no input of a quantizer.
    #[error(transparent)]
    Affine(#[from] AffineError),
    /// The weights do not have the width of the calibration inputs.
    #[error(
        "{weights} weights do not fill rows of {width} columns, the width of the calibration inputs; \
         collect the inputs of this very layer"
    )]
    Shape {
        /// Weights given.
        weights: usize,
        /// Columns of the Hessian.
        width: usize,
    },
    /// A calibration batch is no whole number of rows.
    #[error("a batch of {inputs} inputs does not fill rows of {width}; pass `[rows, width]`, row after row")]
    Batch {
        /// Numbers in the batch.
        inputs: usize,
        /// Columns of the Hessian.
        width: usize,
    },
    /// A calibration input is infinite or not a number.
    #[error("calibration input [{row}, {column}] is {value}, expected a finite number; drop that sample")]
    NonFinite {
        /// Row in the batch.
        row: usize,
        /// Column.
        column: usize,
        /// The input.
        value: f32,
    },
    /// No calibration input was given.
    #[error("the Hessian has seen no calibration input; add at least one batch before quantizing")]
    NoSamples,
    /// No damping made the Hessian positive definite.
    #[error(
        "the Hessian of {width} columns is not positive definite even with damping {damping}; \
         use more calibration inputs or check them for overflow"
    )]
    NotPositiveDefinite {
        /// Columns of the Hessian.
        width: usize,
        /// Largest damping tried, as a share of the mean diagonal.
        damping: f64,
    },
    /// An option is out of its range.
    #[error("option `{name}` is {value}, expected {expected}")]
    Option {
        /// Name of the option.
        name: &'static str,
        /// What it was.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
}
