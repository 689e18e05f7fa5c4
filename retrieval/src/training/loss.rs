//! Losses over the scores of a query's documents (JaColBERTv2.5, sections 3.4 and 3.6).
//!
//! Scores are `[batch, n_ways]`, document 0 of each query the labelled positive; a loss is a scalar, the mean
//! over queries.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Keeps the quotient of equal scores finite. Paper, equation 2.
const EPSILON: f64 = 1e-8;

/// Which scores min-max normalisation is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalisation {
    /// Neither side's.
    None,
    /// The teacher's: the paper's warning, table 3.
    TeacherOnly,
    /// Both sides': the paper's choice.
    Both,
}

/// What the student's scores are compared with, and how.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Loss {
    /// Kullback-Leibler divergence of the teacher's distribution from the student's: the paper's choice.
    KlDivergence,
    /// Squared differences of margins.
    MarginMse,
    /// KL divergence plus `margin_weight` times MarginMSE; the paper tries 0.2, 0.1 and 0.05.
    Mixed {
        /// λ.
        margin_weight: f64,
    },
    /// Cross-entropy with document 0 as the target; needs no teacher. ColBERT's first loss, with 2 documents.
    CrossEntropy,
}

impl Loss {
    /// Whether teacher scores are needed.
    pub fn needs_teacher(self) -> bool {
        self != Self::CrossEntropy
    }

    /// The loss of student scores against teacher scores, both `[batch, n_ways]`, normalised first as
    /// ordered. The cross-entropy looks at the student's raw scores only.
    pub fn forward(self, student: &Tensor, teacher: &Tensor, normalisation: Normalisation) -> Tensor {
        if self == Self::CrossEntropy {
            return cross_entropy(student);
        }
        let teacher =
            if normalisation == Normalisation::None { teacher.shallow_clone() } else { min_max(teacher) };
        let student =
            if normalisation == Normalisation::Both { min_max(student) } else { student.shallow_clone() };
        match self {
            Self::MarginMse => margin_mse(&student, &teacher),
            // The published code gives MarginMSE the teacher's log-softmax here, which has the same
            // differences.
            Self::Mixed { margin_weight } => {
                kl_divergence(&student, &teacher) + margin_mse(&student, &teacher) * margin_weight
            }
            _ => kl_divergence(&student, &teacher),
        }
    }
}

/// Scores of each query stretched to [0, 1]; gradients flow through minimum and maximum.
///
/// ```text
/// s′ₖ = (sₖ − min s) / (max s − min s + 1e-8)
/// ```
/// Source: JaColBERTv2.5, equation 2. Equal scores all become 0.
///
/// ```
/// use retrieval::training::loss::min_max;
/// let scores = min_max(&tch::Tensor::from_slice2(&[[2.0, 6.0, 3.0]]));
/// let error = (scores - tch::Tensor::from_slice2(&[[0.0, 1.0, 0.25]])).abs().max();
/// assert!(error.double_value(&[]) < 1e-8);
/// ```
pub fn min_max(scores: &Tensor) -> Tensor {
    let (low, high) = (scores.amin([-1], true), scores.amax([-1], true));
    (scores - &low) / (high - low + EPSILON)
}

/// `(1/B) Σ_b Σ_k e^t (t − p)` with `t` and `p` the log-softmax of teacher and student (JaColBERTv2.5; no
/// temperature).
pub fn kl_divergence(student: &Tensor, teacher: &Tensor) -> Tensor {
    let t = teacher.log_softmax(-1, teacher.kind());
    let p = student.log_softmax(-1, student.kind());
    (t.exp() * (&t - p)).sum(student.kind()) / student.size()[0] as f64
}

/// `mean over b, k > 0 of [(S_b0 − S_bk) − (T_b0 − T_bk)]²` (the published code; the paper's equation 3 has
/// an undefined margin). With one document per query: 0.
pub fn margin_mse(student: &Tensor, teacher: &Tensor) -> Tensor {
    let margins = |scores: &Tensor| scores.narrow(1, 0, 1) - scores.narrow(1, 1, scores.size()[1] - 1);
    if student.size()[1] < 2 {
        return student.sum(student.kind()) * 0.0;
    }
    (margins(student) - margins(teacher)).square().mean(student.kind())
}

/// Cross-entropy of the scores with document 0 as the target.
pub fn cross_entropy(student: &Tensor) -> Tensor {
    -student.log_softmax(-1, student.kind()).select(1, 0).mean(student.kind())
}

/// Cross-entropy of each query's positive against all documents of the other queries (`compute_ib_loss` of
/// the published code).
///
/// `scores` is `[batch, batch · n_ways]`: all queries with all documents, query `b`'s own ones from `b ·
/// n_ways` on, of which only the positive takes part. `same` has the places `[query, column]` of other
/// queries' documents that are the query's positive, too: they are left out, which is ours.
pub fn in_batch_negatives(scores: &Tensor, n_ways: i64, same: &[(i64, i64)]) -> Tensor {
    let [batch, columns] = [scores.size()[0], scores.size()[1]];
    let mut out = vec![false; (batch * columns) as usize];
    for query in 0..batch {
        let own = query * columns + query * n_ways;
        out[(own + 1) as usize..(own + n_ways) as usize].fill(true);
    }
    for (query, column) in same {
        out[(query * columns + column) as usize] = true;
    }
    let out = Tensor::from_slice(&out).view([batch, columns]).to_device(scores.device());
    let log_probs = scores.masked_fill(&out, f64::NEG_INFINITY).log_softmax(-1, scores.kind());
    let positives = Tensor::arange_start_step(0, batch * n_ways, n_ways, (Kind::Int64, scores.device()));
    -log_probs.gather(1, &positives.unsqueeze(1), false).mean(scores.kind())
}
