//! Our side of the peer case `vectors`: reads a million word vectors, timed; writes them first where they are not there.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::collections::HashSet;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use common::files::write_atomic_with;
use common::seed;
use rand::Rng;
use serde_json::json;
use transfer_ner::vectors::{Vectors, Wanted};

const ROWS: usize = 1_000_000;
const WIDTH: usize = 50;

fn write(path: &Path) -> Result<()> {
    let mut rng = seed::rng(1, "vectors", 0);
    write_atomic_with(path, |file| {
        let mut out = BufWriter::new(file);
        writeln!(out, "{ROWS} {WIDTH}")?;
        for row in 0..ROWS {
            write!(out, "w{row}")?;
            for _ in 0..WIDTH {
                write!(out, " {:.4}", rng.random_range(-1.0..1.0_f32))?;
            }
            writeln!(out)?;
        }
        out.flush()
    })?;
    Ok(())
}

fn main() -> Result<()> {
    let Some(work) = std::env::args().nth(1).map(PathBuf::from) else { bail!("usage: peer_vectors WORK") };
    let path = work.join("million.vec");
    if !path.exists() {
        write(&path)?;
    }
    // One thread, as the peer has.
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
    let words: HashSet<String> = (0..ROWS).step_by(20).map(|row| format!("w{row}")).collect();
    let started = Instant::now();
    let vectors = Vectors::read(&path, Wanted::Words(&words), None)?;
    let seconds = started.elapsed().as_secs_f64();
    let index = vectors.index();
    let sum = |row: usize| -> f64 {
        let values = index.get(&*format!("w{row}")).map_or(&[][..], |place| vectors.row(*place));
        values.iter().map(|&value| f64::from(value)).sum()
    };
    let values = [sum(0), sum(400_000), sum(999_980)];
    println!("{}", json!({"seconds": seconds, "items": ROWS, "values": values}));
    Ok(())
}
