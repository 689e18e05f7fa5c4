//! The whole Visual Guide to Quantization, re-tested.

mod atomic;
pub mod ggml;
pub mod gguf;
pub mod safetensors;
