//! Our side of the peer cases `gptq-hessian` and `gptq-solve`: one layer with correlated calibration inputs; writes the
//! weights and the inputs. Time is the processor's: other programs do not count.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use common::seed;
use cpu_time::ProcessTime;
use quantization::affine::{Fit, Grid, Shrink};
use quantization::gptq::{Hessian, Options, Order, gptq};
use rand::Rng;
use serde_json::json;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, rows, columns, bits, group, fit, work] = &arguments[..] else {
        bail!("usage: peer_gptq hessian|solve ROWS COLUMNS BITS GROUP|0 minmax|mse WORK");
    };
    let (rows, columns): (usize, usize) = (rows.parse()?, columns.parse()?);
    let work = PathBuf::from(work);
    if std::env::var_os("OMP_NUM_THREADS").is_some_and(|threads| threads == "1") {
        rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
    }
    let mut rng = seed::rng(1, "gptq", 0);
    let mut uniform =
        |count: usize| -> Vec<f32> { (0..count).map(|_| rng.random_range(-1.0..1.0)).collect() };
    let weights = uniform(rows * columns);
    let mut inputs = uniform(2 * columns * columns);
    for row in inputs.chunks_mut(columns) {
        (1..columns).for_each(|j| row[j] += 0.7 * row[j - 1]);
    }
    write(&work.join("gptq-weights.f32"), &weights)?;
    write(&work.join("gptq-inputs.f32"), &inputs)?;
    let group: usize = group.parse()?;
    let options = Options {
        grid: Grid::asymmetric(bits.parse()?),
        fit: if fit == "mse" { Fit::Mse(Shrink::gptq()) } else { Fit::MinMax },
        group_size: (group > 0).then_some(group),
        order: Order::Activation,
        ..Options::paper(4)
    };
    let mut hessian = Hessian::new(columns);
    let started = ProcessTime::now();
    hessian.add(&inputs)?;
    let collected = started.elapsed().as_secs_f64();
    let (seconds, items, values) = if mode == "hessian" {
        let trace: f64 = hessian.matrix().iter().step_by(columns + 1).sum();
        (collected, inputs.len() / columns, vec![trace])
    } else {
        let started = ProcessTime::now();
        let solution = gptq(&weights, &hessian, &options)?;
        (started.elapsed().as_secs_f64(), weights.len(), vec![solution.loss])
    };
    println!("{}", json!({"seconds": seconds, "items": items, "values": values}));
    Ok(())
}

fn write(path: &std::path::Path, values: &[f32]) -> Result<()> {
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}
