//! Late-interaction retrieval.

pub mod bm25;
pub mod data;
pub mod export;
pub mod serve;
pub mod vectors;
