//! A panel of rows through the whole algorithm; panels do not know of each other.

use std::ops::Range;

use super::GptqError;
use super::order::Plan;
use super::solve::Options;
use super::sweep::{GroupLanes, LANES, Lanes, sweep_block, update};
use crate::affine::{Parameters, Rounding};

/// Columns after the block that are updated while their part of `U` stays in the cache.
const STRIP: usize = 48;
/// Columns of a block that are swept before the rest of the block is updated: a block within the block.
const STEP: usize = 16;

/// What all panels share.
pub(super) struct Shared<'a> {
    pub(super) options: &'a Options,
    pub(super) plan: &'a Plan,
    /// `U` inside spans and `M` between them in 32 bits, `[columns, columns]`, in the order of quantization; rows are `stride`
    /// apart.
    pub(super) factor: &'a [f32],
    pub(super) stride: usize,
    /// First columns of the spans.
    pub(super) spans: &'a [usize],
    pub(super) columns: usize,
    pub(super) groups: usize,
}

/// Results of a panel.
pub(super) struct Panel {
    /// Codes `[columns][lane]` of each set of 32 rows, in the order of quantization.
    pub(super) codes: Vec<Vec<[u8; LANES]>>,
    /// Parameters `[rows, groups]`.
    pub(super) parameters: Vec<Parameters>,
    /// `½ Σ e²` of each row.
    pub(super) losses: Vec<f64>,
}

/// 32 rows on their way.
struct Strand {
    rows: usize,
    originals: Vec<Lanes>,
    weights: Vec<Lanes>,
    errors: Vec<Lanes>,
    codes: Vec<[u8; LANES]>,
    groups: Vec<GroupLanes>,
}

impl Shared<'_> {
    /// Quantizes the rows `weights`, `[rows, columns]` in stored order, dead columns already 0; `fixed` holds the
    /// parameters `[rows, groups]` where the groups are not refitted.
    pub(super) fn run(&self, weights: &[f32], fixed: Option<&[Parameters]>) -> Result<Panel, GptqError> {
        let rows = weights.len() / self.columns;
        let none = Parameters { scale: 1.0, zero_point: 0 };
        let mut parameters = fixed.map_or_else(|| vec![none; rows * self.groups], <[Parameters]>::to_vec);
        let mut strands: Vec<Strand> =
            weights.chunks(LANES * self.columns).map(|rows| self.strand(rows)).collect();
        if fixed.is_some() {
            for (strand, own) in strands.iter_mut().zip(parameters.chunks(LANES * self.groups)) {
                (0..self.groups).for_each(|group| strand.load(group, own, self.groups));
            }
        }
        let mut losses = vec![0.0; rows];
        let ends = self.spans.iter().skip(1).copied().chain([self.columns]);
        for (&first, stop) in self.spans.iter().zip(ends) {
            for start in (first..stop).step_by(self.options.block_size) {
                let end = (start + self.options.block_size).min(stop);
                for (i, strand) in strands.iter_mut().enumerate() {
                    if fixed.is_none() {
                        let own = &mut parameters[i * LANES * self.groups..][..strand.rows * self.groups];
                        self.refit(strand, own, start, end)?;
                    }
                    let loss = self.block(strand, start, end);
                    losses[i * LANES..].iter_mut().zip(loss).for_each(|(sum, loss)| *sum += f64::from(loss));
                }
                self.update_later(&mut strands, start..end, end..stop);
            }
            for start in (first..stop).step_by(self.options.block_size) {
                let end = (start + self.options.block_size).min(stop);
                strands.iter_mut().for_each(|strand| strand.total_errors(start..end));
                self.update_later(&mut strands, start..end, stop..self.columns);
            }
        }
        Ok(Panel { codes: strands.into_iter().map(|strand| strand.codes).collect(), parameters, losses })
    }

    /// Takes the block's errors times its rows of the factor off the columns `later`.
    fn update_later(&self, strands: &mut [Strand], block: Range<usize>, later: Range<usize>) {
        for strip in later.clone().step_by(STRIP) {
            let stop = (strip + STRIP).min(later.end);
            let factor = &self.factor[block.start * self.stride + strip..];
            for Strand { weights, errors, .. } in &mut *strands {
                update(&mut weights[strip..stop], &errors[..block.len()], factor, self.stride);
            }
        }
    }

    fn strand(&self, rows: &[f32]) -> Strand {
        let mut weights = vec![[0.0; LANES]; self.columns];
        for (lane, row) in rows.chunks(self.columns).enumerate() {
            for (place, column) in weights.iter_mut().zip(&self.plan.order) {
                place[lane] = row[*column];
            }
        }
        let blank = GroupLanes { scale: [1.0; LANES], zero: [0.0; LANES] };
        Strand {
            rows: rows.len() / self.columns,
            originals: weights.clone(),
            weights,
            errors: vec![[0.0; LANES]; self.options.block_size.min(self.columns)],
            codes: vec![[0; LANES]; self.columns],
            groups: vec![blank; self.groups],
        }
    }

    /// Fits the groups that begin in the block to the weights as the finished blocks left them. Later groups of a
    /// block do not see the updates of the block itself: so does the published code.
    fn refit(
        &self,
        strand: &mut Strand,
        parameters: &mut [Parameters],
        start: usize,
        end: usize,
    ) -> Result<(), GptqError> {
        let group = &self.plan.group;
        let mut gathered = Vec::new();
        for first in start..end {
            if first > 0 && group[first] == group[first - 1] {
                continue;
            }
            let count = group[first..].iter().take_while(|other| **other == group[first]).count();
            for lane in 0..strand.rows {
                gathered.clear();
                gathered.extend(strand.weights[first..first + count].iter().map(|column| column[lane]));
                parameters[lane * self.groups + group[first]] =
                    self.options.fit.parameters(&gathered, &self.options.grid)?;
            }
            strand.load(group[first], parameters, self.groups);
        }
        Ok(())
    }

    fn block(&self, strand: &mut Strand, start: usize, end: usize) -> Lanes {
        let grid = &self.options.grid;
        let kernel = match grid.rounding {
            Rounding::TiesEven => sweep_block::<true>,
            Rounding::TiesAway => sweep_block::<false>,
        };
        let mut loss = [0f32; LANES];
        for first in (start..end).step_by(STEP) {
            let last = (first + STEP).min(end);
            let row = &self.factor[first * self.stride..];
            let errors = &mut strand.errors[first - start..last - start];
            let added = kernel(
                &mut strand.weights[first..last],
                errors,
                &mut strand.codes[first..last],
                &row[first..],
                self.stride,
                &self.plan.group[first..last],
                &strand.groups,
                f32::from(grid.lowest_code()),
                f32::from(grid.highest_code()),
            );
            update(&mut strand.weights[last..end], errors, &row[last..], self.stride);
            loss.iter_mut().zip(added).for_each(|(sum, loss)| *sum += loss);
        }
        loss
    }
}

impl Strand {
    /// Replaces the block's scaled errors by what quantization added to its original weights.
    fn total_errors(&mut self, block: Range<usize>) {
        let columns = self.weights[block.clone()].iter().zip(&self.originals[block]);
        for (error, (restored, original)) in self.errors.iter_mut().zip(columns) {
            for lane in 0..LANES {
                error[lane] = restored[lane] - original[lane];
            }
        }
    }

    /// Copies one group's parameters of all rows, `[rows, groups]`, into the lanes.
    fn load(&mut self, group: usize, parameters: &[Parameters], groups: usize) {
        let lanes = &mut self.groups[group];
        for (lane, row) in parameters.chunks(groups).enumerate() {
            lanes.scale[lane] = row[group].scale;
            lanes.zero[lane] = f32::from(row[group].zero_point);
        }
    }
}
