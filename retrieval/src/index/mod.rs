//! ColBERTv2's residual compression on the disk.
//!
//! ```text
//! token ≈ (C_t + w[cells]) / ‖C_t + w[cells]‖        t = argmax_c C_c · token
//! ```
//! Source: ColBERTv2 (Santhanam et al. 2022), section 3.3, and PLAID (Santhanam et al. 2022), section 4: lists of documents,
//! not of tokens, per centroid.
//!
//! A folder holds `manifest.json`, which names all other files with their lengths and checksums; `codec-N.bin`;
//! `segment-N.bin`, with `texts-N.bin` beside it when texts are stored; `deleted-N.bin`. Files are written under numbers that
//! were never used, flushed, and then named by a new manifest that replaces the old one in one step: whatever is interrupted,
//! the manifest names a whole index. Readers see the index of the moment they opened it.

mod array;
mod batch;
mod bits;
mod codec;
mod codec_file;
mod config;
mod error;
mod import;
mod manifest;
mod npy;
mod reader;
mod segment;
mod spool;
mod torch_file;
mod writer;

pub use batch::{Batch, SourceItem};
pub use codec::{Codec, Compressed};
pub use config::{IndexConfig, default_centroids, sample_size};
pub use error::IndexError;
pub use import::import;
pub use reader::{Index, Summary};
pub use writer::{Writer, build};
