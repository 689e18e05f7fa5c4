//! One layer: options, damping, order, grids, the sweep, and what comes out.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::cholesky::invert_backwards;
use super::order::{Order, Plan};
use super::panel::{Panel, Shared};
use super::sweep::LANES;
use super::{GptqError, Hessian};
use crate::affine::{Fit, Granularity, Grid, Parameters, extremes, quantize};

/// Rows of a panel: what one task treats.
const PANEL: usize = 4 * LANES;

/// Numbers behind each row of `U`: rows a power of two apart would all fall onto the same few lines of the caches.
const PADDING: usize = 16;

/// How a layer is quantized.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Grid of the codes, up to 8 bits.
    pub grid: Grid,
    /// Rule that fits a scale and a zero-point to weights.
    pub fit: Fit,
    /// Columns that share a scale; none for whole rows.
    pub group_size: Option<usize>,
    /// Order of the columns.
    pub order: Order,
    /// Whether all groups are fitted to the original weights. Otherwise each is fitted when its first column is
    /// reached, to the weights as the finished blocks left them.
    pub static_groups: bool,
    /// Share of the mean diagonal that is added to the diagonal; the paper's 0.01.
    pub damping: f64,
    /// What is added to `damping` as long as the Hessian is not positive definite; 0 for no such attempts.
    pub damping_increment: f64,
    /// Columns between two updates of all later columns, `B`; the paper's 128.
    pub block_size: usize,
}

impl Options {
    /// The paper's setting for a width: one asymmetric min–max grid per row, stored order, damping 0.01, blocks of 128.
    pub const fn paper(bits: u32) -> Self {
        Self {
            grid: Grid::asymmetric(bits),
            fit: Fit::MinMax,
            group_size: None,
            order: Order::Natural,
            static_groups: false,
            damping: 0.01,
            damping_increment: 0.0025,
            block_size: 128,
        }
    }

    /// The paper's setting with groups of this many columns.
    pub const fn grouped(bits: u32, group_size: usize) -> Self {
        Self { group_size: Some(group_size), ..Self::paper(bits) }
    }

    fn check(&self) -> Result<(), GptqError> {
        self.grid.check(8)?;
        let option = |name, value, expected| Err(GptqError::Option { name, value, expected });
        if self.group_size == Some(0) {
            return option("group_size", 0.0, "at least 1, or none for whole rows");
        }
        if self.block_size == 0 {
            return option("block_size", 0.0, "at least 1");
        }
        if !(self.damping >= 0.0 && self.damping.is_finite()) {
            return option("damping", self.damping, "a finite share, at least 0");
        }
        if !(self.damping_increment >= 0.0 && self.damping_increment.is_finite()) {
            return option("damping_increment", self.damping_increment, "a finite share, at least 0");
        }
        Ok(())
    }
}

/// A quantized layer. All columns are in stored order.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// Codes, `[rows, columns]`.
    pub codes: Vec<u8>,
    /// Steps `s`, `[rows, groups]`.
    pub scales: Vec<f32>,
    /// Zero-points `z`, `[rows, groups]`.
    pub zero_points: Vec<u8>,
    /// Group of each column (`g_idx`), `[columns]`.
    pub group_of_column: Vec<usize>,
    /// Columns in the order in which they were quantized.
    pub order: Vec<usize>,
    /// Dequantized weights `s · (q − z)`, `[rows, columns]`.
    pub weights: Vec<f32>,
    /// `½ Σ (w − q)² / U_jj²`: the layer's squared output error per calibration input, with the damping's share.
    pub loss: f64,
    /// Share of the mean diagonal that was added; above [`Options::damping`] when that failed.
    pub damping: f64,
    /// Columns whose inputs were all 0; their weights became 0.
    pub dead_columns: Vec<usize>,
}

/// Codes and scales of a layer `weights`, `[rows, columns]`, that keep its outputs on the calibration inputs.
///
/// A column without any input has no influence and is set to 0 before the sweep (whole-row grids are fitted before,
/// groups after that, as in the published code). The factor of the inverse is computed in 64 bits, the sweep in 32.
/// The result does not depend on the number of threads.
///
/// ```
/// use quantization::gptq::{Hessian, Options, gptq};
/// let mut hessian = Hessian::new(2);
/// hessian.add(&[1.0, 1.0, 1.0, 0.9])?; // two inputs whose columns nearly agree
/// let solution = gptq(&[0.4, 0.35, -1.0, 2.0], &hessian, &Options::paper(2))?;
/// assert_eq!(solution.codes.len(), 4);
/// assert_eq!(solution.scales.len(), 2);
/// # Ok::<(), quantization::gptq::GptqError>(())
/// ```
///
/// # Errors
/// Weights that are not finite or not of the Hessian's width, no calibration inputs, options out of range, a Hessian
/// that no damping makes positive definite.
pub fn gptq(weights: &[f32], hessian: &Hessian, options: &Options) -> Result<Solution, GptqError> {
    // one step into the thread pool, instead of one for each of the parallel loops below
    rayon::scope(|_| solve(weights, hessian, options))
}

fn solve(weights: &[f32], hessian: &Hessian, options: &Options) -> Result<Solution, GptqError> {
    options.check()?;
    let columns = hessian.width();
    if columns == 0 || !weights.len().is_multiple_of(columns) {
        return Err(GptqError::Shape { weights: weights.len(), width: columns });
    }
    if hessian.samples() == 0 {
        return Err(GptqError::NoSamples);
    }
    let group_size = options.group_size.unwrap_or(columns).min(columns);
    let groups = columns.div_ceil(group_size);
    let mut diagonal = hessian.diagonal();
    let dead: Vec<usize> = (0..columns).filter(|j| diagonal[*j] == 0.0).collect();
    dead.iter().for_each(|j| diagonal[*j] = 1.0);
    let rows_fitted_first =
        if options.group_size.is_none() { Some(fit(weights, columns, options)?) } else { None };
    let mut living = weights.to_vec();
    for row in living.chunks_mut(columns) {
        dead.iter().for_each(|column| row[*column] = 0.0);
    }
    let fixed = match rows_fitted_first {
        None if options.static_groups => Some(fit(&living, columns, options)?),
        None => {
            extremes(weights)?; // finite
            None
        }
        fitted => fitted,
    };
    let plan = Plan::new(options.order, &diagonal, group_size, options.static_groups);
    let spans = spans(&plan.group, fixed.is_some(), options.block_size);
    let (factor, damping) = damped_factor(hessian, &diagonal, &plan.order, &spans, options)?;
    let stride = columns + PADDING;
    let shared = Shared { options, plan: &plan, factor: &factor, stride, spans: &spans, columns, groups };
    let panels: Result<Vec<Panel>, GptqError> = living
        .par_chunks(PANEL * columns)
        .enumerate()
        .map(|(panel, weights)| {
            let own = |all: &'_ Vec<Parameters>| {
                let first = panel * PANEL * groups;
                all[first..first + weights.len() / columns * groups].to_vec()
            };
            shared.run(weights, fixed.as_ref().map(own).as_deref())
        })
        .collect();
    Ok(assemble(panels?, plan, weights.len(), groups, damping, dead))
}

/// First columns of the spans: as few whole blocks as hold every group that is fitted on the way, since its fit needs all its
/// columns as the finished blocks left them.
fn spans(group: &[usize], fixed: bool, block_size: usize) -> Vec<usize> {
    let starts = (0..group.len()).step_by(block_size);
    starts.filter(|&start| start == 0 || fixed || group[start - 1] != group[start]).collect()
}

/// Parameters `[rows, groups]` of whole rows or groups as they are stored.
fn fit(weights: &[f32], columns: usize, options: &Options) -> Result<Vec<Parameters>, GptqError> {
    let granularity = options.group_size.map_or(Granularity::Channel, Granularity::Group);
    Ok(quantize(weights, columns, &options.grid, granularity, &options.fit)?.parameters)
}

/// The factors of [`invert_backwards`] in 32 bits, padded, and the damping that worked.
///
/// Tried in this order: the damping asked for, increments up to 1, then floors of 10⁻⁶, 10⁻⁵, … 10⁻¹ of the largest
/// diagonal element on top of it.
fn damped_factor(
    hessian: &Hessian,
    diagonal: &[f64],
    order: &[usize],
    spans: &[usize],
    options: &Options,
) -> Result<(Vec<f32>, f64), GptqError> {
    let columns = order.len();
    let mean = diagonal.iter().sum::<f64>() / columns as f64;
    let largest = diagonal.iter().copied().fold(0.0, f64::max);
    let increments = if options.damping_increment > 0.0 {
        ((1.0 - options.damping) / options.damping_increment).max(0.0) as usize
    } else {
        0
    };
    let steps = (0..=increments).map(|step| options.damping + step as f64 * options.damping_increment);
    let last = options.damping + increments as f64 * options.damping_increment;
    let floors = (-6..0).map(|power| last + 10f64.powi(power) * largest / mean);
    let mut tried = options.damping;
    if !mean.is_finite() {
        return Err(GptqError::NotPositiveDefinite { width: columns, damping: tried });
    }
    for damping in steps.chain(floors) {
        tried = damping;
        let mut matrix = hessian.backwards(order);
        for (out, column) in matrix.iter_mut().step_by(columns + 1).zip(order.iter().rev()) {
            *out = diagonal[*column] + damping * mean;
        }
        if invert_backwards(&mut matrix, columns, spans).is_some() {
            return Ok((padded(&matrix, columns), damping));
        }
    }
    Err(GptqError::NotPositiveDefinite { width: columns, damping: tried })
}

/// The matrix backwards and in 32 bits, rows [`PADDING`] further apart.
fn padded(matrix: &[f64], columns: usize) -> Vec<f32> {
    let mut factor = vec![0f32; columns * (columns + PADDING)];
    let rows = factor.par_chunks_mut(columns + PADDING).zip(matrix.par_chunks(columns).rev());
    rows.for_each(|(out, row)| out.iter_mut().zip(row.iter().rev()).for_each(|(out, x)| *out = *x as f32));
    factor
}

/// Brings the panels' results into stored order.
fn assemble(
    panels: Vec<Panel>,
    plan: Plan,
    weights: usize,
    groups: usize,
    damping: f64,
    dead_columns: Vec<usize>,
) -> Solution {
    let columns = plan.order.len();
    let (mut codes, mut restored) = (vec![0u8; weights], vec![0f32; weights]);
    let mut outputs: Vec<_> =
        codes.chunks_mut(PANEL * columns).zip(restored.chunks_mut(PANEL * columns)).collect();
    outputs.par_iter_mut().zip(&panels).for_each(|((codes, restored), panel)| {
        let rows =
            codes.chunks_mut(columns).zip(restored.chunks_mut(columns)).zip(panel.parameters.chunks(groups));
        for (row, ((codes, restored), parameters)) in rows.enumerate() {
            let strand = &panel.codes[row / LANES];
            for ((lanes, column), group) in strand.iter().zip(&plan.order).zip(&plan.group) {
                let code = lanes[row % LANES];
                codes[*column] = code;
                restored[*column] = parameters[*group].value(u16::from(code));
            }
        }
    });
    let mut group_of_column = vec![0; columns];
    plan.order.iter().zip(&plan.group).for_each(|(column, group)| group_of_column[*column] = *group);
    let parameters = || panels.iter().flat_map(|panel| &panel.parameters);
    Solution {
        codes,
        scales: parameters().map(|parameters| parameters.scale).collect(),
        zero_points: parameters().map(|parameters| parameters.zero_point as u8).collect(),
        group_of_column,
        order: plan.order,
        weights: restored,
        loss: panels.iter().flat_map(|panel| &panel.losses).sum(),
        damping,
        dead_columns,
    }
}
