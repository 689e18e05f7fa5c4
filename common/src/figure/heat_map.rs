//! A matrix between the tokens of two texts. Names are drawn from the glyphs of GNU Unifont, which has all scripts of
//! the Basic Multilingual Plane, so that Japanese can be read on machines without its fonts.

use plotters::prelude::*;

use super::draw::{Area, Drawn, TEXT, font, text, titled};

/// Side of a cell, and of a full-width glyph.
const CELL: i32 = 20;
const GLYPH: i32 = 16;
/// Space around the matrix.
const MARGIN: i32 = 12;
/// Height of the heading with the room above it, and of the legend below the matrix.
const HEAD: i32 = 44;
const LEGEND: i32 = 52;

/// Width of a text in glyph pixels.
fn width(name: &str) -> i32 {
    name.chars().map(advance).sum()
}

fn advance(character: char) -> i32 {
    unifont::get_glyph(character).map_or(GLYPH, |glyph| glyph.get_width() as i32)
}

/// Room for the names of rows and columns.
fn borders(rows: &[String], columns: &[String]) -> (i32, i32) {
    let row = rows.iter().map(|name| width(name)).max().unwrap_or(0);
    let column = columns.iter().map(|name| name.chars().count() as i32 * GLYPH).max().unwrap_or(0);
    (row + 8, column + 6)
}

pub(super) fn size(rows: &[String], columns: &[String]) -> (u32, u32) {
    let (left, top) = borders(rows, columns);
    let width = (left + columns.len() as i32 * CELL).max(640) + 2 * MARGIN;
    let height = HEAD + top + rows.len() as i32 * CELL + LEGEND + MARGIN;
    (width as u32, height as u32)
}

pub(super) fn draw<B: DrawingBackend>(
    area: &Area<B>,
    scale: u32,
    [title, value]: [&str; 2],
    [rows, columns]: [&[String]; 2],
    values: &[Vec<f64>],
    framed: &[Option<usize>],
) -> Drawn {
    let area = titled(area, title, scale)?;
    let pen = Pen { area: &area, scale: scale as i32 };
    let (left, top) = borders(rows, columns);
    let (left, top) = (left + MARGIN, top + 4);
    let all = values.iter().flatten().copied();
    let (low, high) = all.fold((0.0_f64, f64::EPSILON), |(low, high), v| (low.min(v), high.max(v)));
    for (j, name) in columns.iter().enumerate() {
        let height = name.chars().count() as i32 * GLYPH;
        for (at, character) in (0..).zip(name.chars()) {
            let x = left + j as i32 * CELL + (CELL - advance(character)) / 2;
            pen.glyph(character, x, top - 4 - height + at * GLYPH)?;
        }
    }
    for (i, (name, row)) in rows.iter().zip(values).enumerate() {
        let y = top + i as i32 * CELL;
        pen.name(name, left - 6 - width(name), y + (CELL - GLYPH) / 2)?;
        for (j, &value) in row.iter().enumerate() {
            let x = left + j as i32 * CELL;
            let ink = shade(value, low, high);
            pen.rectangle([x, y, x + CELL - 1, y + CELL - 1], &ink, true)?;
        }
        if let Some(j) = framed.get(i).copied().flatten() {
            let x = left + j as i32 * CELL;
            pen.rectangle([x, y, x + CELL - 2, y + CELL - 2], &BLACK, false)?;
        }
    }
    legend(&pen, left, top + rows.len() as i32 * CELL + 10, [low, high], value)
}

fn legend<B: DrawingBackend>(pen: &Pen<'_, B>, x: i32, y: i32, [low, high]: [f64; 2], value: &str) -> Drawn {
    for step in 0..100 {
        let ink = shade(low + (high - low) * f64::from(step) / 99.0, low, high);
        pen.rectangle([x + 2 * step, y, x + 2 * step + 1, y + 10], &ink, true)?;
    }
    let label = |label: String, x: i32, y: i32| {
        let place = (x * pen.scale, y * pen.scale);
        pen.area.draw(&Text::new(label, place, font(TEXT, pen.scale as u32))).map_err(text)
    };
    label(format!("{low:.1}"), x, y + 13)?;
    label(format!("{high:.1}"), x + 180, y + 13)?;
    label(value.to_owned(), x + 212, y - 2)
}

/// White at nought, blue above, orange below.
fn shade(value: f64, low: f64, high: f64) -> RGBColor {
    let (target, share) = match value < 0.0 {
        true => ([213.0, 94.0, 0.0], value / low),
        false => ([0.0, 80.0, 150.0], value / high),
    };
    let mix = |channel: f64| (255.0 + (channel - 255.0) * share.clamp(0.0, 1.0)).round() as u8;
    RGBColor(mix(target[0]), mix(target[1]), mix(target[2]))
}

struct Pen<'a, B: DrawingBackend> {
    area: &'a Area<B>,
    scale: i32,
}

impl<B: DrawingBackend> Pen<'_, B> {
    /// A rectangle by its corners in unscaled pixels, both within it.
    fn rectangle(&self, [x0, y0, x1, y1]: [i32; 4], ink: &RGBColor, filled: bool) -> Drawn {
        let corners = [(x0 * self.scale, y0 * self.scale), ((x1 + 1) * self.scale, (y1 + 1) * self.scale)];
        let style = ShapeStyle {
            color: ink.to_rgba(),
            filled,
            stroke_width: if filled { 0 } else { 2 * self.scale as u32 },
        };
        self.area.draw(&Rectangle::new(corners, style)).map_err(text)
    }

    fn name(&self, name: &str, mut x: i32, y: i32) -> Drawn {
        for character in name.chars() {
            self.glyph(character, x, y)?;
            x += advance(character);
        }
        Ok(())
    }

    /// A glyph with its upper left corner at `x`, `y`, as horizontal strokes.
    fn glyph(&self, character: char, x: i32, y: i32) -> Drawn {
        let Some(glyph) = unifont::get_glyph(character) else {
            return self.rectangle([x + 2, y + 2, x + GLYPH - 4, y + GLYPH - 4], &BLACK, false);
        };
        let width = glyph.get_width();
        for row in 0..GLYPH as usize {
            let mut column = 0;
            while column < width {
                let length = (column..width).take_while(|&at| glyph.get_pixel(at, row)).count();
                if length > 0 {
                    let (left, line) = (x + column as i32, y + row as i32);
                    self.rectangle([left, line, left + length as i32 - 1, line], &BLACK, true)?;
                }
                column += length + 1;
            }
        }
        Ok(())
    }
}
