//! Processor time of a training step and of encoding, for encoders of several sizes: `step_times [THREADS
//! [STEPS]]`. Documents of 150 to 250 characters, 8 to each of 16 queries, as in the experiment.
#![expect(clippy::print_stdout, reason = "the table goes to standard output")]

use anyhow::Result;
use common::nn::bert::Config;
use common::seed;
use cpu_time::ProcessTime;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use retrieval::encoder::ColBert;
use retrieval::tokenizer::Layout;
use retrieval::tokenizer::train::{Kind, train as train_tokenizer};
use retrieval::training::config::{Optimiser, TrainConfig};
use retrieval::training::data::{Example, TrainingData};
use retrieval::training::{Checkpoints, train};
use tch::Device;

const QUERIES: usize = 64;
const WAYS: usize = 8;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let steps = arguments.next().map_or(Ok(4), |text| text.parse())?;
    tch::set_num_threads(threads);
    common::memory::keep_freed();
    let data = data();
    let texts: Vec<&str> = data.documents.iter().map(String::as_str).collect();
    println!(
        "threads {threads}; layers width dim: processor seconds per step of 16 x 8, tokens per second in training, in encoding"
    );
    for (layers, width, dim) in [(2, 128, 64), (3, 192, 64), (4, 256, 128)] {
        let pieces = train_tokenizer(texts.iter().copied(), Kind::Characters { fewest: 1 })?;
        let config = Config {
            hidden_dropout_prob: 0.0,
            attention_probs_dropout_prob: 0.0,
            ..Config::new(pieces.len() as i64, width, layers, width / 64)
        };
        let model = ColBert::new(&config, pieces, Layout::colbert(), dim, Device::Cpu, 1)?;
        let run = TrainConfig {
            n_ways: WAYS,
            optimiser: Optimiser::ScheduleFree { learning_rate: 1e-4, warmup: 0.0 },
            ..TrainConfig::paper(steps)
        };
        let warm = TrainConfig { steps: 1, ..run.clone() };
        train(&model, &data, &warm, 1, &Checkpoints::default(), |_, _| true)?;
        let started = ProcessTime::now();
        let history = train(&model, &data, &run, 1, &Checkpoints::default(), |_, _| true)?;
        let seconds = started.elapsed().as_secs_f64();
        let started = ProcessTime::now();
        let vectors = model.encode_documents(&texts)?;
        let encoding = vectors.rows() as f64 / started.elapsed().as_secs_f64();
        let (per_step, training) = (seconds / steps as f64, history.tokens as f64 / seconds);
        let clock = history.steps_s / steps as f64;
        println!(
            "{layers} {width} {dim}: {per_step:.3} {training:.0} {encoding:.0} ({clock:.3} s of the clock)"
        );
    }
    Ok(())
}

fn text(rng: &mut ChaCha8Rng, shortest: usize, longest: usize) -> String {
    let length = rng.random_range(shortest..=longest);
    (0..length).map(|_| char::from_u32(0x4e00 + rng.random_range(0..2000)).unwrap_or('一')).collect()
}

fn data() -> TrainingData {
    let mut rng = seed::rng(1, "texts", 0);
    let queries = (0..QUERIES).map(|_| text(&mut rng, 10, 28)).collect();
    let documents: Vec<String> = (0..QUERIES * WAYS).map(|_| text(&mut rng, 150, 250)).collect();
    let example = |query: usize| Example {
        query,
        documents: (query * WAYS..(query + 1) * WAYS).collect(),
        scores: (0..WAYS).map(|i| 1.0 / (i + 1) as f32).collect(),
    };
    TrainingData { queries, documents, examples: (0..QUERIES).map(example).collect() }
}
