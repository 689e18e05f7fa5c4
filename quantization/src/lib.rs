//! The whole Visual Guide to Quantization, re-tested.

pub mod activation;
pub mod affine;
pub mod calibration;
pub mod ggml;
pub mod gptq;
pub mod memory;
