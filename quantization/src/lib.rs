//! The whole Visual Guide to Quantization, re-tested.

pub mod float;
pub mod ggml;
