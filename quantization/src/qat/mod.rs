//! Quantization-aware training: fake quantization with a straight-through, clipped or learned-step gradient.
//!
//! ```text
//! forward   w̃ = s · clamp(round(w / s), low, high)
//! straight  ∂w̃/∂w = 1
//! clipped   ∂w̃/∂w = 1 where low ≤ w/s ≤ high, else 0
//! learned   ∂w̃/∂w as clipped;  ∂w̃/∂s = (q − w/s) inside, low or high outside, times 1/√(n·high)
//! ```
//! Source of the last: LSQ (Esser et al. 2020, arXiv 1902.08153, section 2).

mod deployed;
mod quantizer;
mod surrogate;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use deployed::{DeployedLinear, QuantizedRows};
pub use quantizer::{ActivationQuantizer, WeightQuantizer};
pub use surrogate::{clipped, codes, learned_step, searched_step, straight};

/// Integer codes of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Lowest code.
    pub low: i64,
    /// Highest code.
    pub high: i64,
}

impl Grid {
    /// `−(2^(bits−1) − 1) … 2^(bits−1) − 1`, the same on both sides of zero: absmax quantization.
    pub fn symmetric(bits: u32) -> Self {
        let high = (1_i64 << (bits - 1)) - 1;
        Self { low: -high, high }
    }

    /// `−2^(bits−1) … 2^(bits−1) − 1`, all codes: learned and searched steps.
    pub fn full(bits: u32) -> Self {
        Self { low: -(1_i64 << (bits - 1)), high: (1_i64 << (bits - 1)) - 1 }
    }
}

/// What shares one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Granularity {
    /// The whole matrix.
    Tensor,
    /// One output row.
    Channel,
    /// This many consecutive inputs of one output row.
    Group(i64),
}

/// Where the step of the weights comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepRule {
    /// Largest magnitude over the highest code, anew at every step.
    Absmax,
    /// The same for this many training steps, then fixed.
    Frozen {
        /// Training steps with a moving range.
        after: usize,
    },
    /// The step of least squared error when training starts, then fixed.
    Searched,
    /// A trained parameter that starts as the searched one (LSQ).
    Learned,
}

/// Gradient of rounding and clipping towards the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Surrogate {
    /// Identity everywhere.
    Straight,
    /// Identity inside the range, 0 outside.
    Clipped,
}

/// Rounding in training; evaluation always rounds to the nearest, ties to even.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// To the nearest, ties to even.
    Nearest,
    /// Up with the probability of the fraction: unbiased.
    Stochastic,
}

/// Fake quantization of a weight matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightConfig {
    /// Bits per weight, 2 to 8.
    pub bits: u32,
    /// What shares a step.
    pub granularity: Granularity,
    /// Where the step comes from.
    pub step: StepRule,
    /// Gradient; a learned step is always clipped.
    pub surrogate: Surrogate,
    /// Rounding in training.
    pub rounding: Rounding,
}

impl WeightConfig {
    /// The same number of bits for both sides of a comparison: LSQ per output row.
    pub fn learned(bits: u32) -> Self {
        Self {
            bits,
            granularity: Granularity::Channel,
            step: StepRule::Learned,
            surrogate: Surrogate::Clipped,
            rounding: Rounding::Nearest,
        }
    }

    /// Largest magnitude per output row with the plain straight-through gradient.
    pub fn absmax(bits: u32) -> Self {
        Self { step: StepRule::Absmax, surrogate: Surrogate::Straight, ..Self::learned(bits) }
    }

    /// Codes that the rule uses: all for steps of least error, symmetric ones for the largest magnitude.
    pub fn grid(&self) -> Grid {
        match self.step {
            StepRule::Absmax | StepRule::Frozen { .. } => Grid::symmetric(self.bits),
            StepRule::Searched | StepRule::Learned => Grid::full(self.bits),
        }
    }
}

/// Where the range of the activations comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RangeRule {
    /// Largest magnitude of each token.
    PerToken,
    /// Running mean of the largest magnitude for this many training steps, then fixed.
    Frozen {
        /// Training steps with a moving range.
        after: usize,
    },
    /// A trained step that starts as `2·mean|x| / √high` of the first batch (LSQ).
    Learned,
}

/// Fake quantization of activations, symmetric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationConfig {
    /// Bits per activation, 2 to 8.
    pub bits: u32,
    /// Where the range comes from.
    pub range: RangeRule,
}

/// Fake quantization of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FakeQuantConfig {
    /// Weights.
    pub weights: WeightConfig,
    /// Activations; absent: as they are.
    #[serde(default)]
    pub activations: Option<ActivationConfig>,
}

/// Fake quantization that cannot be carried out.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum QatError {
    /// Too few or too many bits.
    #[error("`{name}.bits` is {found}, expected 2 to 8")]
    Bits {
        /// Weights or activations.
        name: &'static str,
        /// Given.
        found: u32,
    },
    /// Groups that do not fill a row.
    #[error("`group` is {group}, expected a positive divisor of the row length {columns}")]
    Group {
        /// Inputs per group.
        group: i64,
        /// Inputs per row.
        columns: i64,
    },
    /// Codes and scales for another layer.
    #[error("{name} has {found} entries, expected {expected}")]
    Length {
        /// Which argument.
        name: &'static str,
        /// Its length.
        found: usize,
        /// What the shapes ask for.
        expected: usize,
    },
}

impl FakeQuantConfig {
    /// Checks bits and groups for rows of `columns` inputs.
    ///
    /// # Errors
    /// [`QatError`] names the field.
    pub fn check(&self, columns: i64) -> Result<(), QatError> {
        let bits = [("weights", Some(self.weights.bits)), ("activations", self.activations.map(|a| a.bits))];
        for (name, found) in bits {
            if let Some(found) = found.filter(|bits| !(2..=8).contains(bits)) {
                return Err(QatError::Bits { name, found });
            }
        }
        match self.weights.granularity {
            Granularity::Group(group) if group <= 0 || columns % group != 0 => {
                Err(QatError::Group { group, columns })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
