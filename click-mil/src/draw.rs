//! Boxes and clicks on images.

use image::{Rgb, RgbImage};

use crate::geometry::{BoundingBox, Point};

/// Draws the outline of a box, two pixels wide, inside the image.
pub fn rectangle(image: &mut RgbImage, bbox: &BoundingBox, colour: Rgb<u8>) {
    let (width, height) = (image.width(), image.height());
    let bbox = bbox.clipped(f64::from(width), f64::from(height));
    let last = |side: f64| (side.ceil() as u32).saturating_sub(1);
    let (left, top, right, bottom) = (bbox.x0 as u32, bbox.y0 as u32, last(bbox.x1), last(bbox.y1));
    for inset in 0..2 {
        for x in left..=right {
            put(image, x, top + inset, colour);
            put(image, x, bottom.saturating_sub(inset), colour);
        }
        for y in top..=bottom {
            put(image, left + inset, y, colour);
            put(image, right.saturating_sub(inset), y, colour);
        }
    }
}

/// Draws a cross at a point.
pub fn cross(image: &mut RgbImage, point: &Point, colour: Rgb<u8>) {
    for step in -5..=5 {
        for (dx, dy) in [(step, 0), (step, 1), (0, step), (1, step)] {
            let (x, y) = (point.x as i64 + dx, point.y as i64 + dy);
            if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) {
                put(image, x, y, colour);
            }
        }
    }
}

fn put(image: &mut RgbImage, x: u32, y: u32, colour: Rgb<u8>) {
    if x < image.width() && y < image.height() {
        image.put_pixel(x, y, colour);
    }
}
