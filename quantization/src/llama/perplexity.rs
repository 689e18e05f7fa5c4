//! How well a model predicts a text: negative log-likelihood, perplexity, nats and bits per byte.

use rayon::prelude::*;

use super::error::LlamaError;
use super::hooks::Hooks;
use super::model::Model;
use super::state::State;
use super::window::Window;

/// Negative log-likelihoods in nats, window by window.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// One value per scored token.
    pub windows: Vec<Vec<f64>>,
}

impl Scores {
    /// Scored tokens.
    pub fn predictions(&self) -> usize {
        self.windows.iter().map(Vec::len).sum()
    }

    /// Nats per scored token; `None` without any.
    pub fn mean_nll(&self) -> Option<f64> {
        let count = self.predictions();
        (count > 0).then(|| self.total() / count as f64)
    }

    /// Standard error of [`Self::mean_nll`] as llama.cpp gives it, tokens taken as independent; `None` below two.
    pub fn standard_error(&self) -> Option<f64> {
        standard_error_of_mean(self.windows.iter().flatten().copied(), self.predictions())
    }

    /// `exp(mean_nll)`.
    pub fn perplexity(&self) -> Option<f64> {
        self.mean_nll().map(f64::exp)
    }

    /// Nats per byte of a text whose scored tokens stand for `bytes` bytes; `None` for no bytes.
    pub fn nats_per_byte(&self, bytes: usize) -> Option<f64> {
        (bytes > 0).then(|| self.total() / bytes as f64)
    }

    /// Bits per byte, as [`Self::nats_per_byte`].
    pub fn bits_per_byte(&self, bytes: usize) -> Option<f64> {
        self.nats_per_byte(bytes).map(|nats| nats / std::f64::consts::LN_2)
    }

    fn total(&self) -> f64 {
        self.windows.iter().flatten().sum()
    }
}

/// Standard error of the mean of `count` values, `None` below two.
pub(super) fn standard_error_of_mean(values: impl Iterator<Item = f64> + Clone, count: usize) -> Option<f64> {
    if count < 2 {
        return None;
    }
    let mean = values.clone().sum::<f64>() / count as f64;
    let squares: f64 = values.map(|value| (value - mean).powi(2)).sum();
    Some((squares / (count - 1) as f64 / count as f64).sqrt())
}

/// The scores of the windows; `threads` windows are read at a time, the result does not depend on it.
///
/// # Errors
/// As [`Model::forward`].
pub fn perplexity(model: &Model, windows: &[Window], threads: usize) -> Result<Scores, LlamaError> {
    let windows = each_window(model, windows, threads, |_, window, state| {
        let mut nll = Vec::with_capacity(window.scored.len());
        each_prediction(model, window, state, &mut Hooks::none(), &mut |logits, target| {
            nll.push(log_sum_exp(logits) - f64::from(logits[target as usize]));
        })?;
        Ok(nll)
    })?;
    Ok(Scores { windows })
}

/// [`perplexity`] with hooks, on one thread.
///
/// # Errors
/// As [`Model::forward`].
pub fn perplexity_with(model: &Model, windows: &[Window], hooks: &mut Hooks) -> Result<Scores, LlamaError> {
    let mut state = model.state(longest(windows), 1)?;
    let mut scores = Scores { windows: Vec::with_capacity(windows.len()) };
    for window in windows {
        let mut nll = Vec::with_capacity(window.scored.len());
        each_prediction(model, window, &mut state, hooks, &mut |logits, target| {
            nll.push(log_sum_exp(logits) - f64::from(logits[target as usize]));
        })?;
        scores.windows.push(nll);
    }
    Ok(scores)
}

/// Maps windows (and their numbers) to results, in order, each thread with a state of its own.
pub(super) fn each_window<T: Send>(
    model: &Model,
    windows: &[Window],
    threads: usize,
    map: impl Fn(usize, &Window, &mut State) -> Result<T, LlamaError> + Sync,
) -> Result<Vec<T>, LlamaError> {
    let capacity = longest(windows);
    let part = |first: usize, windows: &[Window]| -> Result<Vec<T>, LlamaError> {
        let mut state = model.state(capacity, 1)?;
        windows.iter().enumerate().map(|(i, window)| map(first + i, window, &mut state)).collect()
    };
    if threads < 2 {
        return part(0, windows);
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| LlamaError::Threads { threads, error: error.into() })?;
    let each = windows.len().div_ceil(threads).clamp(1, 8);
    let parts = windows.par_chunks(each).enumerate().map(|(i, windows)| part(i * each, windows));
    let parts: Vec<Vec<T>> = pool.install(|| parts.collect::<Result<_, _>>())?;
    Ok(parts.into_iter().flatten().collect())
}

/// Calls `each(logits, target)` for the scored tokens of a window, which is read from an empty state.
pub(super) fn each_prediction(
    model: &Model,
    window: &Window,
    state: &mut State,
    hooks: &mut Hooks,
    each: &mut dyn FnMut(&[f32], u32),
) -> Result<(), LlamaError> {
    let (tokens, scored) = (&window.tokens, &window.scored);
    if scored.is_empty() {
        return Ok(());
    }
    if scored.start == 0 || scored.end > tokens.len() {
        return Err(LlamaError::Length {
            what: "the window",
            found: tokens.len(),
            expected: scored.end.max(1),
        });
    }
    if let Some(&token) = tokens.iter().find(|&&token| token as usize >= model.config().vocab) {
        return Err(LlamaError::Token { token, vocab: model.config().vocab });
    }
    state.truncate(0);
    let read = &tokens[..scored.end - 1];
    model.logits(read, scored.start - 1, state, hooks, &mut |position, logits| {
        each(logits, tokens[position + 1])
    })
}

/// Tokens of the longest window.
pub(super) fn longest(windows: &[Window]) -> usize {
    windows.iter().map(|window| window.tokens.len()).max().unwrap_or(0)
}

/// `ln Σ exp(logits)`.
pub(super) fn log_sum_exp(logits: &[f32]) -> f64 {
    let maximum = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - maximum).exp()).sum();
    f64::from(maximum) + sum.ln()
}
