//! The contrastive loss of CLIP, with label smoothing as Long-CLIP's code has it.

use tch::{Kind, Reduction, Tensor};

/// Symmetric cross-entropy of a batch of pairs,
///
/// ```text
/// L = ( CE(s · I Tᵀ) + CE(s · T Iᵀ) ) / 2        row i belongs to column i
/// ```
/// with label smoothing ε: the target is 1 − ε + ε/n at the pair and ε/n elsewhere (official code: ε = 0.1; CLIP: 0).
/// Sources: Radford et al. 2021, figure 3; Zhang et al. 2024, section 3.3.
///
/// # Shapes
/// - `images`, `texts`: `[batch, width]`, rows of length 1 (coarse image features: shorter)
/// - `scale`: `[]`, s = exp(logit_scale); result: `[]`
///
/// ```
/// use tch::Tensor;
/// let rows = Tensor::from_slice2(&[[1.0, 0.0], [0.0, 1.0]]);
/// let loss = long_clip::loss::contrastive(&rows, &rows, &Tensor::from(1.0), 0.0);
/// assert!((loss.double_value(&[]) - (1.0 + (-1.0_f64).exp()).ln()).abs() < 1e-12);
/// ```
///
/// # Panics
/// When the shapes disagree.
pub fn contrastive(images: &Tensor, texts: &Tensor, scale: &Tensor, smoothing: f64) -> Tensor {
    let logits = images.matmul(&texts.tr()) * scale; // [images, texts]
    let pairs = Tensor::arange(logits.size()[0], (Kind::Int64, logits.device()));
    let cross_entropy =
        |logits: &Tensor| logits.cross_entropy_loss(&pairs, None::<Tensor>, Reduction::Mean, -100, smoothing);
    (cross_entropy(&logits) + cross_entropy(&logits.tr())) / 2.0
}

#[cfg(test)]
mod tests {
    use common::testing::{gradient_error, torch_rng};
    use tch::Device;

    use super::*;
    use crate::model::normalised;

    fn rows() -> Tensor {
        Tensor::randn([5, 4], (Kind::Double, Device::Cpu))
    }

    /// The definition, term by term.
    fn by_hand(images: &Tensor, texts: &Tensor, scale: f64, smoothing: f64) -> f64 {
        let n = images.size()[0];
        let numbers = |t: &Tensor| Vec::<Vec<f64>>::try_from(t).unwrap();
        let (images, texts) = (numbers(images), numbers(texts));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>() * scale;
        let mut sum = 0.0;
        for i in 0..n as usize {
            for flip in [false, true] {
                let logits: Vec<f64> = (0..n as usize)
                    .map(|j| if flip { dot(&images[j], &texts[i]) } else { dot(&images[i], &texts[j]) })
                    .collect();
                let log_sum = logits.iter().map(|x| x.exp()).sum::<f64>().ln();
                let target = |j: usize| smoothing / n as f64 + if i == j { 1.0 - smoothing } else { 0.0 };
                sum += logits.iter().enumerate().map(|(j, x)| target(j) * (log_sum - x)).sum::<f64>();
            }
        }
        sum / (2 * n) as f64
    }

    #[test]
    fn it_is_its_definition() {
        let _rng = torch_rng(1);
        let (images, texts) = (normalised(&rows()), normalised(&rows()));
        for (scale, smoothing) in [(1.0, 0.0), (14.3, 0.1), (100.0, 0.5)] {
            let loss = contrastive(&images, &texts, &Tensor::from(scale), smoothing).double_value(&[]);
            assert!((loss - by_hand(&images, &texts, scale, smoothing)).abs() < 1e-10);
        }
    }

    #[test]
    fn its_gradients_match_finite_differences() {
        let _rng = torch_rng(2);
        let (images, texts, scale) = (rows(), rows(), Tensor::from(0.7_f64));
        let loss = |images: &Tensor, texts: &Tensor, scale: &Tensor| {
            contrastive(&normalised(images), &normalised(texts), &scale.exp(), 0.1)
        };
        assert!(gradient_error(|x| loss(x, &texts, &scale), &images) < 1e-7);
        assert!(gradient_error(|x| loss(&images, x, &scale), &texts) < 1e-7);
        assert!(gradient_error(|x| loss(&images, &texts, x), &scale) < 1e-7);
    }
}
