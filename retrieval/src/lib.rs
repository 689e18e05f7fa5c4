//! Late-interaction retrieval.

#[cfg(feature = "tensor")]
pub mod encoder;
pub mod tokenizer;
pub mod vectors;
