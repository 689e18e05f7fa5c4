//! What can keep a model from being converted.

use thiserror::Error;

use crate::ggml::EncodeError;
use crate::{affine, gguf, gptq, gptq_layout, llama, mixture, model_file, safetensors};

/// A model that was not converted; nothing was left behind.
#[derive(Debug, Error)]
pub enum ConvertError {
    /// The model cannot be read.
    #[error(transparent)]
    Model(#[from] model_file::ModelFileError),
    /// A tensor cannot be quantized.
    #[error("tensor `{name}`: {problem}")]
    Encode {
        /// Its name.
        name: String,
        /// Why.
        problem: EncodeError,
    },
    /// A tensor cannot be laid on a grid.
    #[error("tensor `{name}`: {problem}")]
    Grid {
        /// Its name.
        name: String,
        /// Why.
        problem: affine::AffineError,
    },
    /// A layer cannot be solved.
    #[error("layer `{name}`: {problem}")]
    Gptq {
        /// Its name.
        name: String,
        /// Why.
        problem: gptq::GptqError,
    },
    /// A layer does not fit the GPTQ layout.
    #[error("layer `{name}`: {problem}")]
    Layout {
        /// Its name.
        name: String,
        /// Why.
        problem: gptq_layout::LayoutError,
    },
    /// A file type that cannot be made.
    #[error(transparent)]
    Mixture(#[from] mixture::MixtureError),
    /// A budget that cannot be kept.
    #[error(transparent)]
    Search(#[from] mixture::SearchError),
    /// The model cannot be run.
    #[error(transparent)]
    Llama(#[from] llama::LlamaError),
    /// The GGUF file cannot be written.
    #[error(transparent)]
    Gguf(#[from] gguf::WriteError),
    /// The safetensors file cannot be written.
    #[error(transparent)]
    Safetensors(#[from] safetensors::WriteError),
    /// A configuration cannot be written.
    #[error(transparent)]
    File(#[from] common::files::FileError),
    /// A configuration cannot be written.
    #[error(transparent)]
    Config(#[from] gptq_layout::ConfigError),
    /// No pool of threads.
    #[error("a pool of {threads} threads cannot be started: {problem}")]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// What the system said.
        problem: String,
    },
    /// Input and options do not fit together.
    #[error("{0}")]
    Request(String),
    /// The work was stopped on request.
    #[error("stopped; nothing was written")]
    Stopped,
}
