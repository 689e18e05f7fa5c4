//! Our side of the peer cases `quantize-*`: a whole model from safetensors to a GGUF file, with reading and writing.
//!
//! The work is done in a process of its own, so that its largest memory is that of the work.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

mod random_model;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use quantization::model_file::ModelFile;
use serde_json::json;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, threads, work] = &arguments[..] else { bail!("usage: peer_quantize TYPE THREADS WORK") };
    let threads: usize = threads.parse()?;
    if let Some(folder) = std::env::var_os("PEER_QUANTIZE_MODEL") {
        random_model::write_gguf(Path::new(&folder), Path::new(work), kind, threads)?;
        println!("{}", peak_bytes()?);
        return Ok(());
    }
    let work = PathBuf::from(work);
    let folder = random_model::folder(&work)?;
    let out = work.join("quantize-ours.gguf");
    let weights: usize = ModelFile::open(&folder)?.tensors().iter().map(|tensor| tensor.weights()).sum();
    // Both sides read from the page cache and write a new file.
    std::fs::read(folder.join("model.safetensors"))?;
    std::fs::remove_file(&out).or_else(|problem| if out.exists() { Err(problem) } else { Ok(()) })?;
    let mut child = Command::new(std::env::current_exe()?);
    child.args([kind.as_str(), &threads.to_string()]).arg(&out).env("PEER_QUANTIZE_MODEL", &folder);
    let started = Instant::now();
    let output = child.output()?;
    let seconds = started.elapsed().as_secs_f64();
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let peak: u64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    let tensors = ModelFile::open(&out)?.tensors().len();
    println!("{}", json!({"seconds": seconds, "items": weights, "values": [tensors, 0], "peak_bytes": peak}));
    Ok(())
}

/// The most memory that this process had so far (`VmHWM`).
fn peak_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(1024 * line.trim().trim_end_matches(" kB").parse::<u64>()?)
}
