//! What the distance of two clicks says about an object's area.
//!
//! Errors grow with the object and are independent between annotators, so that the distance grows with the area. With errors
//! `N(0, (s √A)²)` per axis, one pair fixes the area only to a factor of about e^1.28: the residual of the fit stays large, and a
//! prior on areas is what makes it smaller.

use rand::Rng;
use thiserror::Error;

use crate::click_score::Evidence;
use crate::geometry::Point;
use crate::simulate::ErrorModel;

/// An area with the distance of two clicks on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// In square pixels.
    pub area: f64,
    /// In pixels.
    pub distance: f64,
}

/// Prior belief about the side `√A` of objects, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sides {
    /// Its logarithm is uniform: from and to.
    LogUniform(f64, f64),
    /// Uniform: from and to.
    Uniform(f64, f64),
}

impl Sides {
    /// Mean of the side, and of its square.
    ///
    /// ```
    /// use click_mil::area_prior::Sides;
    /// assert_eq!(Sides::Uniform(0.0, 6.0).moments(), [3.0, 12.0]);
    /// let [mean, square] = Sides::LogUniform(1.0, std::f64::consts::E).moments();
    /// assert!((mean - 1.71828).abs() < 1e-5 && (square - 3.19453).abs() < 1e-5);
    /// ```
    pub fn moments(self) -> [f64; 2] {
        match self {
            Self::Uniform(from, to) => [(from + to) / 2.0, (from * from + from * to + to * to) / 3.0],
            Self::LogUniform(from, to) => {
                let range = (to / from).ln();
                [(to - from) / range, (to * to - from * from) / (2.0 * range)]
            }
        }
    }
}

/// Regression of the log-area on `ln(distance + 1)`, with its residual and the largest distance of clicks on one object.
#[derive(Clone, Debug, PartialEq)]
pub struct AreaModel {
    /// Coefficients of `ln(d + 1)`, from the constant on.
    pub coefficients: Vec<f64>,
    /// Standard deviation of the residual: σ_ba.
    pub residual: f64,
    /// Clicks further apart are on two objects: 99th percentile of the distances.
    pub largest_px: f64,
}

/// Too little to fit.
#[derive(Debug, Error, PartialEq)]
#[error("{found} pairs of clicks for {expected} coefficients; expected at least ten times as many pairs")]
pub struct TooFew {
    found: usize,
    expected: usize,
}

impl AreaModel {
    /// Least squares over pairs of a calibration sample, never of the images that are evaluated.
    ///
    /// # Errors
    /// [`TooFew`] below ten pairs per coefficient.
    pub fn fit(pairs: &[Pair], degree: usize) -> Result<Self, TooFew> {
        let n = degree + 1;
        if pairs.len() < 10 * n {
            return Err(TooFew { found: pairs.len(), expected: n });
        }
        let row = |pair: &Pair| -> Vec<f64> { powers(pair.distance).take(n).collect() };
        let mut normal = vec![vec![0.0; n + 1]; n];
        for pair in pairs {
            let (row, target) = (row(pair), pair.area.ln());
            for (line, left) in normal.iter_mut().zip(&row) {
                line[..n].iter_mut().zip(&row).for_each(|(entry, right)| *entry += left * right);
                line[n] += left * target;
            }
        }
        let coefficients = solved(normal);
        let value = |distance: f64| -> f64 { powers(distance).zip(&coefficients).map(|(x, c)| x * c).sum() };
        let squares: f64 = pairs.iter().map(|pair| (pair.area.ln() - value(pair.distance)).powi(2)).sum();
        let mut distances: Vec<f64> = pairs.iter().map(|pair| pair.distance).collect();
        distances.sort_by(f64::total_cmp);
        let largest_px = distances[(distances.len() - 1) * 99 / 100];
        Ok(Self { residual: (squares / (pairs.len() - n) as f64).sqrt(), coefficients, largest_px })
    }

    /// Fit on simulated clicks over a prior of sides.
    ///
    /// # Errors
    /// [`TooFew`].
    pub fn simulated(
        model: &ErrorModel,
        sides: Sides,
        n_pairs: usize,
        rng: &mut impl Rng,
    ) -> Result<Self, TooFew> {
        let pairs: Vec<Pair> = (0..n_pairs)
            .map(|_| {
                let side = match sides {
                    Sides::LogUniform(from, to) => {
                        (from.ln() + (to.ln() - from.ln()) * rng.random::<f64>()).exp()
                    }
                    Sides::Uniform(from, to) => from + (to - from) * rng.random::<f64>(),
                };
                let [one, two] = [0, 1].map(|_| model.error(side * side, rng));
                let distance = Point { x: one[0], y: one[1] }.distance(&Point { x: two[0], y: two[1] });
                Pair { area: side * side, distance }
            })
            .collect();
        Self::fit(&pairs, 2)
    }

    /// Expected log-area μ(d) for two clicks at a distance in pixels.
    pub fn log_area(&self, distance: f64) -> f64 {
        powers(distance.min(self.largest_px)).zip(&self.coefficients).map(|(x, c)| x * c).sum()
    }

    /// What two clicks say about the object: centre and area, or that they are on two objects.
    pub fn evidence(&self, clicks: [Point; 2]) -> Evidence {
        let distance = clicks[0].distance(&clicks[1]);
        if distance > self.largest_px {
            return Evidence::Apart(clicks);
        }
        Evidence::CentreAndArea { centre: clicks[0].between(&clicks[1]), log_area: self.log_area(distance) }
    }
}

/// 1, x, x² … of `x = ln(d + 1)`: finite for two clicks at one pixel.
fn powers(distance: f64) -> impl Iterator<Item = f64> {
    let x = distance.ln_1p();
    std::iter::successors(Some(1.0), move |power| Some(power * x))
}

/// Gaussian elimination with pivots of an augmented matrix.
fn solved(mut lines: Vec<Vec<f64>>) -> Vec<f64> {
    let n = lines.len();
    for column in 0..n {
        let pivot = (column..n).max_by(|&a, &b| lines[a][column].abs().total_cmp(&lines[b][column].abs()));
        lines.swap(column, pivot.unwrap_or(column));
        let top = lines[column].clone();
        for line in lines.iter_mut().skip(column + 1) {
            let factor = line[column] / top[column];
            line.iter_mut().zip(&top).for_each(|(entry, above)| *entry -= factor * above);
        }
    }
    let mut solution = vec![0.0; n];
    for at in (0..n).rev() {
        let rest: f64 = (at + 1..n).map(|next| lines[at][next] * solution[next]).sum();
        solution[at] = (lines[at][n] - rest) / lines[at][at];
    }
    solution
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_law_is_found_again() {
        let law = |distance: f64| 4.0 + 1.5 * distance.ln_1p() - 0.1 * distance.ln_1p().powi(2);
        let pair = |d: u32| Pair { area: law(f64::from(d)).exp(), distance: f64::from(d) };
        let model = AreaModel::fit(&(0..60).map(pair).collect::<Vec<_>>(), 2).unwrap();
        for (found, expected) in model.coefficients.iter().zip([4.0, 1.5, -0.1]) {
            assert!((found - expected).abs() < 1e-8, "{:?}", model.coefficients);
        }
        assert!(model.residual < 1e-8);
    }

    #[test]
    fn a_tighter_prior_leaves_a_smaller_residual_and_one_pixel_is_finite() {
        let model = ErrorModel::usual();
        let mut rng = common::seed::rng(5, "prior", 0);
        let broad = AreaModel::simulated(&model, Sides::LogUniform(20.0, 400.0), 20_000, &mut rng).unwrap();
        let tight = AreaModel::simulated(&model, Sides::Uniform(50.0, 330.0), 20_000, &mut rng).unwrap();
        // A pilot in Python measured 1.06 and 0.80.
        assert!((broad.residual - 1.06).abs() < 0.06, "{}", broad.residual);
        assert!((tight.residual - 0.80).abs() < 0.06, "{}", tight.residual);
        let here = Point { x: 3.0, y: 4.0 };
        let Evidence::CentreAndArea { log_area, .. } = tight.evidence([here, here]) else {
            panic!("one object")
        };
        assert!(log_area.is_finite());
        let far = Point { x: 3.0 + 2.0 * tight.largest_px, y: 4.0 };
        assert_eq!(tight.evidence([here, far]), Evidence::Apart([here, far]));
    }
}
