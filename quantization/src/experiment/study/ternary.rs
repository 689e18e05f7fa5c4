//! Ternary products in integers: equal to what training simulated, and how fast.

use std::time::Instant;

use anyhow::Result;
use common::report::{Table, number};
use common::{seed, stats};
use rand::Rng;

use crate::kernel::{self, TernaryMatrix};
use crate::llama::{Matrix, Threads};
use common::outcome::Outcome;

/// Inputs and outputs of the layer.
const WIDTH: usize = 2048;
/// Measurements of each product.
const REPEATS: usize = 9;

pub(super) fn run() -> Result<Outcome> {
    let mut rng = seed::rng(0, "ternary", 0);
    let codes: Vec<i8> = (0..WIDTH * WIDTH).map(|_| rng.random_range(-1..=1)).collect();
    let packed = TernaryMatrix::pack(&codes, WIDTH, WIDTH, 1.0)?;
    let floats: Vec<f32> = codes.iter().map(|&code| f32::from(code)).collect();
    let plain = Matrix::from_f32(floats, WIDTH, WIDTH)?;
    let threads = Threads::new(1)?;
    let mut outcome = Outcome::default();
    let mut rows = Vec::new();
    for (name, inputs) in [("vector", 1), ("matrix", 32)] {
        let x: Vec<f32> = (0..inputs * WIDTH).map(|_| rng.random_range(-1.0..1.0)).collect();
        let mut y = vec![0.0; inputs * WIDTH];
        let (mut ternary, mut float) = (Vec::new(), Vec::new());
        for _ in 0..REPEATS {
            let started = Instant::now();
            integer_layer(&packed, &x, &mut y)?;
            ternary.push(started.elapsed().as_secs_f64());
            let started = Instant::now();
            plain.apply(&x, &mut y, &threads)?;
            float.push(started.elapsed().as_secs_f64());
        }
        let median = |values: &[f64]| stats::median(values).unwrap_or_default();
        let (own, other) = (median(&ternary), median(&float));
        rows.push(vec![
            name.to_owned(),
            number(own * 1e6, 0),
            number(other * 1e6, 0),
            number(other / own, 2),
        ]);
        outcome.put("ternary", &format!("ternary-{name}"), "seconds", ternary);
        outcome.put("ternary", &format!("float-{name}"), "seconds", float);
    }
    exact(&packed, &codes, &mut outcome)?;
    outcome.tables.push(Table {
        caption: format!("A {WIDTH}×{WIDTH} ternary layer, activations quantized on the way, one thread: medians of {REPEATS}"),
        columns: ["inputs", "ternary, µs", "32-bit floats, µs", "times faster"].map(str::to_owned).into(),
        rows,
    });
    Ok(outcome)
}

/// The layer as BitNet b1.58 deploys it: each token rounded to 8 bits by its largest magnitude, sums in integers, one
/// scale put back.
fn integer_layer(weights: &TernaryMatrix, x: &[f32], y: &mut [f32]) -> Result<()> {
    let (mut codes, mut steps) = (Vec::with_capacity(x.len()), Vec::new());
    for token in x.chunks_exact(WIDTH) {
        let largest = token.iter().fold(1e-5f32, |largest, x| largest.max(x.abs()));
        let scale = 127.0 / largest;
        codes.extend(token.iter().map(|x| (x * scale).round_ties_even() as i8));
        steps.push(weights.scale() / scale);
    }
    let mut sums = vec![0i32; y.len()];
    kernel::ternary(kernel::capability(), weights, &codes, &mut sums, 1)?;
    for ((y, sums), step) in y.chunks_exact_mut(WIDTH).zip(sums.chunks_exact(WIDTH)).zip(&steps) {
        y.iter_mut().zip(sums).for_each(|(y, sum)| *y = *sum as f32 * step);
    }
    Ok(())
}

/// The integer sums beside the products in 64-bit floats of the numbers that training computes with.
fn exact(packed: &TernaryMatrix, codes: &[i8], outcome: &mut Outcome) -> Result<()> {
    let mut rng = seed::rng(0, "ternary", 1);
    let x: Vec<i8> = (0..WIDTH).map(|_| rng.random_range(-127i8..=127)).collect();
    let mut sums = vec![0; WIDTH];
    kernel::ternary(kernel::capability(), packed, &x, &mut sums, 1)?;
    let simulated = |row: &[i8]| row.iter().zip(&x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
    outcome.put("ternary", "integer", "product", sums.into_iter().map(f64::from).collect());
    outcome.put("ternary", "simulated", "product", codes.chunks_exact(WIDTH).map(simulated).collect());
    Ok(())
}
