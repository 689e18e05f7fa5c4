//! CLIP: a vision transformer and a text transformer into one space (Radford et al. 2021), forward only.
//!
//! Names in the store are those of OpenAI's and open_clip's files, so that these load unchanged.

mod block;
mod image;
mod text;

use tch::nn::{Init, Path, VarStore};
use tch::{Device, Kind, Tensor};
use thiserror::Error;

pub use image::ImageTower;
pub use text::TextTower;

use crate::config::{ConfigError, ModelConfig};
use crate::position::PositionTable;

/// ln(1 / 0.07), where the logit scale of a new model starts (Radford et al. 2021, section 2.5).
pub const FIRST_LOGIT_SCALE: f64 = 2.659_260_036_932_778;

/// Input that a model cannot take.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ModelError {
    /// Sizes that make no model.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A text longer than the position table.
    #[error(
        "text {text} has {found} tokens, the model has {limit} positions: cut it, or stretch the model with `stretch`"
    )]
    TooLong {
        /// Index in the batch.
        text: usize,
        /// Its tokens.
        found: usize,
        /// Rows of the table.
        limit: i64,
    },
    /// A text without any token.
    #[error("text {0} has no tokens; every text has at least a start and an end token")]
    Empty(usize),
    /// An id outside the token table.
    #[error(
        "text {text} has the token {id}, the model knows 0 to {last}: do tokenizer and model belong together?"
    )]
    UnknownToken {
        /// Index in the batch.
        text: usize,
        /// The id.
        id: i64,
        /// Largest known id.
        last: i64,
    },
    /// Images of another shape.
    #[error("images have shape {found:?}, expected [batch, 3, {px}, {px}]")]
    Images {
        /// Shape.
        found: Vec<i64>,
        /// Pixels of a side.
        px: i64,
    },
}

/// A CLIP with its weights.
#[derive(Debug)]
pub struct Clip {
    /// Sizes.
    pub config: ModelConfig,
    /// Weights by the names of OpenAI's files.
    pub store: VarStore,
    /// Image tower.
    pub visual: ImageTower,
    /// Text tower.
    pub text: TextTower,
    /// ln of the factor of cosines in the loss, `[]`.
    pub logit_scale: Tensor,
}

impl Clip {
    /// A model whose weights are drawn as OpenAI's `CLIP.initialize_parameters` and PyTorch's defaults do, from libtorch's
    /// generator (`tch::manual_seed`).
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(config: ModelConfig, device: Device) -> Result<Self, ConfigError> {
        config.check()?;
        let store = VarStore::new(device);
        let root = store.root();
        let visual = ImageTower::new(&(&root / "visual"), &config);
        let text = TextTower::new(&root, &config);
        let logit_scale = root.var("logit_scale", &[], Init::Const(FIRST_LOGIT_SCALE));
        Ok(Self { config, visual, text, logit_scale, store })
    }

    /// Features of images, not normalised.
    ///
    /// # Shapes
    /// - `images`: `[batch, 3, image_px, image_px]`, as [`preprocess`](crate::preprocess) makes them
    /// - result: `[batch, embed_dim]`
    ///
    /// # Errors
    /// [`ModelError::Images`].
    pub fn encode_image(&self, images: &Tensor) -> Result<Tensor, ModelError> {
        self.visual.forward(images)
    }

    /// Features of texts, not normalised. A text's tokens stand without padding, from the start to the end token; texts
    /// of different lengths cost what their tokens cost.
    ///
    /// # Shapes
    /// - `texts`: `[batch]` of ids, start and end included
    /// - result: `[batch, embed_dim]`
    ///
    /// # Errors
    /// [`ModelError`] for a text that is empty, too long or has unknown tokens.
    pub fn encode_text(&self, texts: &[Vec<i64>]) -> Result<Tensor, ModelError> {
        self.text.forward(texts)
    }

    /// A copy of the position table of texts, `[context_length, width]`.
    pub fn positions(&self) -> PositionTable {
        PositionTable::from_tensor(&self.text.positions()).expect("a model's table has two dimensions")
    }

    /// The same model with another position table, of any length; weights are copied.
    ///
    /// # Panics
    /// When the table has another width than the text tower.
    #[must_use]
    pub fn with_positions(&self, table: &PositionTable) -> Self {
        assert_eq!(table.width() as i64, self.config.text.width, "the width of the table is the tower's");
        let config = self.config.clone().with_context_length(table.rows() as i64);
        let copy = Self::new(config, self.store.device()).expect("only the number of positions differs");
        let _guard = tch::no_grad_guard();
        let own = self.store.variables();
        for (name, mut variable) in copy.store.variables() {
            if name == text::POSITIONS {
                variable.copy_(&table.to_tensor());
            } else {
                variable.copy_(&own[&name]);
            }
        }
        copy
    }

    /// exp(logit_scale), as a tensor with its gradient, `[]`.
    pub fn scale(&self) -> Tensor {
        self.logit_scale.exp()
    }

    /// Number of trainable weights.
    pub fn n_parameters(&self) -> usize {
        self.store.variables().values().map(Tensor::numel).sum()
    }
}

/// Rows divided by their lengths, `x / ‖x‖₂`.
pub fn normalised(features: &Tensor) -> Tensor {
    features / features.square().sum_dim_intlist([-1].as_slice(), true, features.kind()).sqrt()
}

/// N(0, deviation²).
fn normal(deviation: f64) -> Init {
    Init::Randn { mean: 0.0, stdev: deviation }
}

/// A variable at `path` from N(0, deviation²).
fn drawn(path: &Path<'_>, name: &str, shape: &[i64], deviation: f64) -> Tensor {
    path.var(name, shape, normal(deviation))
}

/// Places of rows as an index on `device`.
fn index(rows: &[i64], device: Device) -> Tensor {
    let index = Tensor::from_slice(rows);
    debug_assert_eq!(index.kind(), Kind::Int64);
    index.to_device(device)
}
