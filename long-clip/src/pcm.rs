//! Primary component matching: coarse image features from the principal axes of a batch (paper, section 3.3).

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Whether the gradient goes through the principal axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AxesGradient {
    /// Through the axes too, as the official code's autograd does: the exact gradient.
    Full,
    /// The axes are held constant.
    Detached,
}

/// Whether `components` axes hold everything a batch of `batch` rows of `width` numbers has, so that nothing is dropped: the
/// centred rows have at most rank batch − 1.
///
/// ```
/// assert!(long_clip::pcm::is_identity(33, 512, 32));
/// assert!(!long_clip::pcm::is_identity(34, 512, 32));
/// ```
pub fn is_identity(batch: i64, width: i64, components: i64) -> bool {
    components >= width.min(batch - 1)
}

/// Features projected on the `components` principal axes of their batch,
///
/// ```text
/// X_c = C V_k V_kᵀ + μ        C = X − μ = U Σ Vᵀ,   μ: mean of the rows
/// ```
/// not normalised again. Source: official code, `CLIP.PCA`; paper, section 3.3 (F, E and F⁻¹ with 32 components). Where
/// nothing is dropped ([`is_identity`]) the features come back as they are.
///
/// The gradient is the closed form of `torch.linalg.svd`'s without its division by all pairs of singular values: only the gap
/// between the last kept and the first dropped one matters,
///
/// ```text
/// dX_c = Q dC + dQ C + dμ,   Q = U_k U_kᵀ,   dQ = U_r A U_kᵀ + U_k Aᵀ U_rᵀ,
/// A_ij = u_iᵀ (dC Cᵀ + C dCᵀ) u_j / (σ_j² − σ_i²)        i dropped, j kept
/// ```
/// and the same with V on the right when a batch has more rows than numbers in a row.
///
/// # Shapes
/// - `features`: `[batch, width]`; result: the same
///
/// # Panics
/// When `components` is below 1, or `features` has another rank.
pub fn coarse(features: &Tensor, components: i64, gradient: AxesGradient) -> Tensor {
    assert!(components >= 1, "at least one component is kept");
    let [batch, width] = features.size()[..] else { panic!("features are [batch, width]") };
    if is_identity(batch, width, components) {
        return features.shallow_clone();
    }
    let mean = features.mean_dim([0].as_slice(), true, features.kind());
    let centred = features - &mean;
    // Rows become columns where these are fewer: the axes are those of the smaller Gram matrix.
    let transposed = batch > width;
    let turned = if transposed { centred.tr() } else { centred };
    let kept = project(&turned, components, gradient);
    (if transposed { kept.tr() } else { kept }) + mean
}

/// `Q C` for `C` `[n, m]`, n ≤ m, Q the projection on the `components` first left singular vectors.
fn project(centred: &Tensor, components: i64, gradient: AxesGradient) -> Tensor {
    let fixed = centred.detach();
    let axes = Axes::of(&fixed, components);
    let along = axes.project(centred);
    match gradient {
        AxesGradient::Detached => along,
        // Zero in value: the axes of `fixed` do not move towards themselves. Only its derivative counts.
        AxesGradient::Full if centred.requires_grad() => {
            let moved = axes.derivative(centred, &fixed).matmul(&fixed);
            along + (&moved - moved.detach())
        }
        AxesGradient::Full => along,
    }
}

/// Left singular vectors of a matrix, kept and dropped ones.
struct Axes {
    kept: Tensor,
    dropped: Tensor,
    /// 1 / (σ_j² − σ_i²), `[dropped, kept]`.
    gaps: Tensor,
}

impl Axes {
    /// From the Gram matrix in f64, whose eigenvalues are the squares of the singular values.
    fn of(matrix: &Tensor, components: i64) -> Self {
        let _guard = tch::no_grad_guard();
        let (kind, wide) = (matrix.kind(), matrix.to_kind(Kind::Double));
        let (values, vectors) = wide.matmul(&wide.tr()).linalg_eigh("L"); // ascending
        let others = matrix.size()[0] - components;
        let value = |from, count: i64| values.narrow(0, from, count);
        let gaps = value(others, components).unsqueeze(0) - value(0, others).unsqueeze(1);
        // Equal values have no gap: which of them is kept is chance, and moving between them changes nothing.
        let least = values.max() * f64::EPSILON;
        let none = gaps.le_tensor(&least);
        let gaps = gaps.reciprocal().masked_fill(&none, 0.0);
        Self {
            kept: vectors.narrow(1, others, components).to_kind(kind),
            dropped: vectors.narrow(1, 0, others).to_kind(kind),
            gaps: gaps.to_kind(kind),
        }
    }

    /// `U_k U_kᵀ C`.
    fn project(&self, matrix: &Tensor) -> Tensor {
        self.kept.matmul(&self.kept.tr().matmul(matrix))
    }

    /// `dQ` of `dC`, linear in it.
    fn derivative(&self, change: &Tensor, at: &Tensor) -> Tensor {
        let half = |left: &Tensor, right: &Tensor| {
            self.dropped.tr().matmul(left).matmul(&self.kept.tr().matmul(right).tr())
        };
        let turn = (half(change, at) + half(at, change)) * &self.gaps; // [dropped, kept]
        let one = self.dropped.matmul(&turn).matmul(&self.kept.tr());
        &one + one.tr()
    }
}

#[cfg(test)]
mod tests {
    use common::testing::{gradient_error, max_difference, torch_rng};
    use tch::Device;

    use super::*;
    use crate::model::normalised;

    fn features(batch: i64, width: i64, kind: Kind) -> Tensor {
        normalised(&Tensor::randn([batch, width], (Kind::Double, Device::Cpu))).to_kind(kind)
    }

    /// The first right singular vectors, `[width, components]`.
    fn axes(centred: &Tensor, components: i64) -> Tensor {
        let (_, _, v) = centred.svd(true, true);
        v.narrow(1, 0, components)
    }

    #[test]
    fn it_is_the_projection_on_the_right_singular_vectors() {
        let _rng = torch_rng(1);
        for (batch, width) in [(40, 12), (12, 40), (9, 9)] {
            let x = features(batch, width, Kind::Double);
            let mean = x.mean_dim([0].as_slice(), true, Kind::Double);
            let v = axes(&(&x - &mean), 4);
            let expected = (&x - &mean).matmul(&v).matmul(&v.tr()) + &mean;
            assert!(max_difference(&coarse(&x, 4, AxesGradient::Full), &expected) < 1e-12);
        }
    }

    #[test]
    fn the_full_gradient_matches_finite_differences() {
        let _rng = torch_rng(2);
        for (batch, width) in [(14, 5), (6, 11), (7, 7)] {
            let x = features(batch, width, Kind::Double);
            let weight = Tensor::randn([batch, width], (Kind::Double, Device::Cpu));
            let loss = |x: &Tensor| (coarse(x, 3, AxesGradient::Full) * &weight).sum(Kind::Double);
            let error = gradient_error(loss, &x);
            assert!(error < 1e-6, "{batch}×{width}: relative error {error:e}");
        }
    }

    #[test]
    fn the_detached_gradient_is_the_projection_of_the_gradient() {
        let _rng = torch_rng(3);
        let x = features(20, 9, Kind::Double).set_requires_grad(true);
        let weight = Tensor::randn([20, 9], (Kind::Double, Device::Cpu));
        (coarse(&x, 3, AxesGradient::Detached) * &weight).sum(Kind::Double).backward();
        let fixed = x.detach();
        let mean = fixed.mean_dim([0].as_slice(), true, Kind::Double);
        let v = axes(&(&fixed - &mean), 3);
        let projected = weight.matmul(&v).matmul(&v.tr());
        let row = |t: &Tensor| t.mean_dim([0].as_slice(), true, Kind::Double);
        let expected = &projected - row(&projected) + row(&weight);
        assert!(max_difference(&x.grad(), &expected) < 1e-12);
    }

    #[test]
    fn enough_components_change_nothing_and_pass_the_gradient_on() {
        let _rng = torch_rng(4);
        let x = features(8, 30, Kind::Float).set_requires_grad(true);
        let same = coarse(&x, 7, AxesGradient::Full);
        assert_eq!(same, x);
        same.sum(Kind::Float).backward();
        assert_eq!(x.grad(), Tensor::ones([8, 30], (Kind::Float, Device::Cpu)));
    }

    #[test]
    fn equal_rows_have_a_finite_gradient() {
        let x = Tensor::ones([12, 6], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        (coarse(&x, 2, AxesGradient::Full) * 2.0).sum(Kind::Float).backward();
        assert_eq!(x.grad().isfinite().all().int64_value(&[]), 1);
    }
}
