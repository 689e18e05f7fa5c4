//! Ranges of activations: chosen beforehand by four rules, or taken from the input itself.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use common::report::{Table, number};
use common::stats;

use crate::affine::{Fit, Granularity, Grid, Parameters, Shrink, fake_quantize, measure};
use crate::calibration::{Method, Observer, Shape, Smoothing};
use crate::experiment::lab::{Amount, Lab, Scored, Subject};
use crate::llama::{Baseline, Hooks, Role};
use common::outcome::Outcome;

/// Inputs that several layers share count once.
type Site = (usize, Role);

fn methods() -> [(&'static str, Method); 6] {
    [
        ("static-minmax", Method::MinMax),
        ("static-p99", Method::Percentile(0.99)),
        ("static-p99.9", Method::Percentile(0.999)),
        ("static-p99.99", Method::Percentile(0.9999)),
        ("static-mse", Method::Mse(Shrink::squared())),
        ("static-kl", Method::Entropy(Smoothing::Skip)),
    ]
}

pub(super) fn run(subject: Subject, bits: u32, amount: Amount, root: &Path) -> Result<Outcome> {
    let lab = Lab::open(subject, amount, root)?;
    let baseline = lab.baseline()?;
    let setting = format!("{}-int{bits}", subject.name());
    let grid = Grid::absmax(bits);
    let samples = samples(&lab)?;
    let held_out = held_out(&lab)?;
    let mut outcome = Outcome::default();
    outcome.put(&setting, "float", "nll", baseline.window_nll());
    let mut rows = Vec::new();
    for (arm, method) in methods() {
        let (mut ranges, mut sqnr) = (BTreeMap::new(), Vec::new());
        for (site, batches) in &samples {
            let mut observer = Observer::new(method, Shape::Symmetric, grid)?;
            batches.iter().try_for_each(|batch| observer.observe(batch))?;
            let parameters = observer.parameters()?;
            let back: Vec<f32> = held_out[site].iter().map(|&x| round(x, &grid, parameters)).collect();
            sqnr.push(measure(&held_out[site], &back).sqnr_db.unwrap_or(f64::MAX));
            ranges.insert(*site, parameters);
        }
        let mut replace = |layer: usize, role: Role, inputs: &mut [f32], _: usize| {
            if let Some(parameters) = ranges.get(&(layer, role)) {
                inputs.iter_mut().for_each(|x| *x = round(*x, &grid, *parameters));
            }
        };
        let scored =
            lab.score_with(&baseline, &lab.model, &mut Hooks { observe: None, replace: Some(&mut replace) })?;
        rows.push(row(arm, &baseline, &scored, Some(&sqnr)));
        outcome.put(&setting, arm, "activation_sqnr", sqnr);
        outcome.put(&setting, arm, "nll", scored.nll);
    }
    for (arm, granularity) in
        [("dynamic-tensor", Granularity::Tensor), ("dynamic-token", Granularity::Channel)]
    {
        let scored = dynamic(&lab, &baseline, &grid, granularity)?;
        rows.push(row(arm, &baseline, &scored, None));
        outcome.put(&setting, arm, "nll", scored.nll);
    }
    let columns = ["range", "loss", "loss − unquantized", "SQNR dB of held-out inputs, mean and least"];
    outcome.tables.push(Table {
        caption: format!("{setting}: inputs of all linear layers of the blocks, symmetric grid"),
        columns: columns.map(str::to_owned).into(),
        rows,
    });
    Ok(outcome)
}

fn round(x: f32, grid: &Grid, parameters: Parameters) -> f32 {
    parameters.value(grid.code(parameters, x))
}

fn row(arm: &str, baseline: &Baseline, scored: &Scored, sqnr: Option<&[f64]>) -> Vec<String> {
    let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    let signal = sqnr.map_or("—".to_owned(), |values| {
        format!("{}; {}", number(stats::mean(values).unwrap_or_default(), 2), number(least(values), 2))
    });
    vec![
        arm.to_owned(),
        number(stats::mean(&scored.nll).unwrap_or_default(), 4),
        super::small(super::delta(baseline, &scored.nll)),
        signal,
    ]
}

/// Inputs of every site on the calibration text, one batch per sequence.
fn samples(lab: &Lab) -> Result<BTreeMap<Site, Vec<Vec<f32>>>> {
    let mut samples: BTreeMap<Site, Vec<Vec<f32>>> = BTreeMap::new();
    observe(lab, lab.calibration.iter().map(Vec::as_slice), &mut |site, inputs| {
        samples.entry(site).or_default().push(inputs.to_vec());
    })?;
    Ok(samples)
}

/// Windows of scored text on which the ranges' own error is measured.
const HELD_OUT: usize = 16;

fn held_out(lab: &Lab) -> Result<BTreeMap<Site, Vec<f32>>> {
    let mut samples: BTreeMap<Site, Vec<f32>> = BTreeMap::new();
    let texts = lab.windows.iter().take(HELD_OUT).map(|window| window.tokens.as_slice());
    observe(lab, texts, &mut |site, inputs| samples.entry(site).or_default().extend(inputs))?;
    Ok(samples)
}

fn observe<'a>(
    lab: &Lab,
    texts: impl Iterator<Item = &'a [u32]>,
    each: &mut dyn FnMut(Site, &[f32]),
) -> Result<()> {
    let mut state = lab.model.state(lab.model.config().context.max(512), 1)?;
    for tokens in texts {
        let mut observe = |layer: usize, role: Role, inputs: &[f32], _: usize| {
            if role != Role::Head {
                each((layer, role), inputs);
            }
        };
        state.truncate(0);
        lab.model.forward(tokens, &mut state, &mut Hooks { observe: Some(&mut observe), replace: None })?;
    }
    Ok(())
}

/// Ranges of each input itself: of the whole window, or of each token.
fn dynamic(lab: &Lab, baseline: &Baseline, grid: &Grid, granularity: Granularity) -> Result<Scored> {
    let mut failed = None;
    let mut replace = |_: usize, role: Role, inputs: &mut [f32], rows: usize| {
        if role != Role::Head {
            match fake_quantize(inputs, inputs.len() / rows.max(1), grid, granularity, &Fit::MinMax) {
                Ok(back) => inputs.copy_from_slice(&back),
                Err(error) => failed = Some(error),
            }
        }
    };
    let scored =
        lab.score_with(baseline, &lab.model, &mut Hooks { observe: None, replace: Some(&mut replace) })?;
    failed.map_or(Ok(scored), |error| Err(error.into()))
}
