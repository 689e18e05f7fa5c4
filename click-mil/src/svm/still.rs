//! Which examples need not be looked at: those that were far enough from mattering, when they were looked at last, for how little the
//! weights have moved since.
//!
//! With `‖(x, s)‖ = r` a move of the weights by δ changes an example's slope by at most `r δ`. An example at zero whose slope was
//! `g > r δ` has a positive slope still, and would not move.

/// Room for rounding in f32.
const ROUNDING: f64 = 1e-4;
/// Passes whose weights are remembered.
const REMEMBERED: usize = 32;

/// What is known of slopes.
#[derive(Debug)]
pub(super) struct Still {
    /// Length of the way of the weights so far, and at the start of this pass.
    way: f64,
    start: f64,
    seen: Vec<Seen>,
    passes: Vec<Pass>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    slope: f64,
    norm: f64,
    /// Length of the way then, and number of the pass.
    way: f64,
    pass: usize,
}

#[derive(Debug)]
struct Pass {
    /// Length of the way at its end.
    end: f64,
    weights: Vec<f32>,
    bias: f64,
    /// How far the weights of its end were from those at the start of this pass.
    distance: f64,
}

impl Still {
    /// Nothing known of `n` examples.
    pub(super) fn new(n: usize) -> Self {
        Self { way: 0.0, start: 0.0, seen: vec![Seen::default(); n], passes: Vec::new() }
    }

    /// Begins a pass at these weights, the end of the one before.
    pub(super) fn begin(&mut self, weights: &[f32], bias: f64) {
        let pass = Pass { end: self.way, weights: weights.to_vec(), bias, distance: 0.0 };
        let forgotten = self.passes.len().saturating_sub(REMEMBERED);
        for (number, pass) in self.passes.iter_mut().enumerate() {
            if number < forgotten {
                (pass.weights, pass.distance) = (Vec::new(), f64::INFINITY);
                continue;
            }
            let squares = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
            let square: f64 = weights.iter().zip(&pass.weights).map(squares).sum();
            pass.distance = (square + (bias - pass.bias).powi(2)).sqrt();
        }
        self.passes.push(pass);
        self.start = self.way;
    }

    /// The weights moved so far.
    pub(super) fn moved(&mut self, by: f64) {
        self.way += by;
    }

    /// An example of length `norm` was looked at.
    pub(super) fn saw(&mut self, at: usize, slope: f64, norm: f64) {
        // The pass under way ends where the next begins.
        self.seen[at] = Seen { slope, norm, way: self.way, pass: self.passes.len() };
    }

    /// The least slope that an example can have now; nothing of one that was not looked at in an earlier pass.
    pub(super) fn least_slope(&self, at: usize) -> Option<f64> {
        let seen = self.seen[at];
        let pass = self.passes.get(seen.pass).filter(|_| seen.pass > 0)?;
        let moved = (pass.end - seen.way) + pass.distance + (self.way - self.start);
        Some(seen.slope - seen.norm * moved - ROUNDING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_still_until_the_weights_have_moved_as_far_as_its_slope() {
        let mut still = Still::new(2);
        still.begin(&[0.0, 0.0], 0.0);
        assert_eq!(still.least_slope(0), None);
        still.saw(0, 1.0, 2.0);
        still.moved(0.25);
        still.begin(&[0.0, 0.25], 0.0);
        assert!((still.least_slope(0).unwrap() - 0.5).abs() < 2e-4);
        still.moved(0.25);
        assert!(still.least_slope(0).unwrap() < 0.0);
        // The weights came back to where they were: only the way within the first pass counts.
        still.begin(&[0.0, 0.25], 0.0);
        assert!((still.least_slope(0).unwrap() - 0.5).abs() < 2e-4);
        assert_eq!(still.least_slope(1), None);
    }
}
