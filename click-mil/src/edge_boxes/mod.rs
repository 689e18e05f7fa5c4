//! EdgeBoxes (Zitnick and Dollár, ECCV 2014): object proposals from the contours that a box holds whole.
//!
//! Edges are grouped into segments; a box scores the strength of the segments inside it, less those that are connected to its
//! border, less its centre, over its size. Boxes of a sliding window above the minimum are refined, sorted and thinned out.
//!
//! Boxes and scores are those of OpenCV's `ximgproc::EdgeBoxes` for the same edges: sums are taken in the same order, in f32.
//! OpenCV shifts its boxes by one pixel to the right and down; ours are not shifted.

mod score;
mod search;
mod segments;
mod sort;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::edges::EdgeMap;
use crate::geometry::BoundingBox;
use score::{Scorer, Tables};
use segments::Segments;

/// A proposed box with its score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Where.
    pub bbox: BoundingBox,
    /// Strength of its contours, scaled by its size; comparable within an image only.
    pub score: f32,
}

/// Parameters, by the names of the authors' program.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Overlap of neighbours in the sliding window. Authors: 0.65.
    pub alpha: f32,
    /// Overlap above which the weaker of two boxes is dropped. Authors: 0.75.
    pub beta: f32,
    /// Factor on `beta` after each kept box while it is above 0.5. Authors: 1.
    pub eta: f32,
    /// Smallest score of a box. Authors: 0.01.
    pub min_score: f32,
    /// Most boxes per image. Authors: 10,000.
    pub max_boxes: usize,
    /// Edges up to this strength are none. Authors: 0.1.
    pub edge_min_mag: f32,
    /// Accumulated turn, in half circles, at which a segment ends. Authors: 0.5.
    pub edge_merge_thr: f32,
    /// Segments up to this summed strength are dissolved into their neighbours. Authors: 0.5.
    pub cluster_min_mag: f32,
    /// Longest side ratio of the sliding window. Authors: 3.
    pub max_aspect_ratio: f32,
    /// Smallest window, in pixels. Authors: 1,000.
    pub min_box_area: f32,
    /// Exponent of the affinity of segments. Authors: 2.
    pub gamma: f32,
    /// Exponent on the size of a box. Authors: 1.5.
    pub kappa: f32,
}

/// A parameter out of its range.
#[derive(Debug, Error, PartialEq)]
#[error("EdgeBoxes: `{name}` is {found}; expected {expected}")]
pub struct ConfigError {
    name: &'static str,
    found: f32,
    expected: &'static str,
}

impl Config {
    /// The defaults of the authors' program and of OpenCV.
    pub const fn authors() -> Self {
        Self {
            alpha: 0.65,
            beta: 0.75,
            eta: 1.0,
            min_score: 0.01,
            max_boxes: 10_000,
            edge_min_mag: 0.1,
            edge_merge_thr: 0.5,
            cluster_min_mag: 0.5,
            max_aspect_ratio: 3.0,
            min_box_area: 1000.0,
            gamma: 2.0,
            kappa: 1.5,
        }
    }

    /// Refuses what no search could use.
    ///
    /// # Errors
    /// [`ConfigError`] names the first parameter out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let between = |value: f32, low: f32, high: f32| value > low && value < high;
        let checks = [
            ("alpha", self.alpha, between(self.alpha, 0.0, 1.0), "a number between 0 and 1"),
            ("beta", self.beta, self.beta > 0.0 && self.beta <= 1.0, "a number above 0, at most 1"),
            ("eta", self.eta, self.eta > 0.0 && self.eta <= 1.0, "a number above 0, at most 1"),
            ("min_score", self.min_score, self.min_score > 0.0, "a positive number"),
            ("edge_min_mag", self.edge_min_mag, self.edge_min_mag >= 0.0, "0 or more"),
            ("edge_merge_thr", self.edge_merge_thr, self.edge_merge_thr > 0.0, "a positive number"),
            ("cluster_min_mag", self.cluster_min_mag, self.cluster_min_mag >= 0.0, "0 or more"),
            ("max_aspect_ratio", self.max_aspect_ratio, self.max_aspect_ratio >= 1.0, "1 or more"),
            ("min_box_area", self.min_box_area, self.min_box_area >= 16.0, "16 pixels or more"),
            ("gamma", self.gamma, self.gamma > 0.0, "a positive number"),
            ("kappa", self.kappa, self.kappa > 0.0, "a positive number"),
        ];
        match checks.into_iter().find(|(_, value, holds, _)| !holds || !value.is_finite()) {
            Some((name, found, _, expected)) => Err(ConfigError { name, found, expected }),
            None => Ok(()),
        }
    }
}

/// Proposals of an image, best first; the work is shared among the threads of the current rayon pool.
///
/// Equal scores stand in the order of OpenCV built with GNU's C++ library, whose sorting is not stable. An image of fewer than 3
/// pixels on a side has no edges and so no proposals.
///
/// # Errors
/// [`ConfigError`].
pub fn propose(edges: &EdgeMap, config: &Config) -> Result<Vec<Proposal>, ConfigError> {
    config.validate()?;
    if edges.width() < 3 || edges.height() < 3 {
        return Ok(Vec::new());
    }
    let segments = Segments::new(edges, config);
    let tables = Tables::new(edges, &segments, config);
    let found = search::all(&tables, config);
    let kept = search::thin_out(found, config);
    let proposal = |found: &score::Candidate| {
        let [x0, y0] = [found.x, found.y].map(f64::from);
        let bbox = BoundingBox::new(x0, y0, x0 + f64::from(found.w), y0 + f64::from(found.h));
        Proposal { bbox, score: found.score }
    };
    Ok(kept.iter().map(proposal).collect())
}

/// Score of one box, which is clipped into the image first; 0 below the minimum.
///
/// # Errors
/// [`ConfigError`].
pub fn score(edges: &EdgeMap, bbox: [i32; 4], config: &Config) -> Result<f32, ConfigError> {
    config.validate()?;
    if edges.width() < 3 || edges.height() < 3 {
        return Ok(0.0);
    }
    let segments = Segments::new(edges, config);
    let tables = Tables::new(edges, &segments, config);
    let [x0, y0, x1, y1] = bbox;
    let candidate = score::Candidate { x: x0, y: y0, w: x1 - x0, h: y1 - y0, score: 0.0 };
    Ok(Scorer::new(&tables).score(candidate, 0.0).score)
}
