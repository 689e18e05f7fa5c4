//! The weights of a model, loaded from a [`TensorSource`].

use std::sync::Arc;

use super::config::Config;
use super::error::{BoxError, LlamaError, expect_length};
use super::matrix::{Kernels, Matrix, check_bytes};
use super::source::{LoadedTensor, TensorSource};
use crate::ggml::GgmlType;

/// One of a block's seven linear layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Projection {
    /// `attn_q`.
    Query,
    /// `attn_k`.
    Key,
    /// `attn_v`.
    Value,
    /// `attn_output`.
    Output,
    /// `ffn_gate`.
    Gate,
    /// `ffn_up`.
    Up,
    /// `ffn_down`.
    Down,
}

impl Projection {
    /// All seven, in the order of computation.
    pub const ALL: [Self; 7] =
        [Self::Query, Self::Key, Self::Value, Self::Output, Self::Gate, Self::Up, Self::Down];

    /// Its name in GGUF files, between `blk.N.` and `.weight`.
    pub fn gguf(self) -> &'static str {
        ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"][self as usize]
    }

    /// Its weight's whole GGUF name.
    ///
    /// ```
    /// use quantization::llama::Projection;
    /// assert_eq!(Projection::Down.tensor(2), "blk.2.ffn_down.weight");
    /// ```
    pub fn tensor(self, layer: usize) -> String {
        format!("blk.{layer}.{}.weight", self.gguf())
    }

    /// Outputs and inputs in a model of this configuration.
    pub fn shape(self, config: &Config) -> (usize, usize) {
        let Config { dim, ffn, .. } = *config;
        match self {
            Self::Query => (config.query_width(), dim),
            Self::Key | Self::Value => (config.key_width(), dim),
            Self::Output => (dim, config.query_width()),
            Self::Gate | Self::Up => (ffn, dim),
            Self::Down => (dim, ffn),
        }
    }
}

/// A decoder of quantized bytes into floats.
pub type Decoder<'a> = &'a dyn Fn(GgmlType, &[u8], &mut [f32]) -> Result<(), BoxError>;

/// In what form matrices are kept in memory.
pub enum Loading<'a> {
    /// As they lie in the file; quantized types need kernels.
    AsStored(Option<Arc<dyn Kernels>>),
    /// Decoded to f32, so that only the weights' own error remains.
    Decoded(Decoder<'a>),
}

/// One block's weights.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) attn_norm: Option<Vec<f32>>,
    pub(super) ffn_norm: Option<Vec<f32>>,
    pub(super) attn_sub_norm: Option<Vec<f32>>,
    pub(super) ffn_sub_norm: Option<Vec<f32>>,
    /// Norms before the projections, empty or all seven.
    pub(super) projection_norms: Vec<Vec<f32>>,
    /// In the order of [`Projection::ALL`].
    pub(super) matrices: Vec<Matrix>,
}

/// All weights of a model.
#[derive(Clone, Debug)]
pub struct Weights {
    pub(super) embedding: Matrix,
    pub(super) output: Option<Matrix>,
    pub(super) output_norm: Vec<f32>,
    pub(super) rope_factors: Option<Vec<f32>>,
    pub(super) layers: Vec<Layer>,
}

impl Weights {
    /// The weights of a model of this configuration.
    ///
    /// # Errors
    /// [`LlamaError`] for a tensor that is absent, has another shape, or a type that cannot be computed with.
    pub fn load(config: &Config, source: &dyn TensorSource, loading: &Loading) -> Result<Self, LlamaError> {
        let reader = Reader { source, loading };
        let factors = source.has_tensor("rope_freqs.weight");
        Ok(Self {
            embedding: reader.matrix("token_embd.weight", config.vocab, config.dim)?,
            output: (!config.tied)
                .then(|| reader.matrix("output.weight", config.vocab, config.dim))
                .transpose()?,
            output_norm: reader.vector("output_norm.weight", config.dim)?,
            rope_factors: factors
                .then(|| reader.vector("rope_freqs.weight", config.rope_dims / 2))
                .transpose()?,
            layers: (0..config.layers).map(|layer| reader.layer(config, layer)).collect::<Result<_, _>>()?,
        })
    }

    /// The embedding, `[vocab, dim]`.
    pub fn embedding(&self) -> &Matrix {
        &self.embedding
    }

    /// The head, `[vocab, dim]`: the embedding when they are tied.
    pub fn head(&self) -> &Matrix {
        self.output.as_ref().unwrap_or(&self.embedding)
    }

    /// A linear layer of a block.
    ///
    /// # Panics
    /// If there is no such block.
    pub fn matrix(&self, layer: usize, projection: Projection) -> &Matrix {
        &self.layers[layer].matrices[projection as usize]
    }

    /// Puts another matrix of the same shape in its place.
    ///
    /// # Errors
    /// [`LlamaError::Length`] for another shape or a block that the model lacks.
    pub fn replace(
        &mut self,
        layer: usize,
        projection: Projection,
        matrix: Matrix,
    ) -> Result<(), LlamaError> {
        let layers = self.layers.len();
        let Some(block) = self.layers.get_mut(layer) else {
            return Err(LlamaError::Length {
                what: "the model's blocks",
                found: layers,
                expected: layer + 1,
            });
        };
        let place = &mut block.matrices[projection as usize];
        expect_length("the matrix's rows", matrix.rows(), place.rows())?;
        expect_length("the matrix's columns", matrix.columns(), place.columns())?;
        *place = matrix;
        Ok(())
    }

    /// Bytes of all matrices, embedding and head included (a tied one once).
    pub fn bytes(&self) -> usize {
        let blocks = self.layers.iter().flat_map(|layer| &layer.matrices).map(Matrix::bytes).sum::<usize>();
        blocks + self.embedding.bytes() + self.output.as_ref().map_or(0, Matrix::bytes)
    }
}

struct Reader<'a> {
    source: &'a dyn TensorSource,
    loading: &'a Loading<'a>,
}

impl Reader<'_> {
    fn layer(&self, config: &Config, layer: usize) -> Result<Layer, LlamaError> {
        let norm = |present: bool, name: &str, width: usize| {
            present.then(|| self.vector(&format!("blk.{layer}.{name}.weight"), width)).transpose()
        };
        let norms = config.norms;
        let projection_norm = |projection: Projection| {
            let name = format!("blk.{layer}.{}.norm.weight", projection.gguf());
            self.vector(&name, projection.shape(config).1)
        };
        let matrix = |projection: Projection| {
            let (rows, columns) = projection.shape(config);
            self.matrix(&projection.tensor(layer), rows, columns)
        };
        let normed = if norms.projection { &Projection::ALL[..] } else { &[] };
        Ok(Layer {
            attn_norm: norm(norms.block, "attn_norm", config.dim)?,
            ffn_norm: norm(norms.block, "ffn_norm", config.dim)?,
            attn_sub_norm: norm(norms.sub, "attn_sub_norm", config.query_width())?,
            ffn_sub_norm: norm(norms.sub, "ffn_sub_norm", config.ffn)?,
            projection_norms: normed.iter().map(|&p| projection_norm(p)).collect::<Result<_, _>>()?,
            matrices: Projection::ALL.iter().map(|&p| matrix(p)).collect::<Result<_, _>>()?,
        })
    }

    fn tensor(&self, name: &str, expected: &[usize]) -> Result<LoadedTensor<'_>, LlamaError> {
        let read = self.source.tensor(name);
        let tensor = read.map_err(|error| LlamaError::Tensor { name: name.to_owned(), error })?;
        if tensor.dims != expected {
            let (found, expected) = (tensor.dims, expected.to_vec());
            return Err(LlamaError::Shape { name: name.to_owned(), found, expected });
        }
        Ok(tensor)
    }

    fn vector(&self, name: &str, width: usize) -> Result<Vec<f32>, LlamaError> {
        let tensor = self.tensor(name, &[width])?;
        Matrix::from_bytes(name, tensor.kind, &tensor.bytes, 1, width, None)?.to_f32()
    }

    fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Matrix, LlamaError> {
        let tensor = self.tensor(name, &[columns, rows])?;
        match self.loading {
            Loading::AsStored(kernels) => {
                Matrix::from_bytes(name, tensor.kind, &tensor.bytes, rows, columns, kernels.as_ref())
            }
            Loading::Decoded(decode) => {
                check_bytes(name, tensor.kind, &tensor.bytes, rows, columns)?;
                let mut values = vec![0.0; rows * columns];
                let decoded = decode(tensor.kind, &tensor.bytes, &mut values);
                decoded.map_err(|error| LlamaError::Kernel { kind: tensor.kind, rows, columns, error })?;
                Matrix::from_f32(values, rows, columns)
            }
        }
    }
}
