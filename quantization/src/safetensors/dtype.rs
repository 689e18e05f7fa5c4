//! Element types and their conversion to f32.

use thiserror::Error;

use crate::float::f16_to_f32;

/// Type of the elements of a tensor, in the order in which the reference sorts them.
#[expect(non_camel_case_types, reason = "the names of the format")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dtype {
    /// Truth value in one byte.
    BOOL,
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 8 bits.
    I8,
    /// 8-bit float with 5 exponent bits.
    F8_E5M2,
    /// 8-bit float with 4 exponent bits.
    F8_E4M3,
    /// Signed, 16 bits.
    I16,
    /// Unsigned, 16 bits.
    U16,
    /// IEEE half precision.
    F16,
    /// Upper half of an f32.
    BF16,
    /// Signed, 32 bits.
    I32,
    /// Unsigned, 32 bits.
    U32,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// Signed, 64 bits.
    I64,
    /// Unsigned, 64 bits.
    U64,
}

/// A type whose elements have no conversion to f32 here.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("elements of type {} are not converted to numbers; expected F64, F32, F16, BF16 or an integer type", .0.name())]
pub struct NotANumber(pub Dtype);

const NAMES: [(Dtype, &str, usize); 15] = [
    (Dtype::BOOL, "BOOL", 1),
    (Dtype::U8, "U8", 1),
    (Dtype::I8, "I8", 1),
    (Dtype::F8_E5M2, "F8_E5M2", 1),
    (Dtype::F8_E4M3, "F8_E4M3", 1),
    (Dtype::I16, "I16", 2),
    (Dtype::U16, "U16", 2),
    (Dtype::F16, "F16", 2),
    (Dtype::BF16, "BF16", 2),
    (Dtype::I32, "I32", 4),
    (Dtype::U32, "U32", 4),
    (Dtype::F32, "F32", 4),
    (Dtype::F64, "F64", 8),
    (Dtype::I64, "I64", 8),
    (Dtype::U64, "U64", 8),
];

impl Dtype {
    /// Name in the header.
    pub fn name(self) -> &'static str {
        NAMES[self as usize].1
    }

    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        NAMES[self as usize].2
    }

    /// The type of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// Elements as f32, rounded to nearest where they do not fit; truth values become 0 and 1.
    ///
    /// Bytes behind the last whole element are ignored.
    ///
    /// # Errors
    /// [`NotANumber`] for the 8-bit floats.
    pub fn to_f32(self, bytes: &[u8]) -> Result<Vec<f32>, NotANumber> {
        Ok(match self {
            Self::BOOL => bytes.iter().map(|&byte| f32::from(u8::from(byte != 0))).collect(),
            Self::U8 => bytes.iter().map(|&byte| f32::from(byte)).collect(),
            Self::I8 => bytes.iter().map(|&byte| f32::from(byte as i8)).collect(),
            Self::I16 => convert(bytes, |b| f32::from(i16::from_le_bytes(b))),
            Self::U16 => convert(bytes, |b| f32::from(u16::from_le_bytes(b))),
            Self::F16 => convert(bytes, |b| f16_to_f32(u16::from_le_bytes(b))),
            Self::BF16 => convert(bytes, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
            Self::I32 => convert(bytes, |b| i32::from_le_bytes(b) as f32),
            Self::U32 => convert(bytes, |b| u32::from_le_bytes(b) as f32),
            Self::F32 => convert(bytes, f32::from_le_bytes),
            Self::F64 => convert(bytes, |b| f64::from_le_bytes(b) as f32),
            Self::I64 => convert(bytes, |b| i64::from_le_bytes(b) as f32),
            Self::U64 => convert(bytes, |b| u64::from_le_bytes(b) as f32),
            Self::F8_E5M2 | Self::F8_E4M3 => return Err(NotANumber(self)),
        })
    }
}

fn convert<const N: usize>(bytes: &[u8], decode: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let exact = |chunk: &[u8]| decode(chunk.try_into().expect("chunks have N bytes"));
    bytes.chunks_exact(N).map(exact).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_order_of_the_variants() {
        for (place, (dtype, name, _)) in NAMES.into_iter().enumerate() {
            assert_eq!((dtype as usize, Dtype::from_name(name)), (place, Some(dtype)));
        }
    }

    #[test]
    fn each_type_is_read_as_numbers() {
        assert_eq!(Dtype::I8.to_f32(&[255, 1]), Ok(vec![-1.0, 1.0]));
        assert_eq!(Dtype::BF16.to_f32(&[0x80, 0x3f]), Ok(vec![1.0]));
        assert_eq!(Dtype::I64.to_f32(&(-5_i64).to_le_bytes()), Ok(vec![-5.0]));
        assert_eq!(Dtype::F64.to_f32(&0.1_f64.to_le_bytes()), Ok(vec![0.1]));
        assert_eq!(Dtype::BOOL.to_f32(&[0, 1, 7]), Ok(vec![0.0, 1.0, 1.0]));
        let error = Dtype::F8_E4M3.to_f32(&[0]).unwrap_err().to_string();
        assert!(error.starts_with("elements of type F8_E4M3 are not converted"), "{error}");
    }
}
