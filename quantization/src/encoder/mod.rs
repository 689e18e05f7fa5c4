//! BERT encoders: names and keys in each format, sentence vectors, and how far quantization moves them.
//!
//! The network itself is `common::nn::bert`; here are its configuration and tensors as model files hold them.

mod agreement;
mod config;
mod names;
#[cfg(feature = "tensor")]
mod vectors;

pub use agreement::{Agreement, MOST_PAIRED, NEIGHBOURS};
pub use config::{EncoderConfig, Pooling};
pub use names::{gguf_name, hugging_face_name};
#[cfg(feature = "tensor")]
pub use vectors::{Encoder, EncoderError, LONGEST, vocabulary};
