//! What can be wrong with weights, importance and buffers.

use thiserror::Error;

use super::GgmlType;

/// Why weights were not quantized.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum EncodeError {
    /// Integers and f64 are stored as they are.
    #[error("`{kind}` is not a type to quantize into; expected F32, F16, BF16 or a block type such as Q4_0")]
    Unsupported {
        /// The type asked for.
        kind: GgmlType,
    },
    /// Rows do not consist of whole blocks.
    #[error(
        "rows have {row_len} weights, `{kind}` expects a multiple of {block_len}; choose a type with smaller blocks, \
         such as Q8_0 for multiples of 32, or F16"
    )]
    RowLength {
        /// The type asked for.
        kind: GgmlType,
        /// Weights per row.
        row_len: usize,
        /// Weights per block.
        block_len: usize,
    },
    /// The weights are not whole rows.
    #[error(
        "{found} weights are not whole rows of {row_len}; expected a multiple: is the row length that of the tensor?"
    )]
    Weights {
        /// Number of weights.
        found: usize,
        /// Weights per row.
        row_len: usize,
    },
    /// The output has another size than the quantized weights.
    #[error("the output has {found} bytes, `{kind}` expects {expected}; size it with `GgmlType::bytes`")]
    Output {
        /// The type asked for.
        kind: GgmlType,
        /// Bytes given.
        found: usize,
        /// Bytes needed.
        expected: usize,
    },
    /// The importance vector is not one number per column.
    #[error(
        "the importance has {found} numbers, expected {expected}, one for each column; was it measured on another tensor?"
    )]
    Importance {
        /// Numbers given.
        found: usize,
        /// Weights per row.
        expected: usize,
    },
    /// An importance is negative or not finite.
    #[error("the importance of column {column} is {value}; expected a finite number that is not negative")]
    ImportanceValue {
        /// Index of the number.
        column: usize,
        /// The number.
        value: f32,
    },
    /// A weight is infinite or NaN.
    #[error(
        "the weight in row {row}, column {column} is {value}; expected a finite number: does the file hold what its header says?"
    )]
    NonFinite {
        /// Row of the weight.
        row: usize,
        /// Column of the weight.
        column: usize,
        /// The weight.
        value: f32,
    },
    /// A scale, or a plain number, is too large for its 16 bits.
    #[error(
        "the weights in row {row} from column {column} on are too large for the 16-bit floats of `{kind}`; \
         expected magnitudes up to about 65504; scale the tensor down, or store it as F32"
    )]
    Overflow {
        /// The type asked for.
        kind: GgmlType,
        /// Row of the block.
        row: usize,
        /// First column of the block.
        column: usize,
    },
}

/// Why bytes were not decoded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Integers and f64 are stored as they are.
    #[error("`{kind}` has no decoder to f32; expected F32, F16, BF16 or a block type such as Q4_0")]
    Unsupported {
        /// The type asked for.
        kind: GgmlType,
    },
    /// The bytes are not whole blocks.
    #[error(
        "{found} bytes are not whole blocks of `{kind}`; expected a multiple of {block_bytes}: is the file cut off?"
    )]
    Blocks {
        /// The type asked for.
        kind: GgmlType,
        /// Bytes given.
        found: usize,
        /// Bytes per block.
        block_bytes: usize,
    },
    /// The output is not as long as the weights.
    #[error(
        "the output has room for {found} weights, the bytes of `{kind}` hold {expected}; give a slice of that length"
    )]
    Length {
        /// The type asked for.
        kind: GgmlType,
        /// Length of the output.
        found: usize,
        /// Weights in the bytes.
        expected: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::super::{GgmlType, decode, encode};

    fn encode_error(
        kind: GgmlType,
        weights: &[f32],
        row_len: usize,
        importance: Option<&[f32]>,
        bytes: usize,
    ) -> String {
        encode(kind, weights, row_len, importance, &mut vec![0; bytes]).unwrap_err().to_string()
    }

    #[test]
    fn wrong_sizes_are_named() {
        let x = [1.0; 64];
        assert_eq!(
            encode_error(GgmlType::I8, &x, 64, None, 64),
            "`I8` is not a type to quantize into; expected F32, F16, BF16 or a block type such as Q4_0"
        );
        assert_eq!(
            encode_error(GgmlType::Q4_0, &x, 16, None, 36),
            "rows have 16 weights, `Q4_0` expects a multiple of 32; choose a type with smaller blocks, such as Q8_0 for \
             multiples of 32, or F16"
        );
        assert_eq!(
            encode_error(GgmlType::Q4_0, &x[..48], 32, None, 36),
            "48 weights are not whole rows of 32; expected a multiple: is the row length that of the tensor?"
        );
        assert_eq!(
            encode_error(GgmlType::Q4_0, &x, 32, None, 35),
            "the output has 35 bytes, `Q4_0` expects 36; size it with `GgmlType::bytes`"
        );
        assert!(
            encode_error(GgmlType::F32, &x, 0, None, 256).starts_with("rows have 0 weights, `F32` expects")
        );
    }

    #[test]
    fn bad_importance_and_weights_are_named_with_their_place() {
        let mut x = [1.0; 128];
        assert_eq!(
            encode_error(GgmlType::Q4_0, &x, 64, Some(&[1.0; 63]), 72),
            "the importance has 63 numbers, expected 64, one for each column; was it measured on another tensor?"
        );
        let mut importance = [1.0; 64];
        for bad in [-0.5, f32::NAN, f32::INFINITY] {
            importance[7] = bad;
            assert_eq!(
                encode_error(GgmlType::Q8_0, &x, 64, Some(&importance), 136),
                format!("the importance of column 7 is {bad}; expected a finite number that is not negative")
            );
        }
        x[69] = f32::NAN;
        assert_eq!(
            encode_error(GgmlType::Q5_1, &x, 64, None, 96),
            "the weight in row 1, column 5 is NaN; expected a finite number: does the file hold what its header says?"
        );
    }

    #[test]
    fn scales_too_large_for_half_precision_are_an_error() {
        let mut x = [1.0; 128];
        x[97] = 1e6;
        assert_eq!(
            encode_error(GgmlType::Q4_0, &x, 64, None, 72),
            "the weights in row 1 from column 32 on are too large for the 16-bit floats of `Q4_0`; expected magnitudes \
             up to about 65504; scale the tensor down, or store it as F32"
        );
        let error = encode_error(GgmlType::F16, &x, 64, None, 256);
        assert!(error.starts_with("the weights in row 1 from column 33 on"), "{error}");
        assert!(encode(GgmlType::Q8_0, &x, 64, None, &mut [0; 136]).is_ok());
    }

    #[test]
    fn bytes_that_are_not_blocks_are_named() {
        let error = |kind, bytes: &[u8], weights| {
            decode(kind, bytes, &mut vec![0.0; weights]).unwrap_err().to_string()
        };
        assert_eq!(
            error(GgmlType::Q6_K, &[0; 211], 256),
            "211 bytes are not whole blocks of `Q6_K`; expected a multiple of 210: is the file cut off?"
        );
        assert_eq!(
            error(GgmlType::Q8_0, &[0; 68], 32),
            "the output has room for 32 weights, the bytes of `Q8_0` hold 64; give a slice of that length"
        );
        assert_eq!(
            error(GgmlType::F64, &[0; 8], 1),
            "`F64` has no decoder to f32; expected F32, F16, BF16 or a block type such as Q4_0"
        );
    }
}
