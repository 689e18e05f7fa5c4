//! The safetensors format: checked header, data on demand, streaming writer, models in several files.
//!
//! ```text
//! u64 length of the header | header, JSON padded with spaces | data
//! {"__metadata__": {"format": "pt"}, "name": {"dtype": "F16", "shape": [out, in], "data_offsets": [start, end]}, …}
//! ```
//! Offsets count from the first byte behind the header; tensors cover the data without gap or overlap.
//! Source: the Rust crate `safetensors`, whose checks are made here and whose byte order the writer keeps.

mod dtype;
mod file;
mod header;
mod sharded;
mod writer;

pub use dtype::{Dtype, NotANumber};
pub use file::{File, ReadError};
pub use header::{Header, HeaderError, TensorInfo};
pub use sharded::{Sharded, ShardedError};
pub use writer::{WriteError, Writer};

pub use common::files::FileError;

/// Longest header that is read, in bytes (the reference's limit).
pub const MAX_HEADER: u64 = 100_000_000;
