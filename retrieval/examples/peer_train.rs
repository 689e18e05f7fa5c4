//! Our side of the peer case `train`: steps of 8 queries with 4 documents of very different lengths, KL
//! divergence of min-max-normalised scores, AdamW. Writes the texts, the teacher's scores and the first
//! weights as a directory of PyLate.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use common::nn::bert::Config;
use common::optim::{AdamW, AdamWConfig};
use common::seed;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use retrieval::encoder::ColBert;
use retrieval::tokenizer::Layout;
use retrieval::tokenizer::train::{Kind, train};
use retrieval::training::Batch;
use retrieval::training::config::TrainConfig;
use retrieval::training::data::{Example, TrainingData};
use serde_json::json;
use tch::Device;

const STEPS: usize = 6;
const BATCH: usize = 8;
const WAYS: usize = 4;
const RATE: f64 = 1e-4;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: peer_train THREADS WORK";
    tch::set_num_threads(arguments.next().context(usage)?.parse()?);
    let work = PathBuf::from(arguments.next().context(usage)?).join("train");
    common::memory::keep_freed();
    let data = data();
    let pieces = train(data.documents.iter().map(String::as_str), Kind::Characters { fewest: 1 })?;
    let config = Config {
        hidden_dropout_prob: 0.0,
        attention_probs_dropout_prob: 0.0,
        ..Config::new(pieces.len() as i64, 256, 4, 4)
    };
    let model = ColBert::new(&config, pieces, Layout::colbert(), 64, Device::Cpu, 1)?;
    model.save_pylate(&work)?;
    std::fs::write(work.join("data.json"), serde_json::to_vec(&data)?)?;
    let run = TrainConfig { batch: BATCH, n_ways: WAYS, ..TrainConfig::paper(STEPS) };
    let mut optimiser = AdamW::new(model.store(), AdamWConfig::adam());
    let (mut values, mut items) = (Vec::new(), 0);
    let mut started = Instant::now();
    for step in 0..=STEPS {
        if step == 1 {
            started = Instant::now(); // the first one compiles kernels
        }
        let examples: Vec<usize> = (step * BATCH..(step + 1) * BATCH).collect();
        let mut in_order = seed::rng(1, "ways", 0); // all documents take part, and a sum over them has no order
        let batch = Batch::new(&model, &data, &examples, WAYS, &mut in_order)?;
        let loss = batch.loss(&model, &run, true)?;
        optimiser.zero_grad();
        loss.backward();
        optimiser.step(RATE);
        values.push(loss.double_value(&[]) * 1000.0);
        items += if step > 0 { batch.n_tokens() } else { 0 };
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{}", json!({"seconds": seconds, "items": items, "values": values}));
    Ok(())
}

fn text(rng: &mut ChaCha8Rng, longest: f64) -> String {
    let length = 8 + (longest * rng.random::<f64>().powi(2)) as usize;
    (0..length).filter_map(|_| char::from_u32(0x4e00 + rng.random_range(0..2000))).collect()
}

fn data() -> TrainingData {
    let mut rng = seed::rng(1, "texts", 0);
    let n = (STEPS + 1) * BATCH;
    let queries = (0..n).map(|_| text(&mut rng, 20.0)).collect();
    let documents: Vec<String> = (0..n * WAYS).map(|_| text(&mut rng, 250.0)).collect();
    let example = |query: usize| Example {
        query,
        documents: (query * WAYS..(query + 1) * WAYS).collect(),
        scores: (0..WAYS).map(|i| 1.0 / (i + 1) as f32).collect(),
    };
    TrainingData { queries, documents, examples: (0..n).map(example).collect() }
}
