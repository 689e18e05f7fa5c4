//! Exact late-interaction scores: every query token finds its nearest document token.
//!
//! ```text
//! score(q, d) = Σᵢ maxⱼ qᵢ · dⱼ        i: query tokens, j: document tokens
//! ```
//! Source: Khattab & Zaharia 2020, equation 3; ColBERTv2 (Santhanam et al. 2022), equation 1. The matrix of products is never
//! written: the maxima stay in registers (`tile`). Every document is scored; [`crate::plaid`] is the index that leaves most
//! of them out.

pub(crate) mod bf16;
pub(crate) mod codes;
mod exact;
mod explain;
mod limits;
pub(crate) mod panel;
mod screen;
mod tier;
pub(crate) mod tile;
mod top;

use thiserror::Error;

pub use exact::{Exact, Storage};
pub use explain::{Match, explain};
pub use limits::Limits;
pub use screen::Screening;
pub use tier::Tier;
pub use top::{Hit, recall, top_k};

use panel::Panel;

/// Vectors that cannot be scored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MaxSimError {
    /// Values that do not fill rows.
    #[error("{name}: {values} values do not fill rows of width {width}; were they made by another model?")]
    Ragged {
        /// Which argument.
        name: &'static str,
        /// Its length.
        values: usize,
        /// Values per row.
        width: usize,
    },
    /// A query without tokens, which would score 0 against everything.
    #[error("the query has no token; expected at least one row")]
    EmptyQuery,
    /// A number that is not finite.
    #[error("{name}: row {row} holds a number that is not finite; the model or its input is broken")]
    NotFinite {
        /// Which argument.
        name: &'static str,
        /// Its first such row.
        row: usize,
    },
    /// Queries of another width than the documents.
    #[error("the queries have width {found}, the documents {expected}; encode both with one model")]
    Width {
        /// Width of the queries.
        found: usize,
        /// Width of the documents.
        expected: usize,
    },
    /// More documents than numbers for them.
    #[error("{0} documents, at most 4,294,967,295 can be numbered; split the collection")]
    TooMany(usize),
}

/// MaxSim of `query` (`[query tokens, width]`) and `document` (`[document tokens, width]`); `-inf` when the document has no
/// token.
///
/// ```
/// use retrieval::maxsim::score;
/// let query = [1.0, 0.0, 0.0, 1.0];
/// let document = [0.6, 0.8, -1.0, 0.0];
/// assert_eq!(score(&query, &document, 2)?, 0.6 + 0.8);
/// # Ok::<(), retrieval::maxsim::MaxSimError>(())
/// ```
///
/// # Errors
/// [`MaxSimError`] for ragged or non-finite values and a query without tokens.
pub fn score(query: &[f32], document: &[f32], width: usize) -> Result<f32, MaxSimError> {
    check_query(query, width)?;
    check_rows("document", document, width)?;
    Ok(Panel::f32(query, width).score(Tier::best(), words(document)))
}

/// The bits of floats, as the inner loop reads them.
#[expect(unsafe_code, reason = "the same bytes as another plain type")]
pub(crate) fn words(values: &[f32]) -> &[u32] {
    // SAFETY: f32 and u32 have the same size and alignment, and every pattern of bits is a u32.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), values.len()) }
}

pub(crate) fn check_query(query: &[f32], width: usize) -> Result<(), MaxSimError> {
    check_rows("query", query, width)?;
    if query.is_empty() { Err(MaxSimError::EmptyQuery) } else { Ok(()) }
}

pub(crate) fn check_rows(name: &'static str, values: &[f32], width: usize) -> Result<(), MaxSimError> {
    if width == 0 || !values.len().is_multiple_of(width) {
        return Err(MaxSimError::Ragged { name, values: values.len(), width });
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(MaxSimError::NotFinite { name, row: index / width }),
        None => Ok(()),
    }
}
