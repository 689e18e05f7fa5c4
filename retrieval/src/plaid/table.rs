//! Products of all centroids with the query, as 16-bit integers: what the two rankings by centroids read.

use super::SearchConfig;
use crate::index::Codec;
use crate::maxsim::Tier;
use crate::maxsim::codes::{QueryCodes, ZERO};
use crate::maxsim::tile::{BLOCK, products};

/// Products with 32 query tokens.
pub(super) type Row = [i16; BLOCK];

/// Centroids whose products are computed at a time: their floats stay in the nearest cache.
const AT_ONCE: usize = 96;
/// Greatest integer.
const LARGEST: f32 = 32_000.0;

/// Products of the centroids with one block of query tokens, `[centroids, 32]`, and what is seen in passing.
#[derive(Default)]
pub(super) struct Table {
    /// A power of two of rows, so that any code of a token has one.
    pub(super) rows: Vec<Row>,
    /// Whether each centroid's product with some query token reaches the threshold.
    pub(super) reaches: Vec<bool>,
    /// The `nprobe` nearest centroids of each query token, `[tokens, nprobe]`; of equals the lower.
    pub(super) nearest: Vec<u32>,
    products: Vec<u32>,
}

impl Table {
    /// Fills the table for `block`, lanes from token `first` of the query on.
    pub(super) fn fill(
        &mut self,
        tier: Tier,
        centroids: &Centroids,
        query: &QueryCodes,
        (block, first): (&[u32], usize),
        config: &SearchConfig,
    ) {
        let steps = block.len() / BLOCK;
        let (count, tokens) = (centroids.scales.len(), (query.scales.len() - first).min(BLOCK));
        self.rows.resize(count.next_power_of_two(), [0; BLOCK]);
        self.reaches.resize(count, false);
        self.products.resize(AT_ONCE * BLOCK, 0);
        let mut lanes = Lanes { scales: [0.0; BLOCK], excess: [0; BLOCK], threshold: [f32::INFINITY; BLOCK] };
        lanes.scales[..tokens].copy_from_slice(&query.scales[first..first + tokens]);
        lanes.excess[..tokens].copy_from_slice(&query.excess[first..first + tokens]);
        lanes.threshold[..tokens].fill(config.threshold.unwrap_or(f32::NEG_INFINITY));
        let mut best = Best::new(tokens, config.nprobe.min(count));
        let scale = LARGEST / centroids.bound(query).max(f32::MIN_POSITIVE);
        for (part, rows) in centroids.words.chunks(AT_ONCE * steps).enumerate() {
            let (start, end) = (part * AT_ONCE, part * AT_ONCE + rows.len() / steps);
            let part = &mut self.products[..(end - start) * BLOCK];
            products(tier, block, rows, part);
            let part = part.as_chunks_mut::<BLOCK>().0;
            let scales = &centroids.scales[start..end];
            see(tier, part, &lanes, scales, scale, &mut self.rows[start..end], &mut self.reaches[start..end]);
            best.see(tier, start as u32, part);
        }
        self.nearest.clear();
        best.finish(&mut self.nearest);
    }
}

/// Centroids as the inner loop reads them.
#[derive(Debug)]
pub(super) struct Centroids {
    words: Vec<u32>,
    scales: Vec<f32>,
    /// Length of the longest.
    length: f32,
}

impl Centroids {
    pub(super) fn new(codec: &Codec) -> Self {
        let byte = |code: &i8| code.cast_unsigned() ^ ZERO;
        let word = |codes: &[i8]| {
            let mut bytes = [ZERO; 4];
            bytes.iter_mut().zip(codes).for_each(|(out, code)| *out = byte(code));
            u32::from_le_bytes(bytes)
        };
        let rows = codec.codes().chunks_exact(codec.width());
        let words = rows.flat_map(|row| row.chunks(4).map(word)).collect();
        Self { words, scales: codec.scales().to_vec(), length: longest(codec.centroids(), codec.width()) }
    }

    /// Above every product of the query's codes with a centroid.
    fn bound(&self, query: &QueryCodes) -> f32 {
        // A thousandth more, for the rounding of lengths and products.
        1.001 * self.length * query.longest
    }
}

fn longest(rows: &[f32], width: usize) -> f32 {
    let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt();
    rows.chunks_exact(width).map(length).fold(0.0, f32::max)
}

/// What makes integer products floats, per query token.
struct Lanes {
    scales: [f32; BLOCK],
    excess: [i32; BLOCK],
    /// The threshold; infinite for lanes without a query token.
    threshold: [f32; BLOCK],
}

/// A float at which the lowest bit is worth 1: adding it rounds a small number into the low bits, as the conversion of vector
/// instructions would.
const ANCHOR: f32 = 12_582_912.0;

/// Makes the integers in `part` floats, and fills rows and what reaches the threshold from them.
fn see(
    tier: Tier,
    part: &mut [[u32; BLOCK]],
    lanes: &Lanes,
    scales: &[f32],
    scale: f32,
    rows: &mut [Row],
    reaches: &mut [bool],
) {
    #[inline(always)]
    fn body(
        part: &mut [[u32; BLOCK]],
        lanes: &Lanes,
        scales: &[f32],
        scale: f32,
        rows: &mut [Row],
        reaches: &mut [bool],
    ) {
        for (((part, row), reaches), centroid) in part.iter_mut().zip(rows).zip(reaches).zip(scales) {
            let mut above = 0;
            for lane in 0..BLOCK {
                let integer = part[lane].cast_signed() - lanes.excess[lane];
                let product = integer as f32 * lanes.scales[lane] * centroid;
                part[lane] = product.to_bits();
                row[lane] = (product * scale + ANCHOR).to_bits() as i16;
                above |= u32::from(product >= lanes.threshold[lane]);
            }
            *reaches = above != 0;
        }
    }
    super::dispatch!(
        tier,
        body(
            part: &mut [[u32; BLOCK]],
            lanes: &Lanes,
            scales: &[f32],
            scale: f32,
            rows: &mut [Row],
            reaches: &mut [bool]
        )
    );
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
