//! The two inner loops: the columns of a block one by one, and the update of all columns after it.
//!
//! Rows are independent, so a lane of the vector unit is a row: 32 rows of one column lie side by side.

use super::outer::{FACTORS, outer, rank_one};
use crate::affine::{Line, byte, multiversion};

pub(super) use super::outer::LANES;

/// One column of 32 rows.
pub(super) type Lanes = [f32; LANES];

/// Scales and zero-points of one group in 32 rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupLanes {
    pub(super) scale: Lanes,
    pub(super) zero: Lanes,
}

multiversion! {
    /// Quantizes the columns of a block: `weights` become the dequantized ones, `errors` the scaled errors `e`.
    ///
    /// `factor` begins at the block's first diagonal element of `U`, rows `width` apart; `group[j]` is the group of
    /// column `j`. Returns `½ Σ e²` of each lane.
    pub(super) fn sweep_block<const EVEN: bool>(
        weights: &mut [Lanes],
        errors: &mut [Lanes],
        codes: &mut [[u8; LANES]],
        factor: &[f32],
        width: usize,
        group: &[usize],
        groups: &[GroupLanes],
        lowest: f32,
        highest: f32,
    ) -> Lanes {
        let mut loss = [0f32; LANES];
        for j in 0..weights.len() {
            let row = &factor[j * width + j..j * width + weights.len()];
            let (now, later) = weights[j..].split_first_mut().expect("column j is in the block");
            let GroupLanes { scale, zero } = &groups[group[j]];
            let error = &mut errors[j];
            let code = &mut codes[j];
            for lane in 0..LANES {
                let line = Line { scale: scale[lane], zero: zero[lane], lowest, highest };
                let q = line.code::<EVEN>(now[lane]);
                let restored = line.value(q);
                let e = (now[lane] - restored) / row[0];
                code[lane] = byte(q);
                error[lane] = e;
                now[lane] = restored;
                loss[lane] += 0.5 * e * e;
            }
            rank_one(later, error, &row[1..]);
        }
        loss
    }
}

/// `weights[c] −= Σⱼ errors[j] · U[j, c]`; `factor` begins at `U[0, 0]` of the block's rows and the columns' first, rows
/// `width` apart.
pub(super) fn update(weights: &mut [Lanes], errors: &[Lanes], factor: &[f32], width: usize) {
    let mut chunks = weights.chunks_exact_mut(FACTORS);
    let mut first = 0;
    for columns in &mut chunks {
        let sums = outer(&factor[first..], width, errors);
        for (column, sums) in columns.iter_mut().zip(&sums) {
            column.iter_mut().zip(sums).for_each(|(weight, sum)| *weight -= sum);
        }
        first += FACTORS;
    }
    for column in chunks.into_remainder() {
        let mut sums = [0f32; LANES];
        for (j, error) in errors.iter().enumerate() {
            let u = factor[j * width + first];
            sums.iter_mut().zip(error).for_each(|(sum, e)| *sum += e * u);
        }
        column.iter_mut().zip(&sums).for_each(|(weight, sum)| *weight -= sum);
        first += 1;
    }
}
