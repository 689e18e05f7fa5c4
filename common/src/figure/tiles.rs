//! Small images in rows, such as the pictures that a search found.

use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use super::draw::{Area, Drawn, TEXT, TITLE, font, text};
use super::embed::{self, Place};

/// Side of a drawn tile.
const SIDE: u32 = 96;
/// Space around a tile; a frame lies within it.
const GAP: u32 = 8;
/// Height of the heading.
const HEAD: u32 = 44;
/// Height of a line of text.
const LINE: u32 = 20;
/// Room for the names of the rows.
const NAMES: u32 = 70;
/// Width of a figure whose text needs more room than its tiles.
const WIDTH: u32 = 760;

/// Rows under a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TileGroup {
    /// Lines of text above the rows.
    pub text: Vec<String>,
    /// Name and tiles of each row.
    pub rows: Vec<(String, Vec<Tile>)>,
}

/// One square image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tile {
    /// Name in the numbers beside the figure.
    pub name: String,
    /// Width and height.
    pub side_px: u32,
    /// Red, green and blue of each pixel, row by row.
    pub rgb: Vec<u8>,
    /// Whether a frame marks it.
    pub framed: bool,
}

impl Tile {
    /// Each pixel repeated to fill `side` pixels.
    fn enlarged(&self, side: u32) -> Vec<u8> {
        let at = |place: u32| (place * self.side_px / side) as usize;
        let pixel = |y: u32, x: u32| &self.rgb[3 * (at(y) * self.side_px as usize + at(x))..][..3];
        (0..side).flat_map(|y| (0..side).flat_map(move |x| pixel(y, x).iter().copied())).collect()
    }
}

pub(super) fn size(groups: &[TileGroup]) -> (u32, u32) {
    let most = groups.iter().flat_map(|group| &group.rows).map(|(_, tiles)| tiles.len()).max().unwrap_or(0);
    let of_group =
        |group: &TileGroup| group.text.len() as u32 * LINE + group.rows.len() as u32 * (SIDE + GAP) + LINE;
    let width = (NAMES + most as u32 * (SIDE + GAP) + GAP).max(WIDTH);
    (width, HEAD + groups.iter().map(of_group).sum::<u32>())
}

/// Everything but the tiles where `with_tiles` is false, as SVG has them added by [`embed`].
pub(super) fn draw<B: DrawingBackend>(
    area: &Area<B>,
    scale: u32,
    title: &str,
    groups: &[TileGroup],
    with_tiles: bool,
) -> Drawn {
    // The title's box begins at the height of its capitals.
    area.margin(GAP * scale, 0, 0, 0).titled(title, font(TITLE, scale)).map_err(text)?;
    let place = |x: u32, y: u32| ((x * scale) as i32, (y * scale) as i32);
    let mut y = HEAD;
    for group in groups {
        for line in &group.text {
            area.draw(&Text::new(line.clone(), place(GAP, y), font(TEXT, scale))).map_err(text)?;
            y += LINE;
        }
        for (name, tiles) in &group.rows {
            let middle = y + (SIDE - TEXT) / 2;
            area.draw(&Text::new(name.clone(), place(GAP, middle), font(TEXT, scale))).map_err(text)?;
            for (at, tile) in (0..).zip(tiles) {
                let x = NAMES + at * (SIDE + GAP);
                if tile.framed {
                    let corners = [place(x - 3, y - 3), place(x + SIDE + 3, y + SIDE + 3)];
                    let style = PALETTE_FRAME.stroke_width(4 * scale);
                    area.draw(&Rectangle::new(corners, style)).map_err(text)?;
                }
                let side = SIDE * scale;
                let buffer = with_tiles.then(|| tile.enlarged(side));
                let bitmap =
                    buffer.and_then(|rgb| BitMapElement::with_owned_buffer(place(x, y), (side, side), rgb));
                bitmap.map_or(Ok(()), |bitmap| area.draw(&bitmap).map_err(text))?;
            }
            y += SIDE + GAP;
        }
        y += LINE;
    }
    Ok(())
}

/// Colour of a frame: the third of the palette, a green.
const PALETTE_FRAME: RGBColor = super::PALETTE[2];

/// The drawing with the tiles in it.
pub(super) fn embedded(svg: &str, groups: &[TileGroup]) -> Result<String, String> {
    let mut images = String::new();
    let mut y = HEAD;
    for group in groups {
        y += group.text.len() as u32 * LINE;
        for (_, tiles) in &group.rows {
            for (at, tile) in (0..).zip(tiles) {
                let place = Place {
                    x: (NAMES + at * (SIDE + GAP)) as usize,
                    y: y as usize,
                    width: SIDE as usize,
                    height: SIDE as usize,
                };
                let element = embed::element(place, &tile.rgb, [tile.side_px as usize; 2]);
                images += &element.map_err(|problem| format!("tile `{}`: {problem}", tile.name))?;
            }
            y += SIDE + GAP;
        }
        y += LINE;
    }
    Ok(embed::into_svg(svg, &images))
}
