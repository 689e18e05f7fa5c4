//! The header: JSON whose every word is checked before it is believed.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use thiserror::Error;

use super::{Dtype, MAX_HEADER};

/// Name, type, shape and place of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name.
    pub name: String,
    /// Type of the elements.
    pub dtype: Dtype,
    /// Sizes, the contiguous dimension last; empty for a single number.
    pub shape: Vec<usize>,
    /// First byte, counted from the start of the data.
    pub start: u64,
    /// Behind the last byte, counted from the start of the data.
    pub end: u64,
}

impl TensorInfo {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of data.
    pub fn bytes(&self) -> u64 {
        self.end - self.start
    }
}

/// Tensors and metadata of a file.
#[derive(Clone, Debug)]
pub struct Header {
    /// Free text by key (`__metadata__`).
    pub metadata: BTreeMap<String, String>,
    /// Tensors in the order of their data.
    pub tensors: Vec<TensorInfo>,
    index: HashMap<String, usize>,
}

/// A header that is damaged or hostile.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum HeaderError {
    /// Too short for the length of the header.
    #[error("has {0} bytes, expected at least 10: this is not a safetensors file, or it is truncated")]
    Short(u64),
    /// A header that is too long or longer than the file.
    #[error(
        "byte 0: header of {len} bytes, expected 2 to {limit}: this is not a safetensors file, or it is truncated"
    )]
    Length {
        /// Length that the file announces.
        len: u64,
        /// Most that is possible.
        limit: u64,
    },
    /// Text that is no JSON or has other fields than expected.
    #[error("header: {0}; expected an object of tensors with `dtype`, `shape` and `data_offsets`")]
    Json(String),
    /// A name that occurs twice.
    #[error("header: tensor `{0}` occurs a second time, expected each name once")]
    Duplicate(String),
    /// An unknown type.
    #[error("header: tensor `{name}` has type `{dtype}`, expected one such as F32, F16, BF16 or I32")]
    Dtype {
        /// Name of the tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// A shape that disagrees with the bytes.
    #[error("header: tensor `{name}` has shape {shape:?} of type {dtype}, which does not take the {bytes} bytes of its offsets", dtype = dtype.name())]
    Size {
        /// Name of the tensor.
        name: String,
        /// Its type.
        dtype: Dtype,
        /// Its sizes.
        shape: Vec<usize>,
        /// Bytes between its offsets.
        bytes: u64,
    },
    /// Overlap, gap or disorder.
    #[error(
        "header: tensor `{name}` has data from {start} to {end}, expected a start at {expected}: tensors overlap or leave a gap"
    )]
    Offsets {
        /// Name of the tensor.
        name: String,
        /// Its first byte.
        start: u64,
        /// Behind its last byte.
        end: u64,
        /// End of the tensor before it.
        expected: u64,
    },
    /// More or less data than the tensors take.
    #[error(
        "the tensors take {expected} bytes of data, but the file has {found}: it is truncated or damaged; fetch it again"
    )]
    Data {
        /// Bytes by the header.
        expected: u64,
        /// Bytes of the file.
        found: u64,
    },
}

impl Header {
    /// Length of the header that the first eight bytes of a file of `size` bytes announce.
    ///
    /// # Errors
    /// [`HeaderError`] when it is longer than the file or [`MAX_HEADER`].
    pub fn length(first: [u8; 8], size: u64) -> Result<u64, HeaderError> {
        let len = u64::from_le_bytes(first);
        if size < 10 {
            return Err(HeaderError::Short(size));
        }
        let limit = MAX_HEADER.min(size - 8);
        if (2..=limit).contains(&len) { Ok(len) } else { Err(HeaderError::Length { len, limit }) }
    }

    /// The header with this text, in front of `data` bytes.
    ///
    /// # Errors
    /// [`HeaderError`] for whatever the reference refuses.
    pub fn parse(text: &[u8], data: u64) -> Result<Self, HeaderError> {
        if text.first() != Some(&b'{') {
            let start = text[..text.len().min(8)].escape_ascii().to_string();
            return Err(HeaderError::Json(format!("starts with `{start}`, not with `{{`")));
        }
        let raw: Raw = serde_json::from_slice(text).map_err(|error| HeaderError::Json(error.to_string()))?;
        let mut tensors = raw.tensors.into_iter().map(check_tensor).collect::<Result<Vec<_>, _>>()?;
        tensors.sort_by(|a, b| (a.start, a.end, &a.name).cmp(&(b.start, b.end, &b.name)));
        let mut expected = 0;
        let mut index = HashMap::with_capacity(tensors.len());
        for (place, tensor) in tensors.iter().enumerate() {
            if index.insert(tensor.name.clone(), place).is_some() {
                return Err(HeaderError::Duplicate(tensor.name.clone()));
            }
            if tensor.start != expected {
                let (name, start, end) = (tensor.name.clone(), tensor.start, tensor.end);
                return Err(HeaderError::Offsets { name, start, end, expected });
            }
            expected = tensor.end;
        }
        if expected != data {
            return Err(HeaderError::Data { expected, found: data });
        }
        Ok(Self { metadata: raw.metadata, tensors, index })
    }

    /// The header of a whole file in memory.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HeaderError> {
        let size = bytes.len() as u64;
        let Some((first, rest)) = bytes.split_first_chunk::<8>() else {
            return Err(HeaderError::Short(size));
        };
        let len = Self::length(*first, size)?;
        let (text, data) = rest.split_at(len as usize);
        Self::parse(text, data.len() as u64)
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.place(name).map(|place| &self.tensors[place])
    }

    /// Place of a tensor in the list.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }
}

fn check_tensor((name, raw): (String, RawTensor)) -> Result<TensorInfo, HeaderError> {
    let Some(dtype) = Dtype::from_name(&raw.dtype) else {
        return Err(HeaderError::Dtype { name, dtype: raw.dtype });
    };
    let (start, end) = raw.data_offsets;
    if end < start {
        return Err(HeaderError::Offsets { name, start, end, expected: start });
    }
    let elements = raw.shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
    let bytes = elements.and_then(|elements| elements.checked_mul(dtype.bytes()));
    if bytes.map(|bytes| bytes as u64) != Some(end - start) {
        return Err(HeaderError::Size { name, dtype, shape: raw.shape, bytes: end - start });
    }
    Ok(TensorInfo { name, dtype, shape: raw.shape, start, end })
}

/// The JSON as it is, with repeated names kept: serde's own maps would silently take the last.
#[derive(Default)]
struct Raw {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, RawTensor)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut raw = Raw::default();
                let mut described = false;
                while let Some(name) = map.next_key::<String>()? {
                    if name != "__metadata__" {
                        raw.tensors.push((name, map.next_value()?));
                    } else if described {
                        map.next_value::<IgnoredAny>()?;
                        return Err(A::Error::custom("`__metadata__` occurs a second time"));
                    } else {
                        described = true;
                        raw.metadata = map.next_value()?;
                    }
                }
                Ok(raw)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
