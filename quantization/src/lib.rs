//! The whole Visual Guide to Quantization, re-tested.

mod atomic;
pub mod ggml;
pub mod gguf;
pub mod gptq_layout;
pub mod imatrix;
pub mod llama2c;
pub mod mixture;
pub mod safetensors;
