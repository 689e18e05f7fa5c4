//! What happens to a training image, in the order of the official code:
//!
//! mask on the whole image → resize (short side) → blur → JPEG → random crop → horizontal flip → bytes to numbers.
//!
//! Every step is optional; the order is fixed and is the one of the fields of [`Augmentation`].

use common::seed;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, ImageError, RgbImage};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::mask::Masker;

/// The steps of training, first to last, after the mask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Short side after a bilinear resize; absent: as it is. Official code: 256.
    pub short_side: Option<u32>,
    /// Probability of a Gaussian blur. Official code: 0.1.
    pub blur_probability: f64,
    /// Largest σ of the blur in pixels, drawn uniformly from 0. Official code: 3.
    pub blur_sigma: f64,
    /// Probability of a JPEG pass. Official code: 0.1.
    pub jpeg_probability: f64,
    /// Qualities, one of which is drawn. Official code: 30 or 100, nothing between.
    pub jpeg_qualities: Vec<u8>,
    /// Side of the random crop; smaller images are padded with black. Official code: 224.
    pub crop: u32,
    /// Whether half of the images are mirrored.
    pub flip: bool,
}

impl Augmentation {
    /// The official code's settings.
    pub fn official() -> Self {
        Self {
            short_side: Some(256),
            blur_probability: 0.1,
            blur_sigma: 3.0,
            jpeg_probability: 0.1,
            jpeg_qualities: vec![30, 100],
            crop: 224,
            flip: true,
        }
    }

    /// The training image: everything drawn from seed, image number and epoch.
    ///
    /// # Errors
    /// A JPEG that cannot be encoded, such as one of 70,000 pixels a side.
    pub fn training(
        &self,
        image: &RgbImage,
        masker: Option<&Masker>,
        seed: u64,
        index: u64,
        epoch: u64,
    ) -> Result<RgbImage, ImageError> {
        let mut rng = seed::rng(seed::derive(seed, "augmentation", epoch), "image", index);
        let masked = masker.map(|masker| masker.apply(image, seed, index, epoch));
        let mut image = self.resized(masked.as_ref().unwrap_or(image));
        if rng.random::<f64>() < self.blur_probability {
            image = blur(&image, rng.random::<f64>() * self.blur_sigma);
        }
        if rng.random::<f64>() < self.jpeg_probability && !self.jpeg_qualities.is_empty() {
            let quality = self.jpeg_qualities[rng.random_range(0..self.jpeg_qualities.len())];
            image = jpeg(&image, quality)?;
        }
        let (right, down) = (rng.random::<f64>(), rng.random::<f64>());
        let place = |size: u32, at: f64| (f64::from(size.saturating_sub(self.crop) + 1) * at) as u32;
        let (x, y) = (place(image.width(), right), place(image.height(), down));
        let mut crop = cropped(&image, x, y, self.crop);
        if self.flip && rng.random::<bool>() {
            imageops::flip_horizontal_in_place(&mut crop);
        }
        Ok(crop)
    }

    /// The validation image: masked, resized, cropped in the middle.
    pub fn validation(&self, image: &RgbImage, masker: Option<&Masker>, seed: u64, index: u64) -> RgbImage {
        let masked = masker.map(|masker| masker.apply(image, seed, index, u64::MAX));
        centre(&self.resized(masked.as_ref().unwrap_or(image)), self.crop)
    }

    /// The test image: the middle of the original, neither masked nor resized.
    pub fn test(&self, image: &RgbImage) -> RgbImage {
        centre(image, self.crop)
    }

    fn resized(&self, image: &RgbImage) -> RgbImage {
        let (width, height) = image.dimensions();
        let short = width.min(height);
        match self.short_side {
            Some(side) if side != short => {
                let scaled = |size: u32| (u64::from(size) * u64::from(side) / u64::from(short)).max(1) as u32;
                imageops::resize(image, scaled(width), scaled(height), FilterType::Triangle)
            }
            _ => image.clone(),
        }
    }
}

/// A square with its upper left corner at `x`, `y`; what lies outside of the image is black.
pub fn cropped(image: &RgbImage, x: u32, y: u32, side: u32) -> RgbImage {
    let view = imageops::crop_imm(image, x, y, side, side).to_image();
    if view.dimensions() == (side, side) {
        return view;
    }
    let mut padded = RgbImage::new(side, side);
    let at = |size: u32| i64::from((side - size) / 2);
    imageops::replace(&mut padded, &view, at(view.width()), at(view.height()));
    padded
}

/// The square in the middle.
pub fn centre(image: &RgbImage, side: u32) -> RgbImage {
    let at = |size: u32| size.saturating_sub(side) / 2;
    cropped(image, at(image.width()), at(image.height()), side)
}

/// Compressed and decompressed.
///
/// # Errors
/// An image that JPEG cannot hold.
pub fn jpeg(image: &RgbImage, quality: u8) -> Result<RgbImage, ImageError> {
    let mut bytes = Vec::new();
    let (width, height) = image.dimensions();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode(
        image,
        width,
        height,
        ExtendedColorType::Rgb8,
    )?;
    Ok(image::load_from_memory(&bytes)?.into_rgb8())
}

/// Gaussian blur by separate passes, truncated at four σ and mirrored at the border, as SciPy's `gaussian_filter`.
pub fn blur(image: &RgbImage, sigma: f64) -> RgbImage {
    let radius = (4.0 * sigma + 0.5) as i64;
    if radius == 0 {
        return image.clone();
    }
    let weights: Vec<f64> = (-radius..=radius).map(|d| (-0.5 * (d as f64 / sigma).powi(2)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let weights: Vec<f32> = weights.iter().map(|weight| (weight / sum) as f32).collect();
    let down = along(image, &weights, radius, |x, y, d| (x, y + d));
    along(&down, &weights, radius, |x, y, d| (x + d, y))
}

fn along(
    image: &RgbImage,
    weights: &[f32],
    radius: i64,
    at: impl Fn(i64, i64, i64) -> (i64, i64),
) -> RgbImage {
    let (width, height) = image.dimensions();
    RgbImage::from_fn(width, height, |x, y| {
        let mut sums = [0.0; 3];
        for (weight, d) in weights.iter().zip(-radius..=radius) {
            let (x, y) = at(i64::from(x), i64::from(y), d);
            let pixel = image.get_pixel(mirrored(x, width), mirrored(y, height)).0;
            for (sum, byte) in sums.iter_mut().zip(pixel) {
                *sum += weight * f32::from(byte);
            }
        }
        image::Rgb(sums.map(|sum| sum as u8))
    })
}

/// Index of a mirrored continuation `d c b a | a b c d | d c b a`.
fn mirrored(at: i64, size: u32) -> u32 {
    let period = at.rem_euclid(2 * i64::from(size)) as u32;
    period.min(2 * size - 1 - period)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::{Band, FrequencyMask, Kind, Mask};

    fn image() -> RgbImage {
        RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * 6) as u8, (y * 8) as u8, ((x ^ y) * 3) as u8]))
    }

    #[test]
    fn a_border_is_mirrored() {
        let row: Vec<u32> = (-5..6).map(|at| mirrored(at, 3)).collect();
        assert_eq!(row, [1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0]);
    }

    #[test]
    fn the_mask_comes_before_the_crop() {
        // A mask drawn on the whole image, cropped: not a mask drawn on the crop.
        let mask = Mask::new(Kind::Frequency(FrequencyMask::clean(Band::All)), 0.3).unwrap();
        let masker = Masker::new(mask);
        let plain = Augmentation {
            short_side: None,
            blur_probability: 0.0,
            jpeg_probability: 0.0,
            flip: false,
            crop: 16,
            ..Augmentation::official()
        };
        let image = image();
        let ours = plain.training(&image, Some(&masker), 1, 2, 3).unwrap();
        let whole = masker.apply(&image, 1, 2, 3);
        let found = (0..=24).flat_map(|x| (0..=14).map(move |y| (x, y)));
        assert_eq!(found.filter(|(x, y)| cropped(&whole, *x, *y, 16) == ours).count(), 1);
        assert_eq!(plain.test(&image), centre(&image, 16));
    }

    #[test]
    fn small_images_are_padded_with_black() {
        let padded = centre(&RgbImage::from_pixel(3, 5, image::Rgb([7; 3])), 6);
        assert_eq!(padded.dimensions(), (6, 6));
        assert_eq!(padded.pixels().filter(|pixel| pixel.0 == [7; 3]).count(), 15);
    }

    #[test]
    fn augmentation_follows_from_seed_image_and_epoch() {
        let official = Augmentation { crop: 20, short_side: Some(30), ..Augmentation::official() };
        let draw = |epoch| official.training(&image(), None, 1, 2, epoch).unwrap();
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }
}
