//! Sizes of a CLIP, and what its weights do not say: activation and heads.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Sizes of a CLIP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Width of the common space of images and texts.
    pub embed_dim: i64,
    /// Image tower.
    pub vision: VisionConfig,
    /// Text tower.
    pub text: TextConfig,
    /// Activation of both towers; no checkpoint's weights tell it.
    pub activation: Activation,
    /// ε of every LayerNorm; CLIP: 1e-5.
    pub norm_epsilon: f64,
}

/// Sizes of the vision transformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionConfig {
    /// Height and width of an image in pixels.
    pub image_px: i64,
    /// Height and width of a patch in pixels.
    pub patch_px: i64,
    /// Width of the hidden states.
    pub width: i64,
    /// Blocks.
    pub layers: i64,
    /// Attention heads; CLIP: width / 64.
    pub heads: i64,
    /// Width inside the two-layer network of a block; CLIP: 4 width.
    pub mlp_width: i64,
}

/// Sizes of the text transformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// Rows of the position table: the longest text in tokens, start and end included. CLIP: 77; Long-CLIP: 248.
    pub context_length: i64,
    /// Rows of the token table. CLIP: 49,408.
    pub vocabulary: i64,
    /// Width of the hidden states.
    pub width: i64,
    /// Blocks.
    pub layers: i64,
    /// Attention heads; CLIP: width / 64.
    pub heads: i64,
    /// Width inside the two-layer network of a block; CLIP: 4 width.
    pub mlp_width: i64,
}

/// Nonlinearity between the two layers of a block's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// z · sigmoid(1.702 z): OpenAI's weights, Long-CLIP's, open_clip's `-quickgelu` models.
    QuickGelu,
    /// z · Φ(z): most weights that open_clip trained.
    Gelu,
}

impl std::fmt::Display for Activation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::QuickGelu => "quick_gelu",
            Self::Gelu => "gelu",
        })
    }
}

impl std::str::FromStr for Activation {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "quick_gelu" | "quickgelu" => Ok(Self::QuickGelu),
            "gelu" => Ok(Self::Gelu),
            _ => Err(ConfigError::Activation(text.to_owned())),
        }
    }
}

/// Sizes that make no model.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// A name of no activation.
    #[error(
        "activation `{0}`; expected `quick_gelu` (OpenAI, Long-CLIP) or `gelu` (most of open_clip's own weights)"
    )]
    Activation(String),
    /// A size below 1.
    #[error("`{0}` is {1}, expected at least 1")]
    Size(&'static str, i64),
    /// A size that must divide another.
    #[error("`{what}` is {size}, which {by} = {divisor} does not divide")]
    Division {
        /// The size.
        what: &'static str,
        /// Its value.
        size: i64,
        /// The divisor's name.
        by: &'static str,
        /// Its value.
        divisor: i64,
    },
}

/// Tokens of OpenAI's vocabulary, start and end included.
pub const VOCABULARY: i64 = 49_408;
/// Width of an attention head in every published CLIP.
pub const HEAD_WIDTH: i64 = 64;

impl ModelConfig {
    /// ViT-B/16 of Radford et al. 2021: 149.62 M parameters.
    pub fn vit_b_16() -> Self {
        Self::published(512, (224, 16, 768, 12), (512, 12))
    }

    /// ViT-B/32 of Radford et al. 2021.
    pub fn vit_b_32() -> Self {
        Self::published(512, (224, 32, 768, 12), (512, 12))
    }

    /// ViT-L/14 of Radford et al. 2021.
    pub fn vit_l_14() -> Self {
        Self::published(768, (224, 14, 1024, 24), (768, 12))
    }

    /// ViT-L/14 for images of 336 pixels.
    pub fn vit_l_14_336() -> Self {
        Self::published(768, (336, 14, 1024, 24), (768, 12))
    }

    fn published(embed_dim: i64, vision: (i64, i64, i64, i64), text: (i64, i64)) -> Self {
        let ((image_px, patch_px, width, layers), (text_width, text_layers)) = (vision, text);
        Self {
            embed_dim,
            vision: VisionConfig {
                image_px,
                patch_px,
                width,
                layers,
                heads: width / HEAD_WIDTH,
                mlp_width: 4 * width,
            },
            text: TextConfig {
                context_length: 77,
                vocabulary: VOCABULARY,
                width: text_width,
                layers: text_layers,
                heads: text_width / HEAD_WIDTH,
                mlp_width: 4 * text_width,
            },
            activation: Activation::QuickGelu,
            norm_epsilon: 1e-5,
        }
    }

    /// The same model with another number of positions for texts.
    #[must_use]
    pub fn with_context_length(mut self, context_length: i64) -> Self {
        self.text.context_length = context_length;
        self
    }

    /// Whether the sizes make a model.
    ///
    /// # Errors
    /// [`ConfigError`] for the first that does not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let (vision, text) = (&self.vision, &self.text);
        let sizes = [
            ("embed_dim", self.embed_dim),
            ("vision.image_px", vision.image_px),
            ("vision.patch_px", vision.patch_px),
            ("vision.width", vision.width),
            ("vision.layers", vision.layers),
            ("vision.heads", vision.heads),
            ("vision.mlp_width", vision.mlp_width),
            ("text.context_length", text.context_length),
            ("text.vocabulary", text.vocabulary),
            ("text.width", text.width),
            ("text.layers", text.layers),
            ("text.heads", text.heads),
            ("text.mlp_width", text.mlp_width),
        ];
        if let Some(&(what, size)) = sizes.iter().find(|(_, size)| *size < 1) {
            return Err(ConfigError::Size(what, size));
        }
        let divides = |what, size: i64, by, divisor| match size % divisor {
            0 => Ok(()),
            _ => Err(ConfigError::Division { what, size, by, divisor }),
        };
        divides("vision.image_px", vision.image_px, "vision.patch_px", vision.patch_px)?;
        divides("vision.width", vision.width, "vision.heads", vision.heads)?;
        divides("text.width", text.width, "text.heads", text.heads)
    }
}

impl VisionConfig {
    /// Patches along each side.
    pub fn grid(&self) -> i64 {
        self.image_px / self.patch_px
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_make_no_model_are_named() {
        let mut config = ModelConfig::vit_b_16();
        assert_eq!(config.check(), Ok(()));
        config.text.heads = 7;
        let error = config.check().unwrap_err().to_string();
        assert_eq!(error, "`text.width` is 512, which text.heads = 7 does not divide");
        config.embed_dim = 0;
        assert_eq!(config.check().unwrap_err().to_string(), "`embed_dim` is 0, expected at least 1");
    }

    #[test]
    fn an_activation_is_named_as_it_is_read() {
        for activation in [Activation::QuickGelu, Activation::Gelu] {
            assert_eq!(activation.to_string().parse(), Ok(activation));
        }
        assert!(
            "relu".parse::<Activation>().unwrap_err().to_string().starts_with("activation `relu`; expected")
        );
    }
}
