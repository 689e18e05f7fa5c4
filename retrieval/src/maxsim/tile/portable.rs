//! The inner loop in plain Rust.

use super::{BLOCK, Words};

pub(super) fn maxima(words: Words, panel: &[u32], document: &[u32], steps: usize) -> [u32; BLOCK] {
    match words {
        Words::F32 => floats(panel, document, steps, |sum, lane, value| {
            sum + f32::from_bits(lane) * f32::from_bits(value)
        }),
        Words::Bf16 => floats(panel, document, steps, |sum, lane, value| {
            let low = f32::from_bits(lane << 16) * f32::from_bits(value << 16);
            let high = f32::from_bits(lane & 0xffff_0000) * f32::from_bits(value & 0xffff_0000);
            sum + low + high
        }),
        Words::I8 => integers(panel, document, steps),
    }
}

#[inline(always)]
fn floats(
    panel: &[u32],
    document: &[u32],
    steps: usize,
    step: impl Fn(f32, u32, u32) -> f32,
) -> [u32; BLOCK] {
    let mut best = [f32::NEG_INFINITY; BLOCK];
    for row in document.chunks_exact(steps) {
        let mut sums = [0.0; BLOCK];
        for (&value, lanes) in row.iter().zip(panel.as_chunks::<BLOCK>().0) {
            for (sum, &lane) in sums.iter_mut().zip(lanes) {
                *sum = step(*sum, lane, value);
            }
        }
        for (best, sum) in best.iter_mut().zip(sums) {
            *best = if sum > *best { sum } else { *best };
        }
    }
    best.map(f32::to_bits)
}

fn integers(panel: &[u32], document: &[u32], steps: usize) -> [u32; BLOCK] {
    let mut best = [i32::MIN; BLOCK];
    for row in document.chunks_exact(steps) {
        for (best, sum) in best.iter_mut().zip(integer_sums(panel, row)) {
            *best = (*best).max(sum);
        }
    }
    best.map(i32::cast_unsigned)
}

fn integer_sums(panel: &[u32], row: &[u32]) -> [i32; BLOCK] {
    let mut sums = [0; BLOCK];
    for (&value, lanes) in row.iter().zip(panel.as_chunks::<BLOCK>().0) {
        let value = value.to_le_bytes().map(i32::from);
        for (sum, &lane) in sums.iter_mut().zip(lanes) {
            let lane = lane.to_le_bytes().map(|byte| i32::from(byte.cast_signed()));
            *sum += (0..4).map(|i| lane[i] * value[i]).sum::<i32>();
        }
    }
    sums
}

pub(super) fn products(panel: &[u32], rows: &[u32], steps: usize, out: &mut [u32]) {
    for (row, out) in rows.chunks_exact(steps).zip(out.as_chunks_mut::<BLOCK>().0) {
        *out = integer_sums(panel, row).map(i32::cast_unsigned);
    }
}
