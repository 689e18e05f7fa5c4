//! Our side of the peer cases `encode-*`: normal weights to blocks on one thread, in bytes of 32-bit floats; writes the
//! inputs. Time is the processor's: other programs do not count.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::path::PathBuf;

use anyhow::{Context, Result};
use cpu_time::ProcessTime;
use quantization::ggml::{GgmlType, encode};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

const COLUMNS: usize = 1024;
const ROWS: usize = 512;
const REPEATS: usize = 7;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: peer_encode TYPE WORK";
    let kind: GgmlType = arguments.next().context(usage)?.parse()?;
    let work = PathBuf::from(arguments.next().context(usage)?);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    // A sum of twelve uniform numbers is near enough to a normal one.
    let mut normal = || (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0;
    let weights: Vec<f32> = (0..ROWS * COLUMNS).map(|_| 0.02 * normal()).collect();
    let mut out = vec![0; kind.bytes(weights.len()).context("the columns are whole blocks")?];
    let mut fastest = f64::INFINITY;
    for _ in 0..REPEATS {
        let started = ProcessTime::now();
        encode(kind, &weights, COLUMNS, None, &mut out)?;
        fastest = fastest.min(started.elapsed().as_secs_f64());
    }
    let case = json!({"type_id": kind.id(), "rows": ROWS, "columns": COLUMNS, "bytes": out.len(), "repeats": REPEATS});
    std::fs::write(work.join("encode.json"), case.to_string())?;
    std::fs::write(work.join("encode.x"), weights.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
    println!("{}", json!({"seconds": fastest, "items": 4 * weights.len(), "values": sums(&out)}));
    Ok(())
}

/// Sums over the bytes of 16 parts, as numpy's `array_split` cuts them, each byte times its place.
fn sums(out: &[u8]) -> Vec<u64> {
    let (size, longer) = (out.len() / 16, out.len() % 16);
    let mut start = 0;
    let part = |index: usize| {
        let end = start + size + usize::from(index < longer);
        let products = (start..end).map(|place| u64::from(out[place]) * (place as u64 % 65521 + 1));
        start = end;
        products.sum::<u64>() % 65521
    };
    (0..16).map(part).collect()
}
