//! Which points belong to a shape.

use super::scene::Shape;

/// Whether the point (x, y), in units of the radius from the middle, y downwards, is inside the shape.
pub(super) fn contains(shape: Shape, x: f32, y: f32) -> bool {
    match shape {
        Shape::Circle => x * x + y * y <= 1.0,
        Shape::Square => x.abs().max(y.abs()) <= 0.86,
        // From the apex at the top to a side at the bottom.
        Shape::Triangle => (-0.95..=0.85).contains(&y) && x.abs() <= (y + 0.95) / 1.8,
        Shape::Star => in_star(x, y),
        Shape::Cross => x.abs().max(y.abs()) <= 1.0 && x.abs().min(y.abs()) <= 0.32,
        Shape::Diamond => x.abs() + y.abs() <= 1.05,
    }
}

/// A five-pointed star as the area below a radius that falls linearly from a tip to a notch, in angle.
fn in_star(x: f32, y: f32) -> bool {
    const TIP: f32 = 1.1;
    const NOTCH: f32 = 0.45;
    let step = std::f32::consts::TAU / 5.0;
    let angle = x.atan2(-y).rem_euclid(step);
    let from_tip = angle.min(step - angle) / (step / 2.0);
    x.hypot(y) <= TIP + (NOTCH - TIP) * from_tip
}
