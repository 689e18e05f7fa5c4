//! ggml's tensor types: block layouts, encoders, decoders.

mod kind;

pub use kind::{GgmlType, UnknownType};
