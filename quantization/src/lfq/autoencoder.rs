//! A small patch autoencoder whose bottleneck is a lookup-free code.

use common::nn::linear::Linear;
use common::optim::{AdamW, AdamWConfig, clip_grad_norm};
use common::seed;
use rand::Rng;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::{BatchTerm, EntropyConfig, LfqError, Usage, indices, losses, quantize_tensor, usage};

/// Architecture and training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoencoderConfig {
    /// Bits per patch, log2 of the codebook.
    pub bits: i64,
    /// Width of the hidden layers.
    pub hidden: i64,
    /// Weight of the entropy loss; 0 leaves it out. Typical: 0.1.
    pub entropy_weight: f64,
    /// Weight of the commitment loss; typical: 0.25.
    pub commitment_weight: f64,
    /// Entropy terms.
    pub entropy: EntropyConfig,
    /// Steps of AdamW.
    pub steps: usize,
    /// Patches per step.
    pub batch: usize,
    /// Highest learning rate; it falls linearly to 0.
    pub learning_rate: f64,
}

impl AutoencoderConfig {
    /// Codes of `bits` bits with (weight 0.1) or without the entropy loss; exact up to 9 bits, then groups of at most 9.
    pub fn small(bits: i64, with_entropy: bool) -> Self {
        let batch_term = if bits <= 9 { BatchTerm::Exact } else { BatchTerm::Groups((bits + 1) / 2) };
        Self {
            bits,
            hidden: 128,
            entropy_weight: if with_entropy { 0.1 } else { 0.0 },
            commitment_weight: 0.25,
            entropy: EntropyConfig { temperature: 0.01, diversity: 1.0, batch_term },
            steps: 400,
            batch: 256,
            learning_rate: 2e-3,
        }
    }

    fn check(&self) -> Result<(), LfqError> {
        super::code::check(usize::try_from(self.bits).unwrap_or(0))?;
        for (field, size) in
            [("hidden", self.hidden), ("steps", self.steps as i64), ("batch", self.batch as i64)]
        {
            if size < 1 {
                return Err(LfqError::Config {
                    field,
                    found: size.to_string(),
                    expected: "a positive number",
                });
            }
        }
        Ok(())
    }
}

/// Encoder and decoder of two hidden layers around the code.
#[derive(Debug)]
pub struct Autoencoder {
    store: VarStore,
    encoder: [Linear; 3],
    decoder: [Linear; 3],
}

/// What a run came to, measured on patches it has not seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Use of the codebook.
    pub usage: Usage,
    /// Mean squared error of pixels in −1 … 1.
    pub mse: f64,
    /// `10·log10(4 / mse)`: the range is 2.
    pub psnr_db: f64,
    /// Mean over patches of the entropy of the soft assignment, nats.
    pub sample_entropy: f64,
}

impl Autoencoder {
    /// An autoencoder of rows of `width` numbers. Weights come from `run_seed` through libtorch's generator, which this
    /// seeds: another thread that draws from it meanwhile disturbs them.
    ///
    /// # Errors
    /// [`LfqError`] for impossible settings.
    pub fn new(
        config: &AutoencoderConfig,
        width: i64,
        run_seed: u64,
        device: Device,
    ) -> Result<Self, LfqError> {
        config.check()?;
        tch::manual_seed(seed::derive(run_seed, "autoencoder", 0) as i64);
        let store = VarStore::new(device);
        let root = store.root();
        let layers = |name: &str, sizes: [i64; 4]| {
            [0, 1, 2].map(|layer| Linear::new(&(&root / name / layer as i64), sizes[layer], sizes[layer + 1]))
        };
        let encoder = layers("encoder", [width, config.hidden, config.hidden, config.bits]);
        let decoder = layers("decoder", [config.bits, config.hidden, config.hidden, width]);
        Ok(Self { store, encoder, decoder })
    }

    /// Code before the sign, `[rows, bits]`, of patches `[rows, width]`.
    pub fn encode(&self, patches: &Tensor) -> Tensor {
        through(&self.encoder, patches)
    }

    /// Patches `[rows, width]` of codes `[rows, bits]` of −1 and +1.
    pub fn decode(&self, codes: &Tensor) -> Tensor {
        through(&self.decoder, codes)
    }

    /// Codebook use and error on `patches`.
    ///
    /// # Errors
    /// [`LfqError`] for no patches.
    pub fn measure(&self, patches: &Tensor, config: &AutoencoderConfig) -> Result<Outcome, LfqError> {
        let _guard = tch::no_grad_guard();
        let z = self.encode(patches);
        let usage = usage(&indices(&z)?, config.bits as usize)?;
        let error = (self.decode(&quantize_tensor(&z)) - patches).square();
        let mse = error.mean(Kind::Double).double_value(&[]);
        let flat = Vec::<f32>::try_from(z.flatten(0, -1)).expect("codes are f32");
        let sample_entropy =
            super::entropy::sample_entropy(&flat, config.bits as usize, config.entropy.temperature)?;
        Ok(Outcome { usage, mse, psnr_db: 10.0 * (4.0 / mse).log10(), sample_entropy })
    }
}

fn through(layers: &[Linear; 3], x: &Tensor) -> Tensor {
    let hidden = layers[0].forward(x).relu();
    layers[2].forward(&layers[1].forward(&hidden).relu())
}

/// Trains an autoencoder on `patches` `[rows, width]` and measures it on `held_out`, on the device of `patches`.
///
/// ```text
/// L = mean (x − x̂)² + w_c·L_commit + w_e·L_entropy
/// ```
/// # Errors
/// [`LfqError`] for impossible settings or a gradient that is not a number.
pub fn train(
    config: &AutoencoderConfig,
    patches: &Tensor,
    held_out: &Tensor,
    run_seed: u64,
) -> Result<(Autoencoder, Outcome), LfqError> {
    let [rows, width] = patches.size()[..] else {
        let found = format!("{:?}", patches.size());
        return Err(LfqError::Config { field: "patches", found, expected: "[rows, width]" });
    };
    let model = Autoencoder::new(config, width, run_seed, patches.device())?;
    let mut optimiser = AdamW::new(&model.store, AdamWConfig::adam());
    let mut rng = seed::rng(run_seed, "batches", 0);
    for step in 0..config.steps {
        let chosen: Vec<i64> = (0..config.batch).map(|_| rng.random_range(0..rows)).collect();
        optimiser.zero_grad();
        let chosen = Tensor::from_slice(&chosen).to_device(patches.device());
        let loss = objective(&model, config, &patches.index_select(0, &chosen))?;
        loss.backward();
        clip_grad_norm(&model.store, 1.0).map_err(|source| LfqError::Diverged { step, source })?;
        optimiser.step(config.learning_rate * (config.steps - step) as f64 / config.steps as f64);
    }
    let outcome = model.measure(held_out, config)?;
    Ok((model, outcome))
}

fn objective(model: &Autoencoder, config: &AutoencoderConfig, batch: &Tensor) -> Result<Tensor, LfqError> {
    let z = model.encode(batch);
    let error = (model.decode(&quantize_tensor(&z)) - batch).square().mean(Kind::Float);
    let terms = losses(&z, &config.entropy)?;
    let mut loss = error + terms.commitment * config.commitment_weight;
    if config.entropy_weight > 0.0 {
        loss += terms.entropy * config.entropy_weight;
    }
    Ok(loss)
}

#[cfg(test)]
mod tests {
    use common::testing::torch_rng;

    use super::*;

    /// 64 patches of 12 numbers between −1 and 1.
    fn rows() -> Tensor {
        let mut rng = seed::rng(3, "patches", 0);
        let values: Vec<f32> = (0..64 * 12).map(|_| rng.random_range(-1.0..1.0)).collect();
        Tensor::from_slice(&values).view([64, 12])
    }

    #[test]
    fn the_entropy_term_uses_more_codes_and_a_seed_gives_the_same_bits() {
        let _rng = torch_rng(3);
        tch::set_num_threads(1);
        let patches = rows();
        let run = |with| {
            let small = AutoencoderConfig::small(6, with);
            let entropy = EntropyConfig { temperature: 0.1, ..small.entropy };
            let config = AutoencoderConfig { hidden: 32, steps: 200, batch: 32, entropy, ..small };
            train(&config, &patches, &patches, 1).unwrap().1
        };
        let (with, without) = (run(true), run(false));
        assert!(with.usage.perplexity > without.usage.perplexity, "{with:?} {without:?}");
        assert_eq!(run(true), with);
    }

    #[test]
    fn impossible_settings_are_named() {
        let config = AutoencoderConfig { hidden: 0, ..AutoencoderConfig::small(4, true) };
        let message = Autoencoder::new(&config, 3, 1, Device::Cpu).unwrap_err().to_string();
        assert_eq!(message, "configuration: `hidden` is 0; expected a positive number");
        assert!(matches!(
            Autoencoder::new(&AutoencoderConfig::small(30, true), 3, 1, Device::Cpu),
            Err(LfqError::Bits { found: 30 })
        ));
    }
}
