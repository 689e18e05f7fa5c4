//! Rankings of documents by their centroids alone.
//!
//! ```text
//! interaction(d) = Σᵢ max { C_t · qᵢ : t a centroid of d's tokens, kept }
//! ```
//! Source: PLAID (Santhanam et al. 2022), sections 4.2 and 4.3.

use super::table::Row;
use crate::index::Index;
use crate::maxsim::Tier;
use crate::maxsim::tile::BLOCK;

/// A row below every product.
const LOWEST: Row = [i16::MIN; BLOCK];
/// Not a candidate.
const NONE: u32 = u32::MAX;
/// Entries of lists that cost as much as a document's token.
const LIST_COST: usize = 2;

/// Documents that have a token of a probed centroid, by number, and the memory of ranking them.
#[derive(Default)]
pub(super) struct Candidates {
    pub(super) documents: Vec<u32>,
    /// Place in `documents`, or [`NONE`], of every document.
    slots: Vec<u32>,
    best: Vec<Row>,
}

impl Candidates {
    /// Collects the documents in the lists of `centroids`, but the deleted.
    pub(super) fn collect(&mut self, index: &Index, centroids: &[u32]) {
        self.documents.iter().for_each(|&document| self.slots[document as usize] = NONE);
        self.documents.clear();
        self.slots.resize(index.slots(), NONE);
        for segment in index.segments() {
            for &centroid in centroids {
                segment.for_each_in_list(centroid as usize, |within| {
                    let document = segment.first + within as u32;
                    let slot = &mut self.slots[document as usize];
                    if *slot == NONE && !index.is_deleted(document) {
                        *slot = self.documents.len() as u32;
                        self.documents.push(document);
                    }
                });
            }
        }
    }

    /// Adds to `scores` each candidate's interaction over one block of the query, with the centroids in `kept` only.
    /// Candidates without any get the least score.
    pub(super) fn pruned(
        &mut self,
        tier: Tier,
        index: &Index,
        rows: &[Row],
        kept: &[u32],
        scores: &mut [i32],
    ) {
        let entries: usize = index
            .segments()
            .iter()
            .map(|segment| kept.iter().map(|&c| segment.list_len(c as usize) as usize).sum::<usize>())
            .sum();
        let tokens: usize = self.documents.iter().map(|&document| token_count(index, document)).sum();
        if entries * LIST_COST < tokens {
            self.by_lists(tier, index, rows, kept, scores);
        } else {
            self.by_documents(tier, index, rows, kept, scores);
        }
    }

    pub(super) fn by_lists(
        &mut self,
        tier: Tier,
        index: &Index,
        rows: &[Row],
        kept: &[u32],
        scores: &mut [i32],
    ) {
        self.best.clear();
        self.best.resize(self.documents.len(), LOWEST);
        let (slots, best) = (&self.slots[..], &mut self.best[..]);
        #[inline(always)]
        fn body(index: &Index, rows: &[Row], kept: &[u32], slots: &[u32], best: &mut [Row]) {
            for segment in index.segments() {
                let slots = &slots[segment.first as usize..];
                for &centroid in kept {
                    let row = rows[centroid as usize];
                    segment.for_each_in_list(centroid as usize, |within| {
                        if let Some(best) = best.get_mut(slots[within] as usize) {
                            raise(best, &row);
                        }
                    });
                }
            }
        }
        super::dispatch!(tier, body(index: &Index, rows: &[Row], kept: &[u32], slots: &[u32], best: &mut [Row]));
        for (best, score) in self.best.iter().zip(scores) {
            *score = score.saturating_add(total(best));
        }
    }

    pub(super) fn by_documents(
        &mut self,
        tier: Tier,
        index: &Index,
        rows: &[Row],
        kept: &[u32],
        scores: &mut [i32],
    ) {
        let mut pruned = vec![LOWEST; rows.len()];
        kept.iter().for_each(|&centroid| pruned[centroid as usize] = rows[centroid as usize]);
        unpruned(tier, index, &pruned, &self.documents, scores);
    }
}

/// Adds to `scores` each document's interaction over one block of the query, with all centroids.
pub(super) fn unpruned(tier: Tier, index: &Index, rows: &[Row], documents: &[u32], scores: &mut [i32]) {
    #[inline(always)]
    fn body(index: &Index, rows: &[Row], documents: &[u32], scores: &mut [i32]) {
        for (&document, score) in documents.iter().zip(scores) {
            let (number, within) = index.place(document);
            let segment = &index.segments()[number];
            let codes = segment.codes();
            let mut best = LOWEST;
            for token in segment.tokens_of(within) {
                raise(&mut best, &rows[segment.code(codes, token) as usize]);
            }
            *score = score.saturating_add(total(&best));
        }
    }
    super::dispatch!(tier, body(index: &Index, rows: &[Row], documents: &[u32], scores: &mut [i32]));
}

pub(super) fn token_count(index: &Index, document: u32) -> usize {
    let (number, within) = index.place(document);
    index.segments()[number].tokens_of(within).len()
}

#[inline(always)]
fn raise(best: &mut Row, row: &Row) {
    for lane in 0..BLOCK {
        best[lane] = best[lane].max(row[lane]);
    }
}

/// Sum over the lanes; lanes without a query token are 0 wherever a centroid counts.
#[inline(always)]
fn total(best: &Row) -> i32 {
    best.iter().map(|&product| i32::from(product)).sum()
}

/// The `count` best documents by score, ties by lower document, in the order of the documents.
pub(super) fn keep_best(documents: &mut Vec<u32>, scores: &[i32], count: usize) {
    if documents.len() <= count {
        return;
    }
    let mut order: Vec<(i32, u32)> =
        scores.iter().zip(documents.iter()).map(|(&score, &document)| (-score, document)).collect();
    order.select_nth_unstable(count);
    documents.clear();
    documents.extend(order[..count].iter().map(|(_, document)| document));
    documents.sort_unstable();
}
