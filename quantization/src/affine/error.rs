//! What can be wrong with a quantization's input.

use thiserror::Error;

/// Input that has no quantization.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum AffineError {
    /// The width is outside what the operation can store.
    #[error("{bits} bits are outside {lowest}..={highest}; choose a width in that range")]
    Bits {
        /// Bits asked for.
        bits: u32,
        /// Least width.
        lowest: u32,
        /// Greatest width.
        highest: u32,
    },
    /// A weight is infinite or not a number.
    #[error("weight {index} is {value}, expected a finite number; mend the tensor before quantizing it")]
    NonFinite {
        /// Place in the flat tensor.
        index: usize,
        /// The weight.
        value: f32,
    },
    /// The number of weights is not a multiple of the row length.
    #[error("{weights} weights do not fill rows of {columns} columns; pass the length of one row")]
    Shape {
        /// Weights given.
        weights: usize,
        /// Row length given.
        columns: usize,
    },
    /// A group without columns.
    #[error("a group has 0 columns, expected at least 1; use `Granularity::Channel` for whole rows")]
    EmptyGroup,
    /// A scale is larger than a 16-bit float can hold.
    #[error(
        "scale {scale:e} does not fit into 16 bits (at most 65504); rescale the tensor or keep scales in 32 bits"
    )]
    HalfOverflow {
        /// The scale before rounding.
        scale: f32,
    },
}
