//! A model quantized block by block, each block fed with the outputs of the quantized ones before it.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::gptq::{GptqError, Hessian};
use crate::llama::{Hooks, LlamaError, Matrix, Model, Projection, Role, State};

/// A linear layer to quantize, with the Hessian of its calibration inputs.
#[derive(Debug)]
pub struct Layer<'a> {
    /// Block, from 0.
    pub block: usize,
    /// Which of the block's layers.
    pub projection: Projection,
    /// Weights, `[rows, columns]`.
    pub weights: &'a [f32],
    /// Inputs of the layer.
    pub columns: usize,
    /// `(2/n) Σ x xᵀ` over the calibration inputs.
    pub hessian: &'a Hessian,
}

/// A model that could not be quantized.
#[derive(Debug, Error)]
pub enum SequentialError<E> {
    /// Inference on the calibration text.
    #[error(transparent)]
    Llama(#[from] LlamaError),
    /// Calibration inputs that are not finite.
    #[error("block {block}: {source}")]
    Hessian {
        /// Block, from 0.
        block: usize,
        /// What is wrong with them.
        source: GptqError,
    },
    /// What the quantizer said of one layer.
    #[error("{tensor}: {source}")]
    Layer {
        /// GGUF name of the weights.
        tensor: String,
        /// The quantizer's error.
        source: E,
    },
}

/// How often a block's inputs are measured (GPTQ's option `true_sequential`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measuring {
    /// Once per block: its seven layers are measured together, then quantized.
    PerBlock,
    /// Once per shared input, in the order of computation: each sees quantized predecessors within the block too.
    PerInput,
}

/// Replaces the weights of all linear layers by what `quantize` makes of them, block by block; the embedding, the
/// norms and the head stay. `calibration` are sequences of token ids; keys and values start anew with each.
///
/// # Errors
/// [`SequentialError`]; blocks already done stay replaced.
pub fn quantize_blocks<E>(
    model: &mut Model,
    calibration: &[Vec<u32>],
    measuring: Measuring,
    quantize: &mut dyn FnMut(&Layer) -> Result<Vec<f32>, E>,
) -> Result<(), SequentialError<E>> {
    let longest = calibration.iter().map(Vec::len).max().unwrap_or(0);
    let mut state = model.state(longest, 1)?;
    let mut hidden = Vec::with_capacity(calibration.len());
    for tokens in calibration {
        let mut own = Vec::new();
        model.embed(tokens, &mut own)?;
        hidden.push(own);
    }
    for block in 0..model.config().layers {
        let mut hessians = measure(model, block, &hidden, &mut state)?;
        let roles: Vec<Role> = hessians.keys().copied().collect();
        for (place, &role) in roles.iter().enumerate() {
            if place > 0 && measuring == Measuring::PerInput {
                hessians = measure(model, block, &hidden, &mut state)?;
            }
            for &projection in role.projections() {
                replace(model, block, projection, &hessians[&role], quantize)?;
            }
        }
        for own in &mut hidden {
            state.truncate(0);
            model.block(block, own, 0, &mut state, &mut Hooks::none())?;
        }
    }
    Ok(())
}

/// Hessians of a block's inputs, in the order of computation.
fn measure<E>(
    model: &Model,
    block: usize,
    hidden: &[Vec<f32>],
    state: &mut State,
) -> Result<BTreeMap<Role, Hessian>, SequentialError<E>> {
    let mut hessians: BTreeMap<Role, Hessian> = BTreeMap::new();
    let mut failed = None;
    let mut own = Vec::new();
    for before in hidden {
        own.clone_from(before);
        state.truncate(0);
        let mut observe = |_: usize, role: Role, inputs: &[f32], rows: usize| {
            let width = inputs.len() / rows.max(1);
            let added = hessians.entry(role).or_insert_with(|| Hessian::new(width)).add(inputs);
            failed = failed.take().or(added.err());
        };
        let mut hooks = Hooks { observe: Some(&mut observe), replace: None };
        model.block(block, &mut own, 0, state, &mut hooks)?;
    }
    match failed {
        Some(source) => Err(SequentialError::Hessian { block, source }),
        None => Ok(hessians),
    }
}

fn replace<E>(
    model: &mut Model,
    block: usize,
    projection: Projection,
    hessian: &Hessian,
    quantize: &mut dyn FnMut(&Layer) -> Result<Vec<f32>, E>,
) -> Result<(), SequentialError<E>> {
    let matrix = model.weights().matrix(block, projection);
    let (rows, columns, weights) = (matrix.rows(), matrix.columns(), matrix.to_f32()?);
    let layer = Layer { block, projection, weights: &weights, columns, hessian };
    let tensor = || projection.tensor(block);
    let quantized = quantize(&layer).map_err(|source| SequentialError::Layer { tensor: tensor(), source })?;
    let matrix = Matrix::from_f32(quantized, rows, columns)?;
    Ok(model.weights_mut().replace(block, projection, matrix)?)
}
