//! Quantizer and losses on tensors.

use common::tensor::straight_through;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::LfqError;
use super::code::check;
use super::entropy::EXACT_BITS;

/// How the entropy of the mean assignment is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchTerm {
    /// Over all codes together; at most 12 bits.
    Exact,
    /// Sum over groups of so many bits, each at most 12.
    Groups(i64),
    /// Sum over single bits.
    Marginal,
}

impl BatchTerm {
    /// Bits per group.
    fn group(self, bits: i64) -> i64 {
        match self {
            Self::Exact => bits,
            Self::Groups(group) => group,
            Self::Marginal => 1,
        }
    }
}

/// Entropy terms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntropyConfig {
    /// Temperature τ of the soft assignment; MAGVIT-v2: 0.01.
    pub temperature: f64,
    /// Weight γ of the batch term; 1.
    pub diversity: f64,
    /// How the batch term is computed.
    pub batch_term: BatchTerm,
}

/// Losses of a batch, scalars with gradients.
#[derive(Debug)]
pub struct Losses {
    /// `mean (z − sg(q(z)))²`.
    pub commitment: Tensor,
    /// `E[H(p(·|z))]` in nats.
    pub sample_entropy: Tensor,
    /// `H(E[p(·|z)])` in nats, or its bound.
    pub batch_entropy: Tensor,
    /// `sample_entropy − γ·batch_entropy`.
    pub entropy: Tensor,
}

/// Signs of `z` with the gradient of the identity.
pub fn quantize_tensor(z: &Tensor) -> Tensor {
    straight_through(&signs(z), z)
}

fn signs(z: &Tensor) -> Tensor {
    z.detach().gt(0.0).to_kind(z.kind()) * 2.0 - 1.0
}

/// Indices `[rows]` of the codes of `z` `[rows, bits]`.
///
/// # Errors
/// [`LfqError::Bits`].
pub fn indices(z: &Tensor) -> Result<Vec<u32>, LfqError> {
    let bits = z.size().last().copied().unwrap_or(0);
    check(bits as usize)?;
    let powers: Vec<i64> = (0..bits).map(|bit| 1 << bit).collect();
    let bits = z.detach().gt(0.0).to_kind(Kind::Int64) * Tensor::from_slice(&powers).to_device(z.device());
    let indices = bits.sum_dim_intlist([-1].as_slice(), false, Kind::Int64).flatten(0, -1);
    Ok(Vec::<i64>::try_from(indices).expect("indices are i64").into_iter().map(|i| i as u32).collect())
}

/// Commitment and entropy losses of `z` `[rows, bits]`.
///
/// # Errors
/// [`LfqError::Bits`]; [`LfqError::TooLarge`] for groups of more than 12 bits.
pub fn losses(z: &Tensor, config: &EntropyConfig) -> Result<Losses, LfqError> {
    let bits = z.size().last().copied().unwrap_or(0);
    check(bits as usize)?;
    let group = config.batch_term.group(bits);
    if !(1..=EXACT_BITS as i64).contains(&group) {
        return Err(LfqError::TooLarge { found: group.max(0) as usize, most: EXACT_BITS });
    }
    let commitment = (z - signs(z)).square().mean(z.kind());
    let logits = z * (4.0 / config.temperature);
    let per_bit = binary_entropy(&logits);
    let sample_entropy = per_bit.sum_dim_intlist([-1].as_slice(), false, z.kind()).mean(z.kind());
    let batch_entropy = batch_entropy(&logits.sigmoid(), group);
    let entropy = &sample_entropy - &batch_entropy * config.diversity;
    Ok(Losses { commitment, sample_entropy, batch_entropy, entropy })
}

/// `h(σ(l)) = log(1 + e^−|l|) + |l|·σ(−|l|)`, stable for any logit.
fn binary_entropy(logits: &Tensor) -> Tensor {
    let size = logits.abs();
    (-&size).exp().log1p() + &size * (-&size).sigmoid()
}

/// Sum over groups of `group` bits of `H(mean over rows of the joint distribution)`; `p` is `[rows, bits]`.
fn batch_entropy(p: &Tensor, group: i64) -> Tensor {
    let [rows, bits] = p.size()[..] else { unreachable!("rows of bits by construction") };
    let entropies = (0..bits).step_by(group as usize).map(|start| {
        let part = p.narrow(1, start, group.min(bits - start));
        let mut joint = Tensor::ones([rows, 1], (p.kind(), p.device()));
        for bit in 0..part.size()[1] {
            let one = part.narrow(1, bit, 1);
            joint = Tensor::cat(&[&joint * (1.0 - &one), &joint * &one], 1); // [rows, 2^(bit + 1)]
        }
        let mean = joint.mean_dim([0].as_slice(), false, p.kind());
        -(&mean * mean.clamp_min(f64::from(f32::MIN_POSITIVE)).log()).sum(p.kind())
    });
    entropies.reduce(|sum, entropy| sum + entropy).expect("at least one bit")
}

#[cfg(test)]
mod tests {
    use common::testing::{gradient_error, max_difference, torch_rng};
    use tch::Device;

    use super::*;
    use crate::lfq::{entropy, index};

    fn config(batch_term: BatchTerm) -> EntropyConfig {
        EntropyConfig { temperature: 0.5, diversity: 1.0, batch_term }
    }

    #[test]
    fn the_straight_through_path_has_the_gradient_of_the_identity() {
        let z = Tensor::from_slice(&[0.3, -0.2, 0.0, 5.0]).set_requires_grad(true);
        let direction = Tensor::from_slice(&[1.0, 2.0, -3.0, 4.0]);
        let q = quantize_tensor(&z);
        assert_eq!(Vec::<f64>::try_from(&q).unwrap(), [1.0, -1.0, -1.0, 1.0]);
        (q * &direction).sum(Kind::Double).backward();
        assert_eq!(max_difference(&z.grad(), &direction), 0.0);
    }

    #[test]
    fn tensors_and_slices_agree() {
        let _rng = torch_rng(1);
        let z = Tensor::randn([9, 7], (Kind::Float, Device::Cpu)) * 0.3;
        let flat = Vec::<f32>::try_from(z.flatten(0, -1)).unwrap();
        let found = losses(&z, &config(BatchTerm::Groups(3))).unwrap();
        let expected = entropy::batch_entropy_grouped(&flat, 7, 3, 0.5).unwrap();
        assert!((found.batch_entropy.double_value(&[]) - expected).abs() < 1e-5);
        let expected = entropy::sample_entropy(&flat, 7, 0.5).unwrap();
        assert!((found.sample_entropy.double_value(&[]) - expected).abs() < 1e-5);
        let expected: Vec<u32> = flat.chunks_exact(7).map(|row| index(row).unwrap()).collect();
        assert_eq!(indices(&z).unwrap(), expected);
    }

    #[test]
    fn gradients_of_the_losses_match_finite_differences() {
        let _rng = torch_rng(2);
        let z = Tensor::randn([5, 4], (Kind::Double, Device::Cpu)) * 0.4;
        for term in [BatchTerm::Exact, BatchTerm::Groups(2), BatchTerm::Marginal] {
            let error = gradient_error(|z| losses(z, &config(term)).unwrap().entropy, &z);
            assert!(error < 1e-6, "{term:?}: {error:e}");
        }
        let error = gradient_error(|z| losses(z, &config(BatchTerm::Exact)).unwrap().commitment, &z);
        assert!(error < 1e-6, "commitment: {error:e}");
    }

    #[test]
    fn confident_assignments_have_finite_losses() {
        let z = Tensor::from_slice2(&[[1e4_f32, -1e4], [0.0, 1.0]]).set_requires_grad(true);
        let sharp = EntropyConfig { temperature: 0.01, ..config(BatchTerm::Exact) };
        losses(&z, &sharp).unwrap().entropy.backward();
        assert!(Vec::<f32>::try_from(z.grad().flatten(0, -1)).unwrap().iter().all(|g| g.is_finite()));
    }

    #[test]
    fn the_exact_term_of_many_bits_is_refused() {
        let z = Tensor::zeros([2, 18], (Kind::Float, Device::Cpu));
        assert!(matches!(losses(&z, &config(BatchTerm::Exact)), Err(LfqError::TooLarge { .. })));
    }
}
