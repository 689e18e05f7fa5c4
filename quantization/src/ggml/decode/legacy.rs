//! Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1, IQ4_NL, IQ4_XS.

use super::half;
use crate::ggml::encode::iq4::VALUES;
use crate::ggml::lanes::for_each_processor;

for_each_processor! {
    /// x̂ = (q − 8)·d.
    pub(super) fn q4_0(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<18>().0.iter().zip(out.as_chunks_mut::<32>().0) {
            let d = half(block);
            for (out, q) in out.iter_mut().zip(nibbles(&block[2..])) {
                *out = f32::from(q as i8 - 8) * d;
            }
        }
    }

    /// x̂ = q·d + m.
    pub(super) fn q4_1(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<20>().0.iter().zip(out.as_chunks_mut::<32>().0) {
            let (d, m) = (half(block), half(&block[2..]));
            for (out, q) in out.iter_mut().zip(nibbles(&block[4..])) {
                *out = f32::from(q) * d + m;
            }
        }
    }

    /// x̂ = (q − 16)·d.
    pub(super) fn q5_0(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<22>().0.iter().zip(out.as_chunks_mut::<32>().0) {
            let d = half(block);
            for (out, q) in out.iter_mut().zip(five_bits(&block[2..])) {
                *out = f32::from(q as i8 - 16) * d;
            }
        }
    }

    /// x̂ = q·d + m.
    pub(super) fn q5_1(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<24>().0.iter().zip(out.as_chunks_mut::<32>().0) {
            let (d, m) = (half(block), half(&block[2..]));
            for (out, q) in out.iter_mut().zip(five_bits(&block[4..])) {
                *out = f32::from(q) * d + m;
            }
        }
    }

    /// x̂ = q·d.
    pub(super) fn q8_0(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<34>().0.iter().zip(out.as_chunks_mut::<32>().0) {
            let d = half(block);
            for (out, q) in out.iter_mut().zip(&block[2..]) {
                *out = f32::from(*q as i8) * d;
            }
        }
    }

    /// x̂ = q·d.
    pub(super) fn q8_1(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<36>().0.iter().zip(out.as_chunks_mut::<32>().0) {
            let d = half(block);
            for (out, q) in out.iter_mut().zip(&block[4..]) {
                *out = f32::from(*q as i8) * d;
            }
        }
    }

    /// x̂ = d·T[q].
    pub(super) fn iq4_nl(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<18>().0.iter().zip(out.as_chunks_mut::<32>().0) {
            looked_up(half(block), &block[2..], out);
        }
    }

    /// x̂ = (d·(l − 32))·T[q].
    pub(super) fn iq4_xs(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<136>().0.iter().zip(out.as_chunks_mut::<256>().0) {
            let d = half(block);
            let high = u16::from_le_bytes([block[2], block[3]]);
            let runs = block[8..].as_chunks::<16>().0.iter().zip(out.as_chunks_mut::<32>().0);
            for (run, (codes, out)) in runs.enumerate() {
                let low = block[4 + run / 2] >> (4 * (run % 2)) & 15;
                let l = i32::from(low) | i32::from(high >> (2 * run) & 3) << 4;
                looked_up(d * (l - 32) as f32, codes, out);
            }
        }
    }
}

/// Element j: the low nibble of byte j; element j + 16: its high nibble.
#[inline(always)]
pub(super) fn nibbles(bytes: &[u8]) -> [u8; 32] {
    let mut codes = [0; 32];
    let (low, high) = codes.split_at_mut(16);
    for ((low, high), byte) in low.iter_mut().zip(high).zip(bytes) {
        (*low, *high) = (byte & 15, byte >> 4);
    }
    codes
}

/// The four bytes of fifth bits and sixteen of nibbles.
#[inline(always)]
fn five_bits(bytes: &[u8]) -> [u8; 32] {
    let high = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let mut codes = nibbles(&bytes[4..]);
    for (e, code) in codes.iter_mut().enumerate() {
        *code |= ((high >> e & 1) as u8) << 4;
    }
    codes
}

#[inline(always)]
fn looked_up(d: f32, bytes: &[u8], out: &mut [f32; 32]) {
    let products = VALUES.map(|value| d * f32::from(value));
    for (out, q) in out.iter_mut().zip(nibbles(bytes)) {
        *out = products[usize::from(q & 15)];
    }
}
