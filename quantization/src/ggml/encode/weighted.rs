//! Q4_0, Q4_1, Q5_0, Q5_1 with importance: a search per block, codes straight from the search.
//!
//! Element weights: v·√(σ² + x²), v the column's importance and σ² the mean square of the whole row.

use super::legacy::{fifth_bits, low_nibbles};
use super::search::{Found, shifted, signed};
use crate::ggml::lanes::{LANES, Tile, for_each_processor, half, tile};

/// Rows whose squares are added side by side.
const CHAINS: usize = 8;

for_each_processor! {
    pub(super) fn q4_0(weights: &[f32], row_len: usize, importance: &[f32], out: &mut [u8]) {
        rows::<18>(weights, row_len, importance, out, |x, w| signed(8.0, x, w), |found, lane, codes, out| {
            out[..2].copy_from_slice(&half(found.scale[lane]));
            low_nibbles(codes, &mut out[2..]);
        });
    }

    pub(super) fn q4_1(weights: &[f32], row_len: usize, importance: &[f32], out: &mut [u8]) {
        rows::<20>(weights, row_len, importance, out, |x, w| shifted(15.0, x, w), |found, lane, codes, out| {
            out[..2].copy_from_slice(&half(found.scale[lane]));
            out[2..4].copy_from_slice(&half(found.min[lane]));
            low_nibbles(codes, &mut out[4..]);
        });
    }

    pub(super) fn q5_0(weights: &[f32], row_len: usize, importance: &[f32], out: &mut [u8]) {
        rows::<22>(weights, row_len, importance, out, |x, w| signed(16.0, x, w), |found, lane, codes, out| {
            out[..2].copy_from_slice(&half(found.scale[lane]));
            out[2..6].copy_from_slice(&fifth_bits(codes));
            low_nibbles(codes, &mut out[6..]);
        });
    }

    pub(super) fn q5_1(weights: &[f32], row_len: usize, importance: &[f32], out: &mut [u8]) {
        rows::<24>(weights, row_len, importance, out, |x, w| shifted(31.0, x, w), |found, lane, codes, out| {
            out[..2].copy_from_slice(&half(found.scale[lane]));
            out[2..4].copy_from_slice(&half(found.min[lane]));
            out[4..8].copy_from_slice(&fifth_bits(codes));
            low_nibbles(codes, &mut out[8..]);
        });
    }
}

/// Searches sixteen blocks at a time, across rows, and writes each with `write(found, lane, codes, block)`.
#[inline(always)]
fn rows<const BYTES: usize>(
    weights: &[f32],
    row_len: usize,
    importance: &[f32],
    out: &mut [u8],
    search: impl Fn(&Tile, &Tile) -> Found,
    write: impl Fn(&Found, usize, &[u8; 32], &mut [u8; BYTES]),
) {
    let squares = mean_squares(weights, row_len);
    let blocks = weights.as_chunks::<32>().0;
    let importance = importance.as_chunks::<32>().0;
    let per_row = row_len / 32;
    for (group, out) in out.as_chunks_mut::<BYTES>().0.chunks_mut(LANES).enumerate() {
        let first = group * LANES;
        let blocks = &blocks[first..first + out.len()];
        let mut columns = [[0.0; 32]; LANES];
        let mut sigma2 = [0.0; LANES];
        for lane in 0..blocks.len() {
            columns[lane] = importance[(first + lane) % per_row];
            sigma2[lane] = squares[(first + lane) / per_row];
        }
        let x = tile(blocks);
        let mut w = tile(&columns);
        for (w, x) in w.iter_mut().zip(&x) {
            for lane in 0..LANES {
                w[lane] *= (sigma2[lane] + x[lane] * x[lane]).sqrt();
            }
        }
        let found = search(&x, &w);
        for (lane, out) in out.iter_mut().enumerate() {
            let codes = found.codes.map(|codes| codes[lane]);
            write(&found, lane, &codes, out);
        }
    }
}

/// Σx²/n of each row, added in order; rows run side by side, for one chain of additions waits on itself.
#[inline(always)]
fn mean_squares(weights: &[f32], row_len: usize) -> Vec<f32> {
    let mut means = Vec::with_capacity(weights.len() / row_len);
    for rows in weights.chunks(row_len * CHAINS) {
        let mut sums = [0.0_f32; CHAINS];
        if rows.len() == row_len * CHAINS {
            let rows: [&[f32]; CHAINS] = std::array::from_fn(|row| &rows[row * row_len..(row + 1) * row_len]);
            for i in 0..row_len {
                for (sum, row) in sums.iter_mut().zip(rows) {
                    *sum += row[i] * row[i];
                }
            }
        } else {
            for (sum, row) in sums.iter_mut().zip(rows.chunks(row_len)) {
                *sum = row.iter().fold(0.0, |sum, x| sum + x * x);
            }
        }
        means.extend(sums[..rows.len() / row_len].iter().map(|sum| sum / row_len as f32));
    }
    means
}
