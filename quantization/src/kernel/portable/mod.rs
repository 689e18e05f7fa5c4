//! Products in plain Rust: the reference for the other tiers, written so that compilers vectorise the inner loops.

mod blocks;
mod super_blocks;

use super::activations::{Group, SUBS, lane};
use super::layout::{FP4, NON_LINEAR, group_bytes, shift};
use super::{Activations, GROUP};
use crate::ggml::GgmlType;

/// 256 weights as unsigned codes and what scales them.
///
/// Value of weight i in sub-block j = i / 16, whose numbers stand at l = [`lane`]`(j)`: `scales[l]·(codes[i] − 2^shift)` plus
/// what `minima[l]` says: it multiplies the activations' offsets.
pub(super) struct Weights {
    pub(super) codes: [u8; GROUP],
    pub(super) scales: [f32; SUBS],
    pub(super) minima: [f32; SUBS],
}

/// The steps that a tier writes by hand.
pub(super) trait Sums {
    /// Sums of code times activation per sub-block, at their lanes; the shift is not taken off.
    fn sums(codes: &[u8; GROUP], activations: &[i8; GROUP]) -> [i32; SUBS];

    /// Replaces 4-bit codes by their entries in a table.
    fn look_up(table: &[u8; 16], codes: &mut [u8; GROUP]);
}

/// The sums in plain Rust.
struct Plain;

impl Sums for Plain {
    #[inline(always)]
    fn sums(codes: &[u8; GROUP], activations: &[i8; GROUP]) -> [i32; SUBS] {
        let (codes, activations) = (codes.as_chunks::<16>().0, activations.as_chunks::<16>().0);
        let mut sums = [0; SUBS];
        for (sub, (codes, activations)) in codes.iter().zip(activations).enumerate() {
            let mut sum = 0i32;
            for (&code, &x) in codes.iter().zip(activations) {
                // 255·127 fits 16 bits, so that compilers may multiply in them.
                sum = sum.wrapping_add(i32::from(i16::from(code).wrapping_mul(i16::from(x))));
            }
            sums[lane(sub)] = sum;
        }
        sums
    }

    #[inline(always)]
    fn look_up(table: &[u8; 16], codes: &mut [u8; GROUP]) {
        for code in codes {
            *code = table[usize::from(*code & 15)];
        }
    }
}

/// The 256 weights in `bytes` (one group of `kind`).
#[inline(always)]
fn unpack<S: Sums>(kind: GgmlType, bytes: &[u8]) -> Weights {
    use GgmlType::*;
    let mut weights = match kind {
        Q4_0 | IQ4_NL => blocks::q4_0(bytes),
        Q4_1 => blocks::q4_1(bytes),
        Q5_0 => blocks::q5_0(bytes),
        Q5_1 => blocks::q5_1(bytes),
        MXFP4 => blocks::mxfp4(bytes),
        NVFP4 => blocks::nvfp4(bytes),
        Q1_0 => blocks::q1_0(bytes),
        Q2_0 => blocks::q2_0(bytes),
        Q2_K => super_blocks::q2_k(bytes),
        Q3_K => super_blocks::q3_k(bytes),
        Q4_K => super_blocks::q4_k(bytes),
        Q5_K => super_blocks::q5_k(bytes),
        Q6_K => super_blocks::q6_k(bytes),
        IQ4_XS => super_blocks::iq4_xs(bytes),
        TQ1_0 => super_blocks::tq1_0(bytes),
        TQ2_0 => super_blocks::tq2_0(bytes),
        // The plain types never come here: see `Kernel::rows`.
        _ => blocks::q8_0(bytes),
    };
    match kind {
        IQ4_NL | IQ4_XS => S::look_up(&NON_LINEAR, &mut weights.codes),
        MXFP4 | NVFP4 => S::look_up(&FP4, &mut weights.codes),
        _ => {}
    }
    weights
}

/// Products of every row of `weights` with every row of `activations`; `y` is `[tokens, rows]`. Rows must be whole groups.
pub(super) fn rows(
    kind: GgmlType,
    weights: &[u8],
    row_bytes: usize,
    activations: &Activations,
    y: &mut [f32],
) {
    rows_by::<Plain>(kind, weights, row_bytes, activations, y);
}

/// [`rows`] with the sums of `S`.
#[inline(always)]
pub(super) fn rows_by<S: Sums>(
    kind: GgmlType,
    weights: &[u8],
    row_bytes: usize,
    activations: &Activations,
    y: &mut [f32],
) {
    let (n_rows, shift) = (weights.len() / row_bytes, shift(kind));
    let tokens: Vec<&[Group]> = (0..activations.rows()).map(|token| activations.row(token)).collect();
    let mut totals = vec![[0f32; SUBS]; tokens.len()];
    for (row, bytes) in weights.chunks_exact(row_bytes).enumerate() {
        totals.fill([0.0; SUBS]);
        for (at, bytes) in bytes.chunks_exact(group_bytes(kind)).enumerate() {
            let weights = unpack::<S>(kind, bytes);
            for (total, groups) in totals.iter_mut().zip(&tokens) {
                add(total, &weights, S::sums(&weights.codes, &groups[at].codes), shift, &groups[at]);
            }
        }
        for (token, total) in totals.iter().enumerate() {
            y[token * n_rows + row] = total.iter().sum();
        }
    }
}

/// Adds one group's products to the lanes of `total`.
#[inline(always)]
fn add(total: &mut [f32; SUBS], weights: &Weights, sums: [i32; SUBS], shift: Option<u32>, group: &Group) {
    let (factor, keep) = shift.map_or((0, 0), |shift| (shift, -1));
    for l in 0..SUBS {
        let sum = sums[l].wrapping_sub((group.sums[l] & keep) << factor);
        total[l] += sum as f32 * (weights.scales[l] * group.scales[l]) + weights.minima[l] * group.offsets[l];
    }
}
