//! A byte-level language model of the Llama architecture whose linear layers can be quantized while they learn.
//!
//! RMSNorm, rotary embedding of adjacent pairs, grouped queries, SwiGLU, no biases. Each linear layer is a [`Projection`]
//! of full precision, BitNet or fake quantization. Parameters carry the names of Hugging Face's `LlamaForCausalLM`; rows
//! of `q_proj` and `k_proj` are ordered as in GGUF (adjacent pairs), see [`export`].

mod block;
mod config;
mod data;
mod error;
mod evaluate;
pub mod export;
mod import;
mod model;
mod projection;
mod site;
mod train;

pub use config::{Bitnet1, Decay, LmConfig, NormPosition, ProjectionKind, Schedule, TrainConfig};
pub use data::{Corpus, windows};
pub use error::LmError;
pub use evaluate::{Evaluation, evaluate};
pub use import::{load_hugging_face, load_hugging_face_on};
pub use model::{Mode, Model};
pub use projection::Projection;
pub use train::{History, train};

#[cfg(test)]
mod tests;
