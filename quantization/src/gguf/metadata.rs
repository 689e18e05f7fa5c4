//! Keys and values in file order, with lookup by name and by kind.

use std::collections::HashMap;

use thiserror::Error;

use super::value::{Array, Strings, Value};

/// Keys and values in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    entries: Vec<(String, Value)>,
    index: HashMap<String, usize>,
}

/// A key that is missing or of another kind.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MetadataError {
    /// No such key.
    #[error("key `{key}` is missing, expected {expected}; convert the model again with a current converter")]
    Missing {
        /// Its name.
        key: String,
        /// The kind that was asked for.
        expected: &'static str,
    },
    /// Another kind of value, or one out of range.
    #[error("key `{key}` is {found}, expected {expected}; convert the model again with a current converter")]
    Kind {
        /// Its name.
        key: String,
        /// What it holds.
        found: String,
        /// The kind that was asked for.
        expected: &'static str,
    },
}

/// One accessor per kind: the stored kind must be exactly that one.
macro_rules! exact {
    ($($(#[$doc:meta])* $name:ident -> $out:ty, $expected:literal, $pattern:pat => $result:expr;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// [`MetadataError`] when the key is missing or of another kind.
            pub fn $name(&self, key: &str) -> Result<$out, MetadataError> {
                match self.require(key, $expected)? {
                    $pattern => Ok($result),
                    other => Err(wrong(key, other, $expected)),
                }
            }
        )*
    };
}

/// One accessor per integer width: any stored integer whose value fits.
macro_rules! integer {
    ($($(#[$doc:meta])* $name:ident -> $out:ty, $expected:literal;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// [`MetadataError`] when the key is missing, no integer or out of range.
            pub fn $name(&self, key: &str) -> Result<$out, MetadataError> {
                let value = self.require(key, $expected)?;
                let whole = as_integer(value).and_then(|whole| <$out>::try_from(whole).ok());
                whole.ok_or_else(|| wrong(key, value, $expected))
            }
        )*
    };
}

impl Metadata {
    /// Value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.index.get(key).map(|&at| &self.entries[at].1)
    }

    /// Whether there is such a key.
    pub fn contains(&self, key: &str) -> bool {
        self.index.contains_key(key)
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Sets a key; one that exists keeps its place. Returns whether it existed.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<Value>) -> bool {
        let (key, value) = (key.into(), value.into());
        if let Some(&at) = self.index.get(&key) {
            self.entries[at].1 = value;
            return true;
        }
        self.index.insert(key.clone(), self.entries.len());
        self.entries.push((key, value));
        false
    }

    /// Takes a key out and returns its value; the others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.index.remove(key)?;
        let (_, value) = self.entries.remove(at);
        self.index.values_mut().filter(|place| **place > at).for_each(|place| *place -= 1);
        Some(value)
    }

    fn require(&self, key: &str, expected: &'static str) -> Result<&Value, MetadataError> {
        self.get(key).ok_or_else(|| MetadataError::Missing { key: key.to_owned(), expected })
    }

    integer! {
        /// An integer of any stored width that fits in 32 unsigned bits.
        get_u32 -> u32, "a u32";
        /// An integer of any stored width that fits in 64 unsigned bits.
        get_u64 -> u64, "a u64";
        /// An integer of any stored width that fits in 32 signed bits.
        get_i32 -> i32, "an i32";
        /// An integer of any stored width that fits in a size of this machine.
        get_usize -> usize, "an unsigned integer";
    }

    exact! {
        /// A text.
        get_str -> &str, "a string", Value::String(text) => text.as_str();
        /// A truth value.
        get_bool -> bool, "a bool", Value::Bool(value) => *value;
        /// A single-precision number.
        get_f32 -> f32, "an f32", Value::F32(value) => *value;
        /// Strings, such as the pieces of a vocabulary.
        get_strings -> &Strings, "an array of string", Value::Array(Array::String(strings)) => strings;
        /// Single-precision numbers.
        get_f32s -> &[f32], "an array of f32", Value::Array(Array::F32(values)) => values.as_slice();
        /// Signed 32-bit integers.
        get_i32s -> &[i32], "an array of i32", Value::Array(Array::I32(values)) => values.as_slice();
        /// Unsigned 32-bit integers.
        get_u32s -> &[u32], "an array of u32", Value::Array(Array::U32(values)) => values.as_slice();
    }
}

fn as_integer(value: &Value) -> Option<i128> {
    match *value {
        Value::U8(v) => Some(v.into()),
        Value::I8(v) => Some(v.into()),
        Value::U16(v) => Some(v.into()),
        Value::I16(v) => Some(v.into()),
        Value::U32(v) => Some(v.into()),
        Value::I32(v) => Some(v.into()),
        Value::U64(v) => Some(v.into()),
        Value::I64(v) => Some(v.into()),
        _ => None,
    }
}

fn wrong(key: &str, value: &Value, expected: &'static str) -> MetadataError {
    let found = match as_integer(value) {
        Some(whole) => format!("{whole} ({})", value.type_name()),
        None => value.type_name().to_owned(),
    };
    MetadataError::Kind { key: key.to_owned(), found, expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_of_any_width_is_read_and_others_are_named() {
        let mut metadata = Metadata::default();
        metadata.set("a", 7_u64);
        metadata.set("b", -1_i32);
        metadata.set("c", "text");
        assert_eq!(metadata.get_u32("a"), Ok(7));
        let error = metadata.get_u32("b").unwrap_err().to_string();
        assert!(error.starts_with("key `b` is -1 (i32), expected a u32"), "{error}");
        let error = metadata.get_f32("c").unwrap_err().to_string();
        assert!(error.starts_with("key `c` is string, expected an f32"), "{error}");
        let error = metadata.get_str("d").unwrap_err().to_string();
        assert!(error.starts_with("key `d` is missing, expected a string"), "{error}");
    }

    #[test]
    fn removing_a_key_keeps_the_order_and_the_lookup_of_the_others() {
        let mut metadata = Metadata::default();
        for (place, key) in ["a", "b", "c"].into_iter().enumerate() {
            assert!(!metadata.set(key, place as u32));
        }
        assert_eq!(metadata.remove("a"), Some(Value::U32(0)));
        assert!(metadata.set("b", 9_u32));
        let keys: Vec<_> = metadata.iter().map(|(key, _)| key).collect();
        assert_eq!((keys, metadata.get_u32("c"), metadata.get_u32("b")), (vec!["b", "c"], Ok(2), Ok(9)));
    }
}
