//! The whole Visual Guide to Quantization, re-tested.

#[cfg(feature = "tensor")]
pub mod bitnet;
pub mod ggml;
#[cfg(feature = "tensor")]
pub mod lm;
#[cfg(feature = "tensor")]
pub mod qat;
pub mod residual;
