//! Pictures side by side, each below its name.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use super::draw::{Area, Drawn, TEXT, TITLE, font, text};

/// A picture of a [`super::Figure::Pictures`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// Name above it.
    pub title: String,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Bytes row by row, one (grey) or three (red, green, blue) for each pixel.
    pub pixels: Vec<u8>,
}

/// Side that pictures are enlarged to, in units of the drawing.
const SIDE: usize = 192;
const GAP: usize = 14;
const HEAD: usize = 40;
const NAME: usize = 20;

impl Picture {
    /// Values by row and column as grey, from the first of `range` (black) to the second (white).
    ///
    /// ```
    /// use common::figure::Picture;
    /// let picture = Picture::grey("ramp", &[vec![0.0, 0.5, 1.0]], [0.0, 1.0]);
    /// assert_eq!(picture.pixels, [0, 128, 255]);
    /// ```
    pub fn grey(title: &str, values: &[Vec<f64>], [low, high]: [f64; 2]) -> Self {
        let byte = |value: &f64| (255.0 * (value - low) / (high - low)).round().clamp(0.0, 255.0) as u8;
        Self {
            title: title.to_owned(),
            width: values.first().map_or(0, Vec::len),
            height: values.len(),
            pixels: values.iter().flatten().map(byte).collect(),
        }
    }

    fn channels(&self) -> usize {
        self.pixels.len() / (self.width * self.height).max(1)
    }

    fn colour(&self, row: usize, column: usize) -> RGBColor {
        let at = row * self.width + column;
        match self.channels() {
            3 => RGBColor(self.pixels[3 * at], self.pixels[3 * at + 1], self.pixels[3 * at + 2]),
            _ => RGBColor(self.pixels[at], self.pixels[at], self.pixels[at]),
        }
    }

    /// Whole number of units for a pixel.
    fn zoom(&self) -> usize {
        (SIDE / self.width.max(self.height).max(1)).max(1)
    }

    /// The picture as a PNG file.
    fn png(&self) -> Vec<u8> {
        let channels = self.channels();
        let mut lines = Vec::new();
        for row in self.pixels.chunks(self.width * channels) {
            lines.push(0); // no prediction
            lines.extend_from_slice(row);
        }
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
        let packed = packed.write_all(&lines).and_then(|()| packed.finish()).unwrap_or_default(); // memory does not fail
        let mut header = [self.width as u32, self.height as u32].map(u32::to_be_bytes).concat();
        header.extend([8, if channels == 3 { 2 } else { 0 }, 0, 0, 0]);
        let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, data) in [(b"IHDR", header), (b"IDAT", packed), (b"IEND", Vec::new())] {
            let mut crc = flate2::Crc::new();
            crc.update(kind);
            crc.update(&data);
            out.extend((data.len() as u32).to_be_bytes());
            out.extend(kind);
            out.extend(&data);
            out.extend(crc.sum().to_be_bytes());
        }
        out
    }
}

/// Width of a column and height of a line.
fn cell(pictures: &[Picture]) -> (usize, usize) {
    let size = |of: fn(&Picture) -> usize| pictures.iter().map(|p| of(p) * p.zoom()).max().unwrap_or(0);
    (size(|p| p.width).max(SIDE) + GAP, size(|p| p.height) + NAME + GAP)
}

pub(super) fn size(pictures: &[Picture], columns: usize) -> (u32, u32) {
    let (width, height) = cell(pictures);
    let columns = columns.max(1);
    ((GAP + columns * width) as u32, (HEAD + pictures.len().div_ceil(columns) * height) as u32)
}

/// Upper left corner of a picture.
fn place(at: usize, pictures: &[Picture], columns: usize) -> (usize, usize) {
    let (width, height) = cell(pictures);
    (GAP + at % columns.max(1) * width, HEAD + at / columns.max(1) * height + NAME)
}

pub(super) fn draw<B: DrawingBackend>(
    area: &Area<B>,
    scale: u32,
    title: &str,
    pictures: &[Picture],
    columns: usize,
) -> Drawn {
    let s = scale as usize;
    area.draw(&Text::new(title.to_owned(), ((GAP * s) as i32, (8 * s) as i32), font(TITLE, scale)))
        .map_err(text)?;
    for (at, picture) in pictures.iter().enumerate() {
        let (x, y) = place(at, pictures, columns);
        let name = Text::new(
            picture.title.clone(),
            ((x * s) as i32, ((y - NAME + 2) * s) as i32),
            font(TEXT, scale),
        );
        area.draw(&name).map_err(text)?;
        // In a vector drawing the picture is put in afterwards.
        if scale == 1 {
            continue;
        }
        let zoom = picture.zoom() * s;
        for row in 0..picture.height {
            for column in 0..picture.width {
                let corner = ((x * s + column * zoom) as i32, (y * s + row * zoom) as i32);
                let end = (corner.0 + zoom as i32, corner.1 + zoom as i32);
                let cell = Rectangle::new([corner, end], picture.colour(row, column).filled());
                area.draw(&cell).map_err(text)?;
            }
        }
    }
    Ok(())
}

/// The pictures as elements of the drawing, each with its PNG inside.
pub(super) fn elements(pictures: &[Picture], columns: usize) -> String {
    let mut out = String::new();
    for (at, picture) in pictures.iter().enumerate() {
        let (x, y) = place(at, pictures, columns);
        let (width, height) = (picture.width * picture.zoom(), picture.height * picture.zoom());
        let _ = writeln!(
            out,
            "<image x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>",
            base64(&picture.png())
        );
    }
    out
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let word =
            three.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= three.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_letters_as_rfc_4648_says() {
        let pairs = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in pairs {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
