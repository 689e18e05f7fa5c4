//! Our side of the peer case `encode`: documents of very different lengths through a ColBERT, from texts to
//! token vectors. Writes the texts and the model as a directory of PyLate.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use common::nn::bert::Config;
use common::seed;
use rand::Rng;
use retrieval::encoder::{ColBert, Options};
use retrieval::tokenizer::Layout;
use retrieval::tokenizer::train::{Kind, train};
use serde_json::json;
use tch::Device;

const DOCUMENTS: usize = 256;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: peer_encoding THREADS WORK [MODEL]";
    tch::set_num_threads(arguments.next().context(usage)?.parse()?);
    let work = PathBuf::from(arguments.next().context(usage)?).join("encode");
    common::memory::keep_freed();
    let mut rng = seed::rng(1, "texts", 0);
    let documents: Vec<String> = (0..DOCUMENTS)
        .map(|_| {
            let length = 8 + (280.0 * rng.random::<f64>().powi(2)) as usize;
            (0..length).filter_map(|_| char::from_u32(0x4e00 + rng.random_range(0..2000))).collect()
        })
        .collect();
    let texts: Vec<&str> = documents.iter().map(String::as_str).collect();
    let model = match arguments.next() {
        Some(path) => ColBert::open(path.as_ref(), Options::cpu())?,
        None => {
            let pieces = train(texts.iter().copied(), Kind::Characters { fewest: 1 })?;
            let config = Config::new(pieces.len() as i64, 256, 4, 4);
            ColBert::new(&config, pieces, Layout::colbert(), 128, Device::Cpu, 1)?
        }
    };
    model.save_pylate(&work)?;
    std::fs::write(work.join("texts.json"), serde_json::to_vec(&documents)?)?;
    model.encode_documents(&texts[..8])?; // compiled kernels
    let started = Instant::now();
    let vectors = model.encode_documents(&texts)?;
    let seconds = started.elapsed().as_secs_f64();
    let first = |i: usize| vectors.text(i)[..vectors.width()].iter().map(|x| f64::from(*x)).sum::<f64>();
    let values: Vec<f64> = (0..DOCUMENTS).map(first).collect();
    println!("{}", json!({"seconds": seconds, "items": vectors.rows(), "values": values}));
    Ok(())
}
