//! Our side of the peer case `open-gguf`: reading all keys and the list of tensors of a file with a vocabulary of 128,256
//! tokens; writes the file.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use quantization::ggml::GgmlType;
use quantization::gguf::{File, Strings, Writer};
use serde_json::json;

const TOKENS: usize = 128_256;
const MERGES: usize = 280_147;
const REPEATS: usize = 20;

fn main() -> Result<()> {
    let work = std::env::args().nth(1).context("usage: peer_open WORK")?;
    let path = PathBuf::from(work).join("vocabulary.gguf");
    write(&path)?;
    let mut seconds = f64::INFINITY;
    for _ in 0..REPEATS {
        let started = Instant::now();
        let file = File::open(&path)?;
        seconds = seconds.min(started.elapsed().as_secs_f64());
        drop(file);
    }
    let file = File::open(&path)?;
    let length = |key: &str| -> Result<usize> { Ok(file.get_strings(key)?.iter().map(<[u8]>::len).sum()) };
    let scores: f64 = file.get_f32s("tokenizer.ggml.scores")?.iter().map(|&x| f64::from(x)).sum();
    let kinds: i64 = file.get_i32s("tokenizer.ggml.token_type")?.iter().map(|&x| i64::from(x)).sum();
    let values = json!([
        file.metadata().iter().count(),
        file.tensors().len(),
        length("tokenizer.ggml.tokens")?,
        length("tokenizer.ggml.merges")?,
        scores,
        kinds
    ]);
    println!("{}", json!({"seconds": seconds, "items": 1, "values": values}));
    Ok(())
}

fn write(path: &std::path::Path) -> Result<()> {
    let word = |number: usize| format!("t{:x}", number * 2_654_435_761 % (1 << (8 + number % 40)));
    let tokens: Vec<String> = (0..TOKENS).map(word).collect();
    let merges: Vec<String> = (0..MERGES).map(|at| format!("{} {}", word(at), word(at + 1))).collect();
    let mut writer = Writer::create(path)?;
    writer.set("general.architecture", "llama")?;
    writer.set("tokenizer.ggml.model", "gpt2")?;
    writer.set("tokenizer.ggml.tokens", tokens.iter().collect::<Strings>())?;
    writer.set("tokenizer.ggml.scores", (0..TOKENS).map(|at| -(at as f32)).collect::<Vec<f32>>())?;
    writer
        .set("tokenizer.ggml.token_type", (0..TOKENS).map(|at| 1 + (at % 6) as i32).collect::<Vec<i32>>())?;
    writer.set("tokenizer.ggml.merges", merges.iter().collect::<Strings>())?;
    for layer in 0..32 {
        for part in 0..9 {
            writer.declare(&format!("blk.{layer}.part{part}.weight"), &[32], GgmlType::F32)?;
        }
    }
    for _ in 0..32 * 9 {
        writer.append(&[0; 128])?;
    }
    Ok(writer.finish()?)
}
