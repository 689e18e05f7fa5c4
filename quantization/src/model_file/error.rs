//! Models that cannot be read.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::{gguf, gptq_layout, llama, llama2c, safetensors};

/// A model that cannot be read.
#[derive(Debug, Error)]
pub enum ModelFileError {
    /// The path cannot be opened.
    #[error("{path}: opening: {problem}", path = path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the operating system says.
        problem: std::io::Error,
    },
    /// The path is no model, or one that lacks something.
    #[error("{path}: {problem}", path = path.display())]
    Content {
        /// The path.
        path: PathBuf,
        /// What is wrong, and how to mend it.
        problem: String,
    },
    /// A tensor is not as expected.
    #[error("{path}: tensor `{name}`: {problem}", path = path.display())]
    Tensor {
        /// The path.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// What is wrong, and how to mend it.
        problem: String,
    },
    /// The configuration does not fit.
    #[error("{path}: {problem}", path = path.display())]
    Config {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        problem: Box<llama::LlamaError>,
    },
    /// A text file such as `config.json`.
    #[error(transparent)]
    Text(#[from] common::files::FileError),
    /// A GGUF file.
    #[error(transparent)]
    Gguf(#[from] gguf::ReadError),
    /// A safetensors file.
    #[error(transparent)]
    Safetensors(#[from] safetensors::ReadError),
    /// A model in several safetensors files.
    #[error(transparent)]
    Sharded(#[from] safetensors::ShardedError),
    /// A llama2.c checkpoint or vocabulary.
    #[error(transparent)]
    Llama2c(#[from] llama2c::Llama2cError),
    /// A GPTQ layer.
    #[error("{path}: layer `{name}`: {problem}", path = path.display())]
    Layout {
        /// The path.
        path: PathBuf,
        /// Name of the layer.
        name: String,
        /// What is wrong.
        problem: Box<gptq_layout::LayoutError>,
    },
    /// The configuration of a GPTQ model.
    #[error(transparent)]
    QuantizeConfig(#[from] gptq_layout::ConfigError),
}

impl ModelFileError {
    pub(super) fn content(path: &Path, problem: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), problem: problem.into() }
    }

    pub(super) fn config(path: &Path, problem: llama::LlamaError) -> Self {
        Self::Config { path: path.to_owned(), problem: Box::new(problem) }
    }

    pub(super) fn layout(path: &Path, name: &str, problem: gptq_layout::LayoutError) -> Self {
        Self::Layout { path: path.to_owned(), name: name.to_owned(), problem: Box::new(problem) }
    }
}
