//! How much of an index a search looks at.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Tokens up to which [`Exact`](crate::maxsim::Exact) with [`Storage::Screened`](crate::maxsim::Storage::Screened) searches
/// faster than PLAID at two bits and `k` = 10, one thread, queries of 32 tokens of width 128. Measured on an AMD EPYC of family
/// 26, in milliseconds per query:
///
/// | tokens | exact, screened | PLAID | its recall of the exact ten |
/// |---|---|---|---|
/// | 10,000 | 0.30 | 0.44 | 0.81 |
/// | 30,000 | 0.47 | 0.65 | 0.85 |
/// | 100,000 | 1.00 | 0.85 | 0.95 |
/// | 1,000,000 | 12.9 | 0.90 | 0.95 |
pub const EXACT_TOKENS: usize = 100_000;

/// Whether an exact search of a collection of `tokens` tokens costs no more time than PLAID, which then has nothing to offer
/// but its smaller memory (a twelfth of that of floats and codes at two bits).
///
/// ```
/// assert!(retrieval::plaid::exact_is_as_fast(20_000));
/// assert!(!retrieval::plaid::exact_is_as_fast(1_000_000));
/// ```
pub fn exact_is_as_fast(tokens: usize) -> bool {
    tokens <= EXACT_TOKENS
}

/// Settings of a search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchConfig {
    /// Centroids per query token whose documents are candidates, PLAID's `nprobe`.
    pub nprobe: usize,
    /// Centroids whose greatest product with a query token is below this do not count in the first ranking, PLAID's `t_cs`;
    /// `None`: all count.
    pub threshold: Option<f32>,
    /// Documents that the first ranking keeps, PLAID's `ndocs`.
    pub candidates: usize,
    /// Documents that the second ranking keeps and that are scored with their residuals; PLAID: a quarter of
    /// [`Self::candidates`]. At least as many as hits are asked for are kept in any case.
    pub scored: usize,
}

/// A setting out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("`{name}` is 0, expected at least 1")]
pub struct SettingError {
    name: &'static str,
}

impl SearchConfig {
    /// PLAID's settings for `k` hits.
    ///
    /// Source: PLAID (Santhanam et al. 2022), table 2; ColBERT, `colbert/searcher.py`.
    ///
    /// ```
    /// use retrieval::plaid::SearchConfig;
    /// let config = SearchConfig::for_k(10);
    /// assert_eq!((config.nprobe, config.threshold, config.candidates, config.scored), (1, Some(0.5), 256, 64));
    /// assert_eq!(SearchConfig::for_k(1000).candidates, 4096);
    /// ```
    pub fn for_k(k: usize) -> Self {
        let (nprobe, threshold, candidates) = match k {
            0..=10 => (1, 0.5, 256),
            11..=100 => (2, 0.45, 1024),
            _ => (4, 0.4, (4 * k).max(4096)),
        };
        Self { nprobe, threshold: Some(threshold), candidates, scored: candidates / 4 }
    }

    pub(super) fn check(&self) -> Result<(), SettingError> {
        let settings = [("nprobe", self.nprobe), ("candidates", self.candidates), ("scored", self.scored)];
        match settings.into_iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(SettingError { name }),
            None => Ok(()),
        }
    }
}
