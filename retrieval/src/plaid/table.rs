//! Products of all centroids with the query, as 16-bit integers: what the two rankings by centroids read.

use crate::maxsim::Tier;
use crate::maxsim::panel::Panel;
use crate::maxsim::tile::{BLOCK, products};

/// Products with 32 query tokens.
pub(super) type Row = [i16; BLOCK];

/// Centroids whose products are computed at a time: their floats stay in the nearest cache.
const AT_ONCE: usize = 192;
/// Greatest integer.
const LARGEST: f32 = 32_000.0;

/// Products of the centroids with one block of query tokens, `[centroids, 32]`, and more that is seen in passing.
#[derive(Default)]
pub(super) struct Table {
    /// A power of two of rows, so that any code of a token has one.
    pub(super) rows: Vec<Row>,
    /// Greatest product of each centroid with a query token.
    pub(super) greatest: Vec<f32>,
    /// The `nprobe` nearest centroids of each query token, `[tokens, nprobe]`; of equals the lower.
    pub(super) nearest: Vec<u32>,
    floats: Vec<u32>,
}

impl Table {
    /// Fills the table for `block` of the query, of which `tokens` lanes are used. `length` bounds all products.
    pub(super) fn fill(
        &mut self,
        tier: Tier,
        block: &[u32],
        tokens: usize,
        centroids: &[u32],
        nprobe: usize,
        length: f32,
    ) {
        let steps = block.len() / BLOCK;
        let count = centroids.len() / steps;
        self.rows.resize(count.next_power_of_two(), [0; BLOCK]);
        self.greatest.resize(count, 0.0);
        self.floats.resize(AT_ONCE * BLOCK, 0);
        let mut best = Best::new(tokens, nprobe.min(count));
        let scale = LARGEST / length.max(f32::MIN_POSITIVE);
        for (part, rows) in centroids.chunks(AT_ONCE * steps).enumerate() {
            let floats = &mut self.floats[..rows.len() / steps * BLOCK];
            products(tier, block, rows, floats);
            let first = part * AT_ONCE;
            let floats = floats.as_chunks::<BLOCK>().0;
            see(tier, floats, tokens, scale, &mut self.rows[first..], &mut self.greatest[first..]);
            best.see(tier, first as u32, floats);
        }
        self.nearest.clear();
        best.finish(&mut self.nearest);
    }
}

/// Integers and greatest products of some rows.
fn see(
    tier: Tier,
    floats: &[[u32; BLOCK]],
    tokens: usize,
    scale: f32,
    rows: &mut [Row],
    greatest: &mut [f32],
) {
    #[inline(always)]
    fn body(floats: &[[u32; BLOCK]], tokens: usize, scale: f32, rows: &mut [Row], greatest: &mut [f32]) {
        // Lanes without a query token are zeros, and must not hide that all products are negative.
        let mask: [f32; BLOCK] =
            std::array::from_fn(|lane| if lane < tokens { f32::INFINITY } else { f32::NEG_INFINITY });
        for ((floats, row), greatest) in floats.iter().zip(rows).zip(greatest) {
            let floats = floats.map(f32::from_bits);
            let mut most = [f32::NEG_INFINITY; BLOCK];
            for lane in 0..BLOCK {
                // SAFETY would be needed for an unchecked conversion; `as` saturates, which never happens.
                row[lane] = (floats[lane] * scale) as i32 as i16;
                most[lane] = if floats[lane] < mask[lane] { floats[lane] } else { mask[lane] };
            }
            let mut half = BLOCK / 2;
            while half > 0 {
                for lane in 0..half {
                    most[lane] = if most[lane] > most[lane + half] { most[lane] } else { most[lane + half] };
                }
                half /= 2;
            }
            *greatest = most[0];
        }
    }
    super::dispatch!(tier, body(floats: &[[u32; BLOCK]], tokens: usize, scale: f32, rows: &mut [Row], greatest: &mut [f32]));
}

/// The nearest centroids so far of each query token.
struct Best {
    nprobe: usize,
    /// Product that a further centroid must exceed; lanes without a query token are never exceeded.
    least: [f32; BLOCK],
    /// Per token, best first.
    found: Vec<Vec<(f32, u32)>>,
}

impl Best {
    fn new(tokens: usize, nprobe: usize) -> Self {
        let least = std::array::from_fn(|lane| if lane < tokens { f32::NEG_INFINITY } else { f32::INFINITY });
        Self { nprobe, least, found: vec![Vec::with_capacity(nprobe + 1); tokens] }
    }

    fn see(&mut self, tier: Tier, first: u32, rows: &[[u32; BLOCK]]) {
        let mut start = 0;
        while let Some(place) = next(tier, &rows[start..], &self.least) {
            let row = rows[start + place].map(f32::from_bits);
            for (lane, found) in self.found.iter_mut().enumerate() {
                if row[lane] > self.least[lane] {
                    let at = found.partition_point(|(product, _)| *product >= row[lane]);
                    found.insert(at, (row[lane], first + (start + place) as u32));
                    found.truncate(self.nprobe);
                    if found.len() == self.nprobe {
                        self.least[lane] = found[self.nprobe - 1].0;
                    }
                }
            }
            start += place + 1;
        }
    }

    fn finish(self, out: &mut Vec<u32>) {
        out.extend(self.found.into_iter().flatten().map(|(_, centroid)| centroid));
    }
}

/// First row with a product above the least in any lane.
fn next(tier: Tier, rows: &[[u32; BLOCK]], least: &[f32; BLOCK]) -> Option<usize> {
    #[inline(always)]
    fn body(rows: &[[u32; BLOCK]], least: &[f32; BLOCK]) -> Option<usize> {
        rows.iter().position(|row| {
            let mut above = 0;
            for lane in 0..BLOCK {
                above |= u32::from(f32::from_bits(row[lane]) > least[lane]);
            }
            above != 0
        })
    }
    super::dispatch!(tier, body(rows: &[[u32; BLOCK]], least: &[f32; BLOCK]) -> Option<usize>)
}

/// Greatest possible product: the longest query token times the longest centroid.
pub(super) fn bound(query: &[f32], width: usize, centroid_length: f32) -> f32 {
    let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt();
    query.chunks_exact(width).map(length).fold(0.0, f32::max) * centroid_length
}

/// A query in lanes.
pub(super) fn panel(query: &[f32], width: usize) -> Panel {
    Panel::f32(query, width)
}
