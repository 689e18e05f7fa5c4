//! The model: embedding, layers, output.

use std::cell::RefCell;
use std::path::Path;

use common::nn::checkpoint::{self, load_checked, named};
use common::seed;
use rand::{Rng, RngCore};
use rand_chacha::ChaCha8Rng;
use tch::nn::{Init, VarStore};
use tch::{Device, Kind, Tensor};

use super::LmError;
use super::block::{Block, RmsNorm, rotations};
use super::config::LmConfig;
use super::projection::Projection;

/// Whether a forward pass is part of training, and where its chance comes from.
#[derive(Clone, Copy, Debug)]
pub enum Mode<'a> {
    /// No dropout, rounding to the nearest, fixed ranges.
    Evaluate,
    /// Dropout and stochastic rounding from this generator.
    Train(&'a RefCell<ChaCha8Rng>),
}

impl Mode<'_> {
    pub(super) fn trains(self) -> bool {
        matches!(self, Self::Train(_))
    }

    pub(super) fn with_rng<T>(self, use_rng: impl FnOnce(Option<&mut ChaCha8Rng>) -> T) -> T {
        match self {
            Self::Evaluate => use_rng(None),
            Self::Train(rng) => use_rng(Some(&mut rng.borrow_mut())),
        }
    }

    /// Inverted dropout with a mask from the run's own generator.
    pub(super) fn dropout(self, x: Tensor, rate: f64) -> Tensor {
        match self {
            Self::Train(rng) if rate > 0.0 => {
                let mut bytes = vec![0_u8; 2 * x.numel()];
                rng.borrow_mut().fill_bytes(&mut bytes);
                let threshold = (rate * 65_536.0).round() as u32;
                let keep = |pair: &[u8]| u32::from(u16::from_le_bytes([pair[0], pair[1]])) >= threshold;
                let mask: Vec<bool> = bytes.chunks_exact(2).map(keep).collect();
                let mask = Tensor::from_slice(&mask).view_as(&x).to_kind(x.kind()).to_device(x.device());
                x * (mask / (1.0 - rate))
            }
            _ => x,
        }
    }
}

/// Deviation of the embedding at the start. Llama's 0.02.
const EMBEDDING_DEVIATION: f64 = 0.02;
/// Deviation of a projection at the start, times √inputs: PyTorch's uniform ±1/√inputs has 1/√3 as well.
const PROJECTION_DEVIATION: f64 = 0.577_350_269_189_625_8;

/// A byte-level Llama.
#[derive(Debug)]
pub struct Model {
    config: LmConfig,
    store: VarStore,
    embedding: Tensor,
    blocks: Vec<Block>,
    norm: RmsNorm,
    output: Option<Tensor>,
    rotations: Tensor,
}

impl Model {
    /// A model on the CPU with weights drawn by `run_seed`; the same seed gives the same latent weights for all kinds
    /// of projection. Projections that write to the residual stream start smaller by `√(2·layers)`, as in GPT-2.
    ///
    /// # Errors
    /// [`LmError`] for sizes that do not fit.
    pub fn new(config: &LmConfig, run_seed: u64) -> Result<Self, LmError> {
        Self::on(Device::Cpu, config, run_seed)
    }

    /// The model of [`Model::new`] on a device: it starts from the same weights everywhere.
    ///
    /// # Errors
    /// As [`Model::new`].
    pub fn on(device: Device, config: &LmConfig, run_seed: u64) -> Result<Self, LmError> {
        config.check()?;
        let store = VarStore::new(device);
        let root = store.root();
        let inner = &root / "model";
        let table = [config.vocabulary, config.width];
        let embedding = (&inner / "embed_tokens").var("weight", &table, Init::Const(0.0));
        let blocks =
            (0..config.layers).map(|layer| Block::new(&(&inner / "layers" / layer), config)).collect();
        let norm = RmsNorm::new(&(&inner / "norm"), config.width, config.rms_epsilon);
        let output = (!config.tied).then(|| (&root / "lm_head").var("weight", &table, Init::Const(0.0)));
        let rotations = rotations(config, Kind::Float).to_device(device);
        let model = Self { config: *config, store, embedding, blocks, norm, output, rotations };
        model.initialise(run_seed);
        Ok(model)
    }

    fn initialise(&self, run_seed: u64) {
        let _guard = tch::no_grad_guard();
        for (name, mut variable) in named(&self.store) {
            let is_table = name.ends_with("embed_tokens.weight") || name == "lm_head.weight";
            let inputs = variable.size().last().copied().unwrap_or(1) as f64;
            let residual = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
            let deviation = match (is_table, residual) {
                (true, _) => EMBEDDING_DEVIATION,
                (false, true) => PROJECTION_DEVIATION / (inputs * 2.0 * self.config.layers as f64).sqrt(),
                (false, false) => PROJECTION_DEVIATION / inputs.sqrt(),
            };
            if is_table || name.ends_with("_proj.weight") {
                let mut rng = seed::rng(run_seed, &name, 0);
                variable.copy_(&(normal(&mut rng, variable.numel()).view_as(&variable) * deviation));
            }
        }
        self.calibrate();
    }

    /// Architecture.
    pub fn config(&self) -> &LmConfig {
        &self.config
    }

    /// All variables.
    pub fn store(&self) -> &VarStore {
        &self.store
    }

    /// Number of parameters that are stored as weights (steps and counters of fake quantizers left out).
    pub fn parameters(&self) -> i64 {
        named(&self.store)
            .iter()
            .filter(|(name, _)| name.ends_with(".weight"))
            .map(|(_, w)| w.numel() as i64)
            .sum()
    }

    /// Logits `[batch, tokens, vocabulary]` of ids `[batch, tokens]`.
    ///
    /// # Panics
    /// For ids outside the vocabulary or more tokens than the context; [`super::train`] and [`super::evaluate`] check.
    pub fn forward(&self, ids: &Tensor, mode: Mode<'_>) -> Tensor {
        let mut x = Tensor::embedding(&self.embedding, ids, -1, false, false); // [batch, tokens, width]
        for block in &self.blocks {
            x = block.forward(&x, &self.rotations, mode);
        }
        common::nn::gemm::linear(
            &self.norm.forward(&x),
            self.output.as_ref().unwrap_or(&self.embedding),
            None,
        )
    }

    /// Negative log-likelihood in nats `[windows, bytes − 1]` of each byte after the first of windows `[windows, bytes]`.
    ///
    /// # Panics
    /// As [`Model::forward`].
    pub fn losses(&self, windows: &Tensor, mode: Mode<'_>) -> Tensor {
        let windows = windows.to_device(self.store.device());
        let predicted = windows.size()[1] - 1;
        let logits = self.forward(&windows.narrow(1, 0, predicted), mode);
        let log_probs = logits.log_softmax(-1, logits.kind());
        -log_probs.gather(-1, &windows.narrow(1, 1, predicted).unsqueeze(-1), false).squeeze_dim(-1)
    }

    /// All projections with their names, `model.layers.0.self_attn.q_proj` and so on.
    pub fn projections(&self) -> impl Iterator<Item = (String, &Projection)> {
        self.blocks.iter().enumerate().flat_map(|(layer, block)| {
            let name = move |part: &str| format!("model.layers.{layer}.{part}");
            block.projections().into_iter().map(move |(part, projection)| (name(part), projection))
        })
    }

    /// Chooses the steps of all fake quantizers from the present weights.
    pub fn calibrate(&self) {
        for (_, projection) in self.projections() {
            if let Some(quantizer) = projection.quantizer() {
                quantizer.calibrate(projection.latent());
            }
        }
    }

    /// A model of another configuration with the weights of this one, its fake quantizers calibrated. Weights that only
    /// one of the two has are left out; those of the new model start as 1 (norms).
    ///
    /// # Errors
    /// [`LmError::Shape`] when the sizes differ; [`LmError`] for an impossible configuration.
    pub fn converted(&self, config: &LmConfig) -> Result<Self, LmError> {
        let other = Self::on(self.store.device(), config, 0)?;
        let _guard = tch::no_grad_guard();
        let mut ours = self.store.variables();
        for (name, mut target) in named(&other.store) {
            let Some(source) = ours.remove(&name).filter(|_| name.ends_with(".weight")) else { continue };
            if source.size() != target.size() {
                return Err(LmError::Shape { name, found: source.size(), expected: target.size() });
            }
            target.copy_(&source);
        }
        other.calibrate();
        Ok(other)
    }

    /// A full-precision model whose projections hold this one's deployed weights; activations are not quantized.
    ///
    /// # Errors
    /// [`LmError`] for an impossible configuration.
    pub fn with_deployed_weights(&self) -> Result<Self, LmError> {
        let plain = LmConfig { projection: super::ProjectionKind::FullPrecision, ..self.config };
        let other = self.converted(&plain)?;
        let _guard = tch::no_grad_guard();
        for ((_, source), (_, target)) in self.projections().zip(other.projections()) {
            target.latent().shallow_clone().copy_(&source.deployed());
        }
        Ok(other)
    }

    /// A copy whose projections are ternarised after training by absmean; activations are not quantized: what
    /// post-training ternarisation makes of a model.
    ///
    /// # Errors
    /// [`LmError`] for an impossible configuration.
    pub fn ternarised(&self) -> Result<Self, LmError> {
        let other = self.with_deployed_weights()?;
        let _guard = tch::no_grad_guard();
        for (_, target) in other.projections() {
            let ternary = crate::bitnet::ternary_weight(target.latent());
            target.latent().shallow_clone().copy_(&ternary);
        }
        Ok(other)
    }

    /// Writes all variables to a safetensors file.
    ///
    /// # Errors
    /// [`LmError::Checkpoint`].
    pub fn save(&self, path: &Path) -> Result<(), LmError> {
        Ok(checkpoint::save(&named(&self.store), path)?)
    }

    /// Reads what [`Model::save`] wrote of a model of the same configuration.
    ///
    /// # Errors
    /// [`LmError::Checkpoint`] with every difference.
    pub fn load(&self, path: &Path) -> Result<(), LmError> {
        Ok(load_checked(&self.store, path)?)
    }
}

/// `count` draws from N(0, 1) by Box and Muller.
fn normal(rng: &mut impl Rng, count: usize) -> Tensor {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * rng.random::<f64>()).sin_cos();
        values.extend([(radius * cos) as f32, (radius * sin) as f32]);
    }
    Tensor::from_slice(&values[..count])
}
