//! The whole Visual Guide to Quantization, re-tested.

pub mod affine;
mod atomic;
pub mod ggml;
pub mod gguf;
pub mod gptq;
pub mod kernel;
pub mod memory;
pub mod residual;
pub mod safetensors;
