//! Late-interaction retrieval.
//!
//! | module | section of a paper |
//! |---|---|
//! | [`maxsim`] | exact scores: ColBERTv2, equation 1 |
//! | [`index`] | residual compression on the disk: ColBERTv2, section 3.3 |
//! | [`plaid`] | search of an index: PLAID, section 4 |

pub mod bm25;
#[cfg(feature = "tensor")]
pub mod cli;
pub mod data;
#[cfg(feature = "tensor")]
pub mod encoder;
#[cfg(feature = "tensor")]
pub mod experiment;
pub mod export;
pub mod index;
pub mod maxsim;
pub mod plaid;
#[cfg(feature = "tensor")]
pub mod search;
pub mod serve;
#[cfg(feature = "tensor")]
pub mod teacher;
pub mod tokenizer;
#[cfg(feature = "tensor")]
pub mod training;
pub mod vectors;
