//! Averages of checkpoints (JaColBERTv2.5, section 3.9).

use tch::{Kind, Tensor};
use thiserror::Error;

/// Checkpoints that are not of one model.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AverageError {
    /// Nothing to average.
    #[error("no checkpoint to average, or weights that do not sum to 1")]
    Weights,
    /// Other tensors.
    #[error(
        "checkpoint {checkpoint} has no `{name}` of shape {shape:?} like the first one; expected \
         checkpoints of one model"
    )]
    Different {
        /// Checkpoint, from 0.
        checkpoint: usize,
        /// The tensor.
        name: String,
        /// Its shape in the first checkpoint.
        shape: Vec<i64>,
    },
    /// A tensor that the first one lacks.
    #[error(
        "checkpoint {checkpoint} has `{name}` of shape {shape:?}, which the first one lacks; expected \
         checkpoints of one model"
    )]
    Extra {
        /// Checkpoint, from 0.
        checkpoint: usize,
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<i64>,
    },
}

/// The element-wise mean of checkpoints with equal weights. Sums are f64; integer tensors are those of the
/// first.
///
/// ```
/// use retrieval::training::average::average;
/// let checkpoint = |x: f32| vec![("w".to_owned(), tch::Tensor::from_slice(&[x]))];
/// let mean = average(&[checkpoint(1.0), checkpoint(4.0)])?;
/// assert_eq!(mean[0].1.double_value(&[0]), 2.5);
/// # Ok::<(), retrieval::training::average::AverageError>(())
/// ```
///
/// # Errors
/// [`AverageError`] without a checkpoint, or when they are not of one model.
pub fn average(checkpoints: &[Vec<(String, Tensor)>]) -> Result<Vec<(String, Tensor)>, AverageError> {
    weighted(checkpoints, &vec![1.0 / checkpoints.len().max(1) as f64; checkpoints.len()])
}

/// `(1 − λ) a + λ b`: a point on the line through two checkpoints.
///
/// # Errors
/// As [`average`].
pub fn interpolate(
    a: Vec<(String, Tensor)>,
    b: Vec<(String, Tensor)>,
    lambda: f64,
) -> Result<Vec<(String, Tensor)>, AverageError> {
    weighted(&[a, b], &[1.0 - lambda, lambda])
}

/// The mean with these weights, which sum to 1.
///
/// # Errors
/// As [`average`].
pub fn weighted(
    checkpoints: &[Vec<(String, Tensor)>],
    weights: &[f64],
) -> Result<Vec<(String, Tensor)>, AverageError> {
    let total: f64 = weights.iter().sum();
    let (Some(first), true) =
        (checkpoints.first(), weights.len() == checkpoints.len() && (total - 1.0).abs() < 1e-9)
    else {
        return Err(AverageError::Weights);
    };
    let _guard = tch::no_grad_guard();
    let mean = |(name, tensor): &(String, Tensor)| {
        if !tensor.is_floating_point() {
            return Ok((name.clone(), tensor.copy()));
        }
        let mut sum = Tensor::zeros(tensor.size(), (Kind::Double, tensor.device()));
        for (i, (checkpoint, weight)) in checkpoints.iter().zip(weights).enumerate() {
            let found =
                checkpoint.iter().find(|(other, found)| other == name && found.size() == tensor.size());
            let (_, found) = found.ok_or_else(|| different(i, name, tensor))?;
            sum += found.to_kind(Kind::Double) * *weight;
        }
        Ok((name.clone(), sum.to_kind(tensor.kind())))
    };
    let result: Result<Vec<_>, _> = first.iter().map(mean).collect();
    let result = result?;
    // All tensors of the first are in every other; one with more has some that the first lacks.
    let known = |name: &String| first.iter().any(|(other, _)| other == name);
    for (i, checkpoint) in checkpoints.iter().enumerate() {
        if let Some((name, tensor)) = checkpoint.iter().find(|(name, _)| !known(name)) {
            return Err(AverageError::Extra { checkpoint: i, name: name.clone(), shape: tensor.size() });
        }
    }
    Ok(result)
}

fn different(checkpoint: usize, name: &str, tensor: &Tensor) -> AverageError {
    AverageError::Different { checkpoint, name: name.to_owned(), shape: tensor.size() }
}
