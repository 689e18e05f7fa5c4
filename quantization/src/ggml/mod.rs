//! ggml's tensor types: block layouts, encoders, decoders.

mod k;
mod kind;

pub use kind::{GgmlType, UnknownType};
