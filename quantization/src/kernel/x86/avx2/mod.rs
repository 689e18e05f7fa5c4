//! 256-bit kernels.
#![expect(unsafe_code, reason = "calls into functions that need processor features")]

mod ternary;

use super::super::{Activations, portable};
use crate::ggml::GgmlType;

pub(in super::super) use ternary::ternary;

/// As [`portable::rows`], for a processor with the features.
pub(in super::super) fn rows(
    kind: GgmlType,
    weights: &[u8],
    row_bytes: usize,
    activations: &Activations,
    y: &mut [f32],
) {
    // SAFETY: `Kernel` comes here only when the processor has the features.
    unsafe { compiled(kind, weights, row_bytes, activations, y) }
}

/// # Safety
/// The features.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn compiled(
    kind: GgmlType,
    weights: &[u8],
    row_bytes: usize,
    activations: &Activations,
    y: &mut [f32],
) {
    portable::rows(kind, weights, row_bytes, activations, y);
}
