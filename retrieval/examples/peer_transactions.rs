//! Our side of the peer case `transactions`: training steps on 64 transaction strings with triplets of semi-hard negatives.
//! Writes the strings, batches and first weights.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use common::seed;
use rand::Rng;
use retrieval::tokenizer::Sequence;
use retrieval::transactions::model::{Size, new_encoder};
use retrieval::transactions::sampling::Batch;
use retrieval::transactions::train::{History, Learner, TrainConfig};
use serde_json::json;
use tch::Device;

const STEPS: usize = 40;
const ACCOUNTS: usize = 16;
const STRINGS: usize = 4;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: peer_transactions THREADS WORK";
    tch::set_num_threads(arguments.next().context(usage)?.parse()?);
    let work = PathBuf::from(arguments.next().context(usage)?).join("transactions");
    common::memory::keep_freed();
    let strings = strings();
    let model = new_encoder(&strings, Size::small(), Device::Cpu, 1)?;
    model.save_pylate(&work)?;
    std::fs::write(work.join("strings.json"), serde_json::to_vec(&strings)?)?;
    let config = TrainConfig { learning_rate: 1e-4, weight_decay: 0.0, ..TrainConfig::article(STEPS + 1) };
    let mut learner = Learner::new(&model, ACCOUNTS as i64, &config, 1);
    let mut history = History::default();
    let (mut started, mut before) = (Instant::now(), 0);
    for step in 0..=STEPS {
        if step == 1 {
            (started, before) = (Instant::now(), history.tokens); // the first one compiles kernels
        }
        let places: Vec<usize> = (step * ACCOUNTS * STRINGS..(step + 1) * ACCOUNTS * STRINGS).collect();
        let batch = Batch {
            accounts: places.iter().map(|place| place % ACCOUNTS).collect(),
            strings: places.clone(),
        };
        let texts: Vec<&str> = places.iter().map(|&place| strings[place].as_str()).collect();
        let sequences: Vec<Sequence> = model.document_sequences(&texts)?;
        learner.step(&model, &batch, &sequences, step, &mut history)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let values: Vec<f64> = history.losses.iter().map(|loss| 1000.0 * loss).collect();
    println!("{}", json!({"seconds": seconds, "items": history.tokens - before, "values": values}));
    Ok(())
}

/// Strings of very different lengths, as fields are missing from many transactions.
fn strings() -> Vec<String> {
    let mut random = seed::rng(1, "strings", 0);
    let word = |random: &mut rand_chacha::ChaCha8Rng| format!("word{}", random.random_range(0..3000));
    let n = (STEPS + 1) * ACCOUNTS * STRINGS;
    let string = |i: usize, random: &mut rand_chacha::ChaCha8Rng| {
        let mut text = format!("merchant kind{} {}", i % ACCOUNTS, word(random));
        for name in ["department", "location", "memo", "trip"] {
            if random.random_bool(0.5) {
                text += &format!(" | {name} {} {}", word(random), word(random));
            }
        }
        text
    };
    (0..n).map(|i| string(i, &mut random)).collect()
}
