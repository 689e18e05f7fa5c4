//! nDCG@10 on JaQuAD's development questions at several learning rates: `learning_rate FACTOR RATE...`, in the
//! preset `cpu`. The linear schedule trains at each RATE, the schedule-free optimiser at FACTOR times each. What the
//! experiment's learning rates were chosen by; no test question is read.
#![expect(clippy::print_stdout, reason = "the table goes to standard output")]

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use retrieval::experiment::design::{Amount, Arm, Preset};
use retrieval::experiment::development_quality;
use retrieval::training::config::{Optimiser, TrainConfig};
use tch::Device;

const SEEDS: [u64; 2] = [11, 12];

fn main() -> Result<()> {
    let numbers: Result<Vec<f64>, _> = std::env::args().skip(1).map(|text| text.parse()).collect();
    let numbers = numbers.context("expected numbers: FACTOR RATE...")?;
    let (factor, rates) = numbers.split_first().context("expected FACTOR RATE...")?;
    tch::set_num_threads(1);
    common::memory::keep_freed();
    let configs: Vec<TrainConfig> =
        rates.iter().flat_map(|rate| [Arm::Linear, Arm::Paper].map(|arm| at(arm, *rate, *factor))).collect();
    let environment = std::env::var("BENKYOKAI_DATA").ok();
    let workspace = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let root = common::data::root(None, environment.as_deref(), Path::new(&workspace));
    development_quality(&root, Preset::Cpu, &configs, &SEEDS, Device::Cpu, |place, seed, ndcg| {
        println!("{:?} seed {seed}: {ndcg:.4}", configs[place].optimiser);
    })
}

/// The arm's recipe at another learning rate.
fn at(arm: Arm, rate: f64, factor: f64) -> TrainConfig {
    let mut config = arm.config(Amount::of(Preset::Cpu).steps);
    config.evaluate_at.clear();
    match &mut config.optimiser {
        Optimiser::LinearDecay { learning_rate, .. } => *learning_rate = rate,
        Optimiser::ScheduleFree { learning_rate, .. } => *learning_rate = factor * rate,
    }
    config
}
