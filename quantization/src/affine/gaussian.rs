//! The normal distribution on a uniform grid: expected error for a clip, and the best clip.

use serde::{Deserialize, Serialize};

/// Reconstruction levels between `−clip` and `clip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Levels {
    /// `2^b − 1` levels, the outermost at `±clip`, one at 0: the restricted symmetric grid.
    Symmetric,
    /// `2^b` levels in the middles of `2^b` equal cells over `[−clip, clip]`; none at 0.
    MidRise,
}

/// Nodes and weights of Gauss–Legendre quadrature with 5 points on `[−1, 1]`.
const NODES: [(f64, f64); 5] = [
    (0.0, 0.568_888_888_888_888_9),
    (0.538_469_310_105_683, 0.478_628_670_499_366_47),
    (-0.538_469_310_105_683, 0.478_628_670_499_366_47),
    (0.906_179_845_938_664, 0.236_926_885_056_189_08),
    (-0.906_179_845_938_664, 0.236_926_885_056_189_08),
];

/// Expected squared error of a standard normal variable, clipped at `±clip` and rounded to the levels.
///
/// ```
/// use quantization::affine::{Levels, gaussian_mse};
/// // one bit, mid-rise: levels ±clip/2; 1 − 2/π is the least possible, at clip = 2·√(2/π)
/// let mse = gaussian_mse(1, Levels::MidRise, 2.0 * (2.0 / std::f64::consts::PI).sqrt());
/// assert!((mse - (1.0 - 2.0 / std::f64::consts::PI)).abs() < 1e-10);
/// ```
///
/// # Panics
/// When `bits` is 0 or above 16.
pub fn gaussian_mse(bits: u32, levels: Levels, clip: f64) -> f64 {
    assert!((1..=16).contains(&bits), "1 to 16 bits");
    // By symmetry over x ≥ 0: cells [low, high) with their level, the last one open to the right.
    let (step, half_cells) = match levels {
        Levels::Symmetric => (clip / f64::from((1u32 << (bits - 1)) - 1), (1u32 << (bits - 1)) - 1),
        Levels::MidRise => (2.0 * clip / f64::from(1u32 << bits), (1u32 << (bits - 1)) - 1),
    };
    let mut total = 0.0;
    let mut low = 0.0;
    for cell in 0..=half_cells {
        let (level, edge) = match levels {
            Levels::Symmetric => (f64::from(cell) * step, (f64::from(cell) + 0.5) * step),
            Levels::MidRise => ((f64::from(cell) + 0.5) * step, f64::from(cell + 1) * step),
        };
        let high = if cell == half_cells { low + 12.0 } else { edge };
        total += integral(low, high, level);
        low = high;
    }
    2.0 * total
}

/// `∫ (x − level)² φ(x) dx` from `low` to `high`, in pieces of at most 0.25.
fn integral(low: f64, high: f64, level: f64) -> f64 {
    let pieces = ((high - low) / 0.25).ceil().max(1.0);
    let half = (high - low) / pieces / 2.0;
    let density = |x: f64| (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let mut total = 0.0;
    for piece in 0..pieces as usize {
        let middle = low + (2.0 * piece as f64 + 1.0) * half;
        for (node, weight) in NODES {
            let x = middle + half * node;
            total += weight * half * (x - level).powi(2) * density(x);
        }
    }
    total
}

/// The clip with the least [`gaussian_mse`] and that error, by golden-section search in `(0, 8]`.
///
/// ```
/// use quantization::affine::{Levels, gaussian_best_clip};
/// let (clip, mse) = gaussian_best_clip(4, Levels::MidRise);
/// assert!((clip - 2.68).abs() < 0.01 && (mse - 0.011543).abs() < 1e-6); // Max 1960, table II: 0.01154
/// ```
///
/// # Panics
/// As [`gaussian_mse`].
pub fn gaussian_best_clip(bits: u32, levels: Levels) -> (f64, f64) {
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let mse = |clip| gaussian_mse(bits, levels, clip);
    let (mut low, mut high) = (0.0, 8.0);
    let (mut left, mut right) = (high - golden * (high - low), low + golden * (high - low));
    let (mut at_left, mut at_right) = (mse(left), mse(right));
    while high - low > 1e-6 {
        if at_left < at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - golden * (high - low);
            at_left = mse(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + golden * (high - low);
            at_right = mse(right);
        }
    }
    let clip = (low + high) / 2.0;
    (clip, mse(clip))
}
