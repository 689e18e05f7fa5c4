//! What clicks say about a box: its centre, and from two clicks its area (Papadopoulos et al. 2017, section 4).

use crate::area_prior::Sides;
use crate::geometry::{BoundingBox, Point};
use crate::simulate::ErrorModel;

/// Least half side of an initial window around a click near the border, in pixels. Ours.
const LEAST_HALF_SIDE: f64 = 16.0;

/// Clicks on one object as they enter the score of a box.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    /// None: every box is as good.
    None,
    /// A centre: one click, or the mean of two.
    Centre(Point),
    /// The mean of two clicks and what their distance says about the area.
    CentreAndArea {
        /// Mean of the clicks.
        centre: Point,
        /// Expected logarithm of the area in square pixels.
        log_area: f64,
    },
    /// Two clicks too far apart for one object: a box may fit either.
    Apart([Point; 2]),
}

/// Standard deviations of the scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Widths {
    /// Of the distance between a box's centre and the click, in pixels, σ_bc.
    pub centre_px: f64,
    /// Of the logarithm of the area, σ_ba.
    pub log_area: f64,
}

/// Box-centre score `S_bc = exp(−‖c − k‖² / (2 σ²))` of a box with centre c and a click k, distances in pixels.
///
/// ```
/// use click_mil::click_score::centre_score;
/// use click_mil::geometry::{BoundingBox, Point};
/// let bbox = BoundingBox::new(0.0, 0.0, 10.0, 20.0);
/// assert_eq!(centre_score(&bbox, &Point { x: 5.0, y: 10.0 }, 3.0), 1.0);
/// assert!((centre_score(&bbox, &Point { x: 8.0, y: 10.0 }, 3.0) - (-0.5f64).exp()).abs() < 1e-12);
/// ```
pub fn centre_score(bbox: &BoundingBox, click: &Point, sigma_px: f64) -> f64 {
    let distance = bbox.centre().distance(click);
    (-distance * distance / (2.0 * sigma_px * sigma_px)).exp()
}

/// Box-area score `S_ba = exp(−(log A − μ)² / (2 σ²))` of a box of area A.
pub fn area_score(bbox: &BoundingBox, log_area: f64, sigma: f64) -> f64 {
    let difference = bbox.area().max(1.0).ln() - log_area;
    (-difference * difference / (2.0 * sigma * sigma)).exp()
}

/// Width σ_bc that an error model and a prior of sides lead to expect, in pixels: no box of an evaluated image is needed.
///
/// ```text
/// σ_bc² = E[(s a + s₀)²] / clicks + E[(a (1 − α) / (1 + α))²] / 12        a: side of the object
/// ```
/// The first term is the error of the mean of the clicks per axis; the second that of the nearest proposal, whose neighbours of
/// overlap α are `a (1 − α) / (1 + α)` apart. Ours: the paper takes its width from a qualification test on drawn shapes.
///
/// ```
/// use click_mil::area_prior::Sides;
/// use click_mil::click_score::expected_width;
/// use click_mil::simulate::ErrorModel;
/// let width = |clicks| expected_width(&ErrorModel::usual(), Sides::Uniform(50.0, 330.0), 0.65, clicks);
/// assert!((width(1) - 23.3).abs() < 0.1 && (width(2) - 18.7).abs() < 0.1);
/// ```
pub fn expected_width(model: &ErrorModel, sides: Sides, alpha: f64, clicks: u32) -> f64 {
    let [mean, square] = sides.moments();
    let ErrorModel { relative, least_px, .. } = *model;
    let click = relative * relative * square + 2.0 * relative * least_px * mean + least_px * least_px;
    let step = (1.0 - alpha) / (1.0 + alpha);
    (click / f64::from(clicks.max(1)) + step * step * square / 12.0).sqrt()
}

impl Evidence {
    /// Factor on a box's score, in [0, 1].
    pub fn score(&self, bbox: &BoundingBox, widths: Widths) -> f64 {
        match self {
            Self::None => 1.0,
            Self::Centre(centre) => centre_score(bbox, centre, widths.centre_px),
            Self::CentreAndArea { centre, log_area } => {
                centre_score(bbox, centre, widths.centre_px) * area_score(bbox, *log_area, widths.log_area)
            }
            Self::Apart(clicks) => {
                clicks.iter().map(|click| centre_score(bbox, click, widths.centre_px)).fold(0.0, f64::max)
            }
        }
    }

    /// The window that an object is first looked for in: the largest around the click inside the image, at least 32 pixels on a
    /// side where the image has them; the whole image without a click.
    pub fn first_window(&self, width: u32, height: u32) -> BoundingBox {
        let (width, height) = (f64::from(width), f64::from(height));
        let centre = match self {
            Self::None => return BoundingBox::new(0.0, 0.0, width, height),
            Self::Centre(centre) | Self::CentreAndArea { centre, .. } => centre,
            Self::Apart([first, _]) => first,
        };
        let half = |at: f64, size: f64| at.min(size - at).max(LEAST_HALF_SIDE);
        let (across, down) = (half(centre.x, width), half(centre.y, height));
        BoundingBox::new(centre.x - across, centre.y - down, centre.x + across, centre.y + down)
            .clipped(width, height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_window_is_the_largest_around_the_click() {
        let window = |x, y| Evidence::Centre(Point { x, y }).first_window(200, 100);
        assert_eq!(window(60.0, 40.0), BoundingBox::new(0.0, 0.0, 120.0, 80.0));
        assert_eq!(window(198.0, 50.0), BoundingBox::new(182.0, 0.0, 200.0, 100.0));
        assert_eq!(Evidence::None.first_window(200, 100), BoundingBox::new(0.0, 0.0, 200.0, 100.0));
    }

    #[test]
    fn of_two_clicks_apart_a_box_needs_one_only() {
        let widths = Widths { centre_px: 5.0, log_area: 1.0 };
        let clicks = [Point { x: 10.0, y: 10.0 }, Point { x: 90.0, y: 10.0 }];
        let bbox = BoundingBox::new(80.0, 0.0, 100.0, 20.0);
        assert_eq!(Evidence::Apart(clicks).score(&bbox, widths), 1.0);
        assert!(Evidence::Centre(clicks[0].between(&clicks[1])).score(&bbox, widths) < 1e-10);
    }
}
