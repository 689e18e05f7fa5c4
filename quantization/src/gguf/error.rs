//! What can be wrong with a GGUF file, said with place, finding and remedy.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::metadata::MetadataError;
use crate::ggml::GgmlType;

/// A header that is damaged, hostile or of another kind. `at` is the byte offset in the file.
#[derive(Debug, Error)]
pub enum HeaderError {
    /// Another kind of file.
    #[error("starts with `{found}`, expected `GGUF`: this is not a GGUF file")]
    Magic {
        /// The first four bytes, printable.
        found: String,
    },
    /// Made for a big-endian machine.
    #[error(
        "byte 4: version {version} with its bytes swapped, expected little-endian: this is a big-endian file; convert it with `gguf-convert-endian FILE little`"
    )]
    BigEndian {
        /// Version after swapping.
        version: u32,
    },
    /// The first version, with 32-bit lengths.
    #[error(
        "byte 4: version 1, expected 2 or 3: version 1 has 32-bit lengths and is no longer read; convert the original model again"
    )]
    Version1,
    /// An unknown version.
    #[error("byte 4: version {found}, expected 2 or 3: the file is damaged or made by a newer program")]
    Version {
        /// Version of the file.
        found: u32,
    },
    /// The file ends early.
    #[error(
        "byte {at}: {what} needs {needed} bytes, but only {left} are left: the file is truncated or damaged; fetch it again"
    )]
    Truncated {
        /// Where.
        at: u64,
        /// What was being read.
        what: String,
        /// Bytes that it takes.
        needed: u64,
        /// Bytes that there are.
        left: u64,
    },
    /// A count that the rest of the file cannot hold.
    #[error(
        "byte {at}: {what} announces {count} entries, more than the {left} bytes that are left can hold: the file is truncated or damaged; fetch it again"
    )]
    Count {
        /// Where.
        at: u64,
        /// What is counted.
        what: String,
        /// The count.
        count: u64,
        /// Bytes that there are.
        left: u64,
    },
    /// Text that is none.
    #[error(
        "byte {at}: {what} is not UTF-8; the file is damaged or written by a program that does not follow the format"
    )]
    Utf8 {
        /// Where.
        at: u64,
        /// What was being read.
        what: String,
    },
    /// A key without a name.
    #[error("byte {at}: key number {number} is empty, expected a name")]
    EmptyKey {
        /// Where.
        at: u64,
        /// Position among the keys.
        number: usize,
    },
    /// A key that occurs twice.
    #[error(
        "byte {at}: key `{key}` occurs a second time, expected each key once; the file was edited wrongly, write it again"
    )]
    DuplicateKey {
        /// Where.
        at: u64,
        /// Its name.
        key: String,
    },
    /// An unknown kind of value.
    #[error(
        "byte {at}: key `{key}` has value type {found}, expected 0 to 12: the file is damaged or made by a newer program"
    )]
    ValueType {
        /// Where.
        at: u64,
        /// Name of the key.
        key: String,
        /// Number of the kind.
        found: u32,
    },
    /// An array of arrays.
    #[error(
        "byte {at}: key `{key}` is an array of arrays, expected numbers, truth values or strings; GGUF files in use have none"
    )]
    NestedArray {
        /// Where.
        at: u64,
        /// Name of the key.
        key: String,
    },
    /// `general.alignment` is unusable.
    #[error("key `general.alignment` is {found}, expected a u32 that is a power of two, such as 32")]
    Alignment {
        /// The value or its kind.
        found: String,
    },
    /// A tensor name that is too long.
    #[error("byte {at}: tensor name `{name}…` has {len} bytes, expected fewer than 64")]
    LongName {
        /// Where.
        at: u64,
        /// Its beginning.
        name: String,
        /// Its length.
        len: u64,
    },
    /// A tensor name that occurs twice.
    #[error(
        "byte {at}: tensor `{name}` occurs a second time, expected each name once; the file was edited wrongly, write it again"
    )]
    DuplicateTensor {
        /// Where.
        at: u64,
        /// Its name.
        name: String,
    },
    /// Too many dimensions.
    #[error("byte {at}: tensor `{name}` has {found} dimensions, expected at most 4")]
    Rank {
        /// Where.
        at: u64,
        /// Name of the tensor.
        name: String,
        /// Its dimensions.
        found: u32,
    },
    /// A shape without elements or with more than can be counted.
    #[error(
        "byte {at}: tensor `{name}` has shape {dims:?}, expected positive sizes whose product fits in 63 bits"
    )]
    Shape {
        /// Where.
        at: u64,
        /// Name of the tensor.
        name: String,
        /// Its sizes.
        dims: Vec<u64>,
    },
    /// A tensor type that is not read.
    #[error(
        "byte {at}: tensor `{name}` has type {found}{hint}, expected one that this program reads, such as 0 (F32) or 12 (Q4_K)"
    )]
    TensorType {
        /// Where.
        at: u64,
        /// Name of the tensor.
        name: String,
        /// Number of the type.
        found: u32,
        /// Its name, if ggml has one.
        hint: &'static str,
    },
    /// Rows that do not fill blocks.
    #[error("byte {at}: tensor `{name}` has rows of {row} weights, expected a multiple of {block} for type {kind}", block = kind.block_len())]
    Row {
        /// Where.
        at: u64,
        /// Name of the tensor.
        name: String,
        /// Weights in a row.
        row: u64,
        /// Its type.
        kind: GgmlType,
    },
    /// Tensors that overlap, leave gaps or are out of order.
    #[error(
        "byte {at}: tensor `{name}` starts at offset {found}, expected {expected}, directly behind the tensor before it: tensors overlap, leave a gap or are out of order; write the file again"
    )]
    Offset {
        /// Where.
        at: u64,
        /// Name of the tensor.
        name: String,
        /// Offset in the file.
        found: u64,
        /// Offset by the sizes of the tensors before it.
        expected: u64,
    },
    /// Data behind the end of the file.
    #[error(
        "tensor `{name}` needs bytes {start} to {end}, but the file has {size}: it is truncated; fetch it again"
    )]
    Data {
        /// Name of the tensor.
        name: String,
        /// Its first byte.
        start: u64,
        /// Behind its last byte.
        end: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// The operating system's error.
    #[error("byte {at}: reading: {problem}")]
    Io {
        /// Where.
        at: u64,
        /// What it says.
        problem: io::Error,
    },
}

/// A GGUF file that could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file cannot be opened or read.
    #[error("{path}: {doing}: {problem}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: String,
        /// What the operating system says.
        problem: io::Error,
    },
    /// Its header is wrong.
    #[error("{path}: {problem}", path = path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: Box<HeaderError>,
    },
    /// A key is missing or holds something else.
    #[error("{path}: {problem}", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: MetadataError,
    },
    /// A tensor is missing.
    #[error("{path}: no tensor `{name}` among the {count} of the file; list them with `inspect`", path = path.display())]
    NoTensor {
        /// The file.
        path: PathBuf,
        /// Name that was asked for.
        name: String,
        /// Tensors in the file.
        count: usize,
    },
    /// Bytes outside a tensor.
    #[error("{path}: tensor `{name}` has {size} bytes, asked for {len} from {start}", path = path.display())]
    Range {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// Its bytes.
        size: u64,
        /// First byte asked for.
        start: u64,
        /// Bytes asked for.
        len: u64,
    },
}

/// A GGUF file that could not be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The file system refuses.
    #[error(transparent)]
    File(#[from] common::files::FileError),
    /// A key or tensor that a reader would refuse.
    #[error("{path}: {problem}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and how to mend it.
        problem: String,
    },
}
