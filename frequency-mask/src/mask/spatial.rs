//! Masks of pixels and patches, and a control without mean.

use image::RgbImage;
use rand::Rng;

use super::draw::{draw, share};

/// Largest patch of the official code.
const PATCH: u32 = 16;

/// `⌈ratio · pixels⌉` random pixels black in all channels.
pub(super) fn pixels(image: &RgbImage, ratio: f64, rng: &mut impl Rng) -> RgbImage {
    let total = image.width() as usize * image.height() as usize;
    let mut out = image.clone();
    let bytes: &mut [u8] = &mut out;
    draw(rng, total, share(total, ratio), |index| bytes[3 * index..3 * index + 3].fill(0));
    out
}

/// Side of the patches: 16, or the largest number below that divides both sides; 1 for awkward sizes, as in the official code.
pub(super) fn patch_side(width: u32, height: u32) -> u32 {
    (1..=PATCH).rev().find(|side| width.is_multiple_of(*side) && height.is_multiple_of(*side)).unwrap_or(1)
}

/// `⌈ratio · patches⌉` random patches black; with `spill` also the row and the column behind each.
pub(super) fn patches(image: &RgbImage, ratio: f64, spill: bool, rng: &mut impl Rng) -> RgbImage {
    let (width, height) = image.dimensions();
    let side = patch_side(width, height);
    let across = (width / side) as usize;
    let total = across * (height / side) as usize;
    let mut out = image.clone();
    draw(rng, total, share(total, ratio), |index| {
        blacken(&mut out, (index % across) as u32 * side, (index / across) as u32 * side, side, spill);
    });
    out
}

fn blacken(image: &mut RgbImage, x: u32, y: u32, side: u32, spill: bool) {
    let (width, height) = image.dimensions();
    let reach = side + u32::from(spill);
    let (right, bottom) = ((x + reach).min(width), (y + reach).min(height));
    let bytes: &mut [u8] = image;
    for row in y..bottom {
        let line = row as usize * width as usize;
        bytes[3 * (line + x as usize)..3 * (line + right as usize)].fill(0);
    }
}

/// With probability `ratio` the mean of each channel removed, clamped.
pub(super) fn without_mean(image: &RgbImage, ratio: f64, rng: &mut impl Rng) -> RgbImage {
    let mut out = image.clone();
    if rng.random::<f64>() >= ratio {
        return out;
    }
    let pixels = f64::from(image.width()) * f64::from(image.height());
    for channel in 0..3 {
        let sum: f64 = image.pixels().map(|pixel| f64::from(pixel.0[channel])).sum();
        let mean = sum / pixels;
        for pixel in out.pixels_mut() {
            pixel.0[channel] = (f64::from(pixel.0[channel]) - mean).round().clamp(0.0, 255.0) as u8;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn patches_divide_the_image_and_spill_where_the_official_code_does() {
        assert_eq!(patch_side(224, 224), 16);
        assert_eq!(patch_side(500, 333), 1);
        assert_eq!(patch_side(480, 320), 16);
        assert_eq!(patch_side(30, 45), 15);
        let mut image = RgbImage::from_pixel(8, 8, Rgb([9; 3]));
        blacken(&mut image, 4, 0, 4, true);
        let black = |image: &RgbImage| image.pixels().filter(|pixel| pixel.0 == [0; 3]).count();
        assert_eq!(black(&image), 20); // five rows of four: the right edge cuts the fifth column
        let mut image = RgbImage::from_pixel(8, 8, Rgb([9; 3]));
        blacken(&mut image, 4, 0, 4, false);
        assert_eq!(black(&image), 16);
    }

    #[test]
    fn masked_pixels_are_black_in_all_channels_and_counted_upwards() {
        let image = RgbImage::from_pixel(7, 5, Rgb([9; 3]));
        let masked = pixels(&image, 0.15, &mut common::seed::rng(1, "pixels", 0));
        assert_eq!(masked.pixels().filter(|pixel| pixel.0 == [0; 3]).count(), 6); // ⌈5.25⌉
    }
}
