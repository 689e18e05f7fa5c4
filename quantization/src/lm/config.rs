//! What a model and its training are told.

use serde::{Deserialize, Serialize};

use super::LmError;
use crate::qat::FakeQuantConfig;

/// One-bit BitNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bitnet1 {
    /// Whether the input of the gate, which feeds the non-linear function, is shifted to be non-negative.
    pub shifted_gate: bool,
}

/// What the linear layers compute with. Embedding, output matrix and norms are always full precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProjectionKind {
    /// f32.
    FullPrecision,
    /// Weights ±β, 8-bit activations (arXiv 2310.11453).
    Bitnet1(Bitnet1),
    /// Weights −γ, 0, γ, 8-bit activations (arXiv 2402.17764).
    BitnetB158,
    /// Fake quantization of weights and, if asked for, activations.
    FakeQuant(FakeQuantConfig),
}

/// Where activations are normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormPosition {
    /// Llama: before attention and before the feed-forward layer, with a gain.
    Block,
    /// Inside every linear layer without a gain, instead of the block's norms (the recipe of BitNet b1.58).
    Inside,
    /// Llama's two and two more with a gain, before the output and the down projection (the released 2B4T model).
    SubNorms,
    /// Before each of the seven projections with a gain of its own, instead of the block's norms.
    EachProjection,
}

/// Architecture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LmConfig {
    /// Token ids; 256 for bytes.
    pub vocabulary: i64,
    /// Width of the residual stream.
    pub width: i64,
    /// Width inside the feed-forward layer.
    pub ffn_width: i64,
    /// Layers.
    pub layers: i64,
    /// Query heads.
    pub heads: i64,
    /// Key and value heads, a divisor of `heads`.
    pub kv_heads: i64,
    /// Longest sequence.
    pub context: i64,
    /// Added to the mean square in RMSNorm.
    pub rms_epsilon: f64,
    /// Base of the rotary frequencies.
    pub rope_base: f64,
    /// Whether the output matrix is the embedding.
    pub tied: bool,
    /// Dropout on the residual branches in training.
    pub dropout: f64,
    /// What the linear layers compute with.
    pub projection: ProjectionKind,
    /// Where activations are normalised.
    pub norm_position: NormPosition,
}

impl LmConfig {
    /// A byte model of `layers` × `width`, heads of 32, feed-forward layer three times as wide, tied embedding.
    pub fn bytes(layers: i64, width: i64, projection: ProjectionKind) -> Self {
        let norm_position = match projection {
            ProjectionKind::Bitnet1(_) | ProjectionKind::BitnetB158 => NormPosition::Inside,
            ProjectionKind::FullPrecision | ProjectionKind::FakeQuant(_) => NormPosition::Block,
        };
        let heads = (width / 32).max(1);
        Self {
            vocabulary: 256,
            width,
            ffn_width: 3 * width,
            layers,
            heads,
            kv_heads: heads,
            context: 256,
            rms_epsilon: 1e-5,
            rope_base: 10_000.0,
            tied: true,
            dropout: 0.0,
            projection,
            norm_position,
        }
    }

    /// Components per head.
    pub fn head_width(&self) -> i64 {
        self.width / self.heads.max(1)
    }

    /// Checks that the sizes fit each other.
    ///
    /// # Errors
    /// [`LmError::Config`] names the field; [`LmError::Qat`].
    pub fn check(&self) -> Result<(), LmError> {
        let sizes = [
            ("vocabulary", self.vocabulary),
            ("width", self.width),
            ("ffn_width", self.ffn_width),
            ("layers", self.layers),
            ("heads", self.heads),
            ("kv_heads", self.kv_heads),
            ("context", self.context),
        ];
        for (field, size) in sizes {
            require(field, size, size > 0, "a positive number")?;
        }
        require("width", self.width, self.width % (2 * self.heads) == 0, "a multiple of twice `heads`")?;
        require("kv_heads", self.kv_heads, self.heads % self.kv_heads == 0, "a divisor of `heads`")?;
        require("dropout", self.dropout, (0.0..1.0).contains(&self.dropout), "at least 0 and below 1")?;
        if let ProjectionKind::FakeQuant(config) = self.projection {
            config.check(self.width)?;
            config.check(self.ffn_width)?;
        }
        Ok(())
    }
}

fn require(
    field: &'static str,
    found: impl ToString,
    holds: bool,
    expected: &'static str,
) -> Result<(), LmError> {
    if holds { Ok(()) } else { Err(LmError::Config { field, found: found.to_string(), expected }) }
}

/// Learning rate over the steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Linear warm-up, then half a cosine down to `floor` of the peak.
    Cosine {
        /// Share of the peak at the end.
        floor: f64,
    },
    /// BitNet's: linear from the peak towards 0 in two stages; at half of the steps the line starts from `second`
    /// of the peak instead (2B4T: 1.5e-3 → 8e-4, then 5e-4 → 0).
    TwoStage {
        /// Share of the peak at which the first stage ends.
        first_end: f64,
        /// Share of the peak at which the second stage starts.
        second: f64,
    },
}

/// Decoupled weight decay of matrices.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// The same throughout.
    Constant(f64),
    /// In the first half of the steps, then 0 (BitNet b1.58).
    FirstHalf(f64),
}

/// Optimisation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Steps.
    pub steps: usize,
    /// Windows per step.
    pub batch: usize,
    /// Bytes per window that are predicted.
    pub context: usize,
    /// Highest learning rate of AdamW.
    pub learning_rate: f64,
    /// Steps of linear warm-up.
    pub warmup: usize,
    /// Learning rate after it.
    pub schedule: Schedule,
    /// Weight decay of matrices.
    pub decay: Decay,
    /// AdamW's β₂; β₁ is 0.9.
    pub beta2: f64,
    /// Largest norm of the gradient.
    pub clip_norm: f64,
}

impl TrainConfig {
    /// 600 steps of 16 × 128 bytes, peak 2e-3, decay 0.05: the pilot of the BitNet study.
    pub fn pilot() -> Self {
        Self {
            steps: 600,
            batch: 16,
            context: 128,
            learning_rate: 2e-3,
            warmup: 60,
            schedule: Schedule::Cosine { floor: 0.1 },
            decay: Decay::Constant(0.05),
            beta2: 0.99,
            clip_norm: 1.0,
        }
    }

    /// Fine-tuning of a trained model: 200 steps of 8 × 128 bytes, peak 3e-4, no decay. Ours.
    pub fn fine_tune() -> Self {
        Self {
            steps: 200,
            batch: 8,
            learning_rate: 3e-4,
            warmup: 20,
            decay: Decay::Constant(0.0),
            ..Self::pilot()
        }
    }

    /// Learning rate at `step`, from 0.
    pub fn rate(&self, step: usize) -> f64 {
        if step < self.warmup {
            return self.learning_rate * (step + 1) as f64 / self.warmup as f64;
        }
        let rest = self.steps.saturating_sub(self.warmup).max(1) as f64;
        let done = (step - self.warmup) as f64 / rest;
        let share = match self.schedule {
            Schedule::Cosine { floor } => {
                floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
            Schedule::TwoStage { first_end, .. } if done < 0.5 => 1.0 + (first_end - 1.0) * 2.0 * done,
            Schedule::TwoStage { second, .. } => second * 2.0 * (1.0 - done),
        };
        self.learning_rate * share
    }

    /// Weight decay at `step`.
    pub fn decay_at(&self, step: usize) -> f64 {
        match self.decay {
            Decay::Constant(decay) => decay,
            Decay::FirstHalf(decay) => f64::from(u8::from(2 * step < self.steps)) * decay,
        }
    }

    /// Checks the numbers of steps, windows and bytes against the model.
    ///
    /// # Errors
    /// [`LmError::Config`] names the field.
    pub fn check(&self, model: &LmConfig) -> Result<(), LmError> {
        require("steps", self.steps, self.steps > 0, "a positive number")?;
        require("batch", self.batch, self.batch > 0, "a positive number")?;
        let fits = self.context > 0 && self.context as i64 <= model.context;
        require("context", self.context, fits, "1 to the model's `context`")?;
        require("warmup", self.warmup, self.warmup < self.steps, "fewer than `steps`")?;
        let positive = self.learning_rate > 0.0 && self.learning_rate.is_finite();
        require("learning_rate", self.learning_rate, positive, "a positive number")
    }
}
