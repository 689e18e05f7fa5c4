//! The two adversaries of DATNet: the resource discriminator with its losses, and perturbed embeddings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tch::Tensor;

/// The loss of the discriminator, written as on the command line: `none`, `plain`, `grad:ALPHA:GAMMA`,
/// `grad-released:ALPHA:GAMMA`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Discriminator {
    /// There is none.
    None,
    /// Cross-entropy: `−log r` for a source sentence, `−log (1 − r)` for a target one.
    Plain,
    /// GRAD (Zhou et al. 2019): `−α (1 − r)^γ log r` for a source sentence, `−(1 − α) r^γ log (1 − r)` for a target one.
    /// With α = 0.5 and γ = 0 it is half of [`Discriminator::Plain`].
    Grad {
        /// Weight of the source.
        alpha: f64,
        /// Exponent on the error: the larger, the more hard sentences count.
        gamma: f64,
    },
    /// What both published programs compute instead. They take a two-way softmax `p`, weight the term of the true output `y`
    /// with α, that of the other output `ȳ` with 1 − α, and average over the two:
    ///
    /// ```text
    /// ½ [ −α (1 − p_y)^γ log p_y − (1 − α) p_ȳ^γ log (1 − p_ȳ) ]
    /// ```
    /// With two classes `p_ȳ = 1 − p_y`, so both terms are the same and the sum is `½ (1 − p_y)^γ (−log p_y)` for **any** α:
    /// value and gradient do not depend on it. It is half a symmetric focal loss.
    GradReleased {
        /// Without effect.
        alpha: f64,
        /// Exponent on the error.
        gamma: f64,
    },
}

/// Perturbation of embeddings along the gradient of the tagger's loss (Zhou et al. 2019), written `none`, `sentence:EPSILON`
/// `total:EPSILON` or `released:EPSILON`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Adversarial {
    /// None.
    None,
    /// `η = ε g / ‖g‖₂`, the norm over all words, or all characters, of a sentence.
    Sentence(f64),
    /// The same along the gradient of the tagger's and the discriminator's loss together, as release B: a pass less.
    Total(f64),
    /// What the published programs compute: for characters the norm is taken for each embedding dimension on its own, so that
    /// the perturbation of a sentence has norm ε·√D.
    Released(f64),
}

impl Adversarial {
    /// Length ε of the perturbation, where there is one.
    pub fn epsilon(self) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Sentence(epsilon) | Self::Total(epsilon) | Self::Released(epsilon) => Some(epsilon),
        }
    }
}

impl Discriminator {
    /// Mean loss over sentences of one resource, a scalar in the kind of `logits`.
    ///
    /// # Shapes
    /// - `logits`: `[sentences]`, `r = σ(logits)` is the probability that a sentence comes from the source
    ///
    /// # Panics
    /// For [`Discriminator::None`], which has no loss.
    pub fn loss(self, logits: &Tensor, is_source: bool) -> Tensor {
        let kind = logits.kind();
        // Logit of the true resource: everything is then said of it.
        let truth = if is_source { logits.shallow_clone() } else { -logits };
        let log_p = truth.log_sigmoid();
        let log_miss = (-&truth).log_sigmoid(); // log (1 − p)
        let focal = |gamma: f64| -((&log_miss * gamma).exp() * &log_p);
        match self {
            Self::None => unreachable!("no discriminator, no loss"),
            Self::Plain => -log_p.mean(kind),
            Self::Grad { alpha, gamma } => {
                focal(gamma).mean(kind) * if is_source { alpha } else { 1.0 - alpha }
            }
            Self::GradReleased { alpha, gamma } => released(&log_p, &log_miss, alpha, gamma).mean(kind),
        }
    }
}

/// Both outputs of the released form, each computed on its own, averaged.
fn released(log_p: &Tensor, log_miss: &Tensor, alpha: f64, gamma: f64) -> Tensor {
    let of_truth = (log_miss * gamma).exp() * log_p * -alpha;
    let p_other = log_miss.exp();
    let of_other = p_other.pow_tensor_scalar(gamma) * log_p * -(1.0 - alpha); // 1 − p_ȳ = p_y
    (of_truth + of_other) * 0.5
}

/// `ε g / ‖g‖₂` with the norm over all axes of a row but the first; a zero gradient gives a zero perturbation.
///
/// # Shapes
/// - `gradient`: `[sentences, ..]`; result: the same, without gradient
pub fn perturbation(gradient: &Tensor, epsilon: f64) -> Tensor {
    let axes: Vec<i64> = (1..gradient.dim() as i64).collect();
    scaled(gradient, &axes, epsilon)
}

/// The same for characters as the published programs compute it: `[sentences, words, characters, width]`, the norm over words
/// and characters for each dimension on its own.
pub fn released_perturbation(gradient: &Tensor, epsilon: f64) -> Tensor {
    scaled(gradient, &[1, 2], epsilon)
}

fn scaled(gradient: &Tensor, axes: &[i64], epsilon: f64) -> Tensor {
    let gradient = gradient.detach();
    let kind = gradient.kind();
    // The largest entry is taken out first: squares of small gradients underflow in f32.
    let largest = gradient.abs().amax(axes, true);
    let unit = &gradient / largest.where_self(&largest.gt(0.0), &largest.ones_like());
    let norm = (&unit * &unit).sum_dim_intlist(axes, true, kind).sqrt();
    unit * epsilon / norm.where_self(&norm.gt(0.0), &norm.ones_like())
}

impl Adversarial {
    /// ε, and whether the norm of characters is the published programs'.
    pub fn strength(self) -> (f64, bool) {
        match self {
            Self::None => (0.0, false),
            Self::Sentence(epsilon) | Self::Total(epsilon) => (epsilon, false),
            Self::Released(epsilon) => (epsilon, true),
        }
    }
}

impl fmt::Display for Discriminator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Plain => f.write_str("plain"),
            Self::Grad { alpha, gamma } => write!(f, "grad:{alpha}:{gamma}"),
            Self::GradReleased { alpha, gamma } => write!(f, "grad-released:{alpha}:{gamma}"),
        }
    }
}

impl FromStr for Discriminator {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let numbers = |alpha: &str, gamma: &str| {
            let alpha = alpha.parse().ok().filter(|alpha| (0.0..=1.0).contains(alpha))?;
            let gamma = gamma.parse().ok().filter(|gamma: &f64| gamma.is_finite() && *gamma >= 0.0)?;
            Some((alpha, gamma))
        };
        let found = match parts[..] {
            ["none"] => Some(Self::None),
            ["plain"] => Some(Self::Plain),
            ["grad"] => Some(Self::Grad { alpha: 0.25, gamma: 2.0 }),
            ["grad", a, g] => numbers(a, g).map(|(alpha, gamma)| Self::Grad { alpha, gamma }),
            ["grad-released"] => Some(Self::GradReleased { alpha: 0.25, gamma: 2.0 }),
            ["grad-released", a, g] => {
                numbers(a, g).map(|(alpha, gamma)| Self::GradReleased { alpha, gamma })
            }
            _ => None,
        };
        found.ok_or_else(|| {
            format!(
                "`{text}` is not a discriminator; expected none, plain, grad:ALPHA:GAMMA or grad-released:ALPHA:GAMMA \
                 with 0 ≤ ALPHA ≤ 1 and GAMMA ≥ 0"
            )
        })
    }
}

impl fmt::Display for Adversarial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Sentence(epsilon) => write!(f, "sentence:{epsilon}"),
            Self::Total(epsilon) => write!(f, "total:{epsilon}"),
            Self::Released(epsilon) => write!(f, "released:{epsilon}"),
        }
    }
}

impl FromStr for Adversarial {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let epsilon = |text: &str| text.parse().ok().filter(|e: &f64| e.is_finite() && *e > 0.0);
        let found = match text.split_once(':') {
            None if text == "none" => Some(Self::None),
            Some(("sentence", value)) => epsilon(value).map(Self::Sentence),
            Some(("total", value)) => epsilon(value).map(Self::Total),
            Some(("released", value)) => epsilon(value).map(Self::Released),
            _ => None,
        };
        found.ok_or_else(|| {
            format!("`{text}` is not a perturbation; expected none, sentence:EPSILON, total:EPSILON or released:EPSILON")
        })
    }
}

impl TryFrom<String> for Discriminator {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Discriminator> for String {
    fn from(discriminator: Discriminator) -> Self {
        discriminator.to_string()
    }
}

impl TryFrom<String> for Adversarial {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Adversarial> for String {
    fn from(adversarial: Adversarial) -> Self {
        adversarial.to_string()
    }
}
