//! Rounding to nearest: grids, granularities, zero-points, clipped ranges.

use anyhow::Result;
use common::figure::{Distribution, Figure};
use common::report::{Table, number};
use common::stats;

use crate::affine::{
    Fit, Granularity, Grid, Shrink, best_clip, clip_curve, fake_quantize, measure, quantize,
};
use crate::experiment::lab::{Amount, Lab, Subject};
use crate::llama::Baseline;
use crate::memory::Groups;
use common::outcome::{Drawing, Outcome};

/// A way to round: its name and what it is.
pub(super) struct Way {
    pub(super) name: String,
    pub(super) grid: Grid,
    pub(super) granularity: Granularity,
    pub(super) fit: Fit,
}

impl Way {
    fn new(name: &str, grid: Grid, granularity: Granularity, fit: Fit) -> Self {
        Self { name: name.to_owned(), grid, granularity, fit }
    }

    /// Bits per weight with a 16-bit scale and, on an asymmetric grid, a zero-point of as many bits as a code.
    pub(super) fn bits_per_weight(&self, rows: usize, columns: usize) -> f64 {
        let group_size = match self.granularity {
            Granularity::Tensor => rows * columns,
            Granularity::Channel => columns,
            Granularity::Group(size) => size.min(columns),
        };
        let symmetric = self.grid.scheme != crate::affine::Scheme::Asymmetric;
        let zero_bits = if symmetric { 0 } else { self.grid.bits };
        Groups { bits: self.grid.bits, group_size, scale_bits: 16, zero_bits }.bits_per_weight()
    }
}

pub(super) fn ways(bits: u32) -> Vec<Way> {
    let plain = Grid::asymmetric(bits).with_half_scales();
    let granularities = [
        ("tensor", Granularity::Tensor),
        ("row", Granularity::Channel),
        ("g128", Granularity::Group(128)),
        ("g64", Granularity::Group(64)),
        ("g32", Granularity::Group(32)),
    ];
    let mut ways: Vec<Way> =
        granularities.iter().map(|(name, g)| Way::new(name, plain, *g, Fit::MinMax)).collect();
    for (name, granularity) in granularities {
        let symmetric = Grid::absmax(bits).with_half_scales();
        ways.push(Way::new(&format!("{name}-symmetric"), symmetric, granularity, Fit::MinMax));
    }
    for (name, granularity) in [("row", Granularity::Channel), ("g32", Granularity::Group(32))] {
        ways.push(Way::new(&format!("{name}-clipped"), plain, granularity, Fit::Mse(Shrink::squared())));
    }
    ways
}

pub(super) fn run(subject: Subject, bits: u32, amount: Amount, root: &std::path::Path) -> Result<Outcome> {
    let lab = Lab::open(subject, amount, root)?;
    let baseline = lab.baseline()?;
    let mut outcome = Outcome::default();
    let setting = format!("{}-{bits}", subject.name());
    let mut rows = Vec::new();
    for way in ways(bits) {
        rows.push(one_way(&lab, &baseline, &setting, &way, &mut outcome)?);
    }
    gain(&mut outcome, subject, bits, &setting);
    let columns = ["grid", "bits per weight", "SQNR dB, mean", "KL, mean", "loss − unquantized"];
    outcome.tables.push(Table {
        caption: format!("{setting} bits: rounding to nearest, every linear layer (min–max unless clipped)"),
        columns: columns.map(str::to_owned).into(),
        rows,
    });
    clipping(&lab, bits, &mut outcome)?;
    Ok(outcome)
}

fn one_way(
    lab: &Lab,
    baseline: &Baseline,
    setting: &str,
    way: &Way,
    outcome: &mut Outcome,
) -> Result<Vec<String>> {
    let (mut restored, mut sqnr, mut cost, mut weights_in_all) = (Vec::new(), Vec::new(), 0.0, 0.0);
    for (weights, columns) in lab.matrices()? {
        let back = fake_quantize(&weights, columns, &way.grid, way.granularity, &way.fit)?;
        sqnr.push(measure(&weights, &back).sqnr_db.unwrap_or(f64::MAX));
        cost += way.bits_per_weight(weights.len() / columns, columns) * weights.len() as f64;
        weights_in_all += weights.len() as f64;
        restored.push(back);
    }
    let scored = lab.score(baseline, &lab.with(restored)?)?;
    let delta = super::delta(baseline, &scored.nll);
    let bits_per_weight = cost / weights_in_all;
    let mean = |values: &[f64]| stats::mean(values).unwrap_or_default();
    let row = vec![
        way.name.clone(),
        number(bits_per_weight, 3),
        number(mean(&sqnr), 2),
        super::small(mean(&scored.kl)),
        super::small(delta),
    ];
    outcome.put(setting, &way.name, "sqnr", sqnr);
    outcome.put(setting, &way.name, "kl", scored.kl);
    outcome.put(setting, &way.name, "bits_per_weight", vec![bits_per_weight]);
    Ok(row)
}

/// What a zero-point gains per matrix, whole rows.
fn gain(outcome: &mut Outcome, subject: Subject, bits: u32, setting: &str) {
    let of = |arm: &str| {
        let found = outcome.measured.iter().find(|m| m.arm == arm && m.metric == "sqnr");
        found.map_or(Vec::new(), |measured| measured.values.clone())
    };
    let gain = stats::differences(&of("row"), &of("row-symmetric"));
    debug_assert!(!gain.is_empty(), "{setting} has both");
    outcome.put(subject.name(), &bits.to_string(), "zero_point_gain", gain);
}

/// Clip ratios tried between 0 and the full range.
const CLIP_STEPS: u32 = 100;

/// Error against the share of the range that is kept, and a histogram before and after, for the first `ffn_down`.
fn clipping(lab: &Lab, bits: u32, outcome: &mut Outcome) -> Result<()> {
    let Some((weights, columns)) = lab.matrices()?.into_iter().nth(6) else { return Ok(()) };
    let grid = Grid::absmax(bits);
    let power: f64 = weights.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() / weights.len() as f64;
    let line: Vec<[f64; 2]> = clip_curve(&weights, &grid, CLIP_STEPS)?
        .iter()
        .filter(|clip| clip.ratio > 0.1)
        .map(|clip| [f64::from(clip.ratio), 10.0 * (power / clip.mse).log10()])
        .collect();
    let best = best_clip(&weights, &grid, CLIP_STEPS)?;
    outcome.put(
        &format!("{}-{bits}", lab.subject.name()),
        "best-clip",
        "clip_ratio",
        vec![f64::from(best.ratio)],
    );
    outcome.curve = line;
    if lab.subject != Subject::Shakespeare || !matches!(bits, 2 | 4) {
        return Ok(());
    }
    let widest = weights.iter().fold(0.0f32, |a, w| a.max(w.abs()));
    let range = [-f64::from(widest), f64::from(widest)];
    let mut panels = vec![Distribution::of(&weights, range, 160, "weights".into(), vec![])];
    for (name, fit) in
        [("full range", Fit::MinMax), ("clipped range of least squared error", Fit::Mse(Shrink::squared()))]
    {
        let quantized = quantize(&weights, columns, &grid, Granularity::Tensor, &fit)?;
        let parameters = quantized.parameters[0];
        let marks = (grid.lowest_code()..=grid.highest_code()).map(|code| f64::from(parameters.value(code)));
        let title = format!("after {bits}-bit quantization, {name}");
        panels.push(Distribution::of(&quantized.dequantize(), range, 160, title, marks.collect()));
    }
    outcome.drawings.push(Drawing {
        id: format!("grid-{bits}"),
        caption: format!("One matrix (ffn_down of the first block) before and after {bits}-bit absmax quantization. Orange ticks: the values that codes stand for. Clipping gives up the few large weights for a finer grid."),
        figure: Figure::Distributions {
            title: format!("Weights and their {bits}-bit grid"),
            x: "weight".to_owned(),
            panels,
        },
    });
    Ok(())
}
