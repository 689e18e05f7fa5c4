//! Layers with PyTorch's initialisation and parameter names.

pub mod bert;
pub mod char_cnn;
pub mod checkpoint;
pub mod embedding;
pub mod gemm;
pub mod linear;
pub mod lstm;
pub mod norm;
pub mod vision;
