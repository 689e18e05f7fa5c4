//! 512-bit kernels: 256 weights become four registers of unsigned codes, `dpbusd` multiplies them.
#![expect(unsafe_code, reason = "loads from pointers, calls into functions that need processor features")]

mod formats;
mod panel;
mod super_formats;
mod ternary;
mod transpose;
mod unpack;
mod vector;

use std::arch::x86_64::{__m512, __m512i};

use super::super::Activations;
use crate::ggml::GgmlType;

pub(in super::super) use ternary::ternary;

/// How one weight type is read, 256 weights (a group) at a time.
///
/// # Safety
/// Every function needs the features of its `target_feature`; `group` must have [`Self::BYTES`] bytes.
trait Format {
    /// Bytes of a group.
    const BYTES: usize;
    /// See [`shift`](super::super::layout::shift).
    const SHIFT: Option<u32> = None;
    /// Sub-blocks of 16 that share scales of weights and activations.
    const SPAN: usize;
    /// Whether [`Self::minima`] says something.
    const MINIMA: bool = false;

    /// Codes of weights `64·part …`, in order.
    unsafe fn codes(group: &[u8], part: usize) -> __m512i;

    /// Scales per sub-block of 16, at [`lane`](super::super::activations::lane).
    unsafe fn scales(group: &[u8]) -> __m512;

    /// What to multiply the activations' offsets with, per sub-block of 16, at `lane`.
    unsafe fn minima(group: &[u8]) -> __m512 {
        // SAFETY: the caller's. Types without minima never ask for this value.
        unsafe { Self::scales(group) }
    }
}

/// Runs `$work::rows::<Format of $kind>`.
macro_rules! dispatch {
    ($kind:expr, $work:ident, $($argument:expr),*) => {{
        use formats::{Iq4Nl, Mxfp4, Nvfp4, Q1, Q2, Q4, Q4Min, Q5, Q5Min, Q8};
        use super_formats::{Iq4Xs, Q2K, Q3K, Q4K, Q5K, Q6K, Tq1, Tq2};
        // SAFETY: `Kernel` comes here only when the processor has the features, and rows are whole groups.
        unsafe {
            match $kind {
                GgmlType::Q4_0 => $work::rows::<Q4>($($argument),*),
                GgmlType::Q4_1 => $work::rows::<Q4Min>($($argument),*),
                GgmlType::Q5_0 => $work::rows::<Q5>($($argument),*),
                GgmlType::Q5_1 => $work::rows::<Q5Min>($($argument),*),
                GgmlType::IQ4_NL => $work::rows::<Iq4Nl>($($argument),*),
                GgmlType::MXFP4 => $work::rows::<Mxfp4>($($argument),*),
                GgmlType::NVFP4 => $work::rows::<Nvfp4>($($argument),*),
                GgmlType::Q1_0 => $work::rows::<Q1>($($argument),*),
                GgmlType::Q2_0 => $work::rows::<Q2>($($argument),*),
                GgmlType::Q2_K => $work::rows::<Q2K>($($argument),*),
                GgmlType::Q3_K => $work::rows::<Q3K>($($argument),*),
                GgmlType::Q4_K => $work::rows::<Q4K>($($argument),*),
                GgmlType::Q5_K => $work::rows::<Q5K>($($argument),*),
                GgmlType::Q6_K => $work::rows::<Q6K>($($argument),*),
                GgmlType::IQ4_XS => $work::rows::<Iq4Xs>($($argument),*),
                GgmlType::TQ1_0 => $work::rows::<Tq1>($($argument),*),
                GgmlType::TQ2_0 => $work::rows::<Tq2>($($argument),*),
                // The only type that is left: see `portable::unpack`.
                _ => $work::rows::<Q8>($($argument),*),
            }
        }
    }};
}

/// Tokens up to which unpacking again for each costs less than panels.
const FEW: usize = 2;

/// As [`portable::rows`](super::super::portable::rows).
pub(in super::super) fn rows(
    kind: GgmlType,
    weights: &[u8],
    row_bytes: usize,
    activations: &Activations,
    y: &mut [f32],
) {
    if activations.rows() <= FEW {
        dispatch!(kind, vector, weights, row_bytes, activations, y);
    } else {
        dispatch!(kind, panel, weights, row_bytes, activations, y);
    }
}
