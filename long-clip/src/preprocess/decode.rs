//! Bytes of a file to pixels in the file's own mode.

use std::io::Cursor;
use std::ops::Range;

use image::{DynamicImage, ImageDecoder as _, ImageReader};

use super::jpeg;
use super::picture::{Mode, Picture};

/// Most pixels of an image: 178,956,970, Pillow's limit of 2 × `MAX_IMAGE_PIXELS`, beyond which it refuses.
const MOST_PIXELS: u64 = 178_956_970;

/// The image of a file's bytes; `wanted` gives the columns and rows of an image of that size that must be right.
pub(super) fn decode(
    bytes: &[u8],
    wanted: impl Fn(usize, usize) -> (Range<usize>, Range<usize>),
) -> Result<Picture, String> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return png(bytes);
    }
    if bytes.starts_with(b"\xff\xd8") {
        return jpeg::decode(bytes, wanted);
    }
    other(bytes)
}

/// A PNG in its own mode: the `image` crate would unfold palettes and bits.
fn png(bytes: &[u8]) -> Result<Picture, String> {
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: 4 << 30 });
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let (width, height) = reader.info().size();
    limited(width, height)?;
    let palette = reader.info().palette.as_ref().map(|palette| palette.to_vec()).unwrap_or_default();
    let size = reader.output_buffer_size().ok_or("more pixels than memory")?;
    let mut raw = vec![0; size];
    let frame = reader.next_frame(&mut raw).map_err(|error| error.to_string())?;
    raw.truncate(frame.buffer_size());
    let (width, height) = (width as usize, height as usize);
    let (mode, samples) = match (frame.color_type, frame.bit_depth) {
        (png::ColorType::Grayscale, png::BitDepth::One) => {
            (Mode::Bilevel, unpacked(&raw, 1, width, frame.line_size, 255))
        }
        (png::ColorType::Grayscale, png::BitDepth::Two) => {
            (Mode::Grey, unpacked(&raw, 2, width, frame.line_size, 85))
        }
        (png::ColorType::Grayscale, png::BitDepth::Four) => {
            (Mode::Grey, unpacked(&raw, 4, width, frame.line_size, 17))
        }
        (png::ColorType::Indexed, depth) => {
            (Mode::Palette, unpacked(&raw, depth as usize, width, frame.line_size, 1))
        }
        (kind, depth) => {
            let mode = match kind {
                png::ColorType::Grayscale => Mode::Grey,
                png::ColorType::GrayscaleAlpha => Mode::GreyAlpha,
                png::ColorType::Rgb => Mode::Rgb,
                _ => Mode::Rgba,
            };
            // Of 16 bits Pillow keeps the higher eight.
            (mode, if depth == png::BitDepth::Sixteen { raw.into_iter().step_by(2).collect() } else { raw })
        }
    };
    let picture = Picture::new(width, height, mode, samples).ok_or("no pixels in it")?;
    Ok(picture.with_palette(palette))
}

/// Pixels of `bits` bits as bytes, times `scale`.
fn unpacked(raw: &[u8], bits: usize, width: usize, line: usize, scale: u8) -> Vec<u8> {
    if bits == 8 {
        return raw.to_vec();
    }
    let (per_byte, mask) = (8 / bits, (1_u16 << bits) as u8 - 1);
    let pixel = |line: &[u8], x: usize| line[x / per_byte] >> (8 - bits - x % per_byte * bits) & mask;
    raw.chunks_exact(line).flat_map(|line| (0..width).map(move |x| pixel(line, x) * scale)).collect()
}

fn other(bytes: &[u8]) -> Result<Picture, String> {
    let reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    let decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    limited(width, height)?;
    let image = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    let (mode, samples) = match image {
        DynamicImage::ImageLuma8(image) => (Mode::Grey, image.into_raw()),
        DynamicImage::ImageLumaA8(image) => (Mode::GreyAlpha, image.into_raw()),
        DynamicImage::ImageRgba8(image) => (Mode::Rgba, image.into_raw()),
        image => (Mode::Rgb, image.into_rgb8().into_raw()),
    };
    Picture::new(width as usize, height as usize, mode, samples).ok_or_else(|| "no pixels in it".to_owned())
}

fn limited(width: u32, height: u32) -> Result<(), String> {
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(format!("{width} × {height} pixels, more than {MOST_PIXELS}"));
    }
    Ok(())
}
