//! The losses of the study: cross-entropy and its weighted forms, focal, dice, and Majority-or-Minority over any.
//!
//! Notation: `K` classes with 0 = `O`, the majority class; `p = softmax(logits)`; `ceᵢ = −log p[i, yᵢ]`; `N` words
//! of the batch, `N_O` of them with `yᵢ = O`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};
use thiserror::Error;

use common::tagging::label::OUTSIDE;

/// Smoothing ε of dice, as in the released scripts of Li et al. 2020.
const DICE_EPSILON: f64 = 1.0;
/// Self-adjusting exponent α of dice, as in the released scripts of Li et al. 2020.
const DICE_ALPHA: f64 = 0.01;

/// A loss, written as on the command line: `ce`, `wce1`, `wce2:0.3`, `focal:2`, `dice:set_level`, `mom:ce:0.5`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Loss {
    /// `(1/N) Σ ceᵢ`.
    CrossEntropy,
    /// WCE-1, weights `w_c = N_train / (K·n_c)`: `Σ w ce / Σ w`. The paper's exact weights are not known to us.
    InverseFrequency,
    /// WCE-2, weight of O below 1, of every entity class 1: `Σ w ce / Σ w`. The paper's exact weights are not known to us.
    OutsideWeight(f64),
    /// `(1/N) Σ (1 − p[i, yᵢ])^γ ceᵢ` (Lin et al. 2017, multi-class).
    Focal(f64),
    /// `1 − (2 Σ q y + ε) / (Σ q + Σ y + ε)` with `q = (1 − p)^α p` (Li et al. 2020).
    Dice(Dice),
    /// `λ·L + (1 − λ)·L_MoM`, `L_MoM = (1/M) Σ_{yᵢ = O} ℓᵢ` with the base's loss `ℓ` per word (Nemoto et al. 2024).
    Mom {
        /// Conventional loss `L`.
        base: Box<Loss>,
        /// Share of the conventional loss; 1 is the base alone. Which term carries λ in the paper is not known to us.
        lambda: f64,
        /// The constant `M`.
        normaliser: Normaliser,
    },
}

/// Over what the sums of dice run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dice {
    /// Per word and class, summed over classes, averaged over words: the formula of Li et al. 2020.
    PerElement,
    /// Over the words of the batch, averaged over classes.
    SetLevel,
    /// Numerators per word and class over denominators of the whole batch: what the released code computes.
    Reference,
}

/// The constant `M` of the MoM term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normaliser {
    /// Words of the batch, as for the conventional loss.
    Words,
    /// Places of the padded batch.
    Padded,
    /// Words of the longest sentence, the letter of the paper's equation.
    Longest,
    /// Words whose gold class is O: a tempting misreading, another method, whose strength depends on the batch.
    Majority,
}

/// Text that is no loss.
#[derive(Debug, Error, PartialEq)]
#[error(
    "`{0}` is not a loss; expected ce, wce1, wce2:WEIGHT, focal:GAMMA, dice:per_element|set_level|reference, or \
     mom:LOSS:LAMBDA[:words|padded|longest|majority] with 0 < LAMBDA ≤ 1"
)]
pub struct UnknownLoss(String);

/// What a loss has to know about the batch and the training data besides scores and labels.
#[derive(Debug)]
pub struct Context {
    /// Inverse-frequency weight of each class, `[classes]`.
    pub class_weights: Tensor,
    /// Sentences of the batch.
    pub sentences: usize,
    /// Words of its longest sentence.
    pub longest: usize,
}

/// `N_train / (K·n_c)` for each class; a class that never occurs is counted once.
///
/// ```
/// use ner_mom::loss::inverse_frequency;
/// assert_eq!(inverse_frequency(&[80, 15, 5])[1], 100.0 / 45.0);
/// ```
pub fn inverse_frequency(counts: &[u64]) -> Vec<f64> {
    let total: u64 = counts.iter().sum();
    counts.iter().map(|&n| total as f64 / (counts.len() as f64 * n.max(1) as f64)).collect()
}

/// Class weights under which `(1/N) Σ w ce` is MoM over cross-entropy, loss and gradient:
/// `λ·(1/N) Σ ce + (1−λ)·(1/N) Σ_{O} ce = (1/N) Σ w ce` with `w_O = λ + (1−λ) = 1` and `w_entity = λ`.
/// So MoM-CE moves weight **towards** O, opposite to inverse class frequency.
pub fn mom_ce_weights(lambda: f64, n_classes: usize) -> Vec<f64> {
    let mut weights = vec![lambda; n_classes];
    weights[OUTSIDE as usize] = 1.0;
    weights
}

impl Loss {
    /// The loss, a scalar, of scores `logits` `[words, classes]` and gold classes `labels` `[words]`, i64.
    /// The result has the kind of `logits`.
    ///
    /// # Panics
    /// For an empty batch or labels outside the classes: both come from this crate.
    pub fn forward(&self, logits: &Tensor, labels: &Tensor, context: &Context) -> Tensor {
        self.of_log_probs(&logits.log_softmax(-1, logits.kind()), labels, context)
    }

    /// The loss of log-probabilities, as a CRF's marginals are, `[words, classes]`.
    ///
    /// # Panics
    /// As [`Loss::forward`].
    pub fn of_log_probs(&self, log_probs: &Tensor, labels: &Tensor, context: &Context) -> Tensor {
        let kind = log_probs.kind();
        match self {
            Self::Dice(Dice::SetLevel) => set_dice(log_probs, labels),
            Self::Dice(Dice::Reference) => {
                reference_dice(log_probs, labels).sum(kind) / labels.size()[0] as f64
            }
            Self::Mom { base, lambda, normaliser } => {
                base.of_log_probs(log_probs, labels, context) * *lambda
                    + base.majority_term(log_probs, labels, *normaliser, context) * (1.0 - lambda)
            }
            _ => self.per_word(log_probs, labels, context).mean(kind),
        }
    }

    /// `L_MoM` alone, without its factor `1 − λ`; of any other loss, the same term with `M` the words of the batch.
    pub fn majority(&self, log_probs: &Tensor, labels: &Tensor, context: &Context) -> Tensor {
        match self {
            Self::Mom { base, normaliser, .. } => base.majority_term(log_probs, labels, *normaliser, context),
            other => other.majority_term(log_probs, labels, Normaliser::Words, context),
        }
    }

    /// `(1/M) Σ_{yᵢ = O} ℓᵢ`; 0 without a majority word. Set-level dice is not a sum over words: its term is the
    /// dice of the majority words alone, by their share of `M`.
    fn majority_term(
        &self,
        log_probs: &Tensor,
        labels: &Tensor,
        normaliser: Normaliser,
        context: &Context,
    ) -> Tensor {
        let kind = log_probs.kind();
        let majority = labels.eq(OUTSIDE);
        let count = majority.sum(kind);
        let size = match normaliser {
            Normaliser::Words => labels.size()[0] as f64,
            Normaliser::Padded => (context.sentences * context.longest) as f64,
            Normaliser::Longest => context.longest as f64,
            Normaliser::Majority => count.double_value(&[]).max(1.0),
        };
        match self {
            Self::Dice(Dice::SetLevel) => {
                let rows = majority.nonzero().squeeze_dim(-1);
                if rows.numel() == 0 {
                    return log_probs.sum(kind) * 0.0;
                }
                set_dice(&log_probs.index_select(0, &rows), &labels.index_select(0, &rows)) * (count / size)
            }
            _ => (self.per_word(log_probs, labels, context) * majority.to_kind(kind)).sum(kind) / size,
        }
    }

    /// Loss of each word, `[words]`, whose mean is the loss.
    fn per_word(&self, log_probs: &Tensor, labels: &Tensor, context: &Context) -> Tensor {
        let kind = log_probs.kind();
        let ce = || -log_probs.gather(1, &labels.unsqueeze(-1), false).squeeze_dim(-1);
        let weighted = |weights: &Tensor| {
            let weights = weights.to_kind(kind).index_select(0, labels);
            let scale = labels.size()[0] as f64 / weights.sum(kind);
            ce() * weights * scale
        };
        match self {
            Self::CrossEntropy => ce(),
            Self::InverseFrequency => weighted(&context.class_weights),
            Self::OutsideWeight(weight) => {
                let weights = context.class_weights.ones_like();
                let _ = weights.get(OUTSIDE).fill_(*weight);
                weighted(&weights)
            }
            Self::Focal(gamma) => {
                let ce = ce();
                // 1 − p = −expm1(log p), exact near p = 1; the floor keeps the power's gradient finite there.
                let miss = (-(-&ce).expm1()).clamp_min(f64::from(f32::EPSILON));
                miss.pow_tensor_scalar(*gamma) * ce
            }
            Self::Dice(Dice::PerElement) => {
                let (q, y) = dice_terms(log_probs, labels);
                let dice = (&q * &y * 2.0 + DICE_EPSILON) / (q + y + DICE_EPSILON);
                (-dice + 1.0).sum_dim_intlist([-1].as_slice(), false, kind)
            }
            Self::Dice(Dice::Reference) => reference_dice(log_probs, labels),
            Self::Dice(Dice::SetLevel) => unreachable!("set-level dice has no loss per word"),
            Self::Mom { .. } => unreachable!("MoM over MoM is refused when it is read"),
        }
    }
}

/// `q = (1 − p)^α p` and the gold classes as 0 and 1, both `[words, classes]`.
fn dice_terms(log_probs: &Tensor, labels: &Tensor) -> (Tensor, Tensor) {
    let p = log_probs.exp();
    let miss = (-&p + 1.0).clamp_min(f64::from(f32::EPSILON)).pow_tensor_scalar(DICE_ALPHA);
    let y = log_probs.zeros_like().scatter_value(1, &labels.unsqueeze(-1), 1.0);
    (miss * p, y)
}

fn set_dice(log_probs: &Tensor, labels: &Tensor) -> Tensor {
    let (q, y) = dice_terms(log_probs, labels);
    let total = |x: &Tensor| x.sum_dim_intlist([0].as_slice(), false, x.kind()); // [classes]
    let dice = (total(&(&q * &y)) * 2.0 + DICE_EPSILON) / (total(&q) + total(&y) + DICE_EPSILON);
    (-dice + 1.0).mean(log_probs.kind())
}

/// Per word, `[words]`, summed over classes: `1 − (2 q y + ε) / (Σ_batch q + Σ_batch y + ε)`.
fn reference_dice(log_probs: &Tensor, labels: &Tensor) -> Tensor {
    let (q, y) = dice_terms(log_probs, labels);
    let kind = q.kind();
    let whole = q.sum(kind) + y.sum(kind) + DICE_EPSILON;
    (-(q * y * 2.0 + DICE_EPSILON) / whole + 1.0).sum_dim_intlist([-1].as_slice(), false, kind)
}

impl FromStr for Loss {
    type Err = UnknownLoss;

    fn from_str(text: &str) -> Result<Self, UnknownLoss> {
        parse(text).ok_or_else(|| UnknownLoss(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Loss> {
    let number = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
    if let Some(rest) = text.strip_prefix("mom:") {
        return parse_mom(rest);
    }
    match text.split_once(':') {
        None if text == "ce" => Some(Loss::CrossEntropy),
        None if text == "wce1" => Some(Loss::InverseFrequency),
        Some(("wce2", weight)) => number(weight).filter(|w| *w > 0.0).map(Loss::OutsideWeight),
        Some(("focal", gamma)) => number(gamma).map(Loss::Focal),
        Some(("dice", "per_element")) => Some(Loss::Dice(Dice::PerElement)),
        Some(("dice", "set_level")) => Some(Loss::Dice(Dice::SetLevel)),
        Some(("dice", "reference")) => Some(Loss::Dice(Dice::Reference)),
        _ => None,
    }
}

fn parse_mom(text: &str) -> Option<Loss> {
    let (head, last) = text.rsplit_once(':')?;
    let named = match last {
        "words" => Some(Normaliser::Words),
        "padded" => Some(Normaliser::Padded),
        "longest" => Some(Normaliser::Longest),
        "majority" => Some(Normaliser::Majority),
        _ => None,
    };
    let (base, lambda) = if named.is_some() { head.rsplit_once(':')? } else { (head, last) };
    let lambda = lambda.parse().ok().filter(|lambda| *lambda > 0.0 && *lambda <= 1.0)?;
    let base = parse(base).filter(|base| !matches!(base, Loss::Mom { .. }))?;
    Some(Loss::Mom { base: Box::new(base), lambda, normaliser: named.unwrap_or(Normaliser::Words) })
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CrossEntropy => f.write_str("ce"),
            Self::InverseFrequency => f.write_str("wce1"),
            Self::OutsideWeight(weight) => write!(f, "wce2:{weight}"),
            Self::Focal(gamma) => write!(f, "focal:{gamma}"),
            Self::Dice(Dice::PerElement) => f.write_str("dice:per_element"),
            Self::Dice(Dice::SetLevel) => f.write_str("dice:set_level"),
            Self::Dice(Dice::Reference) => f.write_str("dice:reference"),
            Self::Mom { base, lambda, normaliser } => {
                let name = match normaliser {
                    Normaliser::Words => "",
                    Normaliser::Padded => ":padded",
                    Normaliser::Longest => ":longest",
                    Normaliser::Majority => ":majority",
                };
                write!(f, "mom:{base}:{lambda}{name}")
            }
        }
    }
}

impl TryFrom<String> for Loss {
    type Error = UnknownLoss;

    fn try_from(text: String) -> Result<Self, UnknownLoss> {
        text.parse()
    }
}

impl From<Loss> for String {
    fn from(loss: Loss) -> Self {
        loss.to_string()
    }
}

impl Context {
    /// Context of a batch of sentences with these numbers of words.
    pub fn new(class_weights: &Tensor, words: &[usize]) -> Self {
        let longest = words.iter().copied().max().unwrap_or(0);
        Self { class_weights: class_weights.shallow_clone(), sentences: words.len(), longest }
    }
}

/// Class weights as a tensor of the kind that losses expect.
pub fn weights_tensor(weights: &[f64]) -> Tensor {
    Tensor::from_slice(weights).to_kind(Kind::Float)
}
