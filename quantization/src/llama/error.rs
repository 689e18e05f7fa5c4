//! What can go wrong when a model is loaded or run.

use thiserror::Error;

use crate::ggml::GgmlType;

/// An error of somebody else's code: a reader, a decoder, a product of quantized rows.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A model that cannot be loaded or run.
#[derive(Debug, Error)]
pub enum LlamaError {
    /// A key of the configuration is absent.
    #[error("the configuration lacks `{key}`; is the file a Llama-architecture model?")]
    MissingKey {
        /// The key.
        key: String,
    },
    /// A key of the configuration has a value that this module does not compute.
    #[error("`{key}` is {found}, expected {expected}")]
    Unsupported {
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// What would do.
        expected: &'static str,
    },
    /// Sizes that do not fit together.
    #[error("the configuration has {found}, expected {expected}")]
    Size {
        /// The sizes.
        found: String,
        /// What would do.
        expected: &'static str,
    },
    /// A tensor that the source could not give.
    #[error("tensor `{name}` cannot be read: {error}")]
    Tensor {
        /// GGUF name.
        name: String,
        /// What the source said.
        error: BoxError,
    },
    /// A tensor of another shape than the configuration says.
    #[error("tensor `{name}` has dimensions {found:?}, expected {expected:?} (innermost first)")]
    Shape {
        /// GGUF name.
        name: String,
        /// Dimensions in the file, innermost first.
        found: Vec<usize>,
        /// Dimensions from the configuration, innermost first.
        expected: Vec<usize>,
    },
    /// A tensor whose bytes do not fill its shape.
    #[error("tensor `{name}` of type {kind} has {found} bytes, expected {expected}; was the file cut off?")]
    Bytes {
        /// GGUF name.
        name: String,
        /// Type.
        kind: GgmlType,
        /// Bytes given.
        found: usize,
        /// Bytes of the shape.
        expected: usize,
    },
    /// A quantized tensor without code to compute with it.
    #[error("tensor `{name}` has type {kind}; give kernels for quantized types or load it decoded")]
    NoKernels {
        /// GGUF name.
        name: String,
        /// Type.
        kind: GgmlType,
    },
    /// A kernel that failed.
    #[error("product with {rows}×{columns} weights of type {kind} failed: {error}")]
    Kernel {
        /// Type.
        kind: GgmlType,
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
        /// What the kernel said.
        error: BoxError,
    },
    /// A token id outside the vocabulary.
    #[error(
        "token {token} is outside the vocabulary of {vocab}; was the text encoded with another tokenizer?"
    )]
    Token {
        /// The id.
        token: u32,
        /// Size of the vocabulary.
        vocab: usize,
    },
    /// More positions than the cache has.
    #[error("{needed} positions, but the cache holds {capacity}; shorten the text or ask for a larger cache")]
    Full {
        /// Positions asked for.
        needed: usize,
        /// Positions of the cache.
        capacity: usize,
    },
    /// Slices whose lengths do not fit the matrix or the model.
    #[error("{what} has {found} values, expected {expected}")]
    Length {
        /// The slice.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length that fits.
        expected: usize,
    },
    /// No thread pool.
    #[error("a pool of {threads} threads cannot be started: {error}")]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// What the system said.
        error: BoxError,
    },
}

/// Checks the length of a slice.
pub(super) fn expect_length(what: &'static str, found: usize, expected: usize) -> Result<(), LlamaError> {
    if found == expected { Ok(()) } else { Err(LlamaError::Length { what, found, expected }) }
}
