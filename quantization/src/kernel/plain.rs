//! Products with F32, F16 and BF16 weights.

use super::Activations;
use super::half::{bf16, f16};
use crate::ggml::GgmlType;

/// Partial sums per product, as many as the widest register has lanes.
const LANES: usize = 16;

/// Products of every row of `weights` with every row of `activations`; `y` is `[tokens, rows]`.
///
/// A row is widened to f32 once; sixteen interleaved partial sums make the result the same on every processor.
#[inline(always)]
pub(super) fn rows(kind: GgmlType, weights: &[u8], activations: &Activations, y: &mut [f32]) {
    let columns = activations.columns();
    let row_bytes = columns * kind.block_bytes();
    let n_rows = weights.len() / row_bytes;
    let mut row = vec![0.0; columns];
    for (at, bytes) in weights.chunks_exact(row_bytes).enumerate() {
        widen(kind, bytes, &mut row);
        for (token, x) in activations.plain.chunks_exact(columns).enumerate() {
            y[token * n_rows + at] = dot(&row, x);
        }
    }
}

#[inline(always)]
fn widen(kind: GgmlType, bytes: &[u8], row: &mut [f32]) {
    let halves = |row: &mut [f32], value: fn(u16) -> f32| {
        for (out, bytes) in row.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *out = value(u16::from_le_bytes(*bytes));
        }
    };
    match kind {
        GgmlType::F16 => halves(row, f16),
        GgmlType::BF16 => halves(row, bf16),
        _ => {
            for (out, bytes) in row.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *out = f32::from_le_bytes(*bytes);
            }
        }
    }
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
