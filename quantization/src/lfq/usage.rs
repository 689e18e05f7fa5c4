//! How much of a codebook is used.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::LfqError;
use super::code::check;

/// Use of a codebook by a sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Codes in the codebook.
    pub codes: usize,
    /// Codes that occur.
    pub used: usize,
    /// Items of the sample: no more codes than this can occur.
    pub samples: usize,
    /// `exp` of the entropy of the index histogram: 1 for one code, `codes` for equal use.
    pub perplexity: f64,
}

/// Use of the codebook of `bits` bits by `indices`.
///
/// ```
/// use quantization::lfq::usage;
/// let found = usage(&[0, 0, 3, 3], 2)?;
/// assert_eq!((found.codes, found.used, found.samples), (4, 2, 4));
/// assert!((found.perplexity - 2.0).abs() < 1e-12);
/// # Ok::<(), quantization::lfq::LfqError>(())
/// ```
///
/// # Errors
/// [`LfqError`] for bad bits, an index outside the codebook, or no index.
pub fn usage(indices: &[u32], bits: usize) -> Result<Usage, LfqError> {
    let codes = check(bits)?;
    if indices.is_empty() {
        return Err(LfqError::Rows { found: 0, bits });
    }
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for &index in indices {
        if index as usize >= codes {
            return Err(LfqError::Index { index, codes });
        }
        *counts.entry(index).or_default() += 1;
    }
    let share = |&count: &usize| count as f64 / indices.len() as f64;
    let entropy: f64 = counts.values().map(share).map(|p| -p * p.ln()).sum();
    Ok(Usage { codes, used: counts.len(), samples: indices.len(), perplexity: entropy.exp() })
}
