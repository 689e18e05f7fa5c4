//! A linear support vector machine, trained by dual coordinate descent (Hsieh et al. 2008).
//!
//! ```text
//! min over w, b:   ½ (‖w‖² + b²) + Σ Cᵢ ξ(yᵢ (w·xᵢ + b s))        ξ(m) = max(0, 1 − m) or its square
//! ```
//! The bias is a further feature of constant value s, as in liblinear, whose objective this is. Multipliers of the last training
//! can start the next: in multiple-instance learning most examples stay as they are.

mod dot;
mod still;

use common::seed;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use dot::{add_scaled, dot};
use still::Still;

/// What a wrong margin costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// `max(0, 1 − m)`.
    Hinge,
    /// `max(0, 1 − m)²`.
    SquaredHinge,
}

/// How to train.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Cost C of an example. Ours: 1 for features of length 1.
    pub cost: f64,
    /// Factor on the cost of positive examples. Ours: 1.
    pub positive_weight: f64,
    /// Loss. Ours: squared hinge.
    pub loss: Loss,
    /// Value s of the constant feature. liblinear: 1.
    pub bias_feature: f64,
    /// Largest violation of the optimality conditions at the end. liblinear: 0.1.
    pub tolerance: f64,
    /// Passes over the examples at most. liblinear: 1,000.
    pub max_passes: usize,
}

impl Config {
    /// C = 1, squared hinge, liblinear's tolerance.
    pub const fn usual() -> Self {
        Self {
            cost: 1.0,
            positive_weight: 1.0,
            loss: Loss::SquaredHinge,
            bias_feature: 1.0,
            tolerance: 0.1,
            max_passes: 1000,
        }
    }
}

/// Examples by rows.
#[derive(Clone, Copy, Debug)]
pub struct Examples<'a> {
    /// `[examples, width]`, by rows.
    pub features: &'a [f32],
    /// Which are positive, `[examples]`.
    pub labels: &'a [bool],
    /// Rows that take part; all where absent.
    pub chosen: Option<&'a [u32]>,
}

impl Examples<'_> {
    fn taking_part(&self) -> Vec<u32> {
        self.chosen.map_or_else(|| (0..self.labels.len() as u32).collect(), <[u32]>::to_vec)
    }
}

/// A trained machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Svm {
    /// `[width]`.
    pub weights: Vec<f32>,
    /// Added to the product of weights and features.
    pub bias: f32,
}

/// A trained machine and how it came about.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The machine.
    pub svm: Svm,
    /// Multipliers of the examples, `[examples]`: the start of a next training.
    pub multipliers: Vec<f64>,
    /// Passes over the examples.
    pub passes: usize,
    /// Whether the tolerance was reached.
    pub converged: bool,
}

/// Examples that no machine can be trained on.
#[derive(Debug, Error, PartialEq)]
pub enum SvmError {
    /// All examples are of one class.
    #[error("{positive} positive and {negative} negative examples; expected some of both")]
    OneClass {
        /// Positive examples.
        positive: usize,
        /// Negative examples.
        negative: usize,
    },
    /// Lengths that do not fit together.
    #[error(
        "{values} feature values and {multipliers} multipliers for {labels} labels; expected equal rows and one of each"
    )]
    Lengths {
        /// Feature values.
        values: usize,
        /// Multipliers to start with.
        multipliers: usize,
        /// Labels.
        labels: usize,
    },
    /// A feature that is not a number.
    #[error("feature {column} of example {row} is not finite")]
    NotFinite {
        /// Example.
        row: usize,
        /// Place in it.
        column: usize,
    },
}

impl Svm {
    /// `w·x + b` of features `[width]`.
    pub fn decision(&self, features: &[f32]) -> f32 {
        dot(&self.weights, features) + self.bias
    }

    /// The objective that training minimises.
    pub fn objective(&self, examples: Examples<'_>, config: &Config) -> f64 {
        let bias = f64::from(self.bias) / config.bias_feature;
        let squares: f64 = self.weights.iter().map(|&weight| f64::from(weight).powi(2)).sum();
        let width = self.weights.len();
        let losses = examples.taking_part().into_iter().map(|at| {
            let at = at as usize;
            let decision = f64::from(self.decision(&examples.features[at * width..(at + 1) * width]));
            let label = examples.labels[at];
            let short = (1.0 - if label { decision } else { -decision }).max(0.0);
            let cost = config.cost * if label { config.positive_weight } else { 1.0 };
            cost * if config.loss == Loss::Hinge { short } else { short * short }
        });
        0.5 * (squares + bias * bias) + losses.sum::<f64>()
    }
}

/// Trains a machine. `start` holds a multiplier per example, or nothing; those out of range are brought into it. The multipliers of
/// rows that take no part are 0.
///
/// Coordinates are visited in an order that depends on `run_seed`; those at a bound that will stay there are set aside (shrinking)
/// and all are checked again at the end. Of those at zero, the ones that cannot have left it since they were visited last, for how
/// little the weights have moved, are passed over.
///
/// # Errors
/// [`SvmError`].
pub fn train(
    examples: Examples<'_>,
    config: &Config,
    start: &[f64],
    run_seed: u64,
) -> Result<Trained, SvmError> {
    let n = examples.labels.len();
    let width = examples.features.len().checked_div(n).unwrap_or(0);
    if width * n != examples.features.len() || (!start.is_empty() && start.len() != n) {
        let (values, multipliers) = (examples.features.len(), start.len());
        return Err(SvmError::Lengths { values, multipliers, labels: n });
    }
    let chosen = examples.taking_part();
    let positive = chosen.iter().filter(|&&at| examples.labels[at as usize]).count();
    if positive == 0 || positive == chosen.len() {
        return Err(SvmError::OneClass { positive, negative: chosen.len() - positive });
    }
    let mut descent = Descent::new(examples, width, config, start);
    let mut rng = seed::rng(run_seed, "svm", 0);
    let (passes, converged) = descent.run(config, &mut rng).map_err(|row| {
        let values = &examples.features[row * width..(row + 1) * width];
        SvmError::NotFinite { row, column: values.iter().position(|value| !value.is_finite()).unwrap_or(0) }
    })?;
    let svm = descent.machine();
    Ok(Trained { svm, multipliers: descent.multipliers, passes, converged })
}

/// State of the descent: `w = Σ αᵢ yᵢ xᵢ`.
struct Descent<'a> {
    examples: Examples<'a>,
    width: usize,
    weights: Vec<f32>,
    /// Weight of the constant feature.
    bias: f64,
    bias_feature: f64,
    multipliers: Vec<f64>,
    /// `‖xᵢ‖² + s² + Dᵢᵢ` of the examples that were looked at, not a number of the others.
    curvature: Vec<f64>,
    /// `Dᵢᵢ` of positive and negative examples: `1 / 2C`, or 0 for the hinge.
    diagonal: [f64; 2],
    /// Greatest multiplier of positive and negative examples.
    upper: [f64; 2],
}

impl<'a> Descent<'a> {
    fn new(examples: Examples<'a>, width: usize, config: &Config, start: &[f64]) -> Self {
        let costs = [config.cost * config.positive_weight, config.cost];
        let (diagonal, upper) = match config.loss {
            Loss::Hinge => ([0.0; 2], costs),
            Loss::SquaredHinge => (costs.map(|cost| 0.5 / cost), [f64::INFINITY; 2]),
        };
        let side = |label: bool| usize::from(!label);
        let mut descent = Self {
            examples,
            width,
            weights: vec![0.0; width],
            bias: 0.0,
            bias_feature: config.bias_feature,
            multipliers: vec![0.0; examples.labels.len()],
            curvature: vec![f64::NAN; examples.labels.len()],
            diagonal,
            upper,
        };
        for at in examples.taking_part().into_iter().map(|at| at as usize) {
            let label = examples.labels[at];
            let multiplier = start.get(at).copied().unwrap_or(0.0).clamp(0.0, upper[side(label)]);
            if multiplier > 0.0 {
                descent.multipliers[at] = multiplier;
                descent.move_along(at, multiplier);
            }
        }
        descent
    }

    /// Weights from the multipliers, summed anew in f64: many small steps in f32 have left them a little beside.
    fn machine(&self) -> Svm {
        let mut weights = vec![0.0_f64; self.width];
        let mut bias = 0.0;
        for (at, &multiplier) in
            self.multipliers.iter().enumerate().filter(|(_, multiplier)| **multiplier > 0.0)
        {
            let step = multiplier * self.sign(at);
            weights
                .iter_mut()
                .zip(self.row(at))
                .for_each(|(weight, &value)| *weight += step * f64::from(value));
            bias += step * self.bias_feature;
        }
        let weights = weights.into_iter().map(|weight| weight as f32).collect();
        Svm { weights, bias: (bias * self.bias_feature) as f32 }
    }

    fn sign(&self, at: usize) -> f64 {
        if self.examples.labels[at] { 1.0 } else { -1.0 }
    }

    fn row(&self, at: usize) -> &'a [f32] {
        &self.examples.features[at * self.width..(at + 1) * self.width]
    }

    /// Adds an example to the weights with a multiplier.
    fn move_along(&mut self, at: usize, multiplier: f64) {
        let step = multiplier * self.sign(at);
        let row = self.row(at);
        add_scaled(&mut self.weights, row, step as f32);
        self.bias += step * self.bias_feature;
    }

    /// Derivative of the dual objective along an example.
    fn slope(&self, at: usize) -> f64 {
        let side = usize::from(!self.examples.labels[at]);
        let decision = f64::from(dot(&self.weights, self.row(at))) + self.bias * self.bias_feature;
        self.sign(at) * decision - 1.0 + self.diagonal[side] * self.multipliers[at]
    }

    /// Curvature of the dual objective along an example.
    fn curvature(&mut self, at: usize) -> f64 {
        if self.curvature[at].is_nan() {
            let side = usize::from(!self.examples.labels[at]);
            let square = f64::from(dot(self.row(at), self.row(at)));
            self.curvature[at] = square + self.bias_feature.powi(2) + self.diagonal[side];
        }
        self.curvature[at]
    }

    /// Returns the number of passes and whether the tolerance was reached; the row of an example that is not finite otherwise.
    fn run(&mut self, config: &Config, rng: &mut impl rand::Rng) -> Result<(usize, bool), usize> {
        let all = self.examples.taking_part();
        let mut active = all.clone();
        // Slopes beyond these say that a multiplier at its bound stays there.
        let (mut highest, mut lowest) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut still = Still::new(self.multipliers.len());
        for pass in 1..=config.max_passes {
            active.shuffle(rng);
            still.begin(&self.weights, self.bias);
            let (mut greatest, mut least) = (f64::NEG_INFINITY, f64::INFINITY);
            let mut kept = 0;
            for place in 0..active.len() {
                let at = active[place] as usize;
                let multiplier = self.multipliers[at];
                if let Some(least_slope) =
                    still.least_slope(at).filter(|slope| multiplier == 0.0 && *slope > 0.0)
                {
                    if least_slope <= highest {
                        active[kept] = at as u32;
                        kept += 1;
                        (greatest, least) = (greatest.max(0.0), least.min(0.0));
                    }
                    continue;
                }
                let slope = self.slope(at);
                if !slope.is_finite() {
                    return Err(at);
                }
                let side = usize::from(!self.examples.labels[at]);
                let norm = (self.curvature(at) - self.diagonal[side]).sqrt();
                still.saw(at, slope, norm);
                let upper = self.upper[side];
                let (at_zero, at_upper) = (multiplier == 0.0, multiplier == upper);
                if (at_zero && slope > highest) || (at_upper && slope < lowest) {
                    continue; // set aside
                }
                active[kept] = at as u32;
                kept += 1;
                let projected = match () {
                    () if at_zero => slope.min(0.0),
                    () if at_upper => slope.max(0.0),
                    () => slope,
                };
                (greatest, least) = (greatest.max(projected), least.min(projected));
                if projected.abs() > 1e-12 {
                    let moved = (multiplier - slope / self.curvature(at)).clamp(0.0, upper);
                    self.multipliers[at] = moved;
                    self.move_along(at, moved - multiplier);
                    still.moved((moved - multiplier).abs() * norm);
                }
            }
            active.truncate(kept);
            if kept == 0 || greatest - least <= config.tolerance {
                if active.len() == all.len() {
                    return Ok((pass, true));
                }
                // Once more over all examples: what was set aside may have become wrong.
                active.clone_from(&all);
                (highest, lowest) = (f64::INFINITY, f64::NEG_INFINITY);
                continue;
            }
            highest = if greatest > 0.0 { greatest } else { f64::INFINITY };
            lowest = if least < 0.0 { least } else { f64::NEG_INFINITY };
        }
        Ok((config.max_passes, false))
    }
}
