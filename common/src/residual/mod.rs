//! Residual codec of late-interaction retrieval: a vector is its nearest centroid plus `b` bits per dimension.
//!
//! Source: ColBERTv2's code, `colbert/indexing/codecs/residual.py` and `colbert/indexing/collection_indexer.py`
//! (stanford-futuredata/ColBERT at 501c29d), whose packed bytes are reproduced.

mod cells;
mod codec;
mod kmeans;
mod nearest;
#[cfg(target_arch = "x86_64")]
mod screen;

use thiserror::Error;

pub use cells::{Cells, cells};
pub use codec::{Codec, CodecConfig, Compressed};
pub use kmeans::{KmeansConfig, kmeans};
pub use nearest::nearest;

/// Vectors or settings that no codec can take.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ResidualError {
    /// Bits per dimension that do not fill bytes.
    #[error("`bits` is {0}, expected 1, 2 or 4, so that whole codes fill a byte")]
    Bits(u32),
    /// A width whose codes do not fill bytes.
    #[error("`dim` is {dim}, expected a positive multiple of {}: codes of {bits} bits fill whole bytes then", 8 * bits)]
    Dim {
        /// Components per vector.
        dim: usize,
        /// Bits per component.
        bits: u32,
    },
    /// Numbers that are no whole rows.
    #[error("{name}: {found} numbers are no whole rows of {dim}; expected a multiple")]
    Rows {
        /// Which argument.
        name: &'static str,
        /// Its length.
        found: usize,
        /// Numbers or bytes per row.
        dim: usize,
    },
    /// Too few vectors to learn from.
    #[error(
        "{found} vectors, expected at least {expected}: one per centroid and one held out; lower `centroids`"
    )]
    TooFew {
        /// Vectors given.
        found: usize,
        /// Vectors needed.
        expected: usize,
    },
    /// A number that is not finite.
    #[error("{name}: number {index} is not finite; remove such vectors first")]
    NotFinite {
        /// Which argument.
        name: &'static str,
        /// Position of the first.
        index: usize,
    },
    /// Another number of cells than the bits ask for.
    #[error("{found} {name}, expected {expected} for {bits} bits")]
    Cells {
        /// Cut-offs or weights.
        name: &'static str,
        /// Given.
        found: usize,
        /// Needed.
        expected: usize,
        /// Bits per component.
        bits: u32,
    },
    /// A centroid id outside the table.
    #[error("vector {row} names centroid {found} of {centroids}; the codes belong to another codec")]
    Centroid {
        /// Row of the vector.
        row: usize,
        /// Its centroid.
        found: u32,
        /// Centroids of the codec.
        centroids: usize,
    },
}

/// Checks that `values` are finite whole rows of `dim` and returns their number.
fn rows(name: &'static str, values: &[f32], dim: usize) -> Result<usize, ResidualError> {
    if dim == 0 || !values.len().is_multiple_of(dim) {
        return Err(ResidualError::Rows { name, found: values.len(), dim });
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(ResidualError::NotFinite { name, index }),
        None => Ok(values.len() / dim),
    }
}
