//! The inner loop of MaxSim: query tokens in the lanes of registers, document tokens broadcast.
//!
//! A panel is a block of query tokens in the order `[step][lane]`; a step is one 32-bit word of a row (one f32, two brain
//! floats or four bytes). Each document word is read once per block and meets every query token of the block; the running
//! maxima stay in registers, so the matrix of similarities is never written. A lane's sum runs over the steps in order, so
//! that it does not depend on how many document tokens are in flight.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use super::Tier;

/// Lanes of a block: query tokens that one pass over a document serves.
pub(crate) const BLOCK: usize = 32;

/// What a word of a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// One f32.
    F32,
    /// Two brain floats, the lower first.
    Bf16,
    /// Four codes: signed in the panel, plus 128 in the document. The maxima are i32 and exceed the product by
    /// `128 · Σ` of the lane's codes.
    I8,
}

impl Words {
    /// Words of a row of `width` values.
    pub(crate) fn per_row(self, width: usize) -> usize {
        match self {
            Self::F32 => width,
            Self::Bf16 => width.div_ceil(2),
            Self::I8 => width.div_ceil(4),
        }
    }
}

/// Greatest product of every lane with any row of the document, as bits of f32 or i32.
///
/// `panel` is `[steps, 32]` words; `document` is `[tokens, steps]` words; a document without rows leaves the least value.
///
/// # Panics
/// When the slices are not whole rows, or the processor lacks `tier`.
pub(crate) fn maxima(
    tier: Tier,
    words: Words,
    panel: &[u32],
    document: &[u32],
    lanes: usize,
) -> [u32; BLOCK] {
    let steps = panel.len() / BLOCK;
    assert!(steps > 0 && panel.len().is_multiple_of(BLOCK) && document.len().is_multiple_of(steps));
    assert!(tier <= Tier::best(), "the processor lacks {}", tier.name());
    match tier {
        Tier::Portable => portable::maxima(words, panel, document, steps),
        #[cfg(target_arch = "x86_64")]
        _ => x86::maxima(tier, words, panel, document, steps, lanes),
        #[cfg(not(target_arch = "x86_64"))]
        _ => portable::maxima(words, panel, document, steps),
    }
}

/// Product of every lane of bytes with every row, `[rows, 32]`: i32, with the excess of [`Words::I8`].
///
/// # Panics
/// As [`maxima`], and when `out` has another length.
pub(crate) fn products(tier: Tier, panel: &[u32], rows: &[u32], out: &mut [u32]) {
    let steps = panel.len() / BLOCK;
    assert!(steps > 0 && panel.len().is_multiple_of(BLOCK) && rows.len().is_multiple_of(steps));
    assert!(out.len() == rows.len() / steps * BLOCK && tier <= Tier::best());
    match tier {
        Tier::Portable => portable::products(panel, rows, steps, out),
        #[cfg(target_arch = "x86_64")]
        _ => x86::products(tier, panel, rows, steps, out),
        #[cfg(not(target_arch = "x86_64"))]
        _ => portable::products(panel, rows, steps, out),
    }
}
