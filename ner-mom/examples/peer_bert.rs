//! Our side of the peer cases `bert-predict` and `bert-train`: a BERT with a classifier over ragged sentences; writes the
//! inputs, a Hugging Face directory among them.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use common::nn::bert::{Bert, Config, Packed};
use common::nn::checkpoint::{named, save};
use common::nn::linear::Linear;
use common::optim::{AdamW, AdamWConfig};
use common::seed;
use rand::Rng;
use serde_json::json;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

const CLASSES: i64 = 9;
const BATCH: usize = 32;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: peer_bert predict|train WORK";
    let train = arguments.next().context(usage)? == "train";
    let work = PathBuf::from(arguments.next().context(usage)?);
    tch::set_num_threads(1);
    tch::manual_seed(1);
    let store = VarStore::new(Device::Cpu);
    let no_dropout =
        |config| Config { hidden_dropout_prob: 0.0, attention_probs_dropout_prob: 0.0, ..config };
    let config = no_dropout(Config::new(2000, 256, 4, 4));
    let bert = Bert::new(&(store.root() / "bert"), &config);
    let output = Linear::new(&(store.root() / "classifier"), config.hidden_size, CLASSES);
    let n = if train { 128 } else { 512 };
    let mut rng = seed::rng(1, "sentences", 0);
    let sentences: Vec<Vec<i64>> = (0..n)
        .map(|_| {
            let length = 5 + (75.0 * rng.random::<f64>().powi(2)) as usize;
            (0..length).map(|_| rng.random_range(1..2000)).collect()
        })
        .collect();
    config.write(&work.join("config.json"))?;
    save(&named(&store), &work.join("model.safetensors"))?;
    std::fs::write(work.join("bert.json"), serde_json::to_vec(&sentences)?)?;
    let mut optimiser = AdamW::new(&store, AdamWConfig::adam());
    let mut values = Vec::new();
    let started = Instant::now();
    for batch in sentences.chunks(BATCH) {
        let packed = Packed::new(batch, Device::Cpu);
        if train {
            let logits = output.forward(&bert.forward(&packed, false)?);
            let labels: Vec<i64> = batch.iter().flatten().map(|id| id % CLASSES).collect();
            let log_probs = logits.log_softmax(-1, Kind::Float);
            let loss =
                -log_probs.gather(1, &Tensor::from_slice(&labels).unsqueeze(1), false).mean(Kind::Float);
            optimiser.zero_grad();
            loss.backward();
            optimiser.step(1e-4);
            values.push(loss.double_value(&[]));
        } else {
            let _guard = tch::no_grad_guard();
            let logits = output.forward(&bert.forward(&packed, false)?);
            values.push(logits.abs().sum(Kind::Double).double_value(&[]));
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let items: usize = sentences.iter().map(Vec::len).sum();
    println!("{}", json!({"seconds": seconds, "items": items, "values": values}));
    Ok(())
}
