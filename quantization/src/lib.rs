//! The whole Visual Guide to Quantization, re-tested.

mod atomic;
pub mod affine;
pub mod float;
pub mod ggml;
pub mod gguf;
pub mod gptq;
pub mod kernel;
pub mod memory;
pub mod residual;
pub mod gptq_layout;
pub mod imatrix;
pub mod llama2c;
pub mod mixture;
pub mod safetensors;
pub mod model_file;
pub mod llama;
pub mod convert;
pub mod cli;
