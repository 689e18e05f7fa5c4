//! Late-interaction retrieval.

pub mod bm25;
#[cfg(feature = "tensor")]
pub mod cli;
pub mod data;
#[cfg(feature = "tensor")]
pub mod encoder;
pub mod export;
pub mod index;
pub mod maxsim;
pub mod plaid;
#[cfg(feature = "tensor")]
pub mod search;
pub mod serve;
pub mod tokenizer;
pub mod vectors;
