//! Losses over a batch of labelled vectors of length 1, with d = 1 − cosine.
//!
//! ```text
//! triplet          max(0, d(a, p) − d(a, n) + m)
//! contrastive      y d² / 2 + (1 − y) max(0, m − d)² / 2
//! supervised contrastive   −1/|P(a)| Σₚ ln( exp(a·p/τ) / Σᵢ exp(a·i/τ) )        Khosla et al. 2020, equation 2
//! softmax          −ln softmax(s cos(x, wₗ))ₗ
//! ```
//! The article prints no formula; triplets with a margin are Schroff et al. 2015, equation 1, the contrastive loss Hadsell et
//! al. 2006, equation 4.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Which negative an anchor meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mining {
    /// One at random for each pair of anchor and positive.
    Random,
    /// For each pair the nearest negative that is farther than the positive, else the farthest (FaceNet, section 3.2).
    SemiHard,
    /// For each anchor the farthest positive and the nearest negative (Hermans et al. 2017, equation 5).
    Hard,
}

/// What is minimised.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Objective {
    /// The article's.
    Triplet {
        /// `m`; ours, the article does not say.
        margin: f64,
        /// Which triplets.
        mining: Mining,
    },
    /// The article's comparison, on all pairs of a batch; positive and negative pairs weigh the same in sum.
    Contrastive {
        /// `m`.
        margin: f64,
    },
    /// A later form with all positives and negatives at once.
    SupervisedContrastive {
        /// `τ`.
        temperature: f64,
    },
    /// A classifier of the training accounts, whose vectors are used.
    Softmax {
        /// `s`.
        scale: f64,
    },
}

/// Which pairs of a batch are what: `[batch, batch]`, bool.
#[derive(Debug)]
pub struct Pairs {
    /// Of one account, and not the same place.
    pub positive: Tensor,
    /// Of different accounts and different strings: equal strings have one vector, whatever they are coded to.
    pub negative: Tensor,
}

impl Pairs {
    /// The pairs of rows with these labels and strings.
    ///
    /// # Panics
    /// When there are not as many strings as labels.
    pub fn new(labels: &[i64], strings: &[i64]) -> Self {
        assert_eq!(labels.len(), strings.len(), "one string per label");
        let table = |holds: &dyn Fn(usize, usize) -> bool| {
            let n = labels.len();
            let cells: Vec<bool> = (0..n * n).map(|cell| holds(cell / n, cell % n)).collect();
            Tensor::from_slice(&cells).view([n as i64, n as i64])
        };
        Self {
            positive: table(&|a, b| a != b && labels[a] == labels[b]),
            negative: table(&|a, b| labels[a] != labels[b] && strings[a] != strings[b]),
        }
    }
}

/// How training fares: means over a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Share of triplets with a loss above 0; of other objectives 1.
    pub active: f64,
    /// Mean distance of positives.
    pub positive: f64,
    /// Mean distance of negatives.
    pub negative: f64,
    /// Mean cosine of all pairs: near 1 when the vectors collapse to a point.
    pub cosine: f64,
}

/// `1 − V Vᵀ` of `[batch, width]`.
pub fn distances(vectors: &Tensor) -> Tensor {
    1.0 - vectors.matmul(&vectors.tr())
}

/// Mean loss of the triplets that `mining` takes from a batch, and the share of active ones; 0 when there is none. `random`
/// is drawn from by [`Mining::Random`] alone.
///
/// # Shapes
/// - `distances`: `[batch, batch]`
pub fn triplet(
    distances: &Tensor,
    pairs: &Pairs,
    margin: f64,
    mining: Mining,
    random: &mut ChaCha8Rng,
) -> (Tensor, f64) {
    let Pairs { positive, negative } = pairs;
    let far = distances.detach().max().double_value(&[]) + 1.0;
    let has_negative = negative.any_dim(1, true); // [batch, 1]
    let (loss, counted) = match mining {
        Mining::Hard => {
            let hardest = distances.masked_fill(&positive.logical_not(), -far).amax([1], true);
            let nearest = distances.masked_fill(&negative.logical_not(), far).amin([1], true);
            ((hardest - nearest + margin).relu(), positive.any_dim(1, true).logical_and(&has_negative))
        }
        Mining::SemiHard => {
            // [anchor, positive, negative]: negatives beyond the positive, the others at infinity.
            let beyond =
                distances.unsqueeze(1).gt_tensor(&distances.unsqueeze(2)).logical_and(&negative.unsqueeze(1));
            let outside = distances.unsqueeze(1).masked_fill(&beyond.logical_not(), far).amin([2], false);
            let farthest = distances.masked_fill(&negative.logical_not(), -far).amax([1], true);
            let chosen = outside.where_self(&beyond.any_dim(2, false), &farthest);
            ((distances - chosen + margin).relu(), positive.logical_and(&has_negative))
        }
        Mining::Random => {
            let chosen = distances.gather(1, &random_negatives(negative, random), false);
            ((distances - chosen + margin).relu(), positive.logical_and(&has_negative))
        }
    };
    let counted = counted.to_kind(loss.kind());
    let n = counted.sum(Kind::Double).double_value(&[]);
    let active = (&loss * &counted).gt(0.0).sum(Kind::Int64).double_value(&[]) / n.max(1.0);
    ((loss * counted).sum(distances.kind()) / n.max(1.0), active)
}

/// For each anchor and positive the place of a negative of the anchor, `[batch, batch]`; 0 where it has none.
fn random_negatives(negative: &Tensor, random: &mut ChaCha8Rng) -> Tensor {
    let n = negative.size()[0] as usize;
    let cells = Vec::<bool>::try_from(negative.flatten(0, -1)).expect("bool by construction");
    let mut places = Vec::with_capacity(n * n);
    for anchor in cells.chunks_exact(n.max(1)) {
        let own: Vec<i64> =
            (0i64..).zip(anchor).filter(|(_, negative)| **negative).map(|(place, _)| place).collect();
        places
            .extend((0..n).map(|_| if own.is_empty() { 0 } else { own[random.random_range(0..own.len())] }));
    }
    Tensor::from_slice(&places).view([n as i64, n as i64]).to_device(negative.device())
}

/// Contrastive loss of each pair: `distance` and `same` (1 or 0) of one shape.
pub fn contrastive(distance: &Tensor, same: &Tensor, margin: f64) -> Tensor {
    (same * distance.square() + (1.0 - same) * (margin - distance).relu().square()) / 2.0
}

/// Contrastive loss of all pairs of a batch: the mean of the means of positive and of negative pairs.
pub fn contrastive_of_batch(distances: &Tensor, pairs: &Pairs, margin: f64) -> Tensor {
    let positive = pairs.positive.to_kind(distances.kind());
    let each = contrastive(distances, &positive, margin);
    let mean = |mask: &Tensor| {
        let mask = mask.to_kind(distances.kind());
        (&each * &mask).sum(distances.kind()) / mask.sum(distances.kind()).clamp_min(1.0)
    };
    (mean(&pairs.positive) + mean(&pairs.negative)) / 2.0
}

/// Supervised contrastive loss, the mean over anchors with a positive. Pairs that are neither positive nor negative take no
/// part.
pub fn supervised_contrastive(distances: &Tensor, pairs: &Pairs, temperature: f64) -> Tensor {
    let kind = distances.kind();
    let others = pairs.positive.logical_or(&pairs.negative);
    let logits: Tensor = (1.0 - distances) / temperature;
    let total = logits.masked_fill(&others.logical_not(), f64::NEG_INFINITY).logsumexp([1], true);
    let positive = pairs.positive.to_kind(kind);
    let n = positive.sum_dim_intlist([1].as_slice(), false, kind); // [batch]
    // Anchors without a pair have a total of −inf, which must not meet a factor 0.
    let total = total.masked_fill(&others.any_dim(1, true).logical_not(), 0.0);
    let each = ((total - logits) * &positive).sum_dim_intlist([1].as_slice(), false, kind) / n.clamp_min(1.0);
    let anchors = n.gt(0.0).sum(kind).clamp_min(1.0);
    each.sum(kind) / anchors
}

/// Cross-entropy of scaled cosines with the vectors of the classes.
///
/// # Shapes
/// - `vectors`: `[batch, width]` of length 1; `classes`: `[classes, width]` of any length; `labels`: `[batch]`
pub fn softmax(vectors: &Tensor, classes: &Tensor, labels: &Tensor, scale: f64) -> Tensor {
    let kind = vectors.kind();
    let norms = classes.square().sum_dim_intlist([1].as_slice(), true, kind).sqrt().clamp_min(1e-12);
    let logits = vectors.matmul(&(classes / norms).tr()) * scale;
    logits.log_softmax(-1, kind).nll_loss(labels)
}

/// Mean distances of a batch.
pub fn health(distances: &Tensor, pairs: &Pairs, active: f64) -> Health {
    let _guard = tch::no_grad_guard();
    let mean = |mask: &Tensor| {
        let mask = mask.to_kind(Kind::Double);
        let total = (distances.to_kind(Kind::Double) * &mask).sum(Kind::Double).double_value(&[]);
        total / mask.sum(Kind::Double).double_value(&[]).max(1.0)
    };
    let apart = 1.0 - Tensor::eye(distances.size()[0], (Kind::Double, distances.device()));
    Health {
        active,
        positive: mean(&pairs.positive),
        negative: mean(&pairs.negative),
        cosine: 1.0 - mean(&apart),
    }
}
