//! Late-interaction retrieval.
//!
//! | module | section of a paper |
//! |---|---|
//! | [`maxsim`] | exact scores: ColBERTv2, equation 1 |
//! | [`index`] | residual compression on the disk: ColBERTv2, section 3.3 |
//! | [`plaid`] | search of an index: PLAID, section 4 |

pub mod index;
pub mod maxsim;
pub mod plaid;
pub mod vectors;
