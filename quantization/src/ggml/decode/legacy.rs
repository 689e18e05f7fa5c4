//! Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1, IQ4_NL, IQ4_XS.

use super::half;
use crate::ggml::encode::iq4::VALUES;
use crate::ggml::lanes::for_each_processor;

/// Blocks decoded together.
const PIECE: usize = 16;

for_each_processor! {
    /// x̂ = (q − 8)·d.
    pub(super) fn q4_0(bytes: &[u8], out: &mut [f32]) {
        pieces::<18, _>(bytes, out, |block, codes| unpack(&block[2..], codes), |block| {
            let d = half(block);
            move |q| (q - 8.0) * d
        });
    }

    /// x̂ = q·d + m.
    pub(super) fn q4_1(bytes: &[u8], out: &mut [f32]) {
        pieces::<20, _>(bytes, out, |block, codes| unpack(&block[4..], codes), |block| {
            let (d, m) = (half(block), half(&block[2..]));
            move |q| q * d + m
        });
    }

    /// x̂ = (q − 16)·d.
    pub(super) fn q5_0(bytes: &[u8], out: &mut [f32]) {
        pieces::<22, _>(bytes, out, |block, codes| unpack_five(&block[2..], codes), |block| {
            let d = half(block);
            move |q| (q - 16.0) * d
        });
    }

    /// x̂ = q·d + m.
    pub(super) fn q5_1(bytes: &[u8], out: &mut [f32]) {
        pieces::<24, _>(bytes, out, |block, codes| unpack_five(&block[4..], codes), |block| {
            let (d, m) = (half(block), half(&block[2..]));
            move |q| q * d + m
        });
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

/// Sixteen blocks at a time: first all codes, then all values, so that both loops are vectors.
#[inline(always)]
fn pieces<const BYTES: usize, V: Fn(f32) -> f32>(
    bytes: &[u8],
    out: &mut [f32],
    unpack: impl Fn(&[u8; BYTES], &mut [u8; 32]),
    value: impl Fn(&[u8; BYTES]) -> V,
) {
    let blocks = bytes.as_chunks::<BYTES>().0;
    let mut codes = [[0; 32]; PIECE];
    for (blocks, out) in blocks.chunks(PIECE).zip(out.as_chunks_mut::<32>().0.chunks_mut(PIECE)) {
        for (block, codes) in blocks.iter().zip(&mut codes) {
            unpack(block, codes);
        }
        for ((block, codes), out) in blocks.iter().zip(&codes).zip(out) {
            let value = value(block);
            for (out, q) in out.iter_mut().zip(codes) {
                *out = value(f32::from(*q));
            }
        }
    }
}

#[inline(always)]
fn unpack(bytes: &[u8], codes: &mut [u8; 32]) {
    let (low, high) = codes.split_at_mut(16);
    for ((low, high), byte) in low.iter_mut().zip(high).zip(bytes) {
        (*low, *high) = (byte & 15, byte >> 4);
    }
}

/// Four bytes of fifth bits and sixteen of nibbles.
#[inline(always)]
fn unpack_five(bytes: &[u8], codes: &mut [u8; 32]) {
    unpack(&bytes[4..], codes);
    for (codes, bits) in codes.as_chunks_mut::<8>().0.iter_mut().zip(bytes) {
        // Every byte of the product is `bits`; byte i keeps bit i, and adding 127 carries it to bit 7.
        let kept = (u64::from(*bits) * 0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
        let carried = (kept + 0x007F_7F7F_7F7F_7F7F) & 0x0080_8080_8080_8080;
        let set = carried | (kept & 0x8000_0000_0000_0000);
        *codes = (u64::from_le_bytes(*codes) | (set >> 3)).to_le_bytes();
    }
}

#[inline(always)]
fn looked_up(d: f32, bytes: &[u8], out: &mut [f32; 32]) {
    let products = VALUES.map(|value| d * f32::from(value));
    for (out, q) in out.iter_mut().zip(nibbles(bytes)) {
        *out = products[usize::from(q & 15)];
    }
}
