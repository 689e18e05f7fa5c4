//! Pixels inside a vector drawing, as PNG.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

/// Where an image stands and how large it is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// An element of an SVG that shows `columns` × `rows` pixels, one (grey) or three (red, green, blue) bytes each, without smoothing.
pub(super) fn element(place: Place, pixels: &[u8], [columns, rows]: [usize; 2]) -> Result<String, String> {
    let colour = match pixels.len() / (columns * rows).max(1) {
        3 => ExtendedColorType::Rgb8,
        _ => ExtendedColorType::L8,
    };
    let mut png = Vec::new();
    let written = PngEncoder::new(&mut png).write_image(pixels, columns as u32, rows as u32, colour);
    written.map_err(|error| error.to_string())?;
    let Place { x, y, width, height } = place;
    Ok(format!(
        "<image x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>\n",
        STANDARD.encode(png)
    ))
}

/// The drawing with elements behind its own.
pub(super) fn into_svg(svg: &str, elements: &str) -> String {
    svg.replacen("</svg>", &format!("{elements}</svg>"), 1)
}
