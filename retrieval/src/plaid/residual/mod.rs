//! Exact scores from centroids and residuals: a document's tokens are unpacked into the nearest cache and scored there.

#[cfg(target_arch = "x86_64")]
mod avx512;

use crate::index::{Codec, Index};
use crate::maxsim::Tier;
use crate::maxsim::panel::Panel;
use crate::maxsim::words;

/// Values of the cells in every byte of a residual: `[256, 8 / bits]`.
#[derive(Debug)]
pub(super) struct Cells {
    per_byte: usize,
    values: Vec<f32>,
    /// The weights, repeated: a register's table.
    #[cfg(target_arch = "x86_64")]
    weights: [f32; 16],
}

impl Cells {
    pub(super) fn new(codec: &Codec) -> Self {
        let (bits, weights) = (codec.bits() as usize, codec.weights());
        let per_byte = 8 / bits;
        let value = |byte: usize, place: usize| weights[byte >> (bits * place) & ((1 << bits) - 1)];
        let values = (0..256).flat_map(|byte| (0..per_byte).map(move |place| value(byte, place))).collect();
        Self {
            per_byte,
            values,
            #[cfg(target_arch = "x86_64")]
            weights: std::array::from_fn(|code| weights[code & ((1 << bits) - 1)]),
        }
    }

    /// One token of unit length into `row`; its length is that of [`Codec::decompress`] up to the rounding of f32.
    fn decode(&self, tier: Tier, codec: &Codec, packed: &[u8], centroid: usize, row: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "calls a function that needs processor features")]
        // SAFETY: tiers beyond the processor's are refused where a search is made.
        if tier >= Tier::Avx512 && unsafe { avx512::decode(codec, &self.weights, packed, centroid, row) } {
            return;
        }
        let values = &self.values[..];
        let centroid = &codec.centroids()[centroid * codec.width()..][..codec.width()];
        match self.per_byte {
            8 => decode::<8>(tier, values, packed, centroid, row),
            4 => decode::<4>(tier, values, packed, centroid, row),
            _ => decode::<2>(tier, values, packed, centroid, row),
        }
    }
}

fn decode<const N: usize>(tier: Tier, values: &[f32], packed: &[u8], centroid: &[f32], row: &mut [f32]) {
    #[inline(always)]
    fn body<const N: usize>(values: &[f32], packed: &[u8], centroid: &[f32], row: &mut [f32]) {
        let values = values.as_chunks::<N>().0;
        let (centres, last_centre) = centroid.as_chunks::<N>();
        let (outs, last) = row.as_chunks_mut::<N>();
        for ((out, centre), &byte) in outs.iter_mut().zip(centres).zip(packed) {
            let value = &values[usize::from(byte)];
            for place in 0..N {
                out[place] = centre[place] + value[place];
            }
        }
        if let (false, Some(&byte)) = (last.is_empty(), packed.last()) {
            let value = &values[usize::from(byte)];
            for ((out, centre), value) in last.iter_mut().zip(last_centre).zip(value) {
                *out = centre + value;
            }
        }
        let mut sums = [0.0_f32; 16];
        let (chunks, rest) = row.as_chunks::<16>();
        for chunk in chunks {
            for lane in 0..16 {
                sums[lane] += chunk[lane] * chunk[lane];
            }
        }
        let square = sums.iter().sum::<f32>() + rest.iter().map(|x| x * x).sum::<f32>();
        let inverse = 1.0 / square.sqrt().max(1e-12);
        row.iter_mut().for_each(|x| *x *= inverse);
    }
    match N {
        8 => super::dispatch!(tier, body8(values: &[f32], packed: &[u8], centroid: &[f32], row: &mut [f32])),
        4 => super::dispatch!(tier, body4(values: &[f32], packed: &[u8], centroid: &[f32], row: &mut [f32])),
        _ => super::dispatch!(tier, body2(values: &[f32], packed: &[u8], centroid: &[f32], row: &mut [f32])),
    }
    #[inline(always)]
    fn body8(values: &[f32], packed: &[u8], centroid: &[f32], row: &mut [f32]) {
        body::<8>(values, packed, centroid, row);
    }
    #[inline(always)]
    fn body4(values: &[f32], packed: &[u8], centroid: &[f32], row: &mut [f32]) {
        body::<4>(values, packed, centroid, row);
    }
    #[inline(always)]
    fn body2(values: &[f32], packed: &[u8], centroid: &[f32], row: &mut [f32]) {
        body::<2>(values, packed, centroid, row);
    }
}

/// MaxSim of the query with document `document`; `rows` is memory to unpack into.
pub(super) fn score(
    tier: Tier,
    index: &Index,
    cells: &Cells,
    panel: &Panel,
    document: u32,
    rows: &mut Vec<f32>,
) -> f32 {
    let codec = index.codec();
    let width = codec.width();
    let (number, within) = index.place(document);
    let segment = &index.segments()[number];
    let (tokens, codes) = (segment.tokens_of(within), segment.codes());
    rows.resize(tokens.len() * width, 0.0);
    let packed = segment.residuals(tokens.clone()).chunks_exact(codec.row_bytes());
    for ((row, packed), token) in rows.chunks_exact_mut(width).zip(packed).zip(tokens) {
        // A code beyond the last centroid is in corrupt files only.
        let centroid = (segment.code(codes, token) as usize).min(codec.len() - 1);
        cells.decode(tier, codec, packed, centroid, row);
    }
    panel.score(tier, words(rows))
}
