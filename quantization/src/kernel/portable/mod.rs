//! Products in plain Rust: the reference for the other tiers, written so that compilers vectorise the inner loops.

mod blocks;
mod super_blocks;

use super::activations::{Group, SUBS, lane};
use super::layout::{group_bytes, shift};
use super::{Activations, GROUP};
use crate::ggml::GgmlType;

/// 256 weights as unsigned codes and what scales them.
///
/// Value of weight i in sub-block j = i / 16: `(scale·factors[j] or scales[j])·(codes[i] − 2^shift) − minimum`.
pub(super) struct Weights {
    pub(super) codes: [u8; GROUP],
    pub(super) scaling: Scaling,
}

/// How a group's codes are scaled, per sub-block of 16.
pub(super) enum Scaling {
    /// Types with a float scale per block: value = `scales·code + minima`.
    Float { scales: [f32; SUBS], minima: [f32; SUBS] },
    /// Super-blocks: value = `scale·factors·code − minimum_scale·minima`.
    Integer { scale: f32, factors: [i8; SUBS], minimum_scale: f32, minima: [u8; SUBS] },
}

/// The 256 weights in `bytes` (one group of `kind`).
#[inline(always)]
pub(super) fn unpack(kind: GgmlType, bytes: &[u8]) -> Weights {
    use GgmlType::*;
    match kind {
        Q4_0 => blocks::q4_0(bytes),
        Q4_1 => blocks::q4_1(bytes),
        Q5_0 => blocks::q5_0(bytes),
        Q5_1 => blocks::q5_1(bytes),
        IQ4_NL => blocks::iq4_nl(bytes),
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
        // The plain types never come here: see `matmul_quantized`.
        _ => blocks::q8_0(bytes),
    }
}

/// Sums of code times activation over the sixteen sub-blocks, the shift taken off.
#[inline(always)]
pub(super) fn sums(codes: &[u8; GROUP], shift: Option<u32>, group: &Group) -> [i32; SUBS] {
    let (codes, activations) = (codes.as_chunks::<16>().0, group.codes.as_chunks::<16>().0);
    std::array::from_fn(|sub| {
        let products =
            codes[sub].iter().zip(&activations[sub]).map(|(&code, &x)| i32::from(code) * i32::from(x));
        products.sum::<i32>() - shift.map_or(0, |shift| group.sums[lane(sub)] << shift)
    })
}

/// What one group adds to an output.
#[inline(always)]
pub(super) fn scaled(scaling: &Scaling, sums: &[i32; SUBS], group: &Group) -> f32 {
    match scaling {
        Scaling::Float { scales, minima } => {
            let terms = (0..SUBS).map(|sub| {
                let (scale, offset) = (group.scales[lane(sub)], group.offsets[lane(sub)]);
                scales[sub] * scale * sums[sub] as f32 + minima[sub] * offset
            });
            terms.sum()
        }
        Scaling::Integer { scale, factors, minimum_scale, minima } => {
            let sum: i32 = factors.iter().zip(sums).map(|(&factor, sum)| i32::from(factor) * sum).sum();
            let minimum: i32 = (0..SUBS).map(|sub| i32::from(minima[sub]) * group.sums[lane(sub)]).sum();
            group.scales[0] * (scale * sum as f32 - minimum_scale * minimum as f32)
        }
    }
}

/// Products of every row of `weights` with every row of `activations`; `y` is `[tokens, rows]`.
///
/// Rows must be whole groups.
#[inline(always)]
pub(super) fn rows(
    kind: GgmlType,
    weights: &[u8],
    row_bytes: usize,
    activations: &Activations,
    y: &mut [f32],
) {
    let n_rows = weights.len() / row_bytes;
    y.fill(0.0);
    for (row, bytes) in weights.chunks_exact(row_bytes).enumerate() {
        for (at, bytes) in bytes.chunks_exact(group_bytes(kind)).enumerate() {
            let weights = unpack(kind, bytes);
            for token in 0..activations.rows() {
                let group = &activations.row(token)[at];
                let sums = sums(&weights.codes, shift(kind), group);
                y[token * n_rows + row] += scaled(&weights.scaling, &sums, group);
            }
        }
    }
}
