//! Language models that learn with quantized layers: BitNet, and fine-tuning with fake quantization.

use std::path::Path;

use anyhow::{Context, Result};
use common::data;
use tch::Device;

use crate::experiment::design::{Arm, Preset, QAT_BITS, Size};
use crate::experiment::lab::{Amount, Subject};
use crate::lm::{
    Bitnet1, Corpus, LmConfig, Model, ProjectionKind, TrainConfig, evaluate, load_hugging_face_on, train,
    windows,
};
use crate::qat::{FakeQuantConfig, StepRule, WeightConfig};
use common::outcome::Outcome;

/// Steps between two points of a learning curve.
const CURVE_STEP: usize = 20;

fn corpus(root: &Path) -> Result<Corpus> {
    let [_, text] = Subject::Shakespeare.files();
    Ok(Corpus::read(&data::locate(root, text.0)?.folder.join(text.1))?)
}

/// Held-out windows of 257 bytes, 256 predictions each.
fn held_out(corpus: &Corpus, preset: Preset) -> Result<Vec<&[u8]>> {
    Ok(windows(&corpus.held_out, 257, 256, Amount::of(preset).windows)?)
}

/// Sizes and steps of the BitNet study.
pub(super) fn sizes(preset: Preset, size: Size) -> (i64, i64, TrainConfig) {
    let pilot = TrainConfig::pilot();
    let width = |small, large| if size == Size::Small { small } else { large };
    match preset {
        Preset::Quick => (2, width(64, 128), TrainConfig { steps: 60, warmup: 6, ..pilot }),
        Preset::Cpu => (2, width(64, 128), pilot),
        Preset::Full => (4, width(256, 512), TrainConfig { steps: 5000, warmup: 200, context: 256, ..pilot }),
    }
}

pub(super) fn bitnet(
    (preset, device): (Preset, Device),
    size: Size,
    arm: Arm,
    seed: u64,
    root: &Path,
) -> Result<Outcome> {
    let corpus = corpus(root)?;
    let (layers, width, config) = sizes(preset, size);
    let projection = match arm {
        Arm::Fp => ProjectionKind::FullPrecision,
        Arm::B158 => ProjectionKind::BitnetB158,
        Arm::B1 => ProjectionKind::Bitnet1(Bitnet1 { shifted_gate: true }),
    };
    let model = Model::on(device, &LmConfig::bytes(layers, width, projection), seed)?;
    let mut outcome = Outcome::default();
    let curve = &mut outcome.curve;
    train(&model, &corpus.train, &config, seed, |step, loss| {
        if step % CURVE_STEP == 0 {
            curve.push([step as f64, loss]);
        }
        true
    })?;
    let windows = held_out(&corpus, preset)?;
    let setting = format!("bitnet-{}", size.name());
    let loss = evaluate(&model, &windows)?.nats_per_byte;
    outcome.put(&setting, arm.name(), "nll", vec![loss]);
    outcome.put(&setting, arm.name(), "parameters", vec![model.parameters() as f64]);
    if arm == Arm::Fp {
        let ternary = evaluate(&model.ternarised()?, &windows)?.nats_per_byte;
        outcome.put(&setting, "ptq-ternary", "nll", vec![ternary]);
    }
    Ok(outcome)
}

/// Steps of fine-tuning, the same for both sides.
fn fine_tuning(preset: Preset) -> TrainConfig {
    match preset {
        Preset::Quick => TrainConfig { steps: 10, warmup: 2, ..TrainConfig::fine_tune() },
        Preset::Cpu => TrainConfig { steps: 120, ..TrainConfig::fine_tune() },
        Preset::Full => TrainConfig { steps: 2000, batch: 16, context: 256, ..TrainConfig::fine_tune() },
    }
}

fn pretrained(device: Device, root: &Path) -> Result<Model> {
    let [model, _] = Subject::Shakespeare.files();
    let folder = data::locate(root, model.0)?.folder;
    load_hugging_face_on(device, &folder).with_context(|| format!("loading {}", folder.display()))
}

fn quantized(bits: u32, step: StepRule) -> ProjectionKind {
    let weights = WeightConfig { step, ..WeightConfig::learned(bits) };
    ProjectionKind::FakeQuant(FakeQuantConfig { weights, activations: None })
}

pub(super) fn ptq((preset, device): (Preset, Device), seed: u64, root: &Path) -> Result<Outcome> {
    let corpus = corpus(root)?;
    let windows = held_out(&corpus, preset)?;
    let model = pretrained(device, root)?;
    let mut outcome = Outcome::default();
    outcome.put("qat", "as-published", "nll", vec![evaluate(&model, &windows)?.nats_per_byte]);
    train(&model, &corpus.train, &fine_tuning(preset), seed, |_, _| true)?;
    outcome.put("qat", "fine-tuned", "nll", vec![evaluate(&model, &windows)?.nats_per_byte]);
    for bits in QAT_BITS {
        let config = LmConfig { projection: quantized(bits, StepRule::Searched), ..*model.config() };
        let loss = evaluate(&model.converted(&config)?, &windows)?.nats_per_byte;
        outcome.put(&format!("qat-{bits}"), "ptq", "nll", vec![loss]);
    }
    Ok(outcome)
}

pub(super) fn qat((preset, device): (Preset, Device), bits: u32, seed: u64, root: &Path) -> Result<Outcome> {
    let corpus = corpus(root)?;
    let model = pretrained(device, root)?;
    let config = LmConfig { projection: quantized(bits, StepRule::Learned), ..*model.config() };
    let model = model.converted(&config)?;
    train(&model, &corpus.train, &fine_tuning(preset), seed, |_, _| true)?;
    let mut outcome = Outcome::default();
    let loss = evaluate(&model, &held_out(&corpus, preset)?)?.nats_per_byte;
    outcome.put(&format!("qat-{bits}"), "qat", "nll", vec![loss]);
    Ok(outcome)
}
