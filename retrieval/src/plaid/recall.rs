//! What the shortcuts of a search cost.

use super::{Plaid, SearchConfig, SearchError};
use crate::maxsim::{Exact, recall};
use crate::vectors::TokenVectors;

/// Mean share of the `k` best documents of an exact search that PLAID finds as well, over `queries`; `None` without any hit.
/// `exact` must hold the index's documents in the same order, deleted ones included: then both number them alike.
///
/// # Errors
/// [`SearchError`] for unusable queries or settings.
pub fn recall_against_exact(
    plaid: &Plaid<'_>,
    exact: &Exact,
    queries: &TokenVectors,
    k: usize,
    config: &SearchConfig,
) -> Result<Option<f64>, SearchError> {
    let expected = exact.search_batch(queries, k)?;
    let found = plaid.search_batch(queries, k, config)?;
    Ok(recall(&expected, &found.into_iter().map(|(hits, _)| hits).collect::<Vec<_>>()))
}
