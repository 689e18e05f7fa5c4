//! Lookup-free quantization: a codebook {−1, +1}^D that needs no table (MAGVIT-v2, arXiv 2310.05737).
//!
//! ```text
//! q(z)_i = +1 if z_i > 0 else −1          index(z) = Σ 2^(i−1)·[z_i > 0]
//! p(c|z) ∝ exp(−‖z − c‖²/τ)               p(bit_i = 1 | z) = σ(4 z_i/τ)
//! L_entropy = E[H(p(·|z))] − γ·H(E[p(·|z)])
//! ```
//! The probability factorises over the dimensions, so that the first term is `Σ h(σ(4 z_i/τ))` exactly. The second does
//! not: [`entropy`] has the exact value for few dimensions, groups of bits and the marginal bound.

mod code;
pub mod entropy;
mod usage;

#[cfg(feature = "tensor")]
mod autoencoder;
#[cfg(feature = "tensor")]
mod loss;
#[cfg(feature = "tensor")]
mod patches;

use thiserror::Error;

#[cfg(feature = "tensor")]
pub use autoencoder::{Autoencoder, AutoencoderConfig, Outcome, train};
pub use code::{MAX_BITS, decode, index, quantize};
#[cfg(feature = "tensor")]
pub use loss::{BatchTerm, EntropyConfig, Losses, indices, losses, quantize_tensor};
#[cfg(feature = "tensor")]
pub use patches::{photographs, random_patches, rgb_tensor};
pub use usage::{Usage, usage};

/// Codes, patches or settings that cannot be used.
#[derive(Debug, Error)]
pub enum LfqError {
    /// More or fewer dimensions than a code can have.
    #[error("{found} dimensions, expected 1 to {MAX_BITS}")]
    Bits {
        /// Given.
        found: usize,
    },
    /// An index outside the codebook.
    #[error("index {index} lies outside the codebook of {codes} codes")]
    Index {
        /// Given.
        index: u32,
        /// Codes of the codebook.
        codes: usize,
    },
    /// Numbers that are no whole rows.
    #[error("{found} numbers are no whole rows of {bits}; expected a positive multiple")]
    Rows {
        /// Numbers given.
        found: usize,
        /// Dimensions per row.
        bits: usize,
    },
    /// The exact entropy of a codebook too large to write down.
    #[error(
        "the exact entropy of 2^{found} codes per row is too large, expected at most 2^{most}; use groups or the bound"
    )]
    TooLarge {
        /// Dimensions.
        found: usize,
        /// Dimensions possible.
        most: usize,
    },
    /// A setting without meaning.
    #[error("configuration: `{field}` is {found}; expected {expected}")]
    Config {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What is possible.
        expected: &'static str,
    },
    /// An image that cannot be read or is too small.
    #[error("{path}: {problem}", path = path.display())]
    Image {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Training has diverged.
    #[cfg(feature = "tensor")]
    #[error("step {step}: {source}")]
    Diverged {
        /// Step, from 0.
        step: usize,
        /// What to do.
        source: common::optim::Diverged,
    },
}
