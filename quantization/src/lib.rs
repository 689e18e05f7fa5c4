//! The whole Visual Guide to Quantization, re-tested.

pub mod ggml;
pub mod llama;
