//! How far a quantized model's predictions are from those of the model it was made from.

use super::error::LlamaError;
use super::hooks::Hooks;
use super::model::Model;
use super::perplexity::{Scores, each_prediction, each_window, log_sum_exp, longest, standard_error_of_mean};
use super::state::State;
use super::window::Window;

/// Predictions of two models on the same windows.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Scores of the first model.
    pub base: Scores,
    /// Scores of the second.
    pub other: Scores,
    /// `KL(base ‖ other)` per prediction in nats, ascending.
    kl: Vec<f32>,
    /// Its mean in each window that has scored tokens.
    window_kl: Vec<f64>,
    /// Predictions where both give the same token the highest probability.
    same_top: usize,
}

impl Comparison {
    /// Mean `KL(base ‖ other)` in nats of each window that has scored tokens.
    pub fn window_kl(&self) -> &[f64] {
        &self.window_kl
    }

    /// Mean `KL(base ‖ other)` in nats; `None` without predictions.
    pub fn mean_kl(&self) -> Option<f64> {
        let sum: f64 = self.kl.iter().map(|&kl| f64::from(kl)).sum();
        (!self.kl.is_empty()).then(|| sum / self.kl.len() as f64)
    }

    /// Standard error of [`Self::mean_kl`], predictions taken as independent.
    pub fn mean_kl_error(&self) -> Option<f64> {
        standard_error_of_mean(self.kl.iter().map(|&kl| f64::from(kl)), self.kl.len())
    }

    /// The `fraction`-quantile of KL, linear between neighbours: 0.5 is the median, 1.0 the maximum.
    pub fn kl_quantile(&self, fraction: f64) -> Option<f64> {
        let place = fraction.clamp(0.0, 1.0) * self.kl.len().checked_sub(1)? as f64;
        let (low, high) = (self.kl[place.floor() as usize], self.kl[place.ceil() as usize]);
        Some(f64::from(low) + (f64::from(high) - f64::from(low)) * place.fract())
    }

    /// Nats per token that the second model loses against the first.
    pub fn delta_nll(&self) -> Option<f64> {
        Some(self.other.mean_nll()? - self.base.mean_nll()?)
    }

    /// Standard error of [`Self::delta_nll`] from the paired differences of windows' means, `None` below two windows.
    pub fn delta_nll_error(&self) -> Option<f64> {
        let means = self.window_deltas();
        standard_error_of_mean(means.iter().copied(), means.len())
    }

    /// Mean ΔNLL of each window that has scored tokens.
    pub fn window_deltas(&self) -> Vec<f64> {
        let pairs = self.base.windows.iter().zip(&self.other.windows).filter(|(base, _)| !base.is_empty());
        let sum = |values: &[f64]| values.iter().sum::<f64>();
        pairs.map(|(base, other)| (sum(other) - sum(base)) / base.len() as f64).collect()
    }

    /// Fraction of predictions with the same most probable token.
    pub fn same_top(&self) -> Option<f64> {
        (!self.kl.is_empty()).then(|| self.same_top as f64 / self.kl.len() as f64)
    }
}

/// One window's share of a comparison.
#[derive(Default)]
struct Part {
    base: Vec<f64>,
    other: Vec<f64>,
    kl: Vec<f32>,
    same_top: usize,
}

impl Part {
    fn push(&mut self, base: &[f32], logits: &[f32], target: usize) {
        let shift = log_sum_exp(logits);
        let term = |(&base, &logit): (&f32, &f32)| {
            let base = f64::from(base);
            base.exp() * (base - (f64::from(logit) - shift))
        };
        self.kl.push(base.iter().zip(logits).map(term).sum::<f64>().max(0.0) as f32);
        self.base.push(-f64::from(base[target]));
        self.other.push(shift - f64::from(logits[target]));
        self.same_top += usize::from(top(base) == top(logits));
    }
}

/// The first of the largest values.
fn top(values: &[f32]) -> usize {
    (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

/// A model's log-probabilities on some windows, kept to compare several models with it.
///
/// They take `4·vocab` bytes per scored token; [`compare`] keeps one window's at a time.
#[derive(Clone, Debug)]
pub struct Baseline<'w> {
    windows: &'w [Window],
    /// Per window `[scored, vocab]`.
    log_probs: Vec<Vec<f32>>,
}

impl<'w> Baseline<'w> {
    /// Mean loss of the model in each window that has scored tokens, nats per token.
    pub fn window_nll(&self) -> Vec<f64> {
        let windows =
            self.windows.iter().zip(&self.log_probs).filter(|(window, _)| !window.scored.is_empty());
        let mean = |(window, log_probs): (&Window, &Vec<f32>)| {
            let rows = log_probs.chunks_exact(log_probs.len() / window.scored.len());
            let targets = window.tokens[window.scored.clone()].iter();
            let sum: f64 = rows.zip(targets).map(|(row, &target)| -f64::from(row[target as usize])).sum();
            sum / window.scored.len() as f64
        };
        windows.map(mean).collect()
    }

    /// The log-probabilities of `model`.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn measure(model: &Model, windows: &'w [Window], threads: usize) -> Result<Self, LlamaError> {
        let log_probs =
            each_window(model, windows, threads, |_, window, state| log_probs(model, window, state))?;
        Ok(Self { windows, log_probs })
    }

    /// `other` against this baseline.
    ///
    /// # Errors
    /// As [`Model::forward`]; [`LlamaError::Length`] for another vocabulary.
    pub fn compare(&self, other: &Model, threads: usize) -> Result<Comparison, LlamaError> {
        let parts = each_window(other, self.windows, threads, |index, window, state| {
            part(other, window, &self.log_probs[index], state, &mut Hooks::none())
        })?;
        Ok(finish(parts))
    }

    /// [`Self::compare`] with hooks on `other`, on one thread.
    ///
    /// # Errors
    /// As [`Self::compare`].
    pub fn compare_with(&self, other: &Model, hooks: &mut Hooks) -> Result<Comparison, LlamaError> {
        let mut state = other.state(longest(self.windows), 1)?;
        let pairs = self.windows.iter().zip(&self.log_probs);
        let parts = pairs.map(|(window, base)| part(other, window, base, &mut state, hooks));
        Ok(finish(parts.collect::<Result<_, _>>()?))
    }
}

/// `other` against `base` on the same windows; `threads` windows are read at a time.
///
/// # Errors
/// As [`Model::forward`]; [`LlamaError::Length`] when the vocabularies differ.
pub fn compare(
    base: &Model,
    other: &Model,
    windows: &[Window],
    threads: usize,
) -> Result<Comparison, LlamaError> {
    let parts = each_window(base, windows, threads, |_, window, state| {
        let log_probs = log_probs(base, window, state)?;
        part(other, window, &log_probs, &mut other.state(window.tokens.len(), 1)?, &mut Hooks::none())
    })?;
    Ok(finish(parts))
}

/// `[scored, vocab]`.
fn log_probs(model: &Model, window: &Window, state: &mut State) -> Result<Vec<f32>, LlamaError> {
    let mut all = Vec::with_capacity(window.scored.len() * model.config().vocab);
    each_prediction(model, window, state, &mut Hooks::none(), &mut |logits, _| {
        let shift = log_sum_exp(logits);
        all.extend(logits.iter().map(|&logit| (f64::from(logit) - shift) as f32));
    })?;
    Ok(all)
}

fn part(
    other: &Model,
    window: &Window,
    base: &[f32],
    state: &mut State,
    hooks: &mut Hooks,
) -> Result<Part, LlamaError> {
    let vocab = other.config().vocab;
    super::error::expect_length("the baseline of a window", base.len(), window.scored.len() * vocab)?;
    let (mut part, mut rows) = (Part::default(), base.chunks_exact(vocab));
    each_prediction(other, window, state, hooks, &mut |logits, target| {
        if let Some(base) = rows.next() {
            part.push(base, logits, target as usize);
        }
    })?;
    Ok(part)
}

fn finish(parts: Vec<Part>) -> Comparison {
    let scored = parts.iter().filter(|part| !part.kl.is_empty());
    let mean = |kl: &[f32]| kl.iter().map(|&kl| f64::from(kl)).sum::<f64>() / kl.len() as f64;
    let window_kl = scored.map(|part| mean(&part.kl)).collect();
    let mut kl: Vec<f32> = parts.iter().flat_map(|part| part.kl.iter().copied()).collect();
    kl.sort_by(f32::total_cmp);
    let same_top = parts.iter().map(|part| part.same_top).sum();
    let (base, other) = parts.into_iter().map(|part| (part.base, part.other)).unzip();
    Comparison { base: Scores { windows: base }, other: Scores { windows: other }, kl, window_kl, same_top }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_difference_and_top_of_two_predictions_by_hand() {
        let half = 0.5f32.ln();
        let mut part = Part::default();
        part.push(&[half, half], &[3f32.ln(), 0.0], 1); // other: 3/4, 1/4
        part.push(&[half, half], &[0.0, 0.0], 0);
        let comparison = finish(vec![part]);
        let kl = 0.5 * (0.5f64 / 0.75).ln() + 0.5 * 2f64.ln();
        assert!((comparison.mean_kl().unwrap() - kl / 2.0).abs() < 1e-7);
        assert!((comparison.kl_quantile(0.5).unwrap() - kl / 2.0).abs() < 1e-7);
        assert!((comparison.kl_quantile(1.0).unwrap() - kl).abs() < 1e-7);
        assert!((comparison.delta_nll().unwrap() - 2f64.ln() / 2.0).abs() < 1e-7);
        assert!((comparison.window_kl()[0] - kl / 2.0).abs() < 1e-7);
        assert_eq!(comparison.same_top(), Some(1.0));
        assert_eq!(comparison.delta_nll_error(), None);
    }
}
