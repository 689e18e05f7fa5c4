//! One training step: the losses of a batch, their gradients, and what an update must leave alone.

use common::optim::{AdamW, AdamWConfig, StateError};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};
use thiserror::Error;

use crate::loss::contrastive;
use crate::model::{Clip, ModelError, normalised};
use crate::pcm::{AxesGradient, coarse};

/// What is trained for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// The second loss, on short texts; absent: long texts only.
    pub short: Option<ShortObjective>,
    /// Label smoothing of both losses. Official code: 0.1.
    pub label_smoothing: f64,
    /// First rows of the position table that stay as they are. Official code: 20.
    pub frozen_positions: i64,
    /// Largest factor of the cosines, exp(logit_scale). The official code sets none; CLIP's paper: 100.
    pub largest_scale: Option<f64>,
}

/// How short texts take part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShortObjective {
    /// Factor of the short texts' loss. Official code: 1; before 2024-05-17: 0.1.
    pub weight: f64,
    /// Principal components that the coarse image features keep; absent: short texts are matched with the image features
    /// themselves. Paper: 32.
    pub components: Option<i64>,
    /// Whether the gradient goes through the principal axes. Official code: full.
    pub gradient: AxesGradient,
}

impl Objective {
    /// Long-CLIP's, with the scale bounded at 100.
    pub fn paper() -> Self {
        let short = ShortObjective { weight: 1.0, components: Some(32), gradient: AxesGradient::Full };
        Self { short: Some(short), label_smoothing: 0.1, frozen_positions: 20, largest_scale: Some(100.0) }
    }

    /// CLIP's own: one text for each image, everything trained.
    pub fn contrastive() -> Self {
        Self { short: None, label_smoothing: 0.0, frozen_positions: 0, largest_scale: Some(100.0) }
    }
}

/// A batch of images with their texts.
#[derive(Debug)]
pub struct Batch<'a> {
    /// `[batch, 3, image_px, image_px]`
    pub images: &'a Tensor,
    /// Ids of the long texts.
    pub long: &'a [Vec<i64>],
    /// Ids of the short texts; empty when the objective has none.
    pub short: &'a [Vec<i64>],
}

/// Losses of a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Losses {
    /// long + weight · short: what was minimised.
    pub total: f64,
    /// Of the long texts.
    pub long: f64,
    /// Of the short texts, 0 without them.
    pub short: f64,
}

/// A step that cannot be made.
#[derive(Debug, Error, PartialEq)]
pub enum StepError {
    /// The model cannot take the batch.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Images and texts in different numbers.
    #[error("a batch has {images} images, {long} long and {short} short texts; expected as many of each")]
    Counts {
        /// Images.
        images: usize,
        /// Long texts.
        long: usize,
        /// Short texts.
        short: usize,
    },
    /// A loss that is not a number.
    #[error("the loss of the {which} texts is {value}: training has diverged; lower the learning rate")]
    Diverged {
        /// `long` or `short`.
        which: &'static str,
        /// Its value.
        value: f64,
    },
}

/// Leaves the gradients of a batch in the parameters,
///
/// ```text
/// L = L_long(I, T_l) + w · L_short(coarse(I), T_s)
/// ```
/// and returns the losses (paper, section 3.3; official code, `CLIP.forward`). An image is encoded once; all texts go
/// through the text tower together.
///
/// # Errors
/// [`StepError`]; the gradients are then as they were before.
pub fn gradients(model: &Clip, batch: &Batch<'_>, objective: &Objective) -> Result<Losses, StepError> {
    let short = if objective.short.is_some() { batch.short } else { &[] };
    let images = batch.images.size().first().copied().unwrap_or(0) as usize;
    let wanted = if objective.short.is_some() { images } else { 0 };
    if (batch.long.len(), short.len()) != (images, wanted) {
        return Err(StepError::Counts { images, long: batch.long.len(), short: batch.short.len() });
    }
    let image_features = normalised(&model.encode_image(batch.images)?);
    let texts = [batch.long, short].concat();
    let text_features = normalised(&model.encode_text(&texts)?);
    let scale = model.scale();
    let n = images as i64;
    let of_texts = |from, count| text_features.narrow(0, from, count);
    let long = contrastive(&image_features, &of_texts(0, n), &scale, objective.label_smoothing);
    let long_value = finite("long", &long)?;
    let Some(ShortObjective { weight, components, gradient }) = objective.short else {
        long.backward();
        return Ok(Losses { total: long_value, long: long_value, short: 0.0 });
    };
    let matched = match components {
        Some(components) => coarse(&image_features, components, gradient),
        None => image_features,
    };
    let short = contrastive(&matched, &of_texts(n, n), &scale, objective.label_smoothing);
    let short_value = finite("short", &short)?;
    (long + short * weight).backward();
    Ok(Losses { total: long_value + weight * short_value, long: long_value, short: short_value })
}

fn finite(which: &'static str, loss: &Tensor) -> Result<f64, StepError> {
    let value = loss.to_kind(Kind::Double).double_value(&[]);
    if value.is_finite() { Ok(value) } else { Err(StepError::Diverged { which, value }) }
}

/// AdamW that leaves frozen positions as they are and bounds the logit scale.
///
/// ```text
/// β = (0.9, 0.999), ε = 1e-8; matrices are decayed
/// ```
/// The official code decays biases and norms too, by 1 − 1e-8 a step.
#[derive(Debug)]
pub struct Optimiser {
    adam: AdamW,
    frozen: Option<Tensor>,
    largest_logit_scale: f64,
}

impl Optimiser {
    /// An optimiser of all weights of a model; the objective's first positions get no gradient from now on.
    pub fn new(model: &mut Clip, objective: &Objective, weight_decay: f64) -> Self {
        model.text.freeze_positions(objective.frozen_positions);
        let rows = model.text.frozen_positions();
        let config = AdamWConfig { weight_decay, ..AdamWConfig::adam() };
        Self {
            adam: AdamW::new(&model.store, config),
            frozen: (rows > 0).then(|| model.text.positions().detach().narrow(0, 0, rows).copy()),
            largest_logit_scale: objective.largest_scale.map_or(f64::INFINITY, f64::ln),
        }
    }

    /// Forgets the gradients.
    pub fn zero_grad(&mut self) {
        self.adam.zero_grad();
    }

    /// Moves every weight by one step.
    pub fn step(&mut self, model: &Clip, learning_rate: f64) {
        self.adam.step(learning_rate);
        let _guard = tch::no_grad_guard();
        if let Some(frozen) = &self.frozen {
            // Weight decay would shrink what gets no gradient.
            model.text.positions().narrow(0, 0, frozen.size()[0]).copy_(frozen);
        }
        if self.largest_logit_scale.is_finite() {
            let _ = model.logit_scale.shallow_clone().clamp_max_(self.largest_logit_scale);
        }
    }

    /// Named state, for a checkpoint.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.adam.state()
    }

    /// Takes over a saved state.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<(), StateError> {
        self.adam.load_state(state)
    }
}

/// Share of the highest learning rate at `step`, from 0: linear over `warmup` steps, then a cosine to 0 (official code,
/// `cosine_lr`).
///
/// ```
/// use long_clip::step::cosine_rate;
/// assert_eq!(cosine_rate(0, 100, 10), 0.1);
/// assert_eq!(cosine_rate(10, 100, 10), 1.0);
/// assert!((cosine_rate(55, 100, 10) - 0.5).abs() < 1e-12);
/// ```
pub fn cosine_rate(step: usize, steps: usize, warmup: usize) -> f64 {
    if step < warmup {
        return (step + 1) as f64 / warmup as f64;
    }
    let share = (step - warmup) as f64 / (steps.saturating_sub(warmup)).max(1) as f64;
    0.5 * (1.0 + (std::f64::consts::PI * share.min(1.0)).cos())
}
