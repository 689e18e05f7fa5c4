//! Pooling of a feature map over boxes: RoIAlign (He et al. 2017) and RoIPool (Girshick 2015), as torchvision computes them.
//!
//! Maps are held with channels last, so that each tap adds a whole row of channels.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::geometry::BoundingBox;

/// A feature map, `[height, width, channels]`.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureMap {
    height: usize,
    width: usize,
    channels: usize,
    values: Vec<f32>,
}

/// How a box's cells are filled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Mean of bilinear samples.
    Align {
        /// Samples per cell and side; 0 takes as many as a cell has pixels of the map.
        samples: usize,
        /// Shifts boxes by half a pixel of the map, so that its values stand at the centres of their pixels.
        aligned: bool,
    },
    /// Maximum over the pixels of a cell, whose borders are rounded outwards.
    Max,
}

/// A feature map or boxes that cannot be pooled.
#[derive(Debug, Error, PartialEq)]
pub enum RoiError {
    /// A number of values that is not height × width × channels.
    #[error("a feature map of {height}×{width}×{channels} has {found} values")]
    Length {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Channels.
        channels: usize,
        /// How many there are.
        found: usize,
    },
    /// No pixels or no cells.
    #[error("pooling {height}×{width} pixels into {cells}×{cells} cells; expected at least one of each")]
    Empty {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Cells per side.
        cells: usize,
    },
}

impl FeatureMap {
    /// Map from values in the order `[height, width, channels]`.
    ///
    /// # Errors
    /// [`RoiError::Length`].
    pub fn new(height: usize, width: usize, channels: usize, values: Vec<f32>) -> Result<Self, RoiError> {
        if values.len() != height * width * channels {
            return Err(RoiError::Length { height, width, channels, found: values.len() });
        }
        Ok(Self { height, width, channels, values })
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Values in the order `[height, width, channels]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Features of boxes, `[boxes, cells², channels]` by rows, cells from the upper left on. `scale` is the map's pixels per pixel of
    /// the image, 1/16 for a network of stride 16.
    ///
    /// # Errors
    /// [`RoiError::Empty`].
    pub fn pool(
        &self,
        boxes: &[BoundingBox],
        scale: f64,
        cells: usize,
        pooling: Pooling,
    ) -> Result<Vec<f32>, RoiError> {
        if self.height == 0 || self.width == 0 || cells == 0 {
            return Err(RoiError::Empty { height: self.height, width: self.width, cells });
        }
        let row = cells * cells * self.channels;
        let mut pooled = vec![0.0; boxes.len() * row];
        pooled.par_chunks_mut(row.max(1)).zip(boxes).for_each(|(out, bbox)| {
            let sides = [bbox.x0, bbox.y0, bbox.x1, bbox.y1].map(|side| side as f32);
            match pooling {
                Pooling::Align { samples, aligned } => {
                    self.align(out, sides, scale as f32, cells, samples, aligned);
                }
                Pooling::Max => self.max(out, sides, scale as f32, cells),
            }
        });
        Ok(pooled)
    }

    /// As [`Self::pool`], each row scaled to length 1.
    ///
    /// # Errors
    /// [`RoiError::Empty`].
    pub fn described(
        &self,
        boxes: &[BoundingBox],
        scale: f64,
        cells: usize,
        pooling: Pooling,
    ) -> Result<Vec<f32>, RoiError> {
        let mut features = self.pool(boxes, scale, cells, pooling)?;
        for row in features.chunks_exact_mut((cells * cells * self.channels).max(1)) {
            let length = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
            if length > 0.0 {
                row.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
            }
        }
        Ok(features)
    }

    fn align(
        &self,
        out: &mut [f32],
        sides: [f32; 4],
        scale: f32,
        cells: usize,
        samples: usize,
        aligned: bool,
    ) {
        let shift = if aligned { 0.5 } else { 0.0 };
        let [x0, y0, x1, y1] = sides.map(|side| side * scale - shift);
        let least = if aligned { f32::NEG_INFINITY } else { 1.0 };
        let [cell_w, cell_h] = [x1 - x0, y1 - y0].map(|side| side.max(least) / cells as f32);
        let per_side = |cell: f32| if samples > 0 { samples } else { cell.ceil().max(0.0) as usize };
        let (across, down) = (per_side(cell_w), per_side(cell_h));
        let share = 1.0 / (across * down).max(1) as f32;
        for (place, out) in out.chunks_exact_mut(self.channels).enumerate() {
            let (row, column) = (place / cells, place % cells);
            for sample in 0..across * down {
                let at = |sample: usize, n: usize, cell: f32, index: usize, start: f32| {
                    start + index as f32 * cell + (sample as f32 + 0.5) * cell / n as f32
                };
                let y = at(sample / across, down, cell_h, row, y0);
                let x = at(sample % across, across, cell_w, column, x0);
                let (Some(y), Some(x)) = (taps(y, self.height), taps(x, self.width)) else { continue };
                for (y, by_y) in y {
                    for (x, by_x) in x {
                        self.add(out, y, x, by_y * by_x * share);
                    }
                }
            }
        }
    }

    fn add(&self, out: &mut [f32], y: usize, x: usize, weight: f32) {
        out.iter_mut().zip(self.at(y, x)).for_each(|(out, value)| *out += weight * value);
    }

    fn at(&self, y: usize, x: usize) -> &[f32] {
        let start = (y * self.width + x) * self.channels;
        &self.values[start..start + self.channels]
    }

    fn max(&self, out: &mut [f32], sides: [f32; 4], scale: f32, cells: usize) {
        // C++'s `round`: halves away from zero.
        let [x0, y0, x1, y1] = sides.map(|side| (side * scale).round());
        let [cell_w, cell_h] = [x1 - x0, y1 - y0].map(|side| (side + 1.0).max(1.0) / cells as f32);
        let range = |index: usize, cell: f32, start: f32, size: usize| {
            let from = (index as f32 * cell).floor() + start;
            let to = ((index + 1) as f32 * cell).ceil() + start;
            from.clamp(0.0, size as f32) as usize..to.clamp(0.0, size as f32) as usize
        };
        for (place, out) in out.chunks_exact_mut(self.channels).enumerate() {
            let (rows, columns) =
                (range(place / cells, cell_h, y0, self.height), range(place % cells, cell_w, x0, self.width));
            if rows.is_empty() || columns.is_empty() {
                continue;
            }
            out.fill(f32::NEG_INFINITY);
            for y in rows {
                for x in columns.clone() {
                    out.iter_mut().zip(self.at(y, x)).for_each(|(out, &value)| *out = out.max(value));
                }
            }
        }
    }
}

/// The two pixels beside a place with their weights; `None` more than a pixel outside.
fn taps(at: f32, size: usize) -> Option<[(usize, f32); 2]> {
    if at < -1.0 || at > size as f32 {
        return None;
    }
    let at = at.max(0.0);
    let low = at as usize;
    if low + 1 >= size {
        return Some([(size - 1, 1.0), (size - 1, 0.0)]);
    }
    let high = at - low as f32;
    Some([(low, 1.0 - high), (low + 1, high)])
}
