//! Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1 without importance: one scale, and perhaps a minimum, per 32 weights.
//!
//! Codes come from the scale before it is rounded to half precision.

use super::range::ranges;
use crate::ggml::lanes::{extreme, for_each_processor, half, largest, reciprocal, round_away, truncate};

/// Weights whose codes are found in one loop.
const PIECE: usize = 512;

/// Blocks of a piece.
pub(super) const BLOCKS: usize = PIECE / 32;

for_each_processor! {
    /// `{ f16 d; u8 qs[16] }`: d = m/−8, q = ⌊x/d + 8.5⌋ ≤ 15.
    pub(super) fn q4_0(weights: &[f32], out: &mut [u8]) {
        for (weights, out) in weights.chunks(PIECE).zip(out.chunks_mut(18 * BLOCKS)) {
            let piece = signed(weights, 8.0);
            for (block, out) in out.as_chunks_mut::<18>().0.iter_mut().enumerate() {
                out[..2].copy_from_slice(&piece.scales[block]);
                low_nibbles(&piece.codes[block], &mut out[2..]);
            }
        }
    }

    /// `{ f16 d; f16 m; u8 qs[16] }`: d = (max − min)/15, q = ⌊(x − min)/d + 0.5⌋ ≤ 15.
    pub(super) fn q4_1(weights: &[f32], out: &mut [u8]) {
        for (weights, out) in weights.chunks(PIECE).zip(out.chunks_mut(20 * BLOCKS)) {
            let grids = Grids::of(weights, 15.0);
            let (scales, mins) = (grids.scales.map(half), grids.mins.map(half));
            let blocks = weights.as_chunks::<32>().0.iter().zip(out.as_chunks_mut::<20>().0);
            for (block, (x, out)) in blocks.enumerate() {
                out[..2].copy_from_slice(&scales[block]);
                out[2..4].copy_from_slice(&mins[block]);
                let (inverse, min) = (grids.inverses[block], grids.mins[block]);
                for (j, out) in out[4..].iter_mut().enumerate() {
                    let code = |x: f32| truncate((x - min) * inverse + 0.5, 15.0);
                    *out = code(x[j]) | code(x[j + 16]) << 4;
                }
            }
        }
    }

    /// `{ f16 d; u32 qh; u8 qs[16] }`: d = m/−16, q = ⌊x/d + 16.5⌋ ≤ 31.
    pub(super) fn q5_0(weights: &[f32], out: &mut [u8]) {
        for (weights, out) in weights.chunks(PIECE).zip(out.chunks_mut(22 * BLOCKS)) {
            let piece = signed(weights, 16.0);
            for (block, out) in out.as_chunks_mut::<22>().0.iter_mut().enumerate() {
                out[..2].copy_from_slice(&piece.scales[block]);
                out[2..6].copy_from_slice(&fifth_bits(&piece.codes[block]));
                low_nibbles(&piece.codes[block], &mut out[6..]);
            }
        }
    }

    /// `{ f16 d; f16 m; u32 qh; u8 qs[16] }`: d = (max − min)/31, q = ⌊(x − min)/d + 0.5⌋.
    pub(super) fn q5_1(weights: &[f32], out: &mut [u8]) {
        for (weights, out) in weights.chunks(PIECE).zip(out.chunks_mut(24 * BLOCKS)) {
            let piece = shifted(weights, 31.0);
            for (block, out) in out.as_chunks_mut::<24>().0.iter_mut().enumerate() {
                out[..2].copy_from_slice(&piece.scales[block]);
                out[2..4].copy_from_slice(&piece.mins[block]);
                out[4..8].copy_from_slice(&fifth_bits(&piece.codes[block]));
                low_nibbles(&piece.codes[block], &mut out[8..]);
            }
        }
    }

    /// `{ f16 d; i8 qs[32] }`: d = max|x|/127, q = x/d rounded, ties away from zero.
    pub(super) fn q8_0(weights: &[f32], out: &mut [u8]) {
        for (x, out) in weights.as_chunks::<32>().0.iter().zip(out.as_chunks_mut::<34>().0) {
            let (d, codes) = bytes(x);
            out[..2].copy_from_slice(&half(d));
            for (out, code) in out[2..].iter_mut().zip(codes) {
                *out = code as u8;
            }
        }
    }

    /// `{ f16 d; f16 s; i8 qs[32] }`: as Q8_0, and s = d·Σq.
    pub(super) fn q8_1(weights: &[f32], out: &mut [u8]) {
        for (x, out) in weights.as_chunks::<32>().0.iter().zip(out.as_chunks_mut::<36>().0) {
            let (d, codes) = bytes(x);
            let sum: i32 = codes.iter().map(|code| i32::from(*code)).sum();
            out[..2].copy_from_slice(&half(d));
            out[2..4].copy_from_slice(&half(sum as f32 * d));
            for (out, code) in out[4..].iter_mut().zip(codes) {
                *out = code as u8;
            }
        }
    }
}

/// Sixteen blocks: their scales and minima (zero for [`signed`]) in half precision, and their codes.
struct Piece {
    scales: [[u8; 2]; BLOCKS],
    mins: [[u8; 2]; BLOCKS],
    codes: [[u8; 32]; BLOCKS],
}

/// Scales and codes with the extreme weight at code 0: d = m/−`zero`, q = ⌊x/d + `zero` + 0.5⌋ < 2·`zero`.
#[inline(always)]
fn signed(weights: &[f32], zero: f32) -> Piece {
    let blocks = weights.as_chunks::<32>().0;
    let (mut scales, mut codes) = ([0.0; BLOCKS], [[0; 32]; BLOCKS]);
    for (d, x) in scales.iter_mut().zip(blocks) {
        *d = extreme(x) * (-1.0 / zero); // a power of two: the product is the quotient
    }
    let inverses = scales.map(reciprocal);
    let (shift, top) = (zero + 0.5, 2.0 * zero - 1.0);
    for ((codes, x), inverse) in codes.iter_mut().zip(blocks).zip(inverses) {
        // Where 1/d overflows, C's cast of ±infinity and NaN to a byte gives 0 on x86, and so all codes.
        let (inverse, keep) = if inverse.is_finite() { (inverse, 0xFF) } else { (0.0, 0) };
        for (code, x) in codes.iter_mut().zip(x) {
            *code = truncate(x * inverse + shift, top) & keep;
        }
    }
    Piece { scales: scales.map(half), mins: [[0; 2]; BLOCKS], codes }
}

/// Scales, minima and 1/d of sixteen blocks: d = (max − min)/`top`.
struct Grids {
    scales: [f32; BLOCKS],
    mins: [f32; BLOCKS],
    inverses: [f32; BLOCKS],
}

impl Grids {
    #[inline(always)]
    fn of(weights: &[f32], top: f32) -> Self {
        let (mins, maxs) = ranges(weights.as_chunks::<32>().0);
        let mut scales = [0.0; BLOCKS];
        for ((d, min), max) in scales.iter_mut().zip(mins).zip(maxs) {
            *d = (max - min + 0.0) / top; // of two zeros the difference may be −0, in ggml it is not
        }
        // As in `signed`, an infinite 1/d makes every code 0.
        let inverse = |d| Some(reciprocal(d)).filter(|inverse| inverse.is_finite()).unwrap_or(0.0);
        Self { scales, mins, inverses: scales.map(inverse) }
    }
}

/// Scales, minima and codes: d = (max − min)/`top`, q = ⌊(x − min)/d + 0.5⌋.
#[inline(always)]
fn shifted(weights: &[f32], top: f32) -> Piece {
    let grids = Grids::of(weights, top);
    let mut codes = [[0; 32]; BLOCKS];
    let blocks = codes.iter_mut().zip(weights.as_chunks::<32>().0);
    for ((codes, x), (inverse, min)) in blocks.zip(grids.inverses.iter().zip(grids.mins)) {
        for (code, x) in codes.iter_mut().zip(x) {
            *code = truncate((x - min) * inverse + 0.5, top);
        }
    }
    Piece { scales: grids.scales.map(half), mins: grids.mins.map(half), codes }
}

/// Scale and codes of Q8_0 and Q8_1.
#[inline(always)]
fn bytes(x: &[f32; 32]) -> (f32, [i8; 32]) {
    let d = largest(x) / 127.0;
    let inverse = reciprocal(d);
    let inverse = if inverse.is_finite() { inverse } else { 0.0 };
    let mut codes = [0; 32];
    for (code, x) in codes.iter_mut().zip(x) {
        *code = round_away(x * inverse) as i8;
    }
    (d, codes)
}

/// Byte j: the low nibbles of codes j and j + 16.
#[inline(always)]
pub(super) fn low_nibbles(codes: &[u8; 32], out: &mut [u8]) {
    let (low, high) = codes.split_at(16);
    for ((out, low), high) in out.iter_mut().zip(low).zip(high) {
        *out = low & 15 | high << 4;
    }
}

/// Bit e of a little-endian u32: bit 4 of code e.
#[inline(always)]
pub(super) fn fifth_bits(codes: &[u8; 32]) -> [u8; 4] {
    let mut bits = [0; 4];
    for (bits, codes) in bits.iter_mut().zip(codes.as_chunks::<8>().0) {
        // Byte i holds a bit at 8i; the product moves it to 56 + i.
        let spread = u64::from_le_bytes(*codes) >> 4 & 0x0101_0101_0101_0101;
        *bits = (spread.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8;
    }
    bits
}
