//! Weights to blocks, for every type.

mod fp4;
pub(crate) mod iq4;
mod legacy;
mod overflow;
mod plain;
mod range;
mod search;
mod ternary;
#[cfg(test)]
mod tests;
mod weighted;

use super::lanes::for_each_processor;
use super::{EncodeError, GgmlType};

/// Weights that are checked and encoded together while they are in the cache.
const STRIP: usize = 1 << 14;

/// Quantizes rows of weights into `out`, as ggml's `ggml_quantize_chunk` does, byte for byte.
///
/// `importance` weighs the error of each column (ggml's importance matrix, one row of it); the types Q8_0, Q8_1, Q8_K,
/// MXFP4, NVFP4, TQ1_0, TQ2_0, Q1_0, Q2_0 and the plain floats ignore it after checking it.
///
/// Weights so small that a scale underflows are zeros, or for MXFP4 below 2⁻¹²⁵ carry ggml's meaningless exponent byte
/// beside codes 0.
///
/// # Shapes
/// - `weights`: `[rows, row_len]`, row-major, `row_len` a multiple of [`GgmlType::block_len`]
/// - `importance`: `[row_len]`
/// - `out`: [`GgmlType::bytes`] of all weights
///
/// # Errors
/// [`EncodeError`] when a size does not fit, an importance is negative or not finite, a weight is not finite, or a scale
/// exceeds half precision (then `out` holds the bytes that ggml would write, and rejects when it validates them).
///
/// ```
/// use quantization::ggml::{GgmlType, decode, encode};
/// let weights: Vec<f32> = (0..32).map(|i| i as f32 - 16.0).collect();
/// let mut bytes = [0; 18];
/// encode(GgmlType::Q4_0, &weights, 32, None, &mut bytes)?;
/// assert_eq!(bytes[..3], [0x00, 0x40, 0x80]); // d = −16/−8 = 2.0; −16 has code 0, 0 code 8
/// let mut values = [0.0; 32];
/// decode(GgmlType::Q4_0, &bytes, &mut values)?;
/// assert_eq!(values[..4], [-16.0, -14.0, -14.0, -12.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn encode(
    kind: GgmlType,
    weights: &[f32],
    row_len: usize,
    importance: Option<&[f32]>,
    out: &mut [u8],
) -> Result<(), EncodeError> {
    in_strips(kind, weights, row_len, importance, out, encode_rows)
}

/// Quantizes rows of weights as [`encode`] does, with a longer search in the same format: for Q2_K to Q6_K, no super-block
/// has a larger weighted squared error than ggml's encoding of it. The weights of the error are `importance`, or all
/// equal; ggml's own search without importance weighs large weights more. Other types are encoded as ever.
///
/// # Errors
/// As [`encode`].
pub fn encode_best(
    kind: GgmlType,
    weights: &[f32],
    row_len: usize,
    importance: Option<&[f32]>,
    out: &mut [u8],
) -> Result<(), EncodeError> {
    use GgmlType::{Q2_K, Q3_K, Q4_K, Q5_K, Q6_K};
    match kind {
        Q2_K | Q3_K | Q4_K | Q5_K | Q6_K => {
            in_strips(kind, weights, row_len, importance, out, super::k::encode_best)
        }
        _ => encode(kind, weights, row_len, importance, out),
    }
}

/// An encoder of checked rows: type, weights, row length, importance, blocks.
type EncodeRows = fn(GgmlType, &[f32], usize, Option<&[f32]>, &mut [u8]);

/// Checks and encodes as many rows at a time as fit into the cache.
fn in_strips(
    kind: GgmlType,
    weights: &[f32],
    row_len: usize,
    importance: Option<&[f32]>,
    out: &mut [u8],
    encode_rows: EncodeRows,
) -> Result<(), EncodeError> {
    check_sizes(kind, weights.len(), row_len, out.len())?;
    check_importance(row_len, importance)?;
    let rows = (STRIP / row_len).max(1);
    let row_bytes = row_len / kind.block_len() * kind.block_bytes();
    for (strip, (weights, out)) in
        weights.chunks(rows * row_len).zip(out.chunks_mut(rows * row_bytes)).enumerate()
    {
        check_weights(weights, row_len, strip * rows)?;
        encode_rows(kind, weights, row_len, importance, out);
        if let Some(block) = overflow::first(kind, out) {
            let (row, column) = place(block * kind.block_len(), row_len);
            return Err(EncodeError::Overflow { kind, row: strip * rows + row, column });
        }
    }
    Ok(())
}

fn encode_rows(kind: GgmlType, weights: &[f32], row_len: usize, importance: Option<&[f32]>, out: &mut [u8]) {
    match (kind, importance) {
        (GgmlType::F32, _) => plain::f32(weights, out),
        (GgmlType::F16, _) => plain::f16(weights, out),
        (GgmlType::BF16, _) => plain::bf16(weights, out),
        (GgmlType::Q4_0, None) => legacy::q4_0(weights, out),
        (GgmlType::Q4_1, None) => legacy::q4_1(weights, out),
        (GgmlType::Q5_0, None) => legacy::q5_0(weights, out),
        (GgmlType::Q5_1, None) => legacy::q5_1(weights, out),
        (GgmlType::Q4_0, Some(importance)) => weighted::q4_0(weights, row_len, importance, out),
        (GgmlType::Q4_1, Some(importance)) => weighted::q4_1(weights, row_len, importance, out),
        (GgmlType::Q5_0, Some(importance)) => weighted::q5_0(weights, row_len, importance, out),
        (GgmlType::Q5_1, Some(importance)) => weighted::q5_1(weights, row_len, importance, out),
        (GgmlType::Q8_0, _) => legacy::q8_0(weights, out),
        (GgmlType::Q8_1, _) => legacy::q8_1(weights, out),
        (GgmlType::IQ4_NL, importance) => iq4::iq4_nl(weights, row_len, importance, out),
        (GgmlType::IQ4_XS, importance) => iq4::iq4_xs(weights, row_len, importance, out),
        (GgmlType::MXFP4, _) => fp4::mxfp4(weights, out),
        (GgmlType::NVFP4, _) => fp4::nvfp4(weights, out),
        (GgmlType::TQ1_0, _) => ternary::tq1_0(weights, out),
        (GgmlType::TQ2_0, _) => ternary::tq2_0(weights, out),
        (GgmlType::Q1_0, _) => ternary::q1_0(weights, out),
        (GgmlType::Q2_0, _) => ternary::q2_0(weights, out),
        (_, importance) => super::k::encode(kind, weights, row_len, importance, out),
    }
}

fn check_sizes(kind: GgmlType, weights: usize, row_len: usize, bytes: usize) -> Result<(), EncodeError> {
    if matches!(kind, GgmlType::F64 | GgmlType::I8 | GgmlType::I16 | GgmlType::I32 | GgmlType::I64) {
        return Err(EncodeError::Unsupported { kind });
    }
    let block_len = kind.block_len();
    if row_len == 0 || !row_len.is_multiple_of(block_len) {
        return Err(EncodeError::RowLength { kind, row_len, block_len });
    }
    if !weights.is_multiple_of(row_len) {
        return Err(EncodeError::Weights { found: weights, row_len });
    }
    let expected = weights / block_len * kind.block_bytes();
    if bytes != expected {
        return Err(EncodeError::Output { kind, found: bytes, expected });
    }
    Ok(())
}

fn check_importance(row_len: usize, importance: Option<&[f32]>) -> Result<(), EncodeError> {
    let Some(importance) = importance else { return Ok(()) };
    if importance.len() != row_len {
        return Err(EncodeError::Importance { found: importance.len(), expected: row_len });
    }
    match importance.iter().position(|v| !v.is_finite() || *v < 0.0) {
        Some(column) => Err(EncodeError::ImportanceValue { column, value: importance[column] }),
        None => Ok(()),
    }
}

fn check_weights(weights: &[f32], row_len: usize, first_row: usize) -> Result<(), EncodeError> {
    if all_finite(weights) {
        return Ok(());
    }
    let index = weights.iter().position(|x| !x.is_finite()).expect("one of them is not finite");
    let (row, column) = place(index, row_len);
    Err(EncodeError::NonFinite { row: first_row + row, column, value: weights[index] })
}

for_each_processor! {
    fn all_finite(weights: &[f32]) -> bool {
        let most = weights.iter().fold(0_i32, |most, x| most.max((x.to_bits() & 0x7FFF_FFFF) as i32));
        most < 0x7F80_0000
    }
}

fn place(index: usize, row_len: usize) -> (usize, usize) {
    (index / row_len, index % row_len)
}
