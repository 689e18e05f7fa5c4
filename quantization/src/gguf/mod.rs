//! The GGUF container, versions 2 and 3: header reader, data on demand, streaming writer.
//!
//! ```text
//! "GGUF" | u32 version | u64 tensors | u64 keys
//! keys    × { string key | u32 value type | value }
//! tensors × { string name | u32 rank | rank × u64 dim | u32 ggml type | u64 offset }
//! zeros up to a multiple of `general.alignment` (32 unless the key says otherwise)
//! data; each tensor starts at data start + offset and is padded to the alignment
//! ```
//! Everything is little-endian. `dims[0]` is the contiguous dimension: a PyTorch weight `[out, in]` has `dims = [in, out]`.
//! Source: ggml's `gguf.cpp`; every check made there is made here, before any memory is taken on the file's word.

mod cursor;
mod error;
mod file;
mod header;
mod metadata;
mod value;
mod writer;

pub use error::{HeaderError, ReadError, WriteError};
pub use file::File;
pub use header::{Header, TensorInfo};
pub use metadata::{Metadata, MetadataError};
pub use value::{Array, Strings, Value};
pub use writer::Writer;

pub use common::files::FileError;

/// The reader under the name by which the rest of the crate may call it.
pub type Reader = File;

/// Version that is written.
pub const VERSION: u32 = 3;
/// Alignment of tensor data unless `general.alignment` says otherwise.
pub const DEFAULT_ALIGNMENT: u64 = 32;
/// Key of the alignment.
pub const ALIGNMENT_KEY: &str = "general.alignment";
/// Most dimensions of a tensor (`GGML_MAX_DIMS`).
pub const MAX_RANK: usize = 4;
/// Tensor names are shorter than this, in bytes (`GGML_MAX_NAME`).
pub const MAX_NAME: usize = 64;
