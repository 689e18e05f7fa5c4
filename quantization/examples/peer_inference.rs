//! Our side of the peer cases `generate-*` and `prompt-*`: tokens per second of a random model, one after the other or 512 at
//! once. With one thread time is the processor's, so that other programs do not count.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

mod random_model;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cpu_time::ProcessTime;
use quantization::convert::calibrate::kernels;
use quantization::llama::{Hooks, Loading, Model};
use quantization::model_file::ModelFile;
use serde_json::json;

/// Tokens in front of the ones that are timed one after the other.
const BEFORE: usize = 16;
const REPEATS: usize = 3;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, kind, threads, work] = &arguments[..] else {
        bail!("usage: peer_inference generate|prompt TYPE THREADS WORK");
    };
    let (threads, work): (usize, _) = (threads.parse()?, PathBuf::from(work));
    let folder = random_model::folder(&work)?;
    let path = folder.join(format!("model-{kind}.gguf"));
    if !path.exists() {
        random_model::write_gguf(&folder, &path, kind, 2)?;
    }
    let file = ModelFile::open(&path)?;
    let model = Model::load(&file, &Loading::AsStored(Some(kernels())))?;
    let mut state = model.state(1024, threads)?;
    let tokens = |count: usize| -> Vec<u32> {
        (0..count).map(|place| (place * 7919 % random_model::VOCABULARY) as u32).collect()
    };
    let (count, tokens) = if mode == "generate" { (64, tokens(BEFORE + 64)) } else { (512, tokens(512)) };
    let (mut seconds, mut logits) = (f64::INFINITY, Vec::new());
    for _ in 0..REPEATS {
        state.truncate(0);
        if mode == "generate" {
            model.forward(&tokens[..BEFORE], &mut state, &mut Hooks::none())?;
        }
        let (started, worked) = (Instant::now(), ProcessTime::now());
        if mode == "generate" {
            for token in &tokens[BEFORE..] {
                model.forward(std::slice::from_ref(token), &mut state, &mut Hooks::none())?;
            }
        } else {
            model.forward(&tokens, &mut state, &mut Hooks::none())?;
        }
        let spent = if threads == 1 { worked.elapsed() } else { started.elapsed() };
        seconds = seconds.min(spent.as_secs_f64());
        logits = model.forward(&tokens[..1], &mut state, &mut Hooks::none())?.to_vec();
    }
    let size = (logits.iter().map(|x| x * x).sum::<f32>() / logits.len() as f32).sqrt();
    let picked = (0..16).map(|i| logits.get(i * (logits.len() - 1) / 15).map(|x| x / size));
    let values: Vec<f32> = picked.collect::<Option<_>>().context("logits for every token")?;
    println!("{}", json!({"seconds": seconds, "items": count, "values": values}));
    Ok(())
}
