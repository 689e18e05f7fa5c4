//! Images as CLIP takes them, equal to OpenAI's `_transform` byte by byte: the shorter side resized with Pillow's bicubic filter,
//! the middle cut out, then RGB, then each colour normalised. EXIF orientation is ignored, as there.

mod decode;
mod dispatch;
mod jpeg;
mod picture;
mod resample;

use std::ops::Range;
use std::path::Path;

use common::files::FileError;
use tch::Tensor;
use thiserror::Error;

pub use picture::{Mode, Picture};

/// Mean of each colour (OpenAI's `clip.py`).
pub const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// Standard deviation of each colour.
pub const STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// Whose order and rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rules {
    /// OpenAI's, open_clip's and Long-CLIP's: resize in the file's own mode, then RGB; the cut starts at the excess / 2, halves
    /// rounded to even.
    #[default]
    OpenAi,
    /// Hugging Face's slow processor: RGB first; halves rounded down.
    HuggingFace,
}

/// A file that is no image.
#[derive(Debug, Error)]
pub enum ImageError {
    /// Missing or unreadable.
    #[error(transparent)]
    File(#[from] FileError),
    /// Broken or of an unknown kind.
    #[error("{name}: {problem}; expected a whole PNG, JPEG, WebP, GIF or BMP image")]
    Content {
        /// File or member of an archive.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

/// The image of a file.
///
/// # Errors
/// [`ImageError`].
pub fn read(path: &Path) -> Result<Picture, ImageError> {
    decode(&common::files::read(path)?, &path.display().to_string())
}

/// The image of a file's bytes; `name` is for messages.
///
/// # Errors
/// [`ImageError::Content`].
pub fn decode(bytes: &[u8], name: &str) -> Result<Picture, ImageError> {
    let all = |width, height| (0..width, 0..height);
    decode::decode(bytes, all).map_err(|problem| ImageError::Content { name: name.to_owned(), problem })
}

/// A file's bytes as the model takes them, `[3, side, side]`: [`decode`] and [`preprocess`], but of a JPEG only what the middle needs is
/// decoded.
///
/// # Errors
/// [`ImageError::Content`].
pub fn prepare(bytes: &[u8], name: &str, side: usize, rules: Rules) -> Result<Vec<f32>, ImageError> {
    let needed = |width, height| needed(width, height, side, rules);
    let picture = decode::decode(bytes, needed)
        .map_err(|problem| ImageError::Content { name: name.to_owned(), problem })?;
    Ok(preprocess(&picture, side, rules))
}

/// Columns and rows of an image that the middle of the resized one depends on, and a few more.
fn needed(width: usize, height: usize, side: usize, rules: Rules) -> (Range<usize>, Range<usize>) {
    let (to_width, to_height) = resized(width, height, side);
    let along = |from: usize, to: usize| {
        let scale = from as f64 / to as f64;
        let reach = 2.0 * scale.max(1.0) + 2.0;
        let first = offset(to - side, rules) as f64 * scale - reach;
        let last = (offset(to - side, rules) + side) as f64 * scale + reach;
        first.max(0.0) as usize..(last.ceil() as usize).min(from)
    };
    (along(width, to_width), along(height, to_height))
}

/// Where the middle begins.
fn offset(excess: usize, rules: Rules) -> usize {
    match rules {
        Rules::OpenAi if excess % 4 == 3 => excess / 2 + 1,
        Rules::OpenAi | Rules::HuggingFace => excess / 2,
    }
}

/// The middle `side × side` pixels of the resized image as RGB bytes, row by row: what `ToTensor` gets.
///
/// # Panics
/// When `side` is 0.
pub fn cropped(picture: &Picture, side: usize, rules: Rules) -> Vec<u8> {
    assert!(side > 0, "an image has pixels");
    let converted;
    let picture = match rules {
        Rules::OpenAi => picture,
        Rules::HuggingFace => {
            converted = picture.to_rgb();
            &converted
        }
    };
    let (width, height) = resized(picture.width(), picture.height(), side);
    let window = resample::Window {
        left: offset(width - side, rules),
        top: offset(height - side, rules),
        width: side,
        height: side,
    };
    picture.resized(width, height, window).to_rgb().into_samples()
}

/// `[3, side, side]`, f32: the whole of OpenAI's preprocessing.
pub fn preprocess(picture: &Picture, side: usize, rules: Rules) -> Vec<f32> {
    normalised(&cropped(picture, side, rules))
}

/// Images as a batch `[images, 3, side, side]`.
///
/// # Panics
/// When an image has another number of values.
pub fn batch(images: &[Vec<f32>], side: usize) -> Tensor {
    let values = images.concat();
    Tensor::from_slice(&values).view([images.len() as i64, 3, side as i64, side as i64])
}

/// RGB bytes as `[3, pixels]`, each (value / 255 − mean) / std in f32.
pub fn normalised(rgb: &[u8]) -> Vec<f32> {
    let pixels = rgb.len() / 3;
    let mut out = vec![0.0; 3 * pixels];
    for (colour, plane) in out.chunks_exact_mut(pixels.max(1)).enumerate() {
        let table: [f32; 256] =
            std::array::from_fn(|value| (value as f32 / 255.0 - MEAN[colour]) / STD[colour]);
        for (value, pixel) in plane.iter_mut().zip(rgb.chunks_exact(3)) {
            *value = table[usize::from(pixel[colour])];
        }
    }
    out
}

/// Width and height with the shorter side `side` and the longer rounded down (torchvision's `Resize`).
fn resized(width: usize, height: usize, side: usize) -> (usize, usize) {
    let (short, long) = (width.min(height), width.max(height));
    let longer = (side as f64 * long as f64 / short as f64) as usize;
    if width <= height { (side, longer) } else { (longer, side) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_to_even_or_down() {
        // 640 × 427 becomes 335 × 224, whose excess of 111 is halved to 56 or 55.
        assert_eq!(resized(640, 427, 224), (335, 224));
        let ramp: Vec<u8> = (0..7_u8).flat_map(|x| [x * 10; 3]).collect();
        let wide = Picture::new(7, 1, Mode::Rgb, ramp).unwrap();
        let first = |rules| cropped(&wide, 1, rules)[0];
        assert_eq!((first(Rules::OpenAi), first(Rules::HuggingFace)), (30, 30));
        let eight: Vec<u8> = (0..4_u8).flat_map(|x| [x * 10; 3]).collect();
        let wide = Picture::new(4, 1, Mode::Rgb, eight).unwrap();
        let first = |rules| cropped(&wide, 1, rules)[0];
        assert_eq!((first(Rules::OpenAi), first(Rules::HuggingFace)), (20, 10));
    }
}
