//! The image tower: a vision transformer whose class token carries the image.

use common::nn::gemm;
use common::nn::norm::LayerNorm;
use tch::Tensor;
use tch::nn::{Init, Path};

use super::block::{Block, Sequences, Sizes, Start};
use super::{ModelError, drawn, index};
use crate::config::ModelConfig;

/// Patches, class token and positions → norm → blocks → norm of the class token → projection.
///
/// The last block is computed for class tokens only, which is exact.
#[derive(Debug)]
pub struct ImageTower {
    patches: Tensor,
    class: Tensor,
    positions: Tensor,
    ln_pre: LayerNorm,
    blocks: Vec<Block>,
    ln_post: LayerNorm,
    projection: Tensor,
    image_px: i64,
    patch_px: i64,
}

impl ImageTower {
    pub(super) fn new(path: &Path<'_>, config: &ModelConfig) -> Self {
        let vision = &config.vision;
        let (width, patch, grid) = (vision.width, vision.patch_px, vision.grid());
        let deviation = 1.0 / (width as f64).sqrt();
        // PyTorch's default for a convolution: uniform in ±1/√fan_in.
        let bound = 1.0 / ((3 * patch * patch) as f64).sqrt();
        let uniform = Init::Uniform { lo: -bound, up: bound };
        let sizes = Sizes {
            width,
            mlp_width: vision.mlp_width,
            heads: vision.heads,
            activation: config.activation,
            epsilon: config.norm_epsilon,
        };
        let blocks = path / "transformer" / "resblocks";
        let norm = |name: &str| LayerNorm::new(&(path / name), width, config.norm_epsilon);
        Self {
            patches: (path / "conv1").var("weight", &[width, 3, patch, patch], uniform),
            class: drawn(path, "class_embedding", &[width], deviation),
            positions: drawn(path, "positional_embedding", &[grid * grid + 1, width], deviation),
            ln_pre: norm("ln_pre"),
            blocks: (0..vision.layers).map(|i| Block::new(&(&blocks / i), sizes, Start::Library)).collect(),
            ln_post: norm("ln_post"),
            projection: drawn(path, "proj", &[width, config.embed_dim], deviation),
            image_px: vision.image_px,
            patch_px: patch,
        }
    }

    /// `[batch, embed_dim]`, not normalised; see [`Clip::encode_image`](super::Clip::encode_image).
    pub(super) fn forward(&self, images: &Tensor) -> Result<Tensor, ModelError> {
        let px = self.image_px;
        let batch = match images.size()[..] {
            [batch, 3, height, width] if height == px && width == px => batch,
            _ => return Err(ModelError::Images { found: images.size(), px }),
        };
        if batch == 0 {
            let columns = self.projection.size()[1];
            return Ok(Tensor::zeros([0, columns], (self.projection.kind(), self.projection.device())));
        }
        let tokens = self.embed(images, batch); // [batch, tokens, width]
        let [length, width] = [tokens.size()[1], tokens.size()[2]];
        let mut rows = self.ln_pre.forward(&tokens).view([batch * length, width]);
        let runs = [(batch, length)];
        let sequences = Sequences { runs: &runs, unused: 0, causal: false };
        let (last, blocks) = self.blocks.split_last().expect("a model has at least one block");
        for block in blocks {
            rows = block.forward(&rows, &sequences);
        }
        let classes: Vec<i64> = (0..batch).map(|image| image * length).collect();
        let pooled = last.forward_pooled(&rows, &sequences, &index(&classes, rows.device()));
        Ok(self.ln_post.forward(&pooled).matmul(&self.projection))
    }

    /// The convolution of kernel = stride = patch as one product, row-major; class token first; positions added.
    fn embed(&self, images: &Tensor, batch: i64) -> Tensor {
        let (patch, grid) = (self.patch_px, self.image_px / self.patch_px);
        let pixels = images.to_kind(self.patches.kind());
        let cut = pixels.view([batch, 3, grid, patch, grid, patch]).permute([0, 2, 4, 1, 3, 5]);
        let cut = cut.reshape([batch * grid * grid, 3 * patch * patch]);
        let weight = self.patches.flatten(1, -1); // [width, 3 patch²]
        let patches = gemm::linear(&cut, &weight, None).view([batch, grid * grid, -1]);
        let class = self.class.view([1, 1, -1]).expand([batch, 1, -1], false);
        Tensor::cat(&[class, patches], 1) + &self.positions
    }
}
