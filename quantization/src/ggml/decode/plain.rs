//! F32, F16, BF16.

use crate::float::{bf16_to_f32_slice, f16_to_f32_slice};

/// Numbers converted between two copies.
const PIECE: usize = 256;

pub(super) fn f32(bytes: &[u8], out: &mut [f32]) {
    for (bytes, out) in bytes.as_chunks::<4>().0.iter().zip(out) {
        *out = f32::from_le_bytes(*bytes);
    }
}

pub(super) fn f16(bytes: &[u8], out: &mut [f32]) {
    pieces(bytes, out, f16_to_f32_slice);
}

pub(super) fn bf16(bytes: &[u8], out: &mut [f32]) {
    pieces(bytes, out, bf16_to_f32_slice);
}

fn pieces(bytes: &[u8], out: &mut [f32], convert: fn(&[u16], &mut [f32])) {
    let mut numbers = [0; PIECE];
    for (bytes, out) in bytes.chunks(2 * PIECE).zip(out.chunks_mut(PIECE)) {
        let numbers = &mut numbers[..out.len()];
        for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *number = u16::from_le_bytes(*bytes);
        }
        convert(numbers, out);
    }
}
