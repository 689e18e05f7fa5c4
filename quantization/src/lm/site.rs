//! The input of a group of linear layers: normalised and quantized once where they share it.

use tch::Tensor;
use tch::nn::Path;

use super::config::{LmConfig, NormPosition, ProjectionKind};
use super::model::Mode;
use crate::bitnet::{absmax_activation, binary_activation, shifted_activation, unit_rms};
use crate::qat::ActivationQuantizer;

/// How one input is made.
#[derive(Debug)]
struct Slot {
    /// Gain of the projection's own norm.
    gain: Option<Tensor>,
    shifted: bool,
}

/// Inputs of the projections that read the same activation.
#[derive(Debug)]
pub(super) struct Site {
    normalised: bool,
    epsilon: f64,
    kind: ProjectionKind,
    quantizer: Option<ActivationQuantizer>,
    slots: Vec<Slot>,
}

impl Site {
    /// The site at `path` in front of the named projections of `width` inputs.
    pub(super) fn new(path: &Path, config: &LmConfig, name: &str, projections: &[&str], width: i64) -> Self {
        let own = config.norm_position == NormPosition::EachProjection;
        let shifted = |name: &str| match config.projection {
            ProjectionKind::Bitnet1(bitnet) => bitnet.shifted_gate && name == "gate_proj",
            _ => false,
        };
        let slot = |projection: &&str| Slot {
            gain: own.then(|| (path / *projection / "norm").ones("weight", &[width])),
            shifted: shifted(projection),
        };
        let quantizer = match config.projection {
            ProjectionKind::FakeQuant(quant) => {
                quant.activations.map(|activations| ActivationQuantizer::new(&(path / name), activations))
            }
            _ => None,
        };
        Self {
            normalised: own || config.norm_position == NormPosition::Inside,
            epsilon: config.rms_epsilon,
            kind: config.projection,
            quantizer,
            slots: projections.iter().map(slot).collect(),
        }
    }

    /// One input per projection, in their order; equal ones share their storage.
    pub(super) fn inputs(&self, x: &Tensor, mode: Mode<'_>) -> Vec<Tensor> {
        let normalised = if self.normalised { unit_rms(x, self.epsilon) } else { x.shallow_clone() };
        let mut inputs: Vec<Tensor> = Vec::with_capacity(self.slots.len());
        for (index, slot) in self.slots.iter().enumerate() {
            let as_before = index > 0 && slot.gain.is_none() && slot.shifted == self.slots[index - 1].shifted;
            let input = match &slot.gain {
                _ if as_before => inputs[index - 1].shallow_clone(),
                Some(gain) => self.quantize(&(&normalised * gain), slot.shifted, mode),
                None => self.quantize(&normalised, slot.shifted, mode),
            };
            inputs.push(input);
        }
        inputs
    }

    fn quantize(&self, x: &Tensor, shifted: bool, mode: Mode<'_>) -> Tensor {
        match (self.kind, &self.quantizer) {
            (ProjectionKind::BitnetB158, _) => absmax_activation(x),
            (ProjectionKind::Bitnet1(_), _) if shifted => shifted_activation(x),
            (ProjectionKind::Bitnet1(_), _) => binary_activation(x),
            (_, Some(quantizer)) => quantizer.forward(x, mode.trains()),
            (_, None) => x.shallow_clone(),
        }
    }
}
