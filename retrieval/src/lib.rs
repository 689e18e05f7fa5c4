//! Late-interaction retrieval.

pub mod vectors;
