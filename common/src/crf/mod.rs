//! Linear-chain conditional random field: analytic forward–backward and Viterbi on slices.
//!
//! ```text
//! score(y) = start[y₀] + Σₜ emission[t, yₜ] + Σₜ transition[yₜ₋₁, yₜ] + end[y_last],   P(y) = exp(score(y)) / Z
//! ```
//! Source: Lafferty et al. 2001; conventions and parameter names of the package pytorch-crf. A loss is one node of
//! libtorch's graph: value and gradient come from the recursions, not from a graph of one node per step.

mod scaled;

use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

use crate::tensor::with_gradient;

/// Range of scores, as a difference of logarithms, within which no product of exponentials underflows in f64.
const TAME: f64 = 600.0;
/// Sums below this are recomputed in log space: their terms may have underflowed.
const TINY: f64 = 1e-200;

/// Start, end and transition scores.
#[derive(Debug)]
pub struct Crf {
    start: Tensor,
    end: Tensor,
    transitions: Tensor,
    tags: usize,
}

/// Scores of a CRF as numbers, for the recursions.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Of the first tag, `[tags]`.
    pub start: Vec<f64>,
    /// Of the last tag, `[tags]`.
    pub end: Vec<f64>,
    /// From tag `k` to tag `j` at `k * tags + j`.
    pub transitions: Vec<f64>,
    /// `exp(transition − shift)`, at most 1.
    exp_transitions: Vec<f64>,
    /// Highest transition score.
    shift: f64,
    /// Largest minus smallest score, over all three lists at once.
    spread: f64,
}

/// Loss of one sentence with its gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// Value.
    pub value: f64,
    /// Towards the emissions, `[tokens * tags]`.
    pub emissions: Vec<f64>,
    /// Towards the scores.
    pub scores: Scores,
}

impl Scores {
    /// Scores from `[tags]`, `[tags]` and `[tags * tags]` numbers.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn new(start: Vec<f64>, end: Vec<f64>, transitions: Vec<f64>) -> Self {
        assert!(end.len() == start.len() && transitions.len() == start.len() * start.len(), "tags of a CRF");
        let shift = transitions.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let exp_transitions = transitions.iter().map(|score| (score - shift).exp()).collect();
        let spread = spread(&start) + spread(&end) + spread(&transitions);
        Self { start, end, transitions, exp_transitions, shift, spread }
    }

    fn zeros(tags: usize) -> Self {
        let transitions = vec![0.0; tags * tags];
        Self {
            start: vec![0.0; tags],
            end: vec![0.0; tags],
            exp_transitions: Vec::new(),
            transitions,
            shift: 0.0,
            spread: 0.0,
        }
    }

    fn tags(&self) -> usize {
        self.start.len()
    }

    /// Negative log-likelihood of gold tags, `log Z − score(y)`, with gradients; 0 for an empty sentence.
    pub fn negative_log_likelihood(&self, emissions: &[f64], gold: &[usize]) -> Loss {
        let mut loss = if self.is_tame(emissions) {
            scaled::log_z(self, emissions)
        } else {
            let lattice = Lattice::forward(self, emissions);
            lattice.backpropagate(lattice.log_z, 1.0, vec![0.0; emissions.len()], Vec::new())
        };
        let (Some(&first), Some(&last)) = (gold.first(), gold.last()) else { return loss };
        loss.value -= self.start[first] + self.end[last];
        loss.scores.start[first] -= 1.0;
        loss.scores.end[last] -= 1.0;
        for (t, &tag) in gold.iter().enumerate() {
            loss.value -= emissions[t * self.tags() + tag];
            loss.emissions[t * self.tags() + tag] -= 1.0;
        }
        for pair in gold.windows(2) {
            let at = pair[0] * self.tags() + pair[1];
            loss.value -= self.transitions[at];
            loss.scores.transitions[at] -= 1.0;
        }
        loss
    }

    /// Whether the scaled recursion is exact: products of exponentials stay within f64, since a token's smallest
    /// forward or backward sum is at least `exp(−spread)` of its largest.
    fn is_tame(&self, emissions: &[f64]) -> bool {
        let widest = emissions.chunks(self.tags()).map(spread).fold(0.0, f64::max);
        self.tags() <= scaled::MOST_TAGS && self.spread + widest < TAME
    }

    /// `log P(Yₜ = j)` for every token and tag, `[tokens * tags]`.
    pub fn log_marginals(&self, emissions: &[f64]) -> Vec<f64> {
        let lattice = Lattice::forward(self, emissions).backward();
        lattice.alpha.iter().zip(&lattice.beta).map(|(a, b)| (a + b - lattice.log_z).min(0.0)).collect()
    }

    /// Gradients of a loss over the log-marginals whose `value` and derivatives `by_log_marginals`
    /// (`[tokens * tags]`) are given: the form in which a loss per token, as Majority-or-Minority, can act on a CRF.
    pub fn marginal_loss(&self, emissions: &[f64], value: f64, by_log_marginals: Vec<f64>) -> Loss {
        let lattice = Lattice::forward(self, emissions).backward();
        let by_log_z = -by_log_marginals.iter().sum::<f64>();
        lattice.backpropagate(value, by_log_z, by_log_marginals.clone(), by_log_marginals)
    }

    /// `P(Yₜ = j)` for every token and tag, `[tokens * tags]`.
    pub fn marginals(&self, emissions: &[f64]) -> Vec<f64> {
        self.log_marginals(emissions).into_iter().map(f64::exp).collect()
    }

    /// Tags of the highest score (Viterbi); the lower tag of equals.
    pub fn decode(&self, emissions: &[f64]) -> Vec<usize> {
        let tags = self.tags();
        let tokens = emissions.len() / tags;
        if tokens == 0 {
            return Vec::new();
        }
        let mut best: Vec<f64> = self.start.iter().zip(emissions).map(|(a, b)| a + b).collect();
        let mut from = vec![0; tokens * tags];
        let mut next = vec![0.0; tags];
        for t in 1..tokens {
            next.fill(f64::NEG_INFINITY);
            for (k, score) in best.iter().enumerate() {
                let row = &self.transitions[k * tags..(k + 1) * tags];
                for (j, transition) in row.iter().enumerate() {
                    let candidate = score + transition;
                    if candidate > next[j] {
                        next[j] = candidate;
                        from[t * tags + j] = k;
                    }
                }
            }
            next.iter_mut().zip(&emissions[t * tags..]).for_each(|(score, emission)| *score += emission);
            std::mem::swap(&mut best, &mut next);
        }
        best.iter_mut().zip(&self.end).for_each(|(score, end)| *score += end);
        let mut tag = (1..tags).fold(0, |winner, j| if best[j] > best[winner] { j } else { winner });
        let mut path = vec![tag; tokens];
        for t in (1..tokens).rev() {
            tag = from[t * tags + tag];
            path[t - 1] = tag;
        }
        path
    }
}

/// Largest minus smallest value; 0 of nothing.
fn spread(values: &[f64]) -> f64 {
    let (low, high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
    if values.is_empty() { 0.0 } else { high - low }
}

/// `log Σ exp`; `-inf` of nothing but `-inf`.
fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + values.map(|value| (value - largest).exp()).sum::<f64>().ln()
}

/// Forward and, where needed, backward log sums of one sentence.
struct Lattice<'a> {
    scores: &'a Scores,
    emissions: &'a [f64],
    alpha: Vec<f64>,
    /// `exp(alpha − the token's largest alpha)`, kept for the way back.
    scaled: Vec<f64>,
    /// Sums of the products of `scaled` and the transitions into each tag, kept for the way back.
    sums: Vec<f64>,
    beta: Vec<f64>,
    log_z: f64,
}

impl<'a> Lattice<'a> {
    /// The forward sums; enough for `log Z` and its gradient.
    fn forward(scores: &'a Scores, emissions: &'a [f64]) -> Self {
        let tags = scores.tags();
        let tokens = emissions.len() / tags;
        let mut alpha = vec![0.0; emissions.len()];
        if tokens == 0 {
            return Self { scores, emissions, alpha, scaled: vec![], sums: vec![], beta: vec![], log_z: 0.0 };
        }
        let (mut scaled, mut sums) = (alpha.clone(), alpha.clone());
        (0..tags).for_each(|j| alpha[j] = scores.start[j] + emissions[j]);
        for t in 1..tokens {
            let (before, now) = alpha.split_at_mut(t * tags);
            let before = &before[(t - 1) * tags..];
            let scaled = &mut scaled[(t - 1) * tags..t * tags];
            let largest = exponentials(before, scaled);
            let sums = &mut sums[t * tags..(t + 1) * tags];
            for (k, weight) in scaled.iter().enumerate() {
                let row = &scores.exp_transitions[k * tags..(k + 1) * tags];
                sums.iter_mut().zip(row).for_each(|(sum, factor)| *sum += weight * factor);
            }
            for j in 0..tags {
                let log_sum = match sums[j] {
                    sum if sum > TINY => largest + scores.shift + sum.ln(),
                    _ => log_sum_exp((0..tags).map(|k| before[k] + scores.transitions[k * tags + j])),
                };
                now[j] = log_sum + emissions[t * tags + j];
            }
        }
        let last = &alpha[(tokens - 1) * tags..];
        let log_z = log_sum_exp(last.iter().zip(&scores.end).map(|(a, b)| a + b));
        Self { scores, emissions, alpha, scaled, sums, beta: Vec::new(), log_z }
    }

    /// With the backward sums.
    fn backward(self) -> Self {
        let Self { scores, emissions, .. } = self;
        let tags = scores.tags();
        let tokens = emissions.len() / tags;
        let mut beta = vec![0.0; emissions.len()];
        if tokens == 0 {
            return self;
        }
        let mut scaled = vec![0.0; tags];
        beta[(tokens - 1) * tags..].copy_from_slice(&scores.end);
        let mut ahead = vec![0.0; tags];
        for t in (0..tokens - 1).rev() {
            let (now, after) = beta.split_at_mut((t + 1) * tags);
            let emission = &emissions[(t + 1) * tags..(t + 2) * tags];
            (0..tags).for_each(|j| ahead[j] = emission[j] + after[j]);
            let largest = exponentials(&ahead, &mut scaled);
            for k in 0..tags {
                let row = &scores.exp_transitions[k * tags..(k + 1) * tags];
                let sum: f64 = row.iter().zip(&scaled).map(|(factor, weight)| factor * weight).sum();
                now[t * tags + k] = match sum {
                    sum if sum > TINY => largest + scores.shift + sum.ln(),
                    _ => log_sum_exp((0..tags).map(|j| scores.transitions[k * tags + j] + ahead[j])),
                };
            }
        }
        Self { beta, ..self }
    }

    /// Gradients of a loss whose derivatives towards `alpha`, `beta` and `log Z` are given, swept back through both
    /// recursions once: `∂αₜ(j)/∂αₜ₋₁(k) = exp(αₜ₋₁(k) + T(k, j) − (αₜ(j) − eₜ(j)))`, and likewise for β.
    fn backpropagate(
        &self,
        value: f64,
        by_log_z: f64,
        mut by_alpha: Vec<f64>,
        mut by_beta: Vec<f64>,
    ) -> Loss {
        let tags = self.scores.tags();
        let tokens = self.emissions.len() / tags;
        let mut loss =
            Loss { value, emissions: vec![0.0; self.emissions.len()], scores: Scores::zeros(tags) };
        if tokens == 0 {
            return loss;
        }
        let last = (tokens - 1) * tags;
        for j in 0..tags {
            let share = by_log_z * (self.alpha[last + j] + self.scores.end[j] - self.log_z).exp();
            by_alpha[last + j] += share;
            loss.scores.end[j] += share;
        }
        for t in (1..tokens).rev() {
            let (before, now) = by_alpha.split_at_mut(t * tags);
            let before = &mut before[(t - 1) * tags..];
            let alpha_before = &self.alpha[(t - 1) * tags..t * tags];
            let scaled = &self.scaled[(t - 1) * tags..t * tags];
            for (j, rest) in now[..tags].iter_mut().enumerate() {
                let at = t * tags + j;
                loss.emissions[at] += *rest;
                let log_sum = self.alpha[at] - self.emissions[at];
                if *rest == 0.0 || log_sum == f64::NEG_INFINITY {
                    *rest = 0.0;
                    continue;
                }
                let sum = self.sums[at];
                if sum > TINY {
                    *rest /= sum;
                    continue;
                }
                for k in 0..tags {
                    let exponent = alpha_before[k] + self.scores.transitions[k * tags + j] - log_sum;
                    let share = *rest * exponent.exp();
                    loss.scores.transitions[k * tags + j] += share;
                    before[k] += share;
                }
                *rest = 0.0;
            }
            // What is left in `now` is by_alpha / sum: the shares are products, without an exponential for each.
            for k in 0..tags {
                let row = &self.scores.exp_transitions[k * tags..(k + 1) * tags];
                let totals = &mut loss.scores.transitions[k * tags..(k + 1) * tags];
                for ((total, factor), rest) in totals.iter_mut().zip(row).zip(&now[..tags]) {
                    let share = scaled[k] * factor * rest;
                    *total += share;
                    before[k] += share;
                }
            }
        }
        loss.scores.start.copy_from_slice(&by_alpha[..tags]);
        loss.emissions[..tags].iter_mut().zip(&by_alpha).for_each(|(total, share)| *total += share);
        let steps = if self.beta.is_empty() { 0 } else { tokens - 1 };
        for t in 0..steps {
            for k in 0..tags {
                let at = t * tags + k;
                if by_beta[at] != 0.0 && self.beta[at] > f64::NEG_INFINITY {
                    for j in 0..tags {
                        let ahead = (t + 1) * tags + j;
                        let exponent =
                            self.scores.transitions[k * tags + j] + self.emissions[ahead] + self.beta[ahead];
                        let share = by_beta[at] * (exponent - self.beta[at]).exp();
                        loss.scores.transitions[k * tags + j] += share;
                        loss.emissions[ahead] += share;
                        by_beta[ahead] += share;
                    }
                }
            }
        }
        if !self.beta.is_empty() {
            (0..tags).for_each(|j| loss.scores.end[j] += by_beta[last + j]);
        }
        loss
    }
}

/// `exp(x − max x)` into `scaled`; returns the maximum, 0 when all are `-inf`.
fn exponentials(values: &[f64], scaled: &mut [f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let largest = if largest == f64::NEG_INFINITY { 0.0 } else { largest };
    scaled.iter_mut().zip(values).for_each(|(out, value)| *out = (value - largest).exp());
    largest
}

impl Crf {
    /// New scores at `path`, uniform in ±0.1 as pytorch-crf draws them.
    pub fn new(path: &Path, tags: i64) -> Self {
        let uniform = Init::Uniform { lo: -0.1, up: 0.1 };
        Self {
            start: path.var("start_transitions", &[tags], uniform),
            end: path.var("end_transitions", &[tags], uniform),
            transitions: path.var("transitions", &[tags, tags], uniform),
            tags: tags as usize,
        }
    }

    /// The scores as they are now.
    pub fn scores(&self) -> Scores {
        self.scores_of(&numbers(&self.parameters()))
    }

    /// Start, end and transition scores, one after the other.
    fn parameters(&self) -> Tensor {
        Tensor::cat(
            &[self.start.shallow_clone(), self.end.shallow_clone(), self.transitions.flatten(0, -1)],
            0,
        )
    }

    fn scores_of(&self, parameters: &[f64]) -> Scores {
        let (start, rest) = parameters.split_at(self.tags);
        let (end, transitions) = rest.split_at(self.tags);
        Scores::new(start.to_owned(), end.to_owned(), transitions.to_owned())
    }

    /// Mean over sentences of their negative log-likelihood. `emissions` is `[batch, tokens, tags]`, padded on the
    /// right; `gold` has one list per sentence, whose length says how many tokens are real.
    ///
    /// # Panics
    /// When the number of sentences does not fit.
    pub fn loss(&self, emissions: &Tensor, gold: &[Vec<usize>]) -> Tensor {
        let lengths: Vec<usize> = gold.iter().map(Vec::len).collect();
        self.node(emissions, &lengths, 1.0 / gold.len() as f64, |scores, row, own| {
            scores.negative_log_likelihood(own, &gold[row])
        })
    }

    /// A loss over the tokens' log-marginals `log P(Yₜ = j)`: `loss` is called once with those of all real tokens,
    /// row by row, `[words, tags]` in the kind of `emissions`, and returns a scalar.
    ///
    /// # Panics
    /// When the number of sentences does not fit.
    pub fn marginal_loss(
        &self,
        emissions: &Tensor,
        lengths: &[usize],
        loss: impl FnOnce(&Tensor) -> Tensor,
    ) -> Tensor {
        let (scores, flat) = (self.scores(), numbers(emissions));
        let stride = emissions.size()[1] as usize * self.tags;
        let own = |row: usize, length: usize| &flat[row * stride..row * stride + length * self.tags];
        let logs: Vec<f64> = lengths
            .iter()
            .enumerate()
            .flat_map(|(row, &length)| scores.log_marginals(own(row, length)))
            .collect();
        let leaf = Tensor::from_slice(&logs).view([-1, self.tags as i64]).to_kind(emissions.kind());
        let leaf = leaf.to_device(emissions.device()).detach().set_requires_grad(true);
        let value = loss(&leaf);
        value.backward();
        let upstream = numbers(&leaf.grad());
        let share = value.double_value(&[]) / lengths.len() as f64;
        let mut start = 0;
        self.node(emissions, lengths, 1.0, |scores, _, own| {
            start += own.len();
            scores.marginal_loss(own, share, upstream[start - own.len()..start].to_vec())
        })
    }

    /// The sum over sentences of `loss(scores, row, emissions of the row's real tokens)` times `factor`, as one node.
    fn node(
        &self,
        emissions: &Tensor,
        lengths: &[usize],
        factor: f64,
        mut loss: impl FnMut(&Scores, usize, &[f64]) -> Loss,
    ) -> Tensor {
        let [batch, tokens] = [emissions.size()[0], emissions.size()[1]].map(|size| size as usize);
        assert_eq!(batch, lengths.len(), "one length per sentence");
        // As one tensor, the scores cost libtorch a few operations rather than a few for each list.
        let parameters = self.parameters();
        let scores = self.scores_of(&numbers(&parameters));
        let flat = numbers(emissions);
        let stride = tokens * self.tags;
        let mut by_emissions = vec![0.0; flat.len()];
        let mut by_parameters = vec![0.0; parameters.numel()];
        let mut value = 0.0;
        for (row, length) in lengths.iter().enumerate() {
            let own = &flat[row * stride..row * stride + length * self.tags];
            let loss = loss(&scores, row, own);
            value += loss.value;
            let by_own = &mut by_emissions[row * stride..row * stride + own.len()];
            by_own.iter_mut().zip(&loss.emissions).for_each(|(sum, by)| *sum = by * factor);
            let by_scores =
                [&loss.scores.start, &loss.scores.end, &loss.scores.transitions].into_iter().flatten();
            by_parameters.iter_mut().zip(by_scores).for_each(|(sum, by)| *sum += by * factor);
        }
        let like = |values: &[f64], tensor: &Tensor| {
            Tensor::from_slice(values).to_kind(tensor.kind()).to_device(tensor.device()).view_as(tensor)
        };
        with_gradient(
            value * factor,
            &[
                (emissions, &like(&by_emissions, emissions)),
                (&parameters, &like(&by_parameters, &parameters)),
            ],
        )
    }

    /// Best tags of each sentence of `lengths` real tokens; `emissions` is `[batch, tokens, tags]`.
    pub fn decode(&self, emissions: &Tensor, lengths: &[usize]) -> Vec<Vec<usize>> {
        self.decode_with(&self.scores(), emissions, lengths)
    }

    /// The same with other scores than the layer's, such as those with `-inf` where a tag may not follow another.
    pub fn decode_with(&self, scores: &Scores, emissions: &Tensor, lengths: &[usize]) -> Vec<Vec<usize>> {
        let stride = emissions.size()[1] as usize * self.tags;
        let flat = numbers(emissions);
        let own = |(row, &length): (usize, &usize)| &flat[row * stride..row * stride + length * self.tags];
        lengths.iter().enumerate().map(|item| scores.decode(own(item))).collect()
    }
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.detach().to_device(tch::Device::Cpu).to_kind(Kind::Double).flatten(0, -1);
    Vec::<f64>::try_from(&flat).expect("f64 in one dimension")
}
