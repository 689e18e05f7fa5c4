//! Our side of the peer case `scoring`: scores of noisy tags, timed; writes the inputs.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use common::metrics::entity::{EntityScores, Scores};
use common::seed;
use rand::Rng;
use serde_json::json;

const TAGS: [&str; 9] = ["O", "O", "O", "O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC"];

fn main() -> Result<()> {
    let work = PathBuf::from(std::env::args().nth(1).context("usage: peer_scoring WORK")?);
    let mut rng = seed::rng(1, "tags", 0);
    let mut sentences = || -> Vec<Vec<&str>> {
        (0..10_000).map(|_| (0..20).map(|_| TAGS[rng.random_range(0..TAGS.len())]).collect()).collect()
    };
    let (gold, predicted) = (sentences(), sentences());
    std::fs::write(work.join("scoring.json"), json!({"gold": gold, "predicted": predicted}).to_string())?;
    let started = Instant::now();
    let scores = EntityScores::of_tags(&gold, &predicted);
    let averages = [scores.micro(), scores.macro_average(), scores.weighted()];
    let seconds = started.elapsed().as_secs_f64();
    let values: Vec<f64> =
        averages.iter().flat_map(|Scores { precision, recall, f1 }| [*precision, *recall, *f1]).collect();
    println!("{}", json!({"seconds": seconds, "items": 200_000, "values": values}));
    Ok(())
}
