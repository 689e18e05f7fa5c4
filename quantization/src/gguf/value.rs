//! Values of a GGUF key, with string arrays in one piece of memory.

/// A value of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Unsigned, 8 bits.
    U8(u8),
    /// Signed, 8 bits.
    I8(i8),
    /// Unsigned, 16 bits.
    U16(u16),
    /// Signed, 16 bits.
    I16(i16),
    /// Unsigned, 32 bits.
    U32(u32),
    /// Signed, 32 bits.
    I32(i32),
    /// Single precision.
    F32(f32),
    /// One byte; everything but 0 reads as true.
    Bool(bool),
    /// UTF-8 text.
    String(String),
    /// Values of one kind; arrays of arrays do not exist.
    Array(Array),
    /// Unsigned, 64 bits.
    U64(u64),
    /// Signed, 64 bits.
    I64(i64),
    /// Double precision.
    F64(f64),
}

/// Values of one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Array {
    /// Unsigned, 8 bits.
    U8(Vec<u8>),
    /// Signed, 8 bits.
    I8(Vec<i8>),
    /// Unsigned, 16 bits.
    U16(Vec<u16>),
    /// Signed, 16 bits.
    I16(Vec<i16>),
    /// Unsigned, 32 bits.
    U32(Vec<u32>),
    /// Signed, 32 bits.
    I32(Vec<i32>),
    /// Single precision.
    F32(Vec<f32>),
    /// Truth values.
    Bool(Vec<bool>),
    /// Byte strings.
    String(Strings),
    /// Unsigned, 64 bits.
    U64(Vec<u64>),
    /// Signed, 64 bits.
    I64(Vec<i64>),
    /// Double precision.
    F64(Vec<f64>),
}

/// Many strings in one piece of memory, as a vocabulary has them.
///
/// They are bytes: some real vocabularies hold pieces that are no UTF-8 on their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strings {
    bytes: Vec<u8>,
    /// End of each string in `bytes`.
    ends: Vec<usize>,
}

impl Strings {
    /// Number of strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// String number `index`, `None` behind the last.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        Some(&self.bytes[start..end])
    }

    /// The strings in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index).expect("index is below len"))
    }

    /// Appends a string.
    pub fn push(&mut self, text: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(text.as_ref());
        self.ends.push(self.bytes.len());
    }

    pub(super) fn with_capacity(strings: usize) -> Self {
        Self { bytes: Vec::new(), ends: Vec::with_capacity(strings) }
    }

    /// Room for the next string, to be filled in place.
    pub(super) fn grow(&mut self, len: usize) -> &mut [u8] {
        let start = self.bytes.len();
        self.bytes.resize(start + len, 0);
        self.ends.push(start + len);
        &mut self.bytes[start..]
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for Strings {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let mut strings = Self::default();
        texts.into_iter().for_each(|text| strings.push(text));
        strings
    }
}

/// One row per kind: variant, element type, number in a file, name. Strings and arrays are written out where they differ.
macro_rules! plain_kinds {
    ($action:ident) => {
        $action! { (U8, u8, 0), (I8, i8, 1), (U16, u16, 2), (I16, i16, 3), (U32, u32, 4), (I32, i32, 5), (F32, f32, 6), (U64, u64, 10), (I64, i64, 11), (F64, f64, 12) }
    };
}
pub(super) use plain_kinds;

pub(super) const BOOL: u32 = 7;
pub(super) const STRING: u32 = 8;
pub(super) const ARRAY: u32 = 9;

macro_rules! describe {
    ($(($variant:ident, $plain:ty, $id:literal)),*) => {
        impl Value {
            /// Number of the kind in a file (`gguf_type`).
            pub fn type_id(&self) -> u32 {
                match self {
                    $(Self::$variant(_) => $id,)*
                    Self::Bool(_) => BOOL,
                    Self::String(_) => STRING,
                    Self::Array(_) => ARRAY,
                }
            }

            /// Name of the kind, as error messages give it.
            pub fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => stringify!($plain),)*
                    Self::Bool(_) => "bool",
                    Self::String(_) => "string",
                    Self::Array(array) => array.type_name(),
                }
            }
        }

        impl Array {
            /// Number of the kind of the elements in a file.
            pub fn element_id(&self) -> u32 {
                match self {
                    $(Self::$variant(_) => $id,)*
                    Self::Bool(_) => BOOL,
                    Self::String(_) => STRING,
                }
            }

            /// Name of the kind, as error messages give it.
            pub fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => concat!("array of ", stringify!($plain)),)*
                    Self::Bool(_) => "array of bool",
                    Self::String(_) => "array of string",
                }
            }

            /// Number of elements.
            pub fn len(&self) -> usize {
                match self {
                    $(Self::$variant(values) => values.len(),)*
                    Self::Bool(values) => values.len(),
                    Self::String(values) => values.len(),
                }
            }

            /// Whether there is no element.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Appends the elements as a file has them.
            pub(super) fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant(values) => values.iter().for_each(|value| out.extend(value.to_le_bytes())),)*
                    Self::Bool(values) => out.extend(values.iter().map(|&value| u8::from(value))),
                    Self::String(values) => values.iter().for_each(|text| encode_string(text, out)),
                }
            }
        }

        impl Value {
            /// Appends the value, without its kind, as a file has it.
            pub(super) fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant(value) => out.extend(value.to_le_bytes()),)*
                    Self::Bool(value) => out.push(u8::from(*value)),
                    Self::String(text) => encode_string(text.as_bytes(), out),
                    Self::Array(array) => {
                        out.extend(array.element_id().to_le_bytes());
                        out.extend((array.len() as u64).to_le_bytes());
                        array.encode(out);
                    }
                }
            }
        }

        $(
            impl From<$plain> for Value {
                fn from(value: $plain) -> Self {
                    Self::$variant(value)
                }
            }

            impl From<Vec<$plain>> for Value {
                fn from(values: Vec<$plain>) -> Self {
                    Self::Array(Array::$variant(values))
                }
            }
        )*
    };
}
plain_kinds!(describe);

/// Appends length and bytes of a string.
pub(super) fn encode_string(text: &[u8], out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend_from_slice(text);
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<Strings> for Value {
    fn from(strings: Strings) -> Self {
        Self::Array(Array::String(strings))
    }
}
