//! Polygons for the qualification: objects whose centre is known.

use std::f64::consts::TAU;

use rand::Rng;

use crate::geometry::{BoundingBox, Point};

/// Width of the canvas in pixels.
pub(super) const WIDTH: u32 = 480;
/// Height of the canvas in pixels.
pub(super) const HEIGHT: u32 = 360;
/// Smallest and largest side of a polygon's box in pixels.
const SIDES: [f64; 2] = [30.0, 260.0];

/// A polygon on the canvas.
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon {
    /// Corners in order.
    pub corners: Vec<Point>,
}

impl Polygon {
    /// A polygon of 5 to 9 corners around a place, its size uniform in its logarithm.
    pub fn draw(rng: &mut impl Rng) -> Self {
        let size = |rng: &mut dyn FnMut() -> f64| SIDES[0] * (SIDES[1] / SIDES[0]).powf(rng());
        let mut random = || rng.random::<f64>();
        let (across, down) = (size(&mut random) / 2.0, size(&mut random) / 2.0);
        let n = 5 + (random() * 5.0) as usize;
        let turn = random() * TAU;
        let corner = |at: usize, random: &mut dyn FnMut() -> f64| {
            let angle = turn + TAU * (at as f64 + 0.6 * random()) / n as f64;
            let reach = 0.45 + 0.55 * random();
            Point { x: across * reach * angle.cos(), y: down * reach * angle.sin() }
        };
        let corners: Vec<Point> = (0..n).map(|at| corner(at, &mut random)).collect();
        let bounds = Self { corners: corners.clone() }.bounds();
        let place = |size: u32, low: f64, high: f64, share: f64| {
            2.0 - low + share * (f64::from(size) - 4.0 - (high - low)).max(0.0)
        };
        let x = place(WIDTH, bounds.x0, bounds.x1, random());
        let y = place(HEIGHT, bounds.y0, bounds.y1, random());
        Self {
            corners: corners.into_iter().map(|corner| Point { x: corner.x + x, y: corner.y + y }).collect(),
        }
    }

    /// Its box.
    pub fn bounds(&self) -> BoundingBox {
        let fold = |pick: fn(&Point) -> f64, best: fn(f64, f64) -> f64, start: f64| {
            self.corners.iter().map(pick).fold(start, best)
        };
        BoundingBox {
            x0: fold(|corner| corner.x, f64::min, f64::INFINITY),
            y0: fold(|corner| corner.y, f64::min, f64::INFINITY),
            x1: fold(|corner| corner.x, f64::max, f64::NEG_INFINITY),
            y1: fold(|corner| corner.y, f64::max, f64::NEG_INFINITY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polygons_lie_on_the_canvas() {
        let mut rng = common::seed::rng(1, "polygon", 0);
        for _ in 0..500 {
            let bounds = Polygon::draw(&mut rng).bounds();
            assert!(bounds.x0 >= 0.0 && bounds.y0 >= 0.0, "{bounds:?}");
            assert!(bounds.x1 <= f64::from(WIDTH) && bounds.y1 <= f64::from(HEIGHT), "{bounds:?}");
            assert!(bounds.width() > 5.0 && bounds.height() > 5.0, "{bounds:?}");
        }
    }
}
