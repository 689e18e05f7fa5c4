//! The inner loop with vector instructions.
#![expect(unsafe_code, reason = "loads from pointers, calls into functions that need processor features")]

mod avx2;
mod avx512;

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use super::{BLOCK, Words};
use crate::maxsim::Tier;

/// One kind of words on one tier.
///
/// # Safety
/// Every function needs the features of the tier; `panel` reads, and `store` writes, [`Self::LANES`] words.
trait Tile {
    type Sum: Copy;
    type Lanes: Copy;
    type Value: Copy;
    /// Query tokens in one register.
    const LANES: usize;

    unsafe fn zero() -> Self::Sum;
    unsafe fn lowest() -> Self::Sum;
    unsafe fn panel(words: *const u32) -> Self::Lanes;
    unsafe fn value(word: u32) -> Self::Value;
    unsafe fn step(sum: Self::Sum, lanes: Self::Lanes, value: Self::Value) -> Self::Sum;
    unsafe fn max(a: Self::Sum, b: Self::Sum) -> Self::Sum;
    unsafe fn store(sum: Self::Sum, out: *mut u32);
}

/// Maxima of `P` registers of lanes, `T` document rows in flight; `out` gets `P · LANES` words.
///
/// # Safety
/// The tile's features; `panel` must have `steps` blocks, `document` `tokens` rows of `steps` words.
#[inline(always)]
unsafe fn maxima_of<K: Tile, const P: usize, const T: usize>(
    panel: *const u32,
    document: *const u32,
    steps: usize,
    tokens: usize,
    out: *mut u32,
) {
    // SAFETY: the caller's; rows are `token < tokens`.
    unsafe {
        let mut best = [K::lowest(); P];
        let mut token = 0;
        while token + T <= tokens {
            rows::<K, P, T>(panel, document.add(token * steps), steps, &mut best);
            token += T;
        }
        while token + 4 <= tokens {
            rows::<K, P, 4>(panel, document.add(token * steps), steps, &mut best);
            token += 4;
        }
        while token < tokens {
            rows::<K, P, 1>(panel, document.add(token * steps), steps, &mut best);
            token += 1;
        }
        for (register, best) in best.into_iter().enumerate() {
            K::store(best, out.add(register * K::LANES));
        }
    }
}

/// Raises `best` to the products with `T` rows.
///
/// # Safety
/// As [`maxima_of`].
#[inline(always)]
unsafe fn rows<K: Tile, const P: usize, const T: usize>(
    panel: *const u32,
    document: *const u32,
    steps: usize,
    best: &mut [K::Sum; P],
) {
    // SAFETY: the caller's.
    unsafe {
        for sums in sums::<K, P, T>(panel, document, steps) {
            for (best, sum) in best.iter_mut().zip(sums) {
                *best = K::max(*best, sum);
            }
        }
    }
}

/// Products with `T` rows.
///
/// # Safety
/// As [`maxima_of`].
#[inline(always)]
unsafe fn sums<K: Tile, const P: usize, const T: usize>(
    panel: *const u32,
    document: *const u32,
    steps: usize,
) -> [[K::Sum; P]; T] {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[K::zero(); P]; T];
        // The rows after these, which the same number of steps needs next; a fetch beyond the end does no harm.
        let next = document.wrapping_add(T * steps);
        for step in 0..steps {
            _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(step * T).cast());
            let mut lanes = [K::panel(panel.add(step * BLOCK)); P];
            for (register, lanes) in lanes.iter_mut().enumerate().skip(1) {
                *lanes = K::panel(panel.add(step * BLOCK + register * K::LANES));
            }
            for (token, sums) in sums.iter_mut().enumerate() {
                let value = K::value(*document.add(token * steps + step));
                for (sum, lanes) in sums.iter_mut().zip(lanes) {
                    *sum = K::step(*sum, lanes, value);
                }
            }
        }
        sums
    }
}

/// Every product of `P` registers of lanes, into rows of a block of words.
///
/// # Safety
/// As [`maxima_of`]; `out` must have `tokens` rows of a block of words.
#[inline(always)]
unsafe fn products_of<K: Tile, const P: usize, const T: usize>(
    panel: *const u32,
    document: *const u32,
    steps: usize,
    tokens: usize,
    out: *mut u32,
) {
    // SAFETY: the caller's; rows are `token < tokens`.
    unsafe {
        let mut token = 0;
        while token + T <= tokens {
            let sums = sums::<K, P, T>(panel, document.add(token * steps), steps);
            for (place, sums) in sums.into_iter().enumerate() {
                for (register, sum) in sums.into_iter().enumerate() {
                    K::store(sum, out.add((token + place) * BLOCK + register * K::LANES));
                }
            }
            token += T;
        }
        while token < tokens {
            let [sums] = sums::<K, P, 1>(panel, document.add(token * steps), steps);
            for (register, sum) in sums.into_iter().enumerate() {
                K::store(sum, out.add(token * BLOCK + register * K::LANES));
            }
            token += 1;
        }
    }
}

pub(super) fn maxima(
    tier: Tier,
    words: Words,
    panel: &[u32],
    document: &[u32],
    steps: usize,
    lanes: usize,
) -> [u32; BLOCK] {
    let mut out = [0; BLOCK];
    let (tokens, half) = (document.len() / steps, lanes <= BLOCK / 2);
    let (panel, document, target) = (panel.as_ptr(), document.as_ptr(), out.as_mut_ptr());
    // SAFETY: `maxima` of the parent has checked the processor and the lengths; `out` has a block of words.
    unsafe {
        match tier {
            Tier::Avx512Bf16 if words == Words::Bf16 => {
                avx512::native_bf16(panel, document, steps, tokens, target, half);
            }
            Tier::Avx512 | Tier::Avx512Bf16 => {
                avx512::any(words, panel, document, steps, tokens, target, half);
            }
            _ => avx2::any(words, panel, document, steps, tokens, target, half),
        }
    }
    out
}

pub(super) fn products(tier: Tier, panel: &[u32], rows: &[u32], steps: usize, out: &mut [u32]) {
    let tokens = rows.len() / steps;
    let (panel, rows, target) = (panel.as_ptr(), rows.as_ptr(), out.as_mut_ptr());
    // SAFETY: `products` of the parent has checked the processor and the lengths.
    unsafe {
        match tier {
            Tier::Avx512 | Tier::Avx512Bf16 => avx512::products(panel, rows, steps, tokens, target),
            _ => avx2::products(panel, rows, steps, tokens, target),
        }
    }
}
