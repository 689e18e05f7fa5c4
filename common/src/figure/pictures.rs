//! Pictures side by side, each below its name.

use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use super::draw::{Area, Drawn, TEXT, TITLE, font, text};
use super::embed::{self, Place};

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

/// The drawing with the pictures in it.
pub(super) fn embedded(svg: &str, pictures: &[Picture], columns: usize) -> Result<String, String> {
    let mut elements = String::new();
    for (at, picture) in pictures.iter().enumerate() {
        let (x, y) = place(at, pictures, columns);
        let (width, height) = (picture.width * picture.zoom(), picture.height * picture.zoom());
        let element =
            embed::element(Place { x, y, width, height }, &picture.pixels, [picture.width, picture.height]);
        elements += &element.map_err(|problem| format!("picture `{}`: {problem}", picture.title))?;
    }
    Ok(embed::into_svg(svg, &elements))
}
