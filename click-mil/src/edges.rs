//! Edges without a learned model: colour gradients, thinned to ridges.

use image::RgbImage;
use rayon::prelude::*;
use std::f32::consts::PI;
use thiserror::Error;

/// Standard deviation of the smoothing before the gradient, in pixels. Ours: best recall of 1.0, 1.5 and 2.0 on photographs.
pub const SIGMA: f32 = 1.5;

/// Edge strength and the direction of the edge's normal for each pixel, by rows.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeMap {
    width: usize,
    height: usize,
    strength: Vec<f32>,
    orientation: Vec<f32>,
}

/// Values that make no edge map.
#[derive(Debug, Error, PartialEq)]
pub enum EdgeMapError {
    /// Too few or too many values.
    #[error("an edge map of {width}×{height} pixels has {found} values of {what}; expected {expected}")]
    Length {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// `strength` or `orientation`.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A value that is not a number, or too large an image.
    #[error("an edge map holds {found} as {what} at pixel ({x}, {y}); expected {expected}")]
    Value {
        /// Column.
        x: usize,
        /// Row.
        y: usize,
        /// `strength` or `orientation`.
        what: &'static str,
        /// The value.
        found: f32,
        /// What it should be.
        expected: &'static str,
    },
    /// More pixels on a side than a 16-bit place holds.
    #[error(
        "an edge map of {width}×{height} pixels is too large; expected at most 65535 on a side: reduce the image"
    )]
    Size {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
}

impl EdgeMap {
    /// Edge map from values by rows: strengths from 0, orientations in `[0, π)`.
    ///
    /// # Errors
    /// [`EdgeMapError`] for a wrong number of values and values out of range.
    pub fn new(
        width: usize,
        height: usize,
        strength: Vec<f32>,
        orientation: Vec<f32>,
    ) -> Result<Self, EdgeMapError> {
        let size = usize::from(u16::MAX);
        if width > size || height > size {
            return Err(EdgeMapError::Size { width, height });
        }
        let expected = width * height;
        let kinds =
            [("strength", &strength, "a number of 0 or more"), ("orientation", &orientation, "a number")];
        for (what, values, should) in kinds {
            if values.len() != expected {
                return Err(EdgeMapError::Length { width, height, what, found: values.len(), expected });
            }
            let bad = |value: &f32| !value.is_finite() || (what == "strength" && *value < 0.0);
            if let Some(at) = values.iter().position(bad) {
                let (x, y) = (at % width, at / width);
                return Err(EdgeMapError::Value { x, y, what, found: values[at], expected: should });
            }
        }
        Ok(Self { width, height, strength, orientation })
    }

    /// Edges of an image: Gaussian of [`SIGMA`], Sobel per channel, the channel of the greatest gradient, divided by the image's
    /// maximum, thinned along the normal at ±1 and ±2 pixels.
    ///
    /// # Errors
    /// [`EdgeMapError::Size`].
    pub fn of_image(image: &RgbImage) -> Result<Self, EdgeMapError> {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let size = usize::from(u16::MAX);
        if width > size || height > size {
            return Err(EdgeMapError::Size { width, height });
        }
        let channels: Vec<Vec<f32>> =
            (0..3).into_par_iter().map(|channel| smoothed(image, channel)).collect();
        let (mut strength, mut orientation) = (vec![0.0; width * height], vec![0.0; width * height]);
        strength.par_chunks_mut(width).zip(orientation.par_chunks_mut(width)).enumerate().for_each(
            |(y, (strengths, orientations))| {
                for x in 0..width {
                    let [dx, dy] = steepest(&channels, width, height, x, y);
                    strengths[x] = (dx * dx + dy * dy).sqrt();
                    orientations[x] = half_circle(dy.atan2(dx));
                }
            },
        );
        let greatest = strength.iter().copied().fold(0.0_f32, f32::max);
        if greatest > 0.0 {
            strength.iter_mut().for_each(|value| *value /= greatest);
        }
        let full = Self { width, height, strength, orientation };
        let strength = full.ridges();
        Ok(Self { strength, ..full })
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Strength of each pixel by rows.
    pub fn strength(&self) -> &[f32] {
        &self.strength
    }

    /// Direction of the edge's normal at each pixel by rows, in `[0, π)`.
    pub fn orientation(&self) -> &[f32] {
        &self.orientation
    }

    /// Strengths with 0 wherever a neighbour along the normal is stronger.
    fn ridges(&self) -> Vec<f32> {
        let mut thin = self.strength.clone();
        thin.par_chunks_mut(self.width.max(1)).enumerate().for_each(|(y, row)| {
            for (x, value) in row.iter_mut().enumerate() {
                let (sin, cos) = self.orientation[y * self.width + x].sin_cos();
                let stronger = [-2.0, -1.0, 1.0, 2.0]
                    .into_iter()
                    .any(|step: f32| self.between(x as f32 + step * cos, y as f32 + step * sin) > *value);
                if stronger {
                    *value = 0.0;
                }
            }
        });
        thin
    }

    /// Strength between pixels, bilinear; beyond the border that of the border.
    fn between(&self, x: f32, y: f32) -> f32 {
        let (x, y) = (x.clamp(0.0, self.width as f32 - 1.0), y.clamp(0.0, self.height as f32 - 1.0));
        let (left, top) = (x as usize, y as usize);
        let (right, bottom) = ((left + 1).min(self.width - 1), (top + 1).min(self.height - 1));
        let (across, down) = (x - left as f32, y - top as f32);
        let at = |x: usize, y: usize| self.strength[y * self.width + x];
        let upper = at(left, top) + across * (at(right, top) - at(left, top));
        let lower = at(left, bottom) + across * (at(right, bottom) - at(left, bottom));
        upper + down * (lower - upper)
    }
}

/// An angle as an orientation in `[0, π)`.
fn half_circle(angle: f32) -> f32 {
    let folded = if angle < 0.0 { angle + PI } else { angle };
    if folded >= PI { 0.0 } else { folded }
}

/// Place mirrored at the border pixels, which are not repeated.
fn mirrored(place: isize, size: usize) -> usize {
    let last = size as isize - 1;
    if last == 0 {
        return 0;
    }
    let place = place.rem_euclid(2 * last);
    place.min(2 * last - place) as usize
}

/// A channel in [0, 1], smoothed.
fn smoothed(image: &RgbImage, channel: usize) -> Vec<f32> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let reach = (4.0 * SIGMA).ceil() as isize;
    let mut kernel: Vec<f32> =
        (-reach..=reach).map(|at| (-(at * at) as f32 / (2.0 * SIGMA * SIGMA)).exp()).collect();
    let sum: f32 = kernel.iter().sum();
    kernel.iter_mut().for_each(|weight| *weight /= sum);
    let values: Vec<f32> = image.pixels().map(|pixel| f32::from(pixel.0[channel]) / 255.0).collect();
    let along = |place: usize, size: usize, value: &dyn Fn(usize) -> f32| -> f32 {
        let taps = (place as isize - reach..).zip(&kernel);
        taps.map(|(at, weight)| weight * value(mirrored(at, size))).sum()
    };
    let mut across = vec![0.0; values.len()];
    for (place, out) in across.iter_mut().enumerate() {
        let (x, y) = (place % width, place / width);
        *out = along(x, width, &|x| values[y * width + x]);
    }
    let mut down = vec![0.0; values.len()];
    for (place, out) in down.iter_mut().enumerate() {
        let (x, y) = (place % width, place / width);
        *out = along(y, height, &|y| across[y * width + x]);
    }
    down
}

/// Sobel gradient of the channel in which it is greatest.
fn steepest(channels: &[Vec<f32>], width: usize, height: usize, x: usize, y: usize) -> [f32; 2] {
    let columns = [-1, 0, 1].map(|step| mirrored(x as isize + step, width));
    let rows = [-1, 0, 1].map(|step| mirrored(y as isize + step, height) * width);
    let gradient = |channel: &Vec<f32>| {
        let at = |column: usize, row: usize| channel[rows[row] + columns[column]];
        let dx = (at(2, 0) - at(0, 0)) + 2.0 * (at(2, 1) - at(0, 1)) + (at(2, 2) - at(0, 2));
        let dy = (at(0, 2) - at(0, 0)) + 2.0 * (at(1, 2) - at(1, 0)) + (at(2, 2) - at(2, 0));
        [dx, dy]
    };
    let size = |[dx, dy]: [f32; 2]| dx * dx + dy * dy;
    let gradients = channels.iter().map(gradient);
    gradients.reduce(|best, next| if size(next) > size(best) { next } else { best }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_between_two_colours_is_one_thin_line() {
        let image =
            RgbImage::from_fn(20, 12, |x, _| image::Rgb(if x < 10 { [200, 0, 0] } else { [0, 0, 0] }));
        let edges = EdgeMap::of_image(&image).unwrap();
        for y in 0..12 {
            let strong: Vec<usize> = (0..20).filter(|x| edges.strength()[y * 20 + x] > 0.1).collect();
            assert!(strong == [9, 10] || strong == [9] || strong == [10], "row {y}: {strong:?}");
            assert!(edges.orientation()[y * 20 + 9].min(PI - edges.orientation()[y * 20 + 9]) < 1e-3);
        }
    }

    #[test]
    fn an_even_image_and_a_line_of_one_pixel_have_no_edges() {
        for (width, height) in [(9, 7), (9, 1), (1, 1), (2, 2)] {
            let edges =
                EdgeMap::of_image(&RgbImage::from_pixel(width, height, image::Rgb([7, 8, 9]))).unwrap();
            assert!(edges.strength().iter().all(|&value| value == 0.0));
        }
    }

    #[test]
    fn values_that_make_no_map_are_named() {
        let error = EdgeMap::new(2, 2, vec![0.0; 3], vec![0.0; 4]).unwrap_err().to_string();
        assert_eq!(error, "an edge map of 2×2 pixels has 3 values of strength; expected 4");
        let error = EdgeMap::new(2, 2, vec![0.0; 4], vec![0.0, 0.0, f32::NAN, 0.0]).unwrap_err().to_string();
        assert_eq!(error, "an edge map holds NaN as orientation at pixel (0, 1); expected a number");
    }
}
