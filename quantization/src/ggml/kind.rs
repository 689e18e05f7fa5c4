//! Names, numbers and block sizes of ggml's tensor types.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A ggml tensor type that this crate reads and writes (`ggml_type` of ggml.h).
#[expect(non_camel_case_types, reason = "the names under which every tool of the field knows them")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GgmlType {
    /// 32-bit float.
    F32,
    /// IEEE half precision.
    F16,
    /// Brain float: the upper half of an f32.
    BF16,
    /// 64-bit float; stored, never computed with.
    F64,
    /// 8-bit integer; stored, never computed with.
    I8,
    /// 16-bit integer; stored, never computed with.
    I16,
    /// 32-bit integer; stored, never computed with.
    I32,
    /// 64-bit integer; stored, never computed with.
    I64,
    /// 4-bit codes, one scale per 32.
    Q4_0,
    /// 4-bit codes, scale and minimum per 32.
    Q4_1,
    /// 5-bit codes, one scale per 32.
    Q5_0,
    /// 5-bit codes, scale and minimum per 32.
    Q5_1,
    /// 8-bit codes, one scale per 32.
    Q8_0,
    /// Activations: [`Self::Q8_0`] and the sum of the codes times the scale.
    Q8_1,
    /// 2-bit codes, 4-bit scales and minima per 16, super-blocks of 256.
    Q2_K,
    /// 3-bit codes, 6-bit scales per 16, super-blocks of 256.
    Q3_K,
    /// 4-bit codes, 6-bit scales and minima per 32, super-blocks of 256.
    Q4_K,
    /// 5-bit codes, 6-bit scales and minima per 32, super-blocks of 256.
    Q5_K,
    /// 6-bit codes, 8-bit scales per 16, super-blocks of 256.
    Q6_K,
    /// Activations for the K-quants: 8-bit codes, f32 scale, sums of 16.
    Q8_K,
    /// 4-bit indices into a non-linear table, one scale per 32.
    IQ4_NL,
    /// 4-bit indices into the same table, 6-bit scales per 32, super-blocks of 256.
    IQ4_XS,
    /// 4-bit floats (E2M1), one power-of-two scale per 32.
    MXFP4,
    /// 4-bit floats (E2M1), one UE4M3 scale per 16.
    NVFP4,
    /// Ternary codes, five to a byte, one scale per 256.
    TQ1_0,
    /// Ternary codes, four to a byte, one scale per 256.
    TQ2_0,
    /// Signs, one scale per 128.
    Q1_0,
    /// Four levels −1, 0, 1, 2, one scale per 64.
    Q2_0,
}

/// A type that this crate does not know.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a tensor type; expected one of {list}", list = GgmlType::names())]
pub struct UnknownType(String);

/// Type, name, number in files, weights per block, bytes per block.
const TABLE: [(GgmlType, &str, u32, usize, usize); 28] = {
    use GgmlType::*;
    [
        (F32, "F32", 0, 1, 4),
        (F16, "F16", 1, 1, 2),
        (BF16, "BF16", 30, 1, 2),
        (F64, "F64", 28, 1, 8),
        (I8, "I8", 24, 1, 1),
        (I16, "I16", 25, 1, 2),
        (I32, "I32", 26, 1, 4),
        (I64, "I64", 27, 1, 8),
        (Q4_0, "Q4_0", 2, 32, 18),
        (Q4_1, "Q4_1", 3, 32, 20),
        (Q5_0, "Q5_0", 6, 32, 22),
        (Q5_1, "Q5_1", 7, 32, 24),
        (Q8_0, "Q8_0", 8, 32, 34),
        (Q8_1, "Q8_1", 9, 32, 36),
        (Q2_K, "Q2_K", 10, 256, 84),
        (Q3_K, "Q3_K", 11, 256, 110),
        (Q4_K, "Q4_K", 12, 256, 144),
        (Q5_K, "Q5_K", 13, 256, 176),
        (Q6_K, "Q6_K", 14, 256, 210),
        (Q8_K, "Q8_K", 15, 256, 292),
        (IQ4_NL, "IQ4_NL", 20, 32, 18),
        (IQ4_XS, "IQ4_XS", 23, 256, 136),
        (MXFP4, "MXFP4", 39, 32, 17),
        (NVFP4, "NVFP4", 40, 64, 36),
        (TQ1_0, "TQ1_0", 34, 256, 54),
        (TQ2_0, "TQ2_0", 35, 256, 66),
        (Q1_0, "Q1_0", 41, 128, 18),
        (Q2_0, "Q2_0", 42, 64, 18),
    ]
};

impl GgmlType {
    /// Every type, plain ones first.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// The type with this number in a file.
    pub fn from_id(id: u32) -> Option<Self> {
        TABLE.iter().find(|row| row.2 == id).map(|row| row.0)
    }

    /// Number in a file (`ggml_type`).
    pub fn id(self) -> u32 {
        self.row().2
    }

    /// Name as ggml prints it.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Weights per block; 1 for plain numbers.
    pub fn block_len(self) -> usize {
        self.row().3
    }

    /// Bytes per block.
    pub fn block_bytes(self) -> usize {
        self.row().4
    }

    /// Bits per weight, scales included.
    ///
    /// ```
    /// use quantization::ggml::GgmlType;
    /// assert_eq!(GgmlType::Q4_K.bits_per_weight(), 4.5);
    /// ```
    pub fn bits_per_weight(self) -> f64 {
        8.0 * self.block_bytes() as f64 / self.block_len() as f64
    }

    /// Bytes of `weights` weights, `None` unless they fill whole blocks and their bytes can be counted.
    pub fn bytes(self, weights: usize) -> Option<usize> {
        weights
            .is_multiple_of(self.block_len())
            .then(|| (weights / self.block_len()).checked_mul(self.block_bytes()))?
    }

    fn row(self) -> &'static (Self, &'static str, u32, usize, usize) {
        TABLE.iter().find(|row| row.0 == self).expect("the table has every type")
    }

    fn names() -> String {
        TABLE.map(|row| row.1).join(", ")
    }
}

impl fmt::Display for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for GgmlType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let row = TABLE.iter().find(|row| row.1.eq_ignore_ascii_case(text));
        row.map(|row| row.0).ok_or_else(|| UnknownType(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_row_and_is_found_by_name_and_number() {
        for kind in GgmlType::all() {
            assert_eq!(GgmlType::from_id(kind.id()), Some(kind));
            assert_eq!(kind.name().to_lowercase().parse(), Ok(kind));
        }
        let error = "Q7_K".parse::<GgmlType>().unwrap_err().to_string();
        assert!(error.starts_with("`Q7_K` is not a tensor type; expected one of F32, F16,"), "{error}");
    }

    #[test]
    fn bytes_of_broken_blocks_and_of_too_many_weights_are_not_counted() {
        assert_eq!(GgmlType::Q6_K.bytes(512), Some(420));
        assert_eq!(GgmlType::Q6_K.bytes(500), None);
        assert_eq!(GgmlType::F64.bytes(usize::MAX), None);
    }
}
