//! From images to proposals and their features.

use std::path::{Path, PathBuf};

use image::{ImageReader, RgbImage};
use thiserror::Error;

use crate::edge_boxes::{self, Proposal, propose};
use crate::edges::{EdgeMap, EdgeMapError};
use crate::features::{Backbone, BackboneError, FeatureStore, StoreError, StoreWriter};
use crate::geometry::BoundingBox;

/// An image that cannot be worked on.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// It cannot be read.
    #[error("{path}: {problem}; expected a JPEG or PNG image", path = path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Its edges.
    #[error("{path}: {source}", path = path.display())]
    Edges {
        /// The file.
        path: PathBuf,
        /// Why.
        source: EdgeMapError,
    },
    /// Parameters of EdgeBoxes.
    #[error(transparent)]
    Config(#[from] edge_boxes::ConfigError),
    /// The network.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// The file of features.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads an image as RGB, whatever its ending says.
///
/// # Errors
/// [`PipelineError::Image`].
pub fn read_image(path: &Path) -> Result<RgbImage, PipelineError> {
    let wrong = |problem: String| PipelineError::Image { path: path.to_owned(), problem };
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let image = reader.map_err(|error| wrong(error.to_string()))?.decode();
    Ok(image.map_err(|error| wrong(error.to_string()))?.into_rgb8())
}

/// Best proposals of an image, at most `most`.
///
/// # Errors
/// [`PipelineError::Edges`], [`PipelineError::Config`].
pub fn proposals(
    path: &Path,
    image: &RgbImage,
    config: &edge_boxes::Config,
    most: usize,
) -> Result<Vec<Proposal>, PipelineError> {
    let edges =
        EdgeMap::of_image(image).map_err(|source| PipelineError::Edges { path: path.to_owned(), source })?;
    let mut found = propose(&edges, config)?;
    found.truncate(most);
    Ok(found)
}

/// Images with their proposals and features.
#[derive(Debug)]
pub struct Described {
    /// Proposals of each image, best first.
    pub proposals: Vec<Vec<Proposal>>,
    /// Their features.
    pub features: FeatureStore,
    /// Features of the other boxes that were asked for in each image.
    pub others: Vec<Vec<Vec<f32>>>,
}

/// Proposals and features of images, kept on disk at `store`, and features of `others`, boxes of each image; `observe` hears of
/// each image that is done and says whether to go on. `None` when it does not.
///
/// # Errors
/// [`PipelineError`]; no file is left behind then.
pub fn describe(
    images: &[&Path],
    others: &[Vec<BoundingBox>],
    backbone: &Backbone,
    config: &edge_boxes::Config,
    most: usize,
    store: &Path,
    mut observe: impl FnMut(usize) -> bool,
) -> Result<Option<Described>, PipelineError> {
    let mut writer = StoreWriter::create(store, backbone.width())?;
    let (mut all, mut further) = (Vec::with_capacity(images.len()), Vec::with_capacity(images.len()));
    for (place, path) in images.iter().enumerate() {
        let image = read_image(path)?;
        let found = proposals(path, &image, config, most)?;
        let mut boxes: Vec<BoundingBox> = found.iter().map(|proposal| proposal.bbox).collect();
        boxes.extend(others.get(place).into_iter().flatten());
        let mut features = backbone.features(path, &image, &boxes)?;
        let rest = features.split_off(found.len() * backbone.width());
        writer.push(&features)?;
        further.push(rest.chunks_exact(backbone.width()).map(<[f32]>::to_vec).collect());
        all.push(found);
        if !observe(place + 1) {
            return Ok(None);
        }
    }
    Ok(Some(Described { proposals: all, features: writer.finish()?, others: further }))
}
