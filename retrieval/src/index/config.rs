//! Settings of an index.

use common::residual::Cells;
use serde::{Deserialize, Serialize};

use super::IndexError;

/// How an index is built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexConfig {
    /// Bits of a residual's component: 1, 2 or 4. ColBERTv2's usual setting is 2.
    pub bits: u32,
    /// How the cells of the residuals are chosen; ColBERTv2: [`Cells::Quantile`].
    pub cells: Cells,
    /// Number of centroids; `None`: ColBERTv2's rule, see [`default_centroids`].
    pub centroids: Option<usize>,
    /// Rounds of k-means; ColBERTv2: 4.
    pub rounds: usize,
    /// Training vectors per centroid at most; FAISS: 256.
    pub points_per_centroid: usize,
    /// Tokens of a segment file at most; the memory of writing is proportional to it.
    pub segment_tokens: usize,
    /// Seed of the sample and of k-means.
    pub seed: u64,
    /// Kept with the index for its readers, such as what made the vectors.
    pub note: String,
}

impl IndexConfig {
    /// ColBERTv2's settings at `bits` bits.
    pub fn colbert_v2(bits: u32) -> Self {
        Self {
            bits,
            cells: Cells::Quantile,
            centroids: None,
            rounds: 4,
            points_per_centroid: 256,
            segment_tokens: 1 << 20,
            seed: 0,
            note: String::new(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), IndexError> {
        let refuse = |name, found: String, expected| Err(IndexError::Setting { name, found, expected });
        if ![1, 2, 4].contains(&self.bits) {
            return refuse("bits", self.bits.to_string(), "1, 2 or 4");
        }
        if self.centroids.is_some_and(|count| count == 0 || count > 1 << 24) {
            return refuse("centroids", format!("{:?}", self.centroids), "1 to 16,777,216");
        }
        if self.points_per_centroid == 0 {
            return refuse("points_per_centroid", "0".to_owned(), "at least 1");
        }
        if self.segment_tokens == 0 || self.segment_tokens > 1 << 30 {
            return refuse("segment_tokens", self.segment_tokens.to_string(), "1 to 1,073,741,824");
        }
        Ok(())
    }
}

/// Number of centroids for `tokens` vectors: `2^⌊log₂(16 √tokens)⌋`.
///
/// Source: ColBERT, `colbert/indexing/collection_indexer.py`.
///
/// ```
/// use retrieval::index::default_centroids;
/// assert_eq!([1, 100, 10_000, 1_000_000].map(default_centroids), [16, 128, 1024, 8192]);
/// ```
pub fn default_centroids(tokens: usize) -> usize {
    1 << (16.0 * (tokens.max(1) as f64).sqrt()).log2().floor() as u32
}

/// Number of passages whose vectors are sampled: `min(1 + ⌊16 √(120 passages)⌋, passages)`.
///
/// Source: ColBERT, `colbert/indexing/collection_indexer.py`.
pub fn sample_size(passages: usize) -> usize {
    (1 + (16.0 * (120.0 * passages as f64).sqrt()) as usize).min(passages)
}
