//! Late-interaction retrieval.

pub mod bm25;
pub mod data;
#[cfg(feature = "tensor")]
pub mod encoder;
pub mod export;
pub mod index;
pub mod maxsim;
pub mod plaid;
pub mod serve;
pub mod tokenizer;
pub mod vectors;
