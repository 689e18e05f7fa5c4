//! Our side of the peer cases `training` and `flair`: one epoch of the base tagger, timed; writes the inputs.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::path::PathBuf;

use anyhow::{Result, bail};
use common::formats::{Scheme, Sentence, Span};
use common::seed;
use rand::Rng;
use serde_json::json;
use tch::Device;
use transfer_ner::config::{Config, Method, Schedule};
use transfer_ner::model::{Model, Training};
use transfer_ner::train::{Checkpoints, Data, train};

/// Sentences of Zipf-like words, 3 to 40 of them, with entities.
fn sentences() -> Vec<Sentence> {
    let mut rng = seed::rng(1, "sentences", 0);
    let mut word = || {
        let rank = (8000.0_f64.powf(rng.random::<f64>())) as u64;
        format!("w{}x{}", rank * 7919 % 8000, "abcdefgh".repeat((rank % 2) as usize))
    };
    let mut lengths = seed::rng(1, "lengths", 0);
    (0..2000)
        .map(|_| {
            let n = 3 + (37.0 * lengths.random::<f64>().powi(2)) as usize;
            let span = Span { start: n / 3, end: n / 3 + 1, label: ["PER", "LOC"][n % 2].to_owned() };
            Sentence { words: (0..n).map(|_| word()).collect(), spans: vec![span], ..Sentence::default() }
        })
        .collect()
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(work) = arguments.last().map(PathBuf::from) else {
        bail!("usage: peer_transfer_training [crf] WORK")
    };
    tch::set_num_threads(1);
    common::memory::keep_freed();
    let data = sentences();
    let line = |s: &Sentence| {
        format!("{}\n", json!({"words": s.words, "tags": Scheme::Iob2.encode(&s.spans, s.words.len())}))
    };
    std::fs::write(work.join("training.jsonl"), data.iter().map(line).collect::<String>())?;
    let config = Config::small(Method::Base);
    let schedule = Schedule { updates: data.len().div_ceil(16), rounds: 1, ..config.schedule };
    let config = Config { schedule, scheme: Scheme::Iob2, ..config };
    let run = || {
        let training = Training { target: &data, ..Training::default() };
        let model = Model::new(config.clone(), training, 1, Device::Cpu)?;
        let data = Data { source: &[], target: &data, dev: &data[..1], watched: &[] };
        anyhow::Ok(train(&model, data, 1, &Checkpoints::default(), |_| true)?.history)
    };
    run()?; // warm-up
    let history = run()?;
    println!("{}", json!({"seconds": history.steps_s, "items": history.words, "values": []}));
    Ok(())
}
