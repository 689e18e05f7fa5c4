//! Encoders of the K-quants: super-blocks of 256 weights, byte for byte those of ggml.
//!
//! One super-block per lane of the processor's vectors: every block keeps ggml's order of sums, and none waits for another.

mod activations;
mod affine;
mod best;
mod dispatch;
mod f16;
mod group;
mod lanes;
mod pack;
#[cfg(test)]
mod scalar;
mod search;
mod signed;
#[cfg(test)]
mod tests;

use super::GgmlType;

/// Super-blocks to encode.
struct Job<'a> {
    kind: GgmlType,
    weights: &'a [f32],
    row_len: usize,
    importance: Option<&'a [f32]>,
    out: &'a mut [u8],
    /// Search beyond ggml's encoding.
    beyond: bool,
}

/// Encodes rows of `row_len` weights as super-blocks of `kind` (Q2_K … Q6_K, Q8_K), with the bytes of ggml.
///
/// `row_len` is a multiple of 256 and the length of `importance`; `out` has the bytes of all blocks.
pub(super) fn encode(
    kind: GgmlType,
    weights: &[f32],
    row_len: usize,
    importance: Option<&[f32]>,
    out: &mut [u8],
) {
    let job = Job { kind, weights, row_len, importance, out, beyond: false };
    dispatch::encode(dispatch::Level::best(), job);
}

/// Encodes as [`encode`] does, but searches further in the same format: in no super-block is Σ v·(x − x̂)² larger than
/// in ggml's encoding (v: importance, or 1 without), in most it is smaller.
///
/// Q8_K, whose encoding leaves no choice worth searching, is as in [`encode`].
pub(super) fn encode_best(
    kind: GgmlType,
    weights: &[f32],
    row_len: usize,
    importance: Option<&[f32]>,
    out: &mut [u8],
) {
    let job = Job { kind, weights, row_len, importance, out, beyond: true };
    dispatch::encode(dispatch::Level::best(), job);
}
