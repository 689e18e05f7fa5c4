//! Llama-architecture models on the processor: loading, inference, text, measurement.

mod attention;
mod compare;
mod config;
mod error;
mod generate;
mod hooks;
mod matrix;
mod model;
mod ops;
mod perplexity;
mod sample;
mod simd;
mod source;
mod state;
mod threads;
mod tokenizer;
mod weights;
mod window;

pub use compare::{Baseline, Comparison, compare};
pub use config::{Config, Gate, Norms, Scalar};
pub use error::{BoxError, LlamaError};
pub use generate::{Generated, Stop, generate};
pub use hooks::{Hooks, Observe, Replace, Role};
pub use matrix::{Kernels, Matrix};
pub use model::Model;
pub use perplexity::{Scores, perplexity, perplexity_with};
pub use sample::{Sampler, Sampling};
pub use source::{
    LoadedTensor, TensorSource, gguf_name, halves_to_pairs, hugging_face_name, pairs_to_halves,
    permuted_heads,
};
pub use state::State;
pub use threads::Threads;
pub use tokenizer::{BytePair, SentencePiece, Tokenizer, TokenizerError, TokenizerParts, Utf8Stream};
pub use weights::{Decoder, Loading, Projection, Weights};
pub use window::{Window, chunked, strided};
