//! Late-interaction retrieval.

#[cfg(feature = "tensor")]
pub mod encoder;
pub mod tokenizer;
#[cfg(feature = "tensor")]
pub mod training;
pub mod vectors;
