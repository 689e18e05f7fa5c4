//! Numbers and tables for readers.

use crate::convert::{Summary, TensorReport};
use crate::kernel::bandwidth;
use crate::llama::Weights;

/// Bytes with a unit of 1000.
pub(super) fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.2} {}", units[unit]) }
}

/// Sizes of a tensor as `[in, out]`.
pub(super) fn dims(dims: &[usize]) -> String {
    let sizes: Vec<String> = dims.iter().map(ToString::to_string).collect();
    format!("[{}]", sizes.join(", "))
}

/// Prints what was written: histogram of types, real bits per weight, fall-backs, and each tensor when asked for.
pub(super) fn summary(summary: &Summary, verbose: bool) {
    if verbose {
        println!("{:<32}{:>18}{:>8}{:>8}{:>12}{:>12}", "tensor", "shape", "from", "to", "bytes", "rel. RMSE");
        for tensor in &summary.tensors {
            println!(
                "{:<32}{:>18}{:>8}{:>8}{:>12}{:>12}",
                tensor.name,
                dims(&tensor.dims),
                tensor.from,
                tensor.to,
                tensor.bytes,
                error(tensor)
            );
        }
        println!();
    }
    println!("{:<10}{:>8}{:>14}{:>14}", "type", "tensors", "weights", "bytes");
    for share in summary.shares() {
        println!("{:<10}{:>8}{:>14}{:>14}", share.kind, share.tensors, share.weights, share.bytes);
    }
    for tensor in summary.fall_backs() {
        if let Some(wanted) = tensor.wanted {
            println!(
                "{}: rows of {} do not fill the blocks of {wanted}, stored as {}",
                tensor.name,
                tensor.dims.first().copied().unwrap_or(1),
                tensor.to
            );
        } else {
            println!(
                "{}: {} is not a multiple of 32 on both sides, left as {}",
                tensor.name,
                dims(&tensor.dims),
                tensor.to
            );
        }
    }
    let bits = |bits: Option<f64>| bits.map_or("none".to_owned(), |bits| format!("{bits:.4}"));
    println!(
        "bits per weight: {} in quantized tensors, {} in the file of {} bytes",
        bits(summary.quantized_bits()),
        bits(summary.file_bits()),
        summary.file_bytes
    );
}

fn error(tensor: &TensorReport) -> String {
    match tensor.squares {
        None => "-".to_owned(),
        Some(squares) => squares.relative_rmse().map_or("0".to_owned(), |error| format!("{error:.5}")),
    }
}

/// Prints what an importance matrix holds.
pub(super) fn importance(matrix: &crate::imatrix::Imatrix) {
    println!("{:<32}{:>10}{:>12}{:>14}{:>14}", "tensor", "columns", "tokens", "mean square", "largest/mean");
    for (name, entry) in &matrix.entries {
        let importance = entry.importance();
        let mean = importance.iter().map(|&v| f64::from(v)).sum::<f64>() / importance.len().max(1) as f64;
        let largest = importance.iter().copied().fold(0.0, f32::max);
        let ratio = if mean > 0.0 { f64::from(largest) / mean } else { 0.0 };
        println!("{name:<32}{:>10}{:>12}{mean:>14.6}{ratio:>14.2}", importance.len(), entry.counts[0]);
    }
}

/// Says on standard error how fast `tokens` were computed one after the other, and what share of the memory bandwidth that is:
/// every token reads all matrices once, of an embedding that is not the head one row.
pub(super) fn speed(tokens: usize, seconds: f64, weights: &Weights, threads: usize) {
    if tokens == 0 || seconds <= 0.0 {
        return eprintln!("too few tokens to tell the speed");
    }
    let tied = std::ptr::eq(weights.head(), weights.embedding());
    let read = weights.bytes() - if tied { 0 } else { weights.embedding().bytes() };
    let bandwidth = bandwidth();
    let most = if threads > 1 { bandwidth.all_threads } else { bandwidth.single_thread };
    let per_second = (tokens * read) as f64 / seconds;
    eprintln!(
        "{:.1} tokens per second, {} of weights for each: {} per second, {:.0} % of the {} that this machine's memory gives {}",
        tokens as f64 / seconds,
        size(read as u64),
        size(per_second as u64),
        100.0 * per_second / most,
        size(most as u64),
        if threads > 1 { "all threads" } else { "one thread" },
    );
}
