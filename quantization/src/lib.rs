//! The whole Visual Guide to Quantization, re-tested.

#[cfg(feature = "tensor")]
pub mod bitnet;
pub mod ggml;
pub mod lfq;
#[cfg(feature = "tensor")]
pub mod lm;
#[cfg(feature = "tensor")]
pub mod qat;
pub mod residual;
