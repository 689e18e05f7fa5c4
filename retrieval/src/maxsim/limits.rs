//! What the machine could do at best: to say how near to it a search comes.

use std::hint::black_box;
use std::time::Instant;

use super::Tier;

/// Bytes that are read: beyond every cache.
const BUFFER_BYTES: usize = 256 << 20;
/// Passes; the fastest counts, since neighbours only ever slow one down.
const PASSES: usize = 5;
/// Rounds of the multiplications.
const ROUNDS: usize = 1 << 20;
/// Registers that are multiplied at a time, enough to hide the latency.
const CHAINS: usize = 12;

/// Limits of one thread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of memory read per second.
    pub bytes_per_s: f64,
    /// Multiplications of f32 with addition per second, from registers, with the vectors of the best tier.
    pub products_per_s: f64,
}

impl Limits {
    /// Measured now; takes about half a second.
    pub fn measure() -> Self {
        let buffer: Vec<u64> = (0..BUFFER_BYTES as u64 / 8).collect();
        let bytes_per_s = BUFFER_BYTES as f64
            / fastest(|| {
                let _ = black_box(sum(&buffer));
            });
        let mut products = 0.0;
        let seconds = fastest(|| products = multiply(Tier::best()));
        Self { bytes_per_s, products_per_s: products / seconds }
    }

    /// Share of the nearer limit that `products` and reading `bytes` in `seconds` reached.
    pub fn share(&self, products: f64, bytes: f64, seconds: f64) -> f64 {
        (products / self.products_per_s).max(bytes / self.bytes_per_s) / seconds
    }
}

fn fastest(mut pass: impl FnMut()) -> f64 {
    let times = (0..PASSES).map(|_| {
        let started = Instant::now();
        pass();
        started.elapsed().as_secs_f64()
    });
    times.fold(f64::INFINITY, f64::min)
}

/// Wrapping sum in independent chains, so that only memory limits it.
fn sum(values: &[u64]) -> u64 {
    let mut sums = [0_u64; 16];
    for values in values.as_chunks::<16>().0 {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum = sum.wrapping_add(*value);
        }
    }
    sums.into_iter().fold(0, u64::wrapping_add)
}

/// Multiplies registers, and returns how many numbers were multiplied.
#[expect(unsafe_code, reason = "calls functions that need processor features")]
fn multiply(tier: Tier) -> f64 {
    match tier {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the tier is the processor's best.
        Tier::Avx512 | Tier::Avx512Bf16 => unsafe { wide() },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Tier::Avx2 => unsafe { narrow() },
        _ => {
            let mut sums = black_box([1.0_f32; 8 * CHAINS]);
            for _ in 0..ROUNDS {
                sums.iter_mut().for_each(|sum| *sum = *sum * 0.5 + 0.25);
            }
            black_box(sums);
            (8 * CHAINS * ROUNDS) as f64
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn wide() -> f64 {
    use std::arch::x86_64::*;
    let mut sums = [black_box(_mm512_set1_ps(1.0)); CHAINS];
    let (half, quarter) = (black_box(_mm512_set1_ps(0.5)), black_box(_mm512_set1_ps(0.25)));
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, half, quarter);
        }
    }
    black_box(sums);
    (16 * CHAINS * ROUNDS) as f64
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn narrow() -> f64 {
    use std::arch::x86_64::*;
    let mut sums = [black_box(_mm256_set1_ps(1.0)); CHAINS];
    let (half, quarter) = (black_box(_mm256_set1_ps(0.5)), black_box(_mm256_set1_ps(0.25)));
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, half, quarter);
        }
    }
    black_box(sums);
    (8 * CHAINS * ROUNDS) as f64
}
