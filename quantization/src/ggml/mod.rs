//! ggml's tensor types: block layouts, encoders, decoders.
//!
//! [`encode`] writes the bytes that ggml's reference quantizer writes, [`decode`] the values that its dequantizer
//! gives, bit for bit. Both work on many rows; the code is compiled for several processors and chosen at run time,
//! and the result does not depend on the choice.

mod decode;
mod encode;
mod error;
pub mod i2s;
mod k;
mod kind;
pub(crate) mod lanes;

pub use decode::decode;
pub use encode::{encode, encode_best};
pub use error::{DecodeError, EncodeError};
pub use kind::{GgmlType, UnknownType};
