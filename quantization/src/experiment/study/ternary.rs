//! Ternary products in integers: equal to what training simulated, and how fast.

use std::time::Instant;

use anyhow::Result;
use common::report::{Table, number};
use common::{seed, stats};
use rand::Rng;

use crate::experiment::outcome::Outcome;
use crate::kernel::{self, TernaryMatrix};
use crate::llama::{Matrix, Threads};

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
            kernel::ternary(&packed, &x, &mut y, 1)?;
            ternary.push(started.elapsed().as_secs_f64());
            let started = Instant::now();
            plain.apply(&x, &mut y, &threads)?;
            float.push(started.elapsed().as_secs_f64());
        }
        let median = |values: &[f64]| stats::median(values).unwrap_or_default();
        let (own, other) = (median(&ternary), median(&float));
        rows.push(vec![name.to_owned(), number(own * 1e6, 0), number(other * 1e6, 0), number(other / own, 2)]);
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

/// Whole numbers within ±127 pass the activation quantizer unchanged, so the products must be equal as integers.
fn exact(packed: &TernaryMatrix, codes: &[i8], outcome: &mut Outcome) -> Result<()> {
    let mut rng = seed::rng(0, "ternary", 1);
    let mut x: Vec<f32> = (0..WIDTH).map(|_| f32::from(rng.random_range(-127i8..=127))).collect();
    x[0] = 127.0;
    let mut y = vec![0.0; WIDTH];
    kernel::ternary(packed, &x, &mut y, 1)?;
    let sum = |row: &[i8]| row.iter().zip(&x).map(|(code, x)| i32::from(*code) * *x as i32).sum::<i32>();
    outcome.put("ternary", "integer", "product", y.iter().map(|&y| f64::from(y)).collect());
    outcome.put("ternary", "simulated", "product", codes.chunks_exact(WIDTH).map(|row| f64::from(sum(row))).collect());
    Ok(())
}
