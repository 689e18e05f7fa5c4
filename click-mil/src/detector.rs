//! A trained detector with everything it needs: network, head, classes, settings.

use std::path::{Path, PathBuf};

use common::files::{self, FileError};
use image::RgbImage;
use serde::{Deserialize, Serialize};
use tch::Device;
use thiserror::Error;

use crate::edge_boxes::{self, Proposal};
use crate::evaluate::Detection;
use crate::fast_rcnn::{self, Head, HeadError};
use crate::features::{Backbone, BackboneError, Config as FeatureConfig};
use crate::geometry::BoundingBox;
use crate::pipeline::{PipelineError, proposals, read_image};

const DESCRIPTION: &str = "detector.json";
const NETWORK: &str = "network.safetensors";

/// Settings of a detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Version of this description.
    pub schema: u32,
    /// Classes in the order of the head.
    pub classes: Vec<String>,
    /// Name of the network.
    pub network: String,
    /// What it does with images and boxes.
    pub features: FeatureConfig,
    /// Proposals.
    pub edge_boxes: edge_boxes::Config,
    /// Proposals per image at most.
    pub proposals: usize,
    /// Training and thresholds of the head.
    pub head: fast_rcnn::Config,
}

/// A detector.
#[derive(Debug)]
pub struct Detector {
    /// How it was made.
    pub settings: Settings,
    backbone: Backbone,
    head: Head,
}

/// A detector that cannot be read, written or used.
#[derive(Debug, Error)]
pub enum DetectorError {
    /// Its files.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its description.
    #[error("{path}: {problem}; train the detector again", path = path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Its network.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// Its head.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// An image.
    #[error(transparent)]
    Image(#[from] PipelineError),
}

impl Detector {
    /// A detector of a network and a head.
    pub fn new(settings: Settings, backbone: Backbone, head: Head) -> Self {
        Self { settings, backbone, head }
    }

    /// Detections in an image file, best first, with its width and height; `picture` stands in each.
    ///
    /// # Errors
    /// [`DetectorError::Image`], [`DetectorError::Backbone`].
    pub fn detect(&self, path: &Path, picture: usize) -> Result<(Vec<Detection>, [u32; 2]), DetectorError> {
        let image = read_image(path)?;
        let size = [image.width(), image.height()];
        let found = proposals(path, &image, &self.settings.edge_boxes, self.settings.proposals)?;
        Ok((self.detect_among(path, &image, &found, picture)?, size))
    }

    /// Detections among these proposals of an image, best first; `path` names the image in errors.
    ///
    /// # Errors
    /// [`DetectorError::Backbone`].
    pub fn detect_among(
        &self,
        path: &Path,
        image: &RgbImage,
        proposals: &[Proposal],
        picture: usize,
    ) -> Result<Vec<Detection>, DetectorError> {
        let boxes: Vec<BoundingBox> = proposals.iter().map(|proposal| proposal.bbox).collect();
        let features = self.backbone.features(path, image, &boxes)?;
        let size = [image.width(), image.height()];
        Ok(self.head.detect(&features, proposals, picture, size, &self.settings.head))
    }

    /// Writes the detector into a folder; nothing outside it is needed to use it.
    ///
    /// # Errors
    /// [`DetectorError`].
    pub fn save(&self, folder: &Path) -> Result<(), DetectorError> {
        files::make_folder(folder)?;
        self.backbone.write(&folder.join(NETWORK))?;
        self.head.save(folder)?;
        let json = serde_json::to_vec_pretty(&self.settings).expect("numbers and strings");
        Ok(files::write_atomic(&folder.join(DESCRIPTION), &json)?)
    }

    /// Reads a detector from its folder.
    ///
    /// # Errors
    /// [`DetectorError`].
    pub fn load(folder: &Path, device: Device) -> Result<Self, DetectorError> {
        let path = folder.join(DESCRIPTION);
        let text = files::read_text(&path)?;
        let wrong = |problem: String| DetectorError::Description { path: path.clone(), problem };
        let settings: Settings = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let network = settings.network.parse().map_err(wrong)?;
        let backbone = Backbone::read(&folder.join(NETWORK), network, settings.features, device)?;
        Ok(Self { backbone, head: Head::load(folder, device)?, settings })
    }
}
