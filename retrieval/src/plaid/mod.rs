//! PLAID: search of an index that scores few documents exactly.
//!
//! 1. Products of all centroids with the query; documents with a token of the `nprobe` nearest of any query token.
//! 2. The best `candidates` of them by interaction with their centroids, only centroids above the threshold counting.
//! 3. The best `scored` of those by interaction with all their centroids.
//! 4. MaxSim with the residuals; the best `k`.
//!
//! Source: PLAID (Santhanam et al. 2022), section 4. Ours: the query is rounded to 8 bits per component for the products with
//! centroids, which are 16-bit integers in steps 2 and 3, 1/32000 of the greatest possible product apart; step 2 goes through the lists of the centroids that count instead of the documents
//! when that is less work.

mod config;
mod dispatch;
mod interact;
mod recall;
mod residual;
mod table;

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rayon::prelude::*;

pub use config::{EXACT_TOKENS, SearchConfig, SettingError, exact_is_as_fast};
use dispatch::dispatch;
pub use recall::recall_against_exact;

use crate::index::Index;
use crate::maxsim::codes::QueryCodes;
use crate::maxsim::panel::Panel;
use crate::maxsim::tile::BLOCK;
use crate::maxsim::{Hit, MaxSimError, Tier, check_query, top_k};
use crate::vectors::TokenVectors;
use interact::{Candidates, keep_best, token_count, unpruned};
use table::{Centroids, Table};

/// A search that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The query.
    #[error(transparent)]
    Query(#[from] MaxSimError),
    /// The settings.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

/// What a search did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stages {
    /// Seconds of the products with the centroids.
    pub centroids_s: f64,
    /// Seconds of collecting the candidates.
    pub candidates_s: f64,
    /// Seconds of the ranking with the centroids above the threshold.
    pub pruned_s: f64,
    /// Seconds of the ranking with all centroids.
    pub unpruned_s: f64,
    /// Seconds of scoring with the residuals.
    pub scored_s: f64,
    /// Centroids that were probed.
    pub probed: usize,
    /// Centroids above the threshold.
    pub kept: usize,
    /// Documents with a token of a probed centroid.
    pub candidates: usize,
    /// Documents that the first ranking kept.
    pub ranked: usize,
    /// Documents that were scored with their residuals.
    pub scored: usize,
    /// Their tokens.
    pub scored_tokens: usize,
}

impl Stages {
    /// Seconds of all stages.
    pub fn total_s(&self) -> f64 {
        self.centroids_s + self.candidates_s + self.pruned_s + self.unpruned_s + self.scored_s
    }
}

/// Searches of an index.
#[derive(Debug)]
pub struct Plaid<'a> {
    index: &'a Index,
    tier: Tier,
    cells: residual::Cells,
    centroids: Centroids,
    /// Memory of searches that are over.
    scratch: Mutex<Vec<Scratch>>,
}

/// Memory of one search.
#[derive(Default)]
struct Scratch {
    tables: Vec<Table>,
    candidates: Candidates,
    scores: Vec<i32>,
    rows: Vec<f32>,
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Scratch")
    }
}

impl<'a> Plaid<'a> {
    /// Searches of `index`.
    pub fn new(index: &'a Index) -> Self {
        Self::on(index, Tier::best())
    }

    /// [`Self::new`] with a weaker instruction set than the processor's best.
    ///
    /// # Panics
    /// When the processor lacks `tier`.
    pub fn on(index: &'a Index, tier: Tier) -> Self {
        assert!(tier <= Tier::best(), "the processor lacks {}", tier.name());
        let codec = index.codec();
        let (cells, centroids) = (residual::Cells::new(codec), Centroids::new(codec));
        Self { index, tier, cells, centroids, scratch: Mutex::default() }
    }

    /// The `k` best documents that the search finds for `query` (`[query tokens, width]`), best first, ties by lower document:
    /// fewer than `k` when there are fewer candidates. Scores are MaxSim with the decompressed tokens.
    ///
    /// # Errors
    /// [`SearchError`] for an unusable query or settings of 0.
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        config: &SearchConfig,
    ) -> Result<(Vec<Hit>, Stages), SearchError> {
        config.check()?;
        check_query(query, self.index.codec().width())?;
        let pool = || self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = pool().pop().unwrap_or_default();
        let found = self.run(query, k, config, &mut scratch);
        pool().push(scratch);
        Ok(found)
    }

    /// [`Self::search`] of each of `queries`, on all threads; in their order.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn search_batch(
        &self,
        queries: &TokenVectors,
        k: usize,
        config: &SearchConfig,
    ) -> Result<Vec<(Vec<Hit>, Stages)>, SearchError> {
        let (found, expected) = (queries.width(), self.index.codec().width());
        if found != expected {
            return Err(MaxSimError::Width { found, expected }.into());
        }
        (0..queries.len()).into_par_iter().map(|query| self.search(queries.text(query), k, config)).collect()
    }

    fn run(
        &self,
        query: &[f32],
        k: usize,
        config: &SearchConfig,
        scratch: &mut Scratch,
    ) -> (Vec<Hit>, Stages) {
        let (index, tier, mut stages) = (self.index, self.tier, Stages::default());
        let mut clock = Clock(Instant::now());
        let width = index.codec().width();
        let (panel, codes) = (Panel::f32(query, width), QueryCodes::new(query, width));
        let blocks = codes.panel.blocks().len();
        scratch.tables.resize_with(blocks.max(scratch.tables.len()), Table::default);
        let tables = &mut scratch.tables[..blocks];
        for (place, (table, block)) in tables.iter_mut().zip(codes.panel.blocks()).enumerate() {
            table.fill(tier, &self.centroids, &codes, (block, place * BLOCK), config);
        }
        let mut probed: Vec<u32> = tables.iter().flat_map(|table| table.nearest.iter().copied()).collect();
        probed.sort_unstable();
        probed.dedup();
        stages.probed = probed.len();
        stages.centroids_s = clock.lap();

        let candidates = &mut scratch.candidates;
        candidates.collect(index, &probed);
        stages.candidates = candidates.documents.len();
        stages.candidates_s = clock.lap();

        let (limit, last) = (config.candidates.max(k), config.scored.max(k));
        let mut documents = candidates.documents.clone();
        if documents.len() > limit {
            let kept = kept(tables);
            stages.kept = kept.len();
            scratch.scores.clear();
            scratch.scores.resize(documents.len(), 0);
            for table in tables.iter() {
                candidates.pruned(tier, index, &table.rows, &kept, &mut scratch.scores);
            }
            keep_best(&mut documents, &scratch.scores, limit);
        }
        stages.ranked = documents.len();
        stages.pruned_s = clock.lap();

        if documents.len() > last {
            scratch.scores.clear();
            scratch.scores.resize(documents.len(), 0);
            for table in tables.iter() {
                unpruned(tier, index, &table.rows, &documents, &mut scratch.scores);
            }
            keep_best(&mut documents, &scratch.scores, last);
        }
        stages.unpruned_s = clock.lap();

        stages.scored = documents.len();
        stages.scored_tokens = documents.iter().map(|&document| token_count(index, document)).sum();
        let score = |document: u32| {
            let score = residual::score(tier, index, &self.cells, &panel, document, &mut scratch.rows);
            Hit { document, score }
        };
        let hits = top_k(documents.into_iter().map(score), k);
        stages.scored_s = clock.lap();
        (hits, stages)
    }
}

/// Centroids whose product with some query token reaches the threshold.
fn kept(tables: &[Table]) -> Vec<u32> {
    let count = tables[0].reaches.len() as u32;
    (0..count).filter(|&centroid| tables.iter().any(|table| table.reaches[centroid as usize])).collect()
}

/// Seconds since the last look.
struct Clock(Instant);

impl Clock {
    fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let seconds = now.duration_since(self.0).as_secs_f64();
        self.0 = now;
        seconds
    }
}
