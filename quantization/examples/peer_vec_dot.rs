//! Our side of the peer cases `vec-dot-*` and `matmul-*`: a matrix of random blocks times some tokens on one thread, the
//! activations quantized each time; writes the inputs. Time is the processor's: other programs do not count.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::path::PathBuf;

use anyhow::{Context, Result};
use cpu_time::ProcessTime;
use quantization::ggml::GgmlType;
use quantization::kernel::{self, Activations, Capability, Matrix};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

const COLUMNS: usize = 4096;
const ROWS: usize = 4096;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: peer_vec_dot TYPE TOKENS LAYOUT WORK";
    let kind: GgmlType = arguments.next().context(usage)?.parse()?;
    let tokens: usize = arguments.next().context(usage)?.parse()?;
    // The peer's layout; ours is always the file's.
    let _layout = arguments.next().context(usage)?;
    let work = PathBuf::from(arguments.next().context(usage)?);
    // Long products need fewer rows and repeats.
    let (rows, repeats) = if tokens == 1 { (ROWS, 200) } else { (ROWS / 4, 30) };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let weights = blocks(kind, rows, &mut rng)?;
    let x: Vec<f32> = (0..tokens * COLUMNS).map(|_| rng.random_range(-1.0..1.0)).collect();
    let mut y = vec![0.0; tokens * rows];
    // The best kernels, or those of the tier in the variable: `avx2`, `portable`.
    let tier = std::env::var("PEER_VEC_DOT_TIER").ok();
    let tier = Capability::available().find(|available| Some(available.name()) == tier.as_deref());
    let forced = tier.map(kernel::with_capability).transpose()?;
    let mut multiply = || match forced {
        None => kernel::matmul(kind, &weights, rows, COLUMNS, &x, &mut y, 1),
        Some(kernel) => {
            let matrix = Matrix::new(kind, &weights, rows, COLUMNS)?;
            kernel.multiply(&matrix, &Activations::quantize(kind, &x, COLUMNS)?, &mut y, 1)
        }
    };
    multiply()?;
    let mut fastest = f64::INFINITY;
    for _ in 0..repeats {
        let started = ProcessTime::now();
        multiply()?;
        fastest = fastest.min(started.elapsed().as_secs_f64());
    }
    // Outputs relative to their usual size: both sides round sums of thousands of terms.
    let size = (y.iter().map(|y| y * y).sum::<f32>() / y.len() as f32).sqrt();
    let picked: Vec<usize> = (0..16).map(|i| i * (y.len() - 1) / 15).collect();
    let values: Vec<f32> = picked.iter().map(|&at| y[at] / size).collect();
    let case = json!({"type_id": kind.id(), "rows": rows, "columns": COLUMNS, "tokens": tokens, "repeats": repeats,
        "size": size, "picked": picked});
    std::fs::write(work.join("vec_dot.json"), case.to_string())?;
    std::fs::write(work.join("vec_dot.weights"), &weights)?;
    std::fs::write(work.join("vec_dot.x"), x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
    println!("{}", json!({"seconds": fastest, "items": rows * COLUMNS * tokens, "values": values}));
    Ok(())
}

/// Random codes under scales around 1.
fn blocks(kind: GgmlType, rows: usize, rng: &mut ChaCha8Rng) -> Result<Vec<u8>> {
    let mut bytes = vec![0; kind.bytes(rows * COLUMNS).context("the columns are whole blocks")?];
    rng.fill(&mut bytes[..]);
    for block in bytes.chunks_exact_mut(kind.block_bytes()) {
        use GgmlType::{MXFP4, NVFP4, Q2_K, Q3_K, Q4_1, Q4_K, Q5_1, Q5_K, Q6_K, TQ1_0, TQ2_0};
        let halves: &[usize] = match kind {
            Q4_1 | Q5_1 | Q4_K | Q5_K => &[0, 2],
            Q2_K => &[80, 82],
            Q3_K => &[108],
            Q6_K => &[208],
            TQ1_0 => &[52],
            TQ2_0 => &[64],
            MXFP4 | NVFP4 => &[],
            _ => &[0],
        };
        for &at in halves {
            block[at..at + 2].copy_from_slice(&rng.random_range(0x3800u16..0x4000).to_le_bytes());
        }
        match kind {
            MXFP4 => block[0] = rng.random_range(126..130),
            NVFP4 => (0..4).for_each(|at| block[at] = rng.random_range(0x30..0x48)),
            _ => {}
        }
    }
    Ok(bytes)
}
