//! IQ4_NL and IQ4_XS: 4-bit indices into a table of sixteen values, denser near zero.
//!
//! For each 32 weights sixteen scales are tried and the one with the greatest (Σ w·q·x)²/Σ w·q² is kept;
//! w = x² or, with importance v, v·√(2·mean x² + x²), the mean over the block (IQ4_NL) or the 256 (IQ4_XS).

use super::search::{EPSILON, extremes};
use crate::ggml::lanes::{LANES, Lane, Tile, for_each_processor, half, nearest, reciprocal, tile};

/// The values of the sixteen codes.
pub(crate) const VALUES: [i8; 16] =
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Scales tried on either side of the first.
const TRIES: i8 = 7;

for_each_processor! {
    /// `{ f16 d; u8 qs[16] }`: codes from the scale before it is rounded.
    pub(super) fn iq4_nl(weights: &[f32], row_len: usize, importance: Option<&[f32]>, out: &mut [u8]) {
        let blocks = weights.as_chunks::<32>().0;
        let groups = blocks.chunks(LANES).zip(out.as_chunks_mut::<18>().0.chunks_mut(LANES));
        for (group, (blocks, out)) in groups.enumerate() {
            let x = tile(blocks);
            let w = element_weights::<1>(&x, group * LANES, row_len, importance);
            let scale = scales(&x, &w);
            let codes = indices(&x, &scale.map(reciprocal));
            for (lane, out) in out.iter_mut().enumerate() {
                out[..2].copy_from_slice(&half(scale[lane]));
                pack(&codes, lane, &mut out[2..]);
            }
        }
    }

    /// `{ f16 d; u16 scales_h; u8 scales_l[4]; u8 qs[128] }`: 6-bit scales of eight runs of 32.
    pub(super) fn iq4_xs(weights: &[f32], row_len: usize, importance: Option<&[f32]>, out: &mut [u8]) {
        let blocks = weights.as_chunks::<32>().0;
        let groups = blocks.chunks(LANES).zip(out.as_chunks_mut::<136>().0.chunks_mut(LANES / 8));
        for (group, (blocks, out)) in groups.enumerate() {
            let x = tile(blocks);
            let w = element_weights::<8>(&x, group * LANES, row_len, importance);
            let scale = scales(&x, &w);
            let mut inverse = [0.0; LANES];
            let halves = scale.as_chunks::<8>().0.iter().zip(inverse.as_chunks_mut::<8>().0);
            for ((scale, inverse), out) in halves.zip(out.iter_mut()) {
                sub_scales(scale, inverse, out);
            }
            let codes = indices(&x, &inverse);
            for (half, out) in out.iter_mut().enumerate() {
                for (run, out) in out[8..].as_chunks_mut::<16>().0.iter_mut().enumerate() {
                    pack(&codes, half * 8 + run, out);
                }
            }
        }
    }
}

/// Writes the super-block's scale D and the eight 6-bit scales; gives 1/(D·l) of each run.
#[inline(always)]
fn sub_scales(scales: &[f32; 8], inverse: &mut [f32; 8], out: &mut [u8; 136]) {
    let (mut most, mut extreme) = (0.0, 0.0);
    for scale in scales {
        if scale.abs() > most {
            (most, extreme) = (scale.abs(), *scale);
        }
    }
    let d = -extreme / 32.0;
    let id = reciprocal(d);
    let mut high = 0_u16;
    for (run, scale) in scales.iter().enumerate() {
        let l = nearest(id * scale).clamp(-32, 31);
        inverse[run] = reciprocal(d * l as f32);
        let stored = (l + 32) as u8;
        let low = stored & 15;
        out[4 + run / 2] = if run % 2 == 0 { low } else { out[4 + run / 2] | low << 4 };
        high |= u16::from(stored >> 4) << (2 * run);
    }
    out[..2].copy_from_slice(&half(d));
    out[2..4].copy_from_slice(&high.to_le_bytes());
}

/// The scale of each lane; 0 where every weight is below 1e−15.
#[inline(always)]
fn scales(x: &Tile, w: &Tile) -> Lane {
    let first = f32::from(VALUES[0]);
    let extreme = extremes(x);
    let (sum_qx, sum_q2) = fit(&extreme.map(|m| 1.0 / (-m / first)), x, w);
    let (mut scale, mut best) = ([0.0; LANES], [0.0; LANES]);
    for lane in 0..LANES {
        scale[lane] = if sum_q2[lane] > 0.0 { sum_qx[lane] / sum_q2[lane] } else { 0.0 };
        best[lane] = scale[lane] * sum_qx[lane];
    }
    for step in -TRIES..=TRIES {
        let (sum_qx, sum_q2) = fit(&extreme.map(|m| (f32::from(step) + first) / m), x, w);
        for lane in 0..LANES {
            let (qx, q2) = (sum_qx[lane], sum_q2[lane]);
            let better = (q2 > 0.0) & (qx * qx > best[lane] * q2);
            let ratio = qx / q2;
            scale[lane] = if better { ratio } else { scale[lane] };
            best[lane] = if better { ratio * qx } else { best[lane] };
        }
    }
    for lane in 0..LANES {
        scale[lane] = if extreme[lane].abs() < EPSILON { 0.0 } else { scale[lane] };
    }
    scale
}

for_each_processor! {
    /// Σ (w·q)·x and Σ (w·q)·q for the table values q of each lane's scale.
    fn fit(inverse: &Lane, x: &Tile, w: &Tile) -> (Lane, Lane) {
        let (mut sum_qx, mut sum_q2) = ([0.0; LANES], [0.0; LANES]);
        for (x, w) in x.iter().zip(w) {
            let mut scaled = [0.0; LANES];
            for lane in 0..LANES {
                scaled[lane] = inverse[lane] * x[lane];
            }
            let q = values(&scaled);
            for lane in 0..LANES {
                let wq = w[lane] * q[lane];
                sum_qx[lane] += wq * x[lane];
                sum_q2[lane] += wq * q[lane];
            }
        }
        (sum_qx, sum_q2)
    }
}

/// Half-way between values k and k + 1; a tie, and NaN, takes the upper.
const fn middle(k: usize) -> f32 {
    (VALUES[k] as f32 + VALUES[k + 1] as f32) / 2.0
}

/// The table value nearest to each number.
#[inline(always)]
fn values(scaled: &Lane) -> Lane {
    let mut q = [f32::from(VALUES[0]); LANES];
    for k in 0..15 {
        for lane in 0..LANES {
            q[lane] = if scaled[lane] < middle(k) { q[lane] } else { f32::from(VALUES[k + 1]) };
        }
    }
    q
}

for_each_processor! {
    /// The index of the table value nearest to each x·inverse.
    fn indices(x: &Tile, inverse: &Lane) -> [[u8; LANES]; 32] {
        let mut codes = [[0; LANES]; 32];
        for (codes, x) in codes.iter_mut().zip(x) {
            for lane in 0..LANES {
                let scaled = inverse[lane] * x[lane];
                let mut index = 0_i32;
                for k in 0..15 {
                    index += if scaled < middle(k) { 0 } else { 1 };
                }
                codes[lane] = index as u8;
            }
        }
        codes
    }
}

/// The search's weight of each element. `RUNS` lanes share one mean square, added in order.
#[inline(always)]
fn element_weights<const RUNS: usize>(
    x: &Tile,
    block: usize,
    row_len: usize,
    importance: Option<&[f32]>,
) -> Tile {
    let mut w = [[0.0; LANES]; 32];
    let Some(importance) = importance else {
        for (w, x) in w.iter_mut().zip(x) {
            for lane in 0..LANES {
                w[lane] = x[lane] * x[lane];
            }
        }
        return w;
    };
    let mut sigma2 = [0.0; LANES];
    for first in (0..LANES).step_by(RUNS) {
        let mut sum = 0.0;
        for lane in first..first + RUNS {
            sum = x.iter().fold(sum, |sum, x| sum + x[lane] * x[lane]);
        }
        sigma2[first..first + RUNS].fill(sum * (2.0 / (32 * RUNS) as f32));
    }
    let columns = importance.as_chunks::<32>().0;
    let columns: [[f32; 32]; LANES] = std::array::from_fn(|lane| columns[(block + lane) % (row_len / 32)]);
    let columns = tile(&columns);
    for ((w, x), column) in w.iter_mut().zip(x).zip(&columns) {
        for lane in 0..LANES {
            w[lane] = column[lane] * (sigma2[lane] + x[lane] * x[lane]).sqrt();
        }
    }
    w
}

/// Byte j: the codes of weights j and j + 16 of one lane.
#[inline(always)]
fn pack(codes: &[[u8; LANES]; 32], lane: usize, out: &mut [u8]) {
    let (low, high) = codes.split_at(16);
    for ((out, low), high) in out.iter_mut().zip(low).zip(high) {
        *out = low[lane] | high[lane] << 4;
    }
}
