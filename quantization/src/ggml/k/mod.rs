//! Encoders of the K-quants: super-blocks of 256 weights, byte for byte those of ggml.

mod f16;
mod scalar;
#[cfg(test)]
mod tests;

use super::GgmlType;

/// Encodes rows of `row_len` weights as super-blocks of `kind`, with the bytes of ggml.
pub(super) fn encode(
    kind: GgmlType,
    weights: &[f32],
    row_len: usize,
    importance: Option<&[f32]>,
    out: &mut [u8],
) {
    scalar::encode(kind, weights, row_len, importance, out);
}
