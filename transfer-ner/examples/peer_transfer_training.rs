//! Our side of the peer cases `training` and `flair`: one epoch of the base tagger, timed; writes the inputs.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::path::PathBuf;

use anyhow::{Result, bail};
use common::formats::{Scheme, Sentence};
use common::testing::zipf_sentences;
use serde_json::json;
use tch::Device;
use transfer_ner::config::{Config, Method, Schedule};
use transfer_ner::model::{Model, Training};
use transfer_ner::train::{Checkpoints, Data, train};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(work) = arguments.last().map(PathBuf::from) else {
        bail!("usage: peer_transfer_training [crf] WORK")
    };
    tch::set_num_threads(1);
    common::memory::keep_freed();
    let data = zipf_sentences();
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
