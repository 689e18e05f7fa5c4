//! Times.

use std::time::Instant;

use anyhow::Result;
use common::outcome::Outcome;
use common::seed;
use rand::Rng;
use tch::Device;

use super::design::{Amount, Arm};
use super::lab::Lab;
use super::measure::VOTING;
use crate::transactions::model::new_encoder;
use crate::transactions::neighbours::Neighbours;
use crate::transactions::train::train;

/// Times of a search, by width and number of vectors, and of a training step, by mining.
pub(super) fn speed(lab: &Lab, amount: Amount, device: Device) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for arm in Arm::ALL.into_iter().filter(|arm| arm.is_mining()) {
        let encoder = new_encoder(&lab.corpus.strings, amount.size, device, 1)?;
        let history = train(&encoder, &lab.corpus, &arm.config(20), 1, |_, _| true)?;
        outcome.put("speed", arm.name(), "step_ms", vec![1e3 * history.steps_s / 20.0]);
        outcome.put("speed", arm.name(), "tokens_per_s", vec![history.tokens as f64 / history.steps_s]);
    }
    let sizes = [
        (8, amount.searched / 10),
        (16, amount.searched / 10),
        (64, amount.searched / 10),
        (64, amount.searched),
    ];
    for (width, n) in sizes {
        let mut random = seed::rng(1, "vectors", width as u64);
        let centres: Vec<f32> = (0..2000 * width).map(|_| random.random_range(-1.0..1.0)).collect();
        let mut around = |n: usize| -> Vec<f32> {
            let mut values = Vec::with_capacity(n * width);
            for _ in 0..n {
                let centre = random.random_range(0..2000) * width;
                let row: Vec<f32> = centres[centre..centre + width]
                    .iter()
                    .map(|value| value + random.random_range(-0.5..0.5))
                    .collect();
                let norm = row.iter().map(|value| value * value).sum::<f32>().sqrt();
                values.extend(row.iter().map(|value| value / norm));
            }
            values
        };
        let (values, queries) = (around(n), around(50));
        let index = Neighbours::new(width, values)?;
        let mut times: Vec<f64> = Vec::new();
        for query in queries.chunks_exact(width) {
            let started = Instant::now();
            index.search(query, VOTING.k)?;
            times.push(1e3 * started.elapsed().as_secs_f64());
        }
        outcome.put(
            "search",
            &format!("{n} x {width}"),
            "latency_ms",
            common::stats::median(&times).into_iter().collect(),
        );
    }
    Ok(outcome)
}
