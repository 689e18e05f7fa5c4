//! F32, F16, BF16: one number for each weight.

use crate::float::{f32_to_bf16_slice, f32_to_f16_slice};

/// Numbers converted between two copies.
const PIECE: usize = 256;

pub(super) fn f32(weights: &[f32], out: &mut [u8]) {
    for (x, out) in weights.iter().zip(out.as_chunks_mut::<4>().0) {
        *out = x.to_le_bytes();
    }
}

pub(super) fn f16(weights: &[f32], out: &mut [u8]) {
    pieces(weights, out, f32_to_f16_slice);
}

pub(super) fn bf16(weights: &[f32], out: &mut [u8]) {
    pieces(weights, out, f32_to_bf16_slice);
}

fn pieces(weights: &[f32], out: &mut [u8], convert: fn(&[f32], &mut [u16])) {
    let mut numbers = [0; PIECE];
    for (weights, out) in weights.chunks(PIECE).zip(out.chunks_mut(2 * PIECE)) {
        let numbers = &mut numbers[..weights.len()];
        convert(weights, numbers);
        for (number, out) in numbers.iter().zip(out.as_chunks_mut::<2>().0) {
            *out = number.to_le_bytes();
        }
    }
}
