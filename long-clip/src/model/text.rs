//! The text tower: a causal transformer whose end token carries the text.

use common::nn::bert::Packed;
use common::nn::norm::LayerNorm;
use tch::Tensor;
use tch::nn::Path;

use super::block::{Block, Sequences, Sizes, Start};
use super::{ModelError, drawn, index};
use crate::config::ModelConfig;

/// Name of the position table in the store.
pub(super) const POSITIONS: &str = "positional_embedding";

/// Tokens and positions → blocks with a causal mask → norm → the end token's row → projection.
///
/// No token sees a later one, so nothing is computed behind an end token; the last block is computed for end tokens only.
/// Both are exact.
#[derive(Debug)]
pub struct TextTower {
    tokens: Tensor,
    positions: Tensor,
    blocks: Vec<Block>,
    ln_final: LayerNorm,
    projection: Tensor,
    frozen_positions: i64,
}

impl TextTower {
    pub(super) fn new(root: &Path<'_>, config: &ModelConfig) -> Self {
        let text = &config.text;
        let sizes = Sizes {
            width: text.width,
            mlp_width: text.mlp_width,
            heads: text.heads,
            activation: config.activation,
            epsilon: config.norm_epsilon,
        };
        let start = Start::Text { layers: text.layers };
        let blocks = root / "transformer" / "resblocks";
        let deviation = 1.0 / (text.width as f64).sqrt();
        Self {
            tokens: drawn(&(root / "token_embedding"), "weight", &[text.vocabulary, text.width], 0.02),
            positions: drawn(root, POSITIONS, &[text.context_length, text.width], 0.01),
            blocks: (0..text.layers).map(|i| Block::new(&(&blocks / i), sizes, start)).collect(),
            ln_final: LayerNorm::new(&(root / "ln_final"), text.width, config.norm_epsilon),
            projection: drawn(root, "text_projection", &[text.width, config.embed_dim], deviation),
            frozen_positions: 0,
        }
    }

    /// The position table, `[context_length, width]`.
    pub fn positions(&self) -> Tensor {
        self.positions.shallow_clone()
    }

    /// From now on the first `rows` rows of the position table get no gradient.
    pub fn freeze_positions(&mut self, rows: i64) {
        self.frozen_positions = rows.clamp(0, self.positions.size()[0]);
    }

    /// Rows of the position table without gradient.
    pub fn frozen_positions(&self) -> i64 {
        self.frozen_positions
    }

    /// `[batch, embed_dim]`, not normalised; see [`Clip::encode_text`](super::Clip::encode_text).
    pub(super) fn forward(&self, texts: &[Vec<i64>]) -> Result<Tensor, ModelError> {
        self.check(texts)?;
        if texts.is_empty() {
            let columns = self.projection.size()[1];
            return Ok(Tensor::zeros([0, columns], (self.projection.kind(), self.projection.device())));
        }
        let device = self.tokens.device();
        let packed = Packed::new(texts, device);
        let (runs, order) = (packed.runs(), packed.sorted());
        let sequences = Sequences { runs: &runs, unused: packed.n_unused(), causal: true };
        let mut ends = Vec::with_capacity(texts.len());
        let mut behind = 0;
        for &text in &order {
            behind += texts[text].len() as i64;
            ends.push(behind - 1);
        }
        let mut rows = self.embed(&packed);
        let (last, blocks) = self.blocks.split_last().expect("a model has at least one block");
        for block in blocks {
            rows = block.forward(&rows, &sequences);
        }
        let pooled = last.forward_pooled(&rows, &sequences, &index(&ends, device));
        let mut places = vec![0; texts.len()];
        order.iter().enumerate().for_each(|(place, &text)| places[text] = place as i64);
        let given = pooled.index_select(0, &index(&places, device));
        Ok(self.ln_final.forward(&given).matmul(&self.projection))
    }

    fn embed(&self, packed: &Packed) -> Tensor {
        let tokens = Tensor::embedding(&self.tokens, packed.ids(), -1, false, false);
        let (rows, frozen) = (self.positions.size()[0], self.frozen_positions);
        let table = if frozen == 0 {
            self.positions.shallow_clone()
        } else {
            let kept = self.positions.narrow(0, 0, frozen).detach();
            Tensor::cat(&[kept, self.positions.narrow(0, frozen, rows - frozen)], 0)
        };
        tokens + Tensor::embedding(&table, packed.positions(), -1, false, false)
    }

    fn check(&self, texts: &[Vec<i64>]) -> Result<(), ModelError> {
        let (limit, last) = (self.positions.size()[0], self.tokens.size()[0] - 1);
        for (text, ids) in texts.iter().enumerate() {
            if ids.is_empty() {
                return Err(ModelError::Empty(text));
            }
            if ids.len() as i64 > limit {
                return Err(ModelError::TooLong { text, found: ids.len(), limit });
            }
            if let Some(&id) = ids.iter().find(|id| !(0..=last).contains(*id)) {
                return Err(ModelError::UnknownToken { text, id, last });
            }
        }
        Ok(())
    }
}
