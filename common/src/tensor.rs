//! Small helpers around [`tch::Tensor`]: named shapes, chosen gradients, short errors.

use tch::{TchError, Tensor};
use thiserror::Error;

/// A tensor with another number of dimensions than expected.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{name}` has shape {found:?}, expected {expected} dimensions")]
pub struct ShapeError {
    name: String,
    found: Vec<i64>,
    expected: usize,
}

/// Sizes of a tensor that has `N` dimensions.
///
/// ```
/// use common::tensor::dims;
/// let [rows, columns] = dims("table", &tch::Tensor::zeros([2, 3], tch::kind::FLOAT_CPU))?;
/// assert_eq!((rows, columns), (2, 3));
/// # Ok::<(), common::tensor::ShapeError>(())
/// ```
///
/// # Errors
/// [`ShapeError`] for another number of dimensions.
pub fn dims<const N: usize>(name: &str, tensor: &Tensor) -> Result<[i64; N], ShapeError> {
    let found = tensor.size();
    found.clone().try_into().map_err(|_| ShapeError { name: name.to_owned(), found, expected: N })
}

/// First line of a libtorch error; the others are its C++ stack.
pub fn first_line(error: &TchError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Forward `value`, backward as if it were `through`. Both must be finite.
pub fn straight_through(value: &Tensor, through: &Tensor) -> Tensor {
    value.detach() + (through - through.detach())
}

/// Forward identity, backward `-strength` times the gradient. The input must be finite.
pub fn reverse_gradient(input: &Tensor, strength: f64) -> Tensor {
    input.detach() + (input - input.detach()) * -strength
}

/// A scalar whose value is `value` and whose gradient towards each tensor is the one given: the way to put an
/// analytic gradient into libtorch's graph as a single node. Values and gradients must be finite.
///
/// # Panics
/// Without any tensor, or when the tensors differ in kind or device.
///
/// ```
/// use common::tensor::with_gradient;
/// use tch::Tensor;
/// let x = Tensor::from_slice(&[1.0, 2.0]).set_requires_grad(true);
/// let loss = with_gradient(7.0, &[(&x, &Tensor::from_slice(&[0.5, -1.0]))]);
/// loss.backward();
/// assert_eq!(loss.double_value(&[]), 7.0);
/// assert_eq!(Vec::<f64>::try_from(x.grad()).unwrap(), [0.5, -1.0]);
/// ```
pub fn with_gradient(value: f64, gradients: &[(&Tensor, &Tensor)]) -> Tensor {
    let dots = gradients
        .iter()
        .map(|(tensor, gradient)| tensor.flatten(0, -1).dot(&gradient.detach().flatten(0, -1)));
    let linear = dots.reduce(|sum, dot| sum + dot).expect("at least one tensor");
    (&linear - linear.detach()) + value
}
