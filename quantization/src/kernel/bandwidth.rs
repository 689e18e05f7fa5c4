//! How fast this machine reads memory.

use std::time::Instant;

/// Bytes that are read: beyond every cache of one core, and of most processors.
const BUFFER_BYTES: usize = 256 << 20;

/// Passes over the buffer; the fastest counts, since neighbours only ever slow one down.
const PASSES: usize = 3;

/// Streaming read bandwidth, in bytes per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bandwidth {
    /// One thread alone.
    pub single_thread: f64,
    /// All of rayon's threads together.
    pub all_threads: f64,
}

impl Bandwidth {
    /// Share of the single-thread bandwidth that reading `bytes` in `seconds` reached, as a fraction.
    pub fn share(&self, bytes: usize, seconds: f64) -> f64 {
        bytes as f64 / seconds / self.single_thread
    }
}

/// The bandwidth of summing 256 MiB, measured now; takes about half a second.
pub fn bandwidth() -> Bandwidth {
    let buffer: Vec<u64> = (0..BUFFER_BYTES as u64 / 8).collect();
    let threads = rayon::current_num_threads();
    let single_thread = best(|| sum(&buffer));
    let all_threads = best(|| {
        let mut sums = vec![0; threads];
        rayon::scope(|scope| {
            for (part, out) in buffer.chunks(buffer.len().div_ceil(threads)).zip(&mut sums) {
                scope.spawn(move |_| *out = sum(part));
            }
        });
        sums.iter().copied().fold(0, u64::wrapping_add)
    });
    Bandwidth { single_thread, all_threads }
}

fn best(mut pass: impl FnMut() -> u64) -> f64 {
    let times = (0..PASSES).map(|_| {
        let started = Instant::now();
        std::hint::black_box(pass());
        started.elapsed().as_secs_f64()
    });
    BUFFER_BYTES as f64 / times.fold(f64::INFINITY, f64::min)
}

/// Wrapping sum in independent chains, so that only memory limits it.
fn sum(values: &[u64]) -> u64 {
    let mut sums = [0u64; 16];
    for values in values.as_chunks::<16>().0 {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum = sum.wrapping_add(*value);
        }
    }
    sums.into_iter().fold(0, u64::wrapping_add)
}
