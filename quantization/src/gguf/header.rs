//! The header: everything in front of the tensor data, checked.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use super::cursor::Cursor;
use super::value::{ARRAY, Array, BOOL, STRING, Strings, Value, plain_kinds};
use super::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, HeaderError, MAX_NAME, MAX_RANK, Metadata};
use crate::ggml::GgmlType;

/// Name, shape, type and place of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name, shorter than 64 bytes.
    pub name: String,
    /// Sizes, the contiguous dimension first; at most four, all positive. Empty for a single number.
    pub dims: Vec<u64>,
    /// Type of the stored weights.
    pub kind: GgmlType,
    /// First byte, counted from the start of the data section.
    pub offset: u64,
    /// Bytes of data, without padding.
    pub bytes: u64,
}

impl TensorInfo {
    /// Number of weights.
    pub fn weights(&self) -> u64 {
        self.dims.iter().product()
    }

    /// Weights in a row, the contiguous dimension.
    pub fn row_len(&self) -> u64 {
        self.dims.first().copied().unwrap_or(1)
    }
}

/// Everything in front of the tensor data.
#[derive(Clone, Debug)]
pub struct Header {
    /// 2 or 3; they have the same layout.
    pub version: u32,
    /// Alignment of tensor data, in bytes.
    pub alignment: u64,
    /// First byte of the data section.
    pub data_start: u64,
    /// Keys and values.
    pub metadata: Metadata,
    /// Tensors in file order.
    pub tensors: Vec<TensorInfo>,
    index: HashMap<String, usize>,
}

impl Header {
    /// The header of a file of `size` bytes, read forward from its beginning.
    ///
    /// # Errors
    /// [`HeaderError`] for whatever ggml refuses, and for data behind the end of the file.
    pub fn read(reader: impl Read, size: u64) -> Result<Self, HeaderError> {
        let mut cursor = Cursor::new(reader, size);
        let version = read_version(&mut cursor)?;
        let tensors = cursor.u64("the number of tensors")?;
        let keys = cursor.u64("the number of keys")?;
        let metadata = read_metadata(&mut cursor, keys)?;
        let alignment = alignment(&metadata)?;
        let tensors = read_tensors(&mut cursor, tensors, alignment)?;
        let end = cursor.at();
        let data_start = if tensors.is_empty() { end } else { end.next_multiple_of(alignment) };
        check_data(&tensors, data_start, size)?;
        let index = tensors.iter().enumerate().map(|(place, tensor)| (tensor.name.clone(), place)).collect();
        Ok(Self { version, alignment, data_start, metadata, tensors, index })
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.index.get(name).map(|&place| &self.tensors[place])
    }
}

fn read_version(cursor: &mut Cursor<impl Read>) -> Result<u32, HeaderError> {
    let magic: [u8; 4] = cursor.bytes("the magic word")?;
    if &magic != b"GGUF" {
        return Err(HeaderError::Magic { found: magic.escape_ascii().to_string() });
    }
    match cursor.u32("the version")? {
        version @ (2 | 3) => Ok(version),
        1 => Err(HeaderError::Version1),
        found if (1..=0xffff).contains(&found.swap_bytes()) => {
            Err(HeaderError::BigEndian { version: found.swap_bytes() })
        }
        found => Err(HeaderError::Version { found }),
    }
}

/// Length of key, one byte of key, kind, one byte of value.
const SMALLEST_KEY: u64 = 8 + 1 + 4 + 1;

fn read_metadata(cursor: &mut Cursor<impl Read>, count: u64) -> Result<Metadata, HeaderError> {
    let count = cursor.require_count(count, SMALLEST_KEY, "the list of keys")?;
    let mut metadata = Metadata::default();
    for number in 0..count {
        let at = cursor.at();
        let key = cursor.string("the name of a key")?;
        if key.is_empty() {
            return Err(HeaderError::EmptyKey { at, number });
        }
        if metadata.contains(&key) {
            return Err(HeaderError::DuplicateKey { at, key });
        }
        let value = read_value(cursor, &key)?;
        metadata.set(key, value);
    }
    Ok(metadata)
}

macro_rules! read_plain {
    ($(($variant:ident, $plain:ty, $id:literal)),*) => {
        fn read_value(cursor: &mut Cursor<impl Read>, key: &str) -> Result<Value, HeaderError> {
            let what = format!("key `{key}`");
            let at = cursor.at();
            Ok(match cursor.u32(&what)? {
                $($id => Value::$variant(<$plain>::from_le_bytes(cursor.bytes(&what)?)),)*
                BOOL => Value::Bool(cursor.bytes::<1>(&what)? != [0]),
                STRING => Value::String(cursor.string(&what)?),
                ARRAY => Value::Array(read_array(cursor, key, &what)?),
                found => return Err(HeaderError::ValueType { at, key: key.to_owned(), found }),
            })
        }

        fn read_array(cursor: &mut Cursor<impl Read>, key: &str, what: &str) -> Result<Array, HeaderError> {
            let at = cursor.at();
            let element = cursor.u32(what)?;
            if element == ARRAY {
                return Err(HeaderError::NestedArray { at, key: key.to_owned() });
            }
            let count = cursor.u64(what)?;
            Ok(match element {
                $($id => Array::$variant(read_numbers(cursor, count, what, <$plain>::from_le_bytes)?),)*
                BOOL => Array::Bool(read_numbers(cursor, count, what, |byte: [u8; 1]| byte != [0])?),
                STRING => Array::String(read_strings(cursor, count, what)?),
                found => return Err(HeaderError::ValueType { at, key: key.to_owned(), found }),
            })
        }
    };
}
plain_kinds!(read_plain);

fn read_numbers<T, const N: usize>(
    cursor: &mut Cursor<impl Read>,
    count: u64,
    what: &str,
    decode: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, HeaderError> {
    let count = cursor.require_count(count, N as u64, what)?;
    let mut numbers = Vec::with_capacity(count);
    let mut buffer = [0; 4096];
    while numbers.len() < count {
        let part = &mut buffer[..N * (count - numbers.len()).min(4096 / N)];
        cursor.fill(part, what)?;
        let exact = |bytes: &[u8]| decode(bytes.try_into().expect("chunks have N bytes"));
        numbers.extend(part.chunks_exact(N).map(exact));
    }
    Ok(numbers)
}

fn read_strings(cursor: &mut Cursor<impl Read>, count: u64, what: &str) -> Result<Strings, HeaderError> {
    let count = cursor.require_count(count, 8, what)?;
    let mut strings = Strings::with_capacity(count);
    for _ in 0..count {
        let len = cursor.string_len(what)?;
        cursor.fill(strings.grow(len), what)?;
    }
    Ok(strings)
}

fn alignment(metadata: &Metadata) -> Result<u64, HeaderError> {
    match metadata.get(ALIGNMENT_KEY) {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(&Value::U32(found)) if found.is_power_of_two() => Ok(found.into()),
        Some(Value::U32(found)) => Err(HeaderError::Alignment { found: found.to_string() }),
        Some(other) => Err(HeaderError::Alignment { found: format!("of type {}", other.type_name()) }),
    }
}

/// Length of name, rank, type, offset.
const SMALLEST_TENSOR: u64 = 8 + 4 + 4 + 8;

fn read_tensors(
    cursor: &mut Cursor<impl Read>,
    count: u64,
    alignment: u64,
) -> Result<Vec<TensorInfo>, HeaderError> {
    let count = cursor.require_count(count, SMALLEST_TENSOR, "the list of tensors")?;
    let mut tensors: Vec<TensorInfo> = Vec::new();
    let mut seen = HashSet::new();
    let mut expected = 0;
    for _ in 0..count {
        let at = cursor.at();
        let name = read_name(cursor)?;
        if !seen.insert(name.clone()) {
            return Err(HeaderError::DuplicateTensor { at, name });
        }
        let tensor = read_tensor(cursor, at, name)?;
        if tensor.offset != expected {
            return Err(HeaderError::Offset { at, name: tensor.name, found: tensor.offset, expected });
        }
        let next =
            tensor.bytes.checked_next_multiple_of(alignment).and_then(|size| size.checked_add(expected));
        let Some(next) = next else {
            return Err(HeaderError::Shape { at, name: tensor.name, dims: tensor.dims });
        };
        expected = next;
        tensors.push(tensor);
    }
    Ok(tensors)
}

fn read_name(cursor: &mut Cursor<impl Read>) -> Result<String, HeaderError> {
    let at = cursor.at();
    let len = cursor.string_len("the name of a tensor")?;
    let mut bytes = [0; MAX_NAME];
    let part = &mut bytes[..len.min(MAX_NAME)];
    cursor.fill(part, "the name of a tensor")?;
    if len >= MAX_NAME {
        let name = part[..24].escape_ascii().to_string();
        return Err(HeaderError::LongName { at, name, len: len as u64 });
    }
    let name = std::str::from_utf8(part);
    name.map(str::to_owned).map_err(|_| HeaderError::Utf8 { at, what: "the name of a tensor".to_owned() })
}

fn read_tensor(cursor: &mut Cursor<impl Read>, at: u64, name: String) -> Result<TensorInfo, HeaderError> {
    let what = format!("tensor `{name}`");
    let rank = cursor.u32(&what)?;
    if rank as usize > MAX_RANK {
        return Err(HeaderError::Rank { at, name, found: rank });
    }
    let dims = (0..rank).map(|_| cursor.u64(&what)).collect::<Result<Vec<_>, _>>()?;
    let id = cursor.u32(&what)?;
    let offset = cursor.u64(&what)?;
    let Some(kind) = GgmlType::from_id(id) else {
        return Err(HeaderError::TensorType { at, name, found: id, hint: known_elsewhere(id) });
    };
    let Some(weights) = count_weights(&dims) else {
        return Err(HeaderError::Shape { at, name, dims });
    };
    let row = dims.first().copied().unwrap_or(1);
    if !row.is_multiple_of(kind.block_len() as u64) {
        return Err(HeaderError::Row { at, name, row, kind });
    }
    let bytes = (weights / kind.block_len() as u64).checked_mul(kind.block_bytes() as u64);
    match bytes {
        Some(bytes) => Ok(TensorInfo { name, dims, kind, offset, bytes }),
        None => Err(HeaderError::Shape { at, name, dims }),
    }
}

/// Product of positive sizes within 63 bits.
pub(super) fn count_weights(dims: &[u64]) -> Option<u64> {
    let product = dims.iter().try_fold(1_u64, |product, &dim| product.checked_mul(dim))?;
    (product > 0 && i64::try_from(product).is_ok()).then_some(product)
}

/// Name of a type that ggml has or had and this crate does not read.
fn known_elsewhere(id: u32) -> &'static str {
    match id {
        16 => " (IQ2_XXS)",
        17 => " (IQ2_XS)",
        18 => " (IQ3_XXS)",
        19 => " (IQ1_S)",
        21 => " (IQ3_S)",
        22 => " (IQ2_S)",
        29 => " (IQ1_M)",
        4 | 5 | 31..=33 | 36..=38 => " (withdrawn from ggml)",
        _ => "",
    }
}

fn check_data(tensors: &[TensorInfo], data_start: u64, size: u64) -> Result<(), HeaderError> {
    for tensor in tensors {
        let start = data_start.saturating_add(tensor.offset);
        let end = start.saturating_add(tensor.bytes);
        if end > size {
            return Err(HeaderError::Data { name: tensor.name.clone(), start, end, size });
        }
    }
    Ok(())
}
