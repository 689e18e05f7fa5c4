//! Exact search that reads 8-bit codes first: upper bounds of the scores rule most documents out.
//!
//! With codes `c` of a document token and `p` of a query token, `d = s·c + e`, `q = t·p + f`:
//!
//! ```text
//! |q·d − s·t·(p·c)| = |q·e + f·(s·c)| ≤ ‖q‖·‖e‖ + ‖f‖·‖s·c‖                        (Cauchy–Schwarz)
//! score ≤ s · Σᵢ tᵢ maxⱼ pᵢ·cⱼ + maxⱼ‖eⱼ‖ · Σᵢ‖qᵢ‖ + maxⱼ‖s·cⱼ‖ · Σᵢ‖fᵢ‖ + rounding
//! ```
//! The last term covers the f32 sums of the exact scorer, so that the bound holds for the scores it really computes.

use rayon::prelude::*;

use super::codes::{LARGEST, QueryCodes, ZERO};
use super::tile::Words;
use super::{Hit, Tier, top_k};
use crate::vectors::TokenVectors;

/// Documents per parallel task.
const CHUNK: usize = 64;
/// How many documents a screened search scored exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screening {
    /// Documents with tokens.
    pub documents: usize,
    /// Those whose bound reached the k-th score, and so were scored exactly.
    pub scored: usize,
}

/// Codes of all documents and what bounds need to know of each.
#[derive(Debug)]
pub(super) struct Codes {
    width: usize,
    /// Words per row.
    steps: usize,
    words: Vec<u32>,
    bounds: Vec<Bound>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bound {
    scale: f64,
    /// Greatest length of a token's coding error.
    error: f64,
    /// Greatest length of a decoded token.
    decoded: f64,
    /// Greatest length of a token.
    length: f64,
}

/// Bounded score of one document: within `radius` of `score`.
#[derive(Clone, Copy)]
struct Bounded {
    score: f64,
    radius: f64,
}

impl Codes {
    pub(super) fn new(vectors: &TokenVectors) -> Self {
        let (width, steps) = (vectors.width(), Words::I8.per_row(vectors.width()));
        let mut words = vec![0; vectors.rows() * steps];
        let mut parts = Vec::with_capacity(vectors.len());
        let mut rest = &mut words[..];
        for index in 0..vectors.len() {
            let (part, after) = rest.split_at_mut(vectors.tokens(index) * steps);
            parts.push((index, part));
            rest = after;
        }
        let bounds =
            parts.into_par_iter().map(|(index, part)| encode(vectors.text(index), width, part)).collect();
        Self { width, steps, words, bounds }
    }

    /// The `k` best documents by `exact`, and how many it had to score.
    pub(super) fn search(
        &self,
        tier: Tier,
        query: &[f32],
        ends: &[usize],
        k: usize,
        exact: impl Fn(u32) -> f32 + Sync,
    ) -> (Vec<Hit>, Screening) {
        let bounded = self.bounded(tier, query, ends);
        let by_code = |(document, bounded): (u32, &Bounded)| Hit { document, score: bounded.score as f32 };
        let first = top_k((0..).zip(&bounded).map(by_code), k);
        let score = |document: &u32| Hit { document: *document, score: exact(*document) };
        let mut hits: Vec<Hit> = first.par_iter().map(|hit| score(&hit.document)).collect();
        let documents = bounded.iter().filter(|bounded| bounded.score > f64::NEG_INFINITY).count();
        // Fewer hits than asked for: every document with tokens is among them.
        if hits.len() == k {
            let threshold = hits.iter().map(|hit| f64::from(hit.score)).fold(f64::INFINITY, f64::min);
            let mut done: Vec<u32> = hits.iter().map(|hit| hit.document).collect();
            done.sort_unstable();
            let open = (0..)
                .zip(&bounded)
                .filter(|(document, bounded)| {
                    bounded.score + bounded.radius >= threshold && done.binary_search(document).is_err()
                })
                .map(|(document, _): (u32, _)| document);
            let open: Vec<u32> = open.collect();
            hits.par_extend(open.par_iter().map(score));
        }
        let scored = hits.len();
        (top_k(hits, k), Screening { documents, scored })
    }

    fn bounded(&self, tier: Tier, query: &[f32], ends: &[usize]) -> Vec<Bounded> {
        let tokens = query.len() / self.width;
        let query = QueryCodes::new(query, self.width);
        // Sums of `width` products and of `tokens` maxima, each rounded at most `width + tokens` times; doubled for safety.
        let rounding = 2.0 * (self.width + tokens + 8) as f64 * f64::from(f32::EPSILON) * query.lengths;
        let mut out = vec![Bounded { score: f64::NEG_INFINITY, radius: 0.0 }; ends.len()];
        out.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, out)| {
            for (place, out) in out.iter_mut().enumerate() {
                let document = chunk * CHUNK + place;
                let start = if document == 0 { 0 } else { ends[document - 1] };
                let rows = &self.words[start * self.steps..ends[document] * self.steps];
                if !rows.is_empty() {
                    *out = bounded_one(&query, rounding, tier, rows, &self.bounds[document]);
                }
            }
        });
        out
    }
}

/// Codes of a document's rows into `out`, and its bound.
fn encode(rows: &[f32], width: usize, out: &mut [u32]) -> Bound {
    let largest = rows.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let scale = if largest > 0.0 { largest / LARGEST } else { 1.0 };
    let mut bound = Bound { scale: f64::from(scale), ..Bound::default() };
    let steps = Words::I8.per_row(width);
    for (row, out) in rows.chunks_exact(width).zip(out.chunks_exact_mut(steps)) {
        let (mut error, mut decoded, mut length) = (0.0, 0.0, 0.0);
        for (values, out) in row.chunks(4).zip(out) {
            let mut bytes = [ZERO; 4];
            for (&value, byte) in values.iter().zip(&mut bytes) {
                let code = (value / scale).round().clamp(-LARGEST, LARGEST);
                *byte = (code as i32 + i32::from(ZERO)) as u8;
                let (exact, coded) = (f64::from(value), f64::from(code) * f64::from(scale));
                error += (exact - coded).powi(2);
                decoded += coded * coded;
                length += exact * exact;
            }
            *out = u32::from_le_bytes(bytes);
        }
        bound.error = bound.error.max(error.sqrt());
        bound.decoded = bound.decoded.max(decoded.sqrt());
        bound.length = bound.length.max(length.sqrt());
    }
    bound
}

/// A bound of one document's score.
fn bounded_one(query: &QueryCodes, rounding: f64, tier: Tier, rows: &[u32], bound: &Bound) -> Bounded {
    let mut sum = 0.0;
    query.panel.maxima(tier, rows, |token, bits| {
        sum += f64::from(query.scales[token]) * f64::from(bits.cast_signed() - query.excess[token]);
    });
    let radius = bound.error * query.lengths + bound.decoded * query.errors + bound.length * rounding + 1e-9;
    Bounded { score: bound.scale * sum, radius }
}
