//! Average spectra: where generators leave their traces.

use image::{GrayImage, RgbImage};
use rustfft::FftPlanner;
use rustfft::num_complex::Complex64;

/// The mean over images of one size of the logarithm of their spectra.
#[derive(Clone, Debug)]
pub struct AverageSpectrum {
    width: usize,
    height: usize,
    sum: Vec<f64>,
    n: usize,
}

impl AverageSpectrum {
    /// Of no image yet.
    pub fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width as usize, height as usize);
        Self { width, height, sum: vec![0.0; width * height], n: 0 }
    }

    /// Takes an image in.
    ///
    /// # Panics
    /// For an image of another size.
    pub fn add(&mut self, image: &RgbImage) {
        assert_eq!(image.dimensions(), (self.width as u32, self.height as u32), "images of one size");
        for (sum, value) in self.sum.iter_mut().zip(log_magnitude(&residual(image), self.width, self.height))
        {
            *sum += value;
        }
        self.n += 1;
    }

    /// Number of images.
    pub fn count(&self) -> usize {
        self.n
    }

    /// Mean of `log₁₀(1 + |F|)` by row and column, the mean of the image in the middle.
    pub fn values(&self) -> Vec<Vec<f64>> {
        let rows = (0..self.height).map(|y| {
            let row = (y + self.height - self.height / 2) % self.height;
            let value = |x: usize| {
                let column = (x + self.width - self.width / 2) % self.width;
                self.sum[row * self.width + column] / self.n.max(1) as f64
            };
            (0..self.width).map(value).collect()
        });
        rows.collect()
    }

    /// How far the spectrum at the frequencies where a doubling repeats (half and quarter of a cycle per pixel along either axis)
    /// stands above its neighbours: mean difference to the four bins two steps away along both diagonals.
    pub fn peaks(&self) -> f64 {
        let (w, h) = (self.width, self.height);
        let at = |row: usize, column: usize| self.sum[row % h * w + column % w] / self.n.max(1) as f64;
        let places = [(h / 2, 0), (0, w / 2), (h / 2, w / 2), (h / 4, 0), (0, w / 4), (h / 4, w / 4)];
        let over = places.map(|(row, column)| {
            let around = [(2, 2), (2, w - 2), (h - 2, 2), (h - 2, w - 2)];
            at(row, column) - around.iter().map(|(dy, dx)| at(row + dy, column + dx)).sum::<f64>() / 4.0
        });
        over.iter().sum::<f64>() / over.len() as f64
    }
}

/// `log₁₀(1 + |F|)` of the grey values of a picture by row and column, the mean in the middle.
pub fn of_picture(image: &RgbImage) -> Vec<Vec<f64>> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let grey = |pixel: &image::Rgb<u8>| pixel.0.iter().map(|byte| f64::from(*byte)).sum::<f64>() / 3.0;
    let values: Vec<f64> = image.pixels().map(grey).collect();
    let sum = log_magnitude(&values, width, height);
    AverageSpectrum { width, height, sum, n: 1 }.values()
}

/// Grey values less the mean of their 3x3 surroundings: what is left is mostly noise and traces.
fn residual(image: &RgbImage) -> Vec<f64> {
    let (width, height) = (i64::from(image.width()), i64::from(image.height()));
    let grey = |x: i64, y: i64| {
        let pixel = image.get_pixel(x.clamp(0, width - 1) as u32, y.clamp(0, height - 1) as u32).0;
        pixel.iter().map(|byte| f64::from(*byte)).sum::<f64>() / 3.0
    };
    let around = |x: i64, y: i64| {
        (-1..=1)
            .flat_map(|dy| (-1..=1).map(move |dx| (dx, dy)))
            .map(|(dx, dy)| grey(x + dx, y + dy))
            .sum::<f64>()
    };
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    places.map(|(x, y)| grey(x, y) - around(x, y) / 9.0).collect()
}

/// `log₁₀(1 + |F|)` of the unshifted spectrum of `[height, width]` numbers.
fn log_magnitude(values: &[f64], width: usize, height: usize) -> Vec<f64> {
    let mut planner = FftPlanner::new();
    let mut data: Vec<Complex64> = values.iter().map(|value| Complex64::new(*value, 0.0)).collect();
    planner.plan_fft_forward(width).process(&mut data);
    let columns = planner.plan_fft_forward(height);
    for x in 0..width {
        let mut column: Vec<Complex64> = (0..height).map(|y| data[y * width + x]).collect();
        columns.process(&mut column);
        column.into_iter().enumerate().for_each(|(y, value)| data[y * width + x] = value);
    }
    data.iter().map(|value| (1.0 + value.norm()).log10()).collect()
}

/// Values by row and column as a picture, from `low` (black) to `high` (white).
///
/// # Panics
/// Without rows.
pub fn picture(values: &[Vec<f64>], low: f64, high: f64) -> GrayImage {
    GrayImage::from_fn(values[0].len() as u32, values.len() as u32, |x, y| {
        let part = (values[y as usize][x as usize] - low) / (high - low).max(f64::MIN_POSITIVE);
        image::Luma([(255.0 * part).round().clamp(0.0, 255.0) as u8])
    })
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn a_checkerboard_stands_out_at_the_corner_of_the_spectrum() {
        let mut spectrum = AverageSpectrum::new(16, 16);
        spectrum.add(&RgbImage::from_fn(16, 16, |x, y| {
            image::Rgb([if (x + y) % 2 == 0 { 100 } else { 120 }; 3])
        }));
        let values = spectrum.values();
        let highest = values.iter().flatten().copied().fold(0.0, f64::max);
        assert_eq!(values[0][0], highest); // half a cycle per pixel along both axes, shifted
    }

    #[test]
    fn peaks_grow_when_a_grid_of_a_doubling_is_added_to_noise() {
        let mut rng = common::seed::rng(1, "peaks", 0);
        let noise = RgbImage::from_fn(64, 64, |_, _| image::Rgb([rng.random_range(80..160); 3]));
        let mut gridded = noise.clone();
        gridded.enumerate_pixels_mut().filter(|(x, y, _)| (x + y) % 2 == 0).for_each(|(_, _, pixel)| {
            pixel.0 = pixel.0.map(|byte| byte + 30);
        });
        let peaks = |image: &RgbImage| {
            let mut spectrum = AverageSpectrum::new(64, 64);
            spectrum.add(image);
            spectrum.peaks()
        };
        assert!(peaks(&gridded) > peaks(&noise) + 0.1, "{} {}", peaks(&gridded), peaks(&noise));
    }
}
