//! What can be wrong with a product's operands.

use thiserror::Error;

use super::{Capability, Form};
use crate::ggml::GgmlType;

/// Operands that do not fit each other.
#[derive(Debug, Error, PartialEq)]
pub enum KernelError {
    /// A type that ggml does not compute with.
    #[error(
        "weights are {kind}, which nothing is computed with; expected a weight type such as Q4_K or F16: convert the tensor first"
    )]
    Unsupported {
        /// Type of the weights.
        kind: GgmlType,
    },
    /// Rows that do not end with a block.
    #[error("a row has {columns} columns; expected a positive multiple of {length}, the block length of {kind}: use a type with shorter blocks", length = kind.block_len())]
    Columns {
        /// Type of the weights.
        kind: GgmlType,
        /// Columns of the matrix.
        columns: usize,
    },
    /// More or fewer bytes than the matrix needs.
    #[error(
        "the weights have {found} bytes; expected {expected} for {rows} rows of {columns} columns: was the tensor cut off, or are rows and columns swapped?"
    )]
    Weights {
        /// Bytes given.
        found: usize,
        /// Bytes of the matrix; the largest number when they cannot be counted.
        expected: usize,
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
    },
    /// Activations that are no whole number of rows.
    #[error(
        "there are {found} activations; expected whole rows of {columns} columns: check the matrix's width"
    )]
    Activations {
        /// Values given, or values per row.
        found: usize,
        /// Columns of the matrix.
        columns: usize,
    },
    /// Activations in another form.
    #[error(
        "activations are in the form {found:?}; expected {expected:?}, which the weights' type wants: quantize them for that type"
    )]
    Form {
        /// Form given.
        found: Form,
        /// Form that the weights' type wants.
        expected: Form,
    },
    /// NaN or infinity among the activations.
    #[error(
        "activation {column} of row {row} is {value}; expected a finite number: look for an overflow in the layer before"
    )]
    NotFinite {
        /// Row (token).
        row: usize,
        /// Column.
        column: usize,
        /// The value.
        value: f32,
    },
    /// An output of another size.
    #[error("the output has room for {found} values; expected {tokens} × {rows}: one per token and row")]
    Output {
        /// Room given.
        found: usize,
        /// Rows of the activations.
        tokens: usize,
        /// Rows of the matrix.
        rows: usize,
    },
    /// No threads to work with.
    #[error("0 threads were given; expected 1 or more")]
    Threads,
    /// A tier that this processor cannot run.
    #[error("this processor cannot run the {name} kernels; expected {best} or weaker: leave the choice to `capability()`", name = found.name(), best = best.name())]
    Unavailable {
        /// Tier asked for.
        found: Capability,
        /// Best tier of this processor.
        best: Capability,
    },
    /// Ternary rows that do not end with a block.
    #[error(
        "a ternary row has {columns} columns; expected a positive multiple of 128, the block of I2_S: fill the rows up with zeros"
    )]
    TernaryColumns {
        /// Columns of the matrix.
        columns: usize,
    },
    /// A weight that is not ternary.
    #[error("weight {at} is {value}; expected -1, 0 or 1: ternarise the tensor first")]
    NotTernary {
        /// Position in the tensor.
        at: usize,
        /// The weight.
        value: i8,
    },
}
