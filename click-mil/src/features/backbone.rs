//! The network that describes images: a torchvision-layout trunk with its preprocessing.

use std::path::{Path, PathBuf};

use common::nn::checkpoint::{self, CheckpointError};
use common::nn::vision::{Trunk, TrunkName};
use image::RgbImage;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use thiserror::Error;

use super::roi::{FeatureMap, Pooling, RoiError};
use crate::geometry::BoundingBox;

/// Pixels of the image per pixel of the map.
pub(crate) const STRIDE: f64 = 16.0;

/// What is done with an image and its boxes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Factor on the sides of the image: small images have small maps. Ours: 1.5 for images of up to 400 pixels.
    pub enlarge: f64,
    /// Cells per side of a box. Ours: 2.
    pub cells: usize,
    /// Pooling. Ours: RoIAlign of two samples per side.
    pub pooling: Pooling,
    /// Values of pixels that the weights want.
    #[serde(default)]
    pub pixels: Pixels,
}

/// Values of pixels that a network's weights want.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pixels {
    /// Those of the first published weights: Caffe's for SqueezeNet, torchvision's for the others.
    #[default]
    OfNetwork,
    /// 0 to 255, blue first, less the mean (103.939, 116.779, 123.68).
    Caffe,
    /// 0 to 1, less the mean (0.485, 0.456, 0.406), over the deviation (0.229, 0.224, 0.225).
    Torchvision,
}

impl Config {
    /// Images 1.5 times as large, 2×2 cells, RoIAlign.
    pub const fn usual() -> Self {
        let pooling = Pooling::Align { samples: 2, aligned: true };
        Self { enlarge: 1.5, cells: 2, pooling, pixels: Pixels::OfNetwork }
    }
}

/// A frozen network.
#[derive(Debug)]
pub struct Backbone {
    name: TrunkName,
    trunk: Trunk,
    store: VarStore,
    config: Config,
}

/// A network that cannot be read or used.
#[derive(Debug, Error)]
pub enum BackboneError {
    /// Its weights.
    #[error(transparent)]
    Weights(#[from] CheckpointError),
    /// An image too small for it.
    #[error("{path}: {width}×{height} pixels; expected at least {least} on each side after enlarging by {enlarge}", path = path.display())]
    Small {
        /// The image.
        path: PathBuf,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Fewest pixels.
        least: u32,
        /// Factor.
        enlarge: f64,
    },
    /// Its map.
    #[error(transparent)]
    Roi(#[from] RoiError),
}

/// Fewest pixels per side from which every trunk has a map.
const LEAST: u32 = 40;

impl Backbone {
    /// A network with the weights of a file in torchvision's names, safetensors or PyTorch's own (`.pth`, in which nothing is run);
    /// a classifier in the file is left out.
    ///
    /// # Errors
    /// [`BackboneError::Weights`] with every tensor that is missing or has another shape.
    pub fn read(path: &Path, name: TrunkName, config: Config, device: Device) -> Result<Self, BackboneError> {
        let mut store = VarStore::new(device);
        let trunk = Trunk::new(&store.root(), name);
        let wanted = store.variables();
        checkpoint::load_renamed(&store, path, "", |name| {
            wanted.contains_key(name).then(|| name.to_owned())
        })?;
        store.freeze();
        Ok(Self { name, trunk, store, config })
    }

    /// Writes the weights.
    ///
    /// # Errors
    /// [`BackboneError::Weights`].
    pub fn write(&self, path: &Path) -> Result<(), BackboneError> {
        Ok(checkpoint::save(&checkpoint::named(&self.store), path)?)
    }

    /// Name of the network.
    pub fn name(&self) -> TrunkName {
        self.name
    }

    /// Numbers per box.
    pub fn width(&self) -> usize {
        self.config.cells * self.config.cells * self.name.channels() as usize
    }

    /// What is done with images and boxes.
    pub fn config(&self) -> Config {
        self.config
    }

    /// Features of boxes in an image, `[boxes, cells² · channels]` by rows, each of length 1.
    ///
    /// # Errors
    /// [`BackboneError::Small`].
    pub fn features(
        &self,
        path: &Path,
        image: &RgbImage,
        boxes: &[BoundingBox],
    ) -> Result<Vec<f32>, BackboneError> {
        self.pooled(&self.map(path, image)?, boxes)
    }

    /// The same from a map of this network.
    ///
    /// # Errors
    /// [`BackboneError::Roi`].
    pub fn pooled(&self, map: &FeatureMap, boxes: &[BoundingBox]) -> Result<Vec<f32>, BackboneError> {
        let Config { enlarge, cells, pooling, .. } = self.config;
        Ok(map.described(boxes, enlarge / STRIDE, cells, pooling)?)
    }

    /// Map of an image.
    ///
    /// # Errors
    /// [`BackboneError::Small`].
    pub fn map(&self, path: &Path, image: &RgbImage) -> Result<FeatureMap, BackboneError> {
        let [width, height] = [image.width(), image.height()];
        let sides = [height, width].map(|side| (f64::from(side) * self.config.enlarge).round() as i64);
        if sides.iter().any(|&side| side < i64::from(LEAST)) {
            let (path, enlarge) = (path.to_owned(), self.config.enlarge);
            return Err(BackboneError::Small { path, width, height, least: LEAST, enlarge });
        }
        let _guard = tch::no_grad_guard();
        let pixels = Tensor::from_slice(image.as_raw()).to_device(self.store.device());
        let pixels = pixels.view([1, i64::from(height), i64::from(width), 3]).permute([0, 3, 1, 2]);
        let pixels = pixels.to_kind(Kind::Float).upsample_bilinear2d(sides, false, None, None);
        let map = self.trunk.forward(&self.normalised(&pixels)).squeeze_dim(0).permute([1, 2, 0]);
        let [rows, columns, channels] = [0, 1, 2].map(|axis| map.size()[axis] as usize);
        let values = map.to_device(Device::Cpu).contiguous().flatten(0, -1);
        let values = Vec::<f32>::try_from(&values).expect("f32 in one dimension");
        Ok(FeatureMap::new(rows, columns, channels, values)?)
    }

    /// Pixels 0 to 255, `[1, 3, height, width]`, as the network's weights want them.
    fn normalised(&self, pixels: &Tensor) -> Tensor {
        let of = |values: [f32; 3]| Tensor::from_slice(&values).to_device(pixels.device()).view([1, 3, 1, 1]);
        match (self.config.pixels, self.name) {
            (Pixels::Caffe, _) | (Pixels::OfNetwork, TrunkName::SqueezeNet) => {
                pixels.flip([1]) - of([103.939, 116.779, 123.68])
            }
            _ => (pixels / 255.0 - of([0.485, 0.456, 0.406])) / of([0.229, 0.224, 0.225]),
        }
    }
}
