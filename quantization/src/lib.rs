//! The whole Visual Guide to Quantization, re-tested.

mod atomic;
#[cfg(feature = "tensor")]
pub mod affine;
pub mod bitnet;
pub mod calibration;
pub mod float;
pub mod ggml;
pub mod gguf;
pub mod gptq;
pub mod kernel;
pub mod lfq;
pub mod lm;
pub mod memory;
pub mod qat;
pub mod residual;
pub mod gptq_layout;
pub mod imatrix;
pub mod llama2c;
pub mod mixture;
pub mod safetensors;
pub mod model_file;
pub mod llama;
