//! A query in the order that the inner loop reads.

use super::tile::{BLOCK, Words, maxima};
use super::{Tier, bf16};

/// Query tokens in blocks of lanes.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    words: Words,
    tokens: usize,
    /// Words of a block: `steps · 32`.
    block: usize,
    data: Vec<u32>,
}

impl Panel {
    /// f32 lanes of `query`, `[tokens, width]`.
    pub(crate) fn f32(query: &[f32], width: usize) -> Self {
        Self::new(Words::F32, query, width, 1, |values| values[0].to_bits())
    }

    /// Brain-float lanes of `query`, `[tokens, width]`, each value rounded.
    pub(crate) fn bf16(query: &[f32], width: usize) -> Self {
        Self::new(Words::Bf16, query, width, 2, bf16::pair)
    }

    /// Byte lanes of signed `codes`, `[tokens, width]`.
    pub(crate) fn i8(codes: &[i8], width: usize) -> Self {
        Self::new(Words::I8, codes, width, 4, |values| {
            let byte = |i: usize| values.get(i).map_or(0, |code| code.cast_unsigned());
            u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
        })
    }

    fn new<T>(words: Words, rows: &[T], width: usize, per_word: usize, word: impl Fn(&[T]) -> u32) -> Self {
        let (tokens, steps) = (rows.len() / width, words.per_row(width));
        let mut data = vec![0; tokens.div_ceil(BLOCK) * steps * BLOCK];
        for (token, row) in rows.chunks_exact(width).enumerate() {
            let block = &mut data[token / BLOCK * steps * BLOCK..][..steps * BLOCK];
            for (step, values) in row.chunks(per_word).enumerate() {
                block[step * BLOCK + token % BLOCK] = word(values);
            }
        }
        Self { words, tokens, block: steps * BLOCK, data }
    }

    /// Words of each block of 32 query tokens.
    pub(crate) fn blocks(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.data.chunks_exact(self.block)
    }

    /// Gives `see` each query token's greatest product with a row of `document`, as bits, in the order of the tokens.
    #[inline]
    pub(crate) fn maxima(&self, tier: Tier, document: &[u32], mut see: impl FnMut(usize, u32)) {
        for (index, block) in self.data.chunks_exact(self.block).enumerate() {
            let lanes = (self.tokens - index * BLOCK).min(BLOCK);
            let best = maxima(tier, self.words, block, document, lanes);
            best[..lanes].iter().enumerate().for_each(|(lane, &bits)| see(index * BLOCK + lane, bits));
        }
    }

    /// Sum of the maxima of a panel of floats; `-inf` for a document without rows.
    #[inline]
    pub(crate) fn score(&self, tier: Tier, document: &[u32]) -> f32 {
        if document.is_empty() {
            return f32::NEG_INFINITY;
        }
        let mut sum = 0.0;
        self.maxima(tier, document, |_, bits| sum += f32::from_bits(bits));
        sum
    }
}
