//! One module per chapter: what is measured and how.

mod activations;
mod encoder;
mod gguf;
mod gptq;
mod memory;
mod pictures;
mod residual;
mod ternary;
mod training;
mod weights;

pub(super) use pictures::PHOTOGRAPHS;

use anyhow::Result;
use common::report::number;

use super::Places;
use super::design::{Job, Study};
use super::lab::Amount;
use crate::llama::Baseline;
use common::outcome::Outcome;

/// Data set of the sentences that the encoder reads.
pub(super) const QUESTIONS: &str = "xquad-en";

/// Carries out one study.
pub(super) fn run(job: &Job, places: &Places) -> Result<Outcome> {
    let (preset, amount, root) = (job.preset, Amount::of(job.preset), places.root.as_path());
    match job.study {
        Study::EncoderWeights { bits } => encoder::weights(bits, places),
        Study::EncoderTypes => encoder::types(preset, places),
        Study::Memory => memory::run(root),
        Study::Weights { subject, bits } => weights::run(subject, bits, amount, root),
        Study::Gptq { subject, bits } => gptq::run(subject, bits, amount, root),
        Study::Gguf { subject } => gguf::run(subject, amount, root),
        Study::Activations { subject, bits } => activations::run(subject, bits, amount, root),
        Study::Ternary => ternary::run(),
        Study::Residual => residual::run(preset, root),
        Study::Bitnet { size, arm, seed } => training::bitnet((preset, places.device), size, arm, seed, root),
        Study::Ptq { seed } => training::ptq((preset, places.device), seed, root),
        Study::Qat { bits, seed } => training::qat((preset, places.device), bits, seed, root),
        Study::Lfq { bits, entropy, seed } => {
            pictures::run((preset, places.device), bits, entropy, seed, root)
        }
    }
}

/// Mean loss of a quantized model minus that of the unquantized one, in nats per token.
fn delta(baseline: &Baseline, nll: &[f64]) -> f64 {
    let own = baseline.window_nll();
    nll.iter().zip(&own).map(|(a, b)| a - b).sum::<f64>() / own.len().max(1) as f64
}

/// A number that may be far below one.
fn small(value: f64) -> String {
    number(value, if value.abs() < 0.01 { 5 } else { 4 })
}
