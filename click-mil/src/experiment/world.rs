//! A data set with what all runs share: proposals, their features, and the maps that further boxes are described from.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use common::files;
use serde::{Deserialize, Serialize};

use super::design::{PARTS, Set};
use crate::dataset::{Dataset, Object};
use crate::edge_boxes::{self, Proposal};
use crate::features::{Backbone, Config as FeatureConfig, FeatureMap, FeatureStore, STRIDE, StoreWriter};
use crate::formats::voc;
use crate::geometry::BoundingBox;
use crate::pipeline::{proposals, read_image};

/// A split with its proposals and features.
#[derive(Debug)]
pub(super) struct World {
    /// Images and objects.
    pub(super) dataset: Dataset,
    /// Proposals of each image, best first.
    pub(super) proposals: Vec<Vec<Proposal>>,
    /// Their features.
    pub(super) features: FeatureStore,
    /// One row per pixel of each image's map.
    maps: FeatureStore,
    /// Rows and columns of each map.
    sizes: Vec<[usize; 2]>,
    config: FeatureConfig,
}

/// What stands beside the features of a part.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Beside {
    proposals: Vec<Vec<Proposal>>,
    sizes: Vec<[usize; 2]>,
}

/// Images of a split, at most `most` of them, spread evenly; objects of classes with fewer than `least` images are left out.
///
/// # Errors
/// A set that is not in VOC's layout, no images.
pub(super) fn dataset(root: &Path, split: &str, most: usize, least: usize) -> Result<Dataset> {
    let mut read = voc::read(root, split)?.dataset;
    let n = read.pictures.len();
    ensure!(n > 0, "{}: the split `{split}` has no images", root.display());
    if n > most {
        let mut place = 0;
        read.pictures.retain(|_| {
            place += 1;
            place * most / n > (place - 1) * most / n
        });
    }
    Ok(read.restricted(least))
}

/// Proposals, features and maps of one part of a split, written below `folder`. Returns the proposals of each image.
///
/// # Errors
/// Unreadable images, an unwritable folder.
pub(super) fn describe(
    dataset: &Dataset,
    set: &Set,
    part: usize,
    backbone: &Backbone,
    folder: &Path,
    name: &str,
) -> Result<Vec<Vec<Proposal>>> {
    files::make_folder(folder)?;
    let config = edge_boxes::Config { min_box_area: set.min_box_area, ..edge_boxes::Config::authors() };
    let [rows, pixels, beside] = paths(folder, name, part);
    let mut features = StoreWriter::create(&rows, backbone.width())?;
    let mut maps = StoreWriter::create(&pixels, backbone.name().channels() as usize)?;
    let mut written = Beside { proposals: Vec::new(), sizes: Vec::new() };
    for picture in &dataset.pictures[own(dataset.pictures.len(), part)] {
        let image = read_image(&picture.file)?;
        let found = proposals(&picture.file, &image, &config, set.proposals)?;
        let boxes: Vec<BoundingBox> = found.iter().map(|proposal| proposal.bbox).collect();
        let map = backbone.map(&picture.file, &image)?;
        features.push(&backbone.pooled(&map, &boxes)?)?;
        maps.push(map.values())?;
        written.sizes.push([map.height(), map.width()]);
        written.proposals.push(found);
    }
    features.finish()?;
    maps.finish()?;
    files::write_atomic(&beside, &serde_json::to_vec(&written)?)?;
    Ok(written.proposals)
}

/// Places of the images of a part.
pub(super) fn own(n: usize, part: usize) -> std::ops::Range<usize> {
    part * n / PARTS..(part + 1) * n / PARTS
}

fn paths(folder: &Path, name: &str, part: usize) -> [PathBuf; 3] {
    ["features", "maps", "json"].map(|kind| folder.join(format!("{name}-{part}.{kind}")))
}

impl World {
    /// Opens what [`describe`] wrote for all parts of a split.
    ///
    /// # Errors
    /// Missing or broken files.
    pub(super) fn open(dataset: Dataset, folder: &Path, name: &str, config: FeatureConfig) -> Result<Self> {
        let parts: Vec<[PathBuf; 3]> = (0..PARTS).map(|part| paths(folder, name, part)).collect();
        let all = |kind: usize| parts.iter().map(|paths| paths[kind].clone()).collect::<Vec<_>>();
        let (mut proposals, mut sizes) = (Vec::new(), Vec::new());
        for path in all(2) {
            let beside: Beside = serde_json::from_str(&files::read_text(&path)?)
                .with_context(|| format!("{}: compute the features again", path.display()))?;
            proposals.extend(beside.proposals);
            sizes.extend(beside.sizes);
        }
        let (features, maps) = (FeatureStore::open_all(&all(0))?, FeatureStore::open_all(&all(1))?);
        let n = dataset.pictures.len();
        let found = [features.len(), maps.len(), proposals.len()];
        ensure!(found == [n; 3], "{}: features of {found:?} images, expected {n}", folder.display());
        Ok(Self { dataset, proposals, features, maps, sizes, config })
    }

    /// Features of any boxes of an image, a row each, from its map in half precision.
    ///
    /// # Errors
    /// An empty map.
    pub(super) fn describe(&self, picture: usize, boxes: &[BoundingBox]) -> Result<Vec<Vec<f32>>> {
        let [height, width] = self.sizes[picture];
        let map = FeatureMap::new(height, width, self.maps.width(), self.maps.all_rows(picture))?;
        let pooled =
            map.described(boxes, self.config.enlarge / STRIDE, self.config.cells, self.config.pooling)?;
        Ok(pooled.chunks_exact(self.features.width()).map(<[f32]>::to_vec).collect())
    }

    /// Images with a class and images without it, by place.
    pub(super) fn sides_of(&self, class: usize) -> (Vec<usize>, Vec<usize>) {
        (0..self.dataset.pictures.len()).partition(|&place| self.dataset.pictures[place].has(class))
    }

    /// Objects of a class in an image that count.
    pub(super) fn objects(&self, picture: usize, class: usize) -> impl Iterator<Item = &Object> {
        self.dataset.pictures[picture]
            .objects
            .iter()
            .filter(move |object| object.class == class && object.counts())
    }
}
