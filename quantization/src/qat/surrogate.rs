//! Fake quantization as functions: forward the grid's value, backward the chosen gradient.

use common::tensor::straight_through;
use tch::{Kind, Tensor};

use super::Grid;

/// Integer codes `clamp(round(x / step + noise), low, high)`, ties to even, in the kind of `x` and without a gradient.
/// `noise` uniform in ±½ makes the rounding stochastic.
pub fn codes(x: &Tensor, step: &Tensor, grid: Grid, noise: Option<&Tensor>) -> Tensor {
    let _guard = tch::no_grad_guard();
    let scaled = x / step;
    let moved = match noise {
        Some(noise) => scaled + noise,
        None => scaled,
    };
    moved.round().clamp(grid.low, grid.high)
}

/// `step · codes(x)` with the gradient of the identity towards `x`, none towards `step`.
///
/// ```
/// use quantization::qat::{Grid, straight};
/// use tch::Tensor;
/// let x = Tensor::from_slice(&[0.3, -0.8, 9.0]).set_requires_grad(true);
/// let y = straight(&x, &Tensor::from(0.5), Grid::symmetric(3), None);
/// assert_eq!(Vec::<f64>::try_from(&y).unwrap(), [0.5, -1.0, 1.5]);
/// y.sum(tch::Kind::Double).backward();
/// assert_eq!(Vec::<f64>::try_from(x.grad()).unwrap(), [1.0, 1.0, 1.0]);
/// ```
pub fn straight(x: &Tensor, step: &Tensor, grid: Grid, noise: Option<&Tensor>) -> Tensor {
    straight_through(&(codes(x, step, grid, noise) * step.detach()), x)
}

/// The same with gradient 0 where `x / step` lies outside `low … high`.
pub fn clipped(x: &Tensor, step: &Tensor, grid: Grid, noise: Option<&Tensor>) -> Tensor {
    let step = step.detach();
    let inside = x.clamp_tensor(Some(&step * grid.low), Some(&step * grid.high));
    straight_through(&(codes(x, &step, grid, noise) * &step), &inside)
}

/// The same with a gradient towards `step`, scaled by `1/√(n·high)` with `n` the elements that share it (LSQ).
///
/// # Panics
/// When `step` does not broadcast over `x`.
pub fn learned_step(x: &Tensor, step: &Tensor, grid: Grid, noise: Option<&Tensor>) -> Tensor {
    let shared = (x.numel() / step.numel().max(1)) as f64;
    let scale = 1.0 / (shared * grid.high as f64).sqrt();
    let step = straight_through(step, &(step * scale));
    let scaled = x / &step;
    let within = scaled.clamp(grid.low, grid.high);
    let codes = codes(x, &step, grid, noise);
    straight_through(&codes, &within) * step
}

/// Ratios to the largest magnitude that [`searched_step`] tries. Ours.
const RATIOS: std::ops::RangeInclusive<i32> = 20..=105;

/// Step of least squared error along the last axis of `x`, among 0.20, 0.21 … 1.05 of the largest magnitude over the
/// highest code, the first of equals; shape of `x` with the last axis 1. Rows of zeros get the smallest normal number.
pub fn searched_step(x: &Tensor, grid: Grid) -> Tensor {
    let _guard = tch::no_grad_guard();
    let x = x.detach();
    let whole = absmax_step(&x, &[-1], grid);
    let mut step = whole.copy();
    let mut least = whole.full_like(f64::INFINITY);
    for percent in RATIOS {
        let candidate = &whole * (f64::from(percent) / 100.0);
        let error = (codes(&x, &candidate, grid, None) * &candidate - &x).square();
        let error = error.sum_dim_intlist([-1].as_slice(), true, x.kind());
        let better = error.lt_tensor(&least);
        step = candidate.where_self(&better, &step);
        least = error.where_self(&better, &least);
    }
    step
}

/// Largest magnitude over the axes, over the highest code; at least the smallest normal f32.
pub(super) fn absmax_step(x: &Tensor, axes: &[i64], grid: Grid) -> Tensor {
    let _guard = tch::no_grad_guard();
    let largest = x.detach().abs().amax(axes, true);
    (largest / grid.high as f64).clamp_min(f64::from(f32::MIN_POSITIVE))
}

/// Uniform noise in ±½ in the shape of `x`, from a Rust generator.
pub(super) fn uniform_noise(x: &Tensor, rng: &mut impl rand::Rng) -> Tensor {
    let values: Vec<f32> = (0..x.numel()).map(|_| rng.random::<f32>() - 0.5).collect();
    Tensor::from_slice(&values).view_as(x).to_kind(x.kind()).to_device(x.device())
}

/// `weight` `[rows, columns]` as `[rows or 1, groups, shared]`, so that one step belongs to the last axis.
pub(super) fn grouped(weight: &Tensor, granularity: super::Granularity) -> Tensor {
    let columns = weight.size()[weight.dim() - 1];
    match granularity {
        super::Granularity::Tensor => weight.view([1, 1, -1]),
        super::Granularity::Channel => weight.view([-1, 1, columns]),
        super::Granularity::Group(group) => weight.view([-1, columns / group, group]),
    }
}

/// Mean magnitude of all elements as a number.
pub(super) fn mean_abs(x: &Tensor) -> f64 {
    let _guard = tch::no_grad_guard();
    x.detach().abs().mean(Kind::Double).double_value(&[])
}
