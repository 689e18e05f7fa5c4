//! Loss on given windows.

use tch::{Kind, Tensor};

use super::data::ids;
use super::{LmError, Mode, Model};

/// Loss of a model on windows of text.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean negative log-likelihood in nats per predicted byte.
    pub nats_per_byte: f64,
    /// The same per window, in their order, for paired comparisons.
    pub per_window: Vec<f64>,
    /// Predicted bytes.
    pub bytes: usize,
}

/// Windows per forward pass. Ours: activations stay small.
const BATCH: usize = 16;

/// Loss of `model` on `windows` of equal length: every byte after the first is predicted from those before it.
///
/// # Errors
/// [`LmError::Text`] for no windows, or windows of one byte; [`LmError::Config`] when they are longer than the context.
pub fn evaluate(model: &Model, windows: &[&[u8]]) -> Result<Evaluation, LmError> {
    let length = windows.first().map_or(0, |window| window.len());
    if length < 2 {
        return Err(LmError::Text { found: length, expected: 2 });
    }
    if length as i64 - 1 > model.config().context {
        let found = format!("{} bytes long", length - 1);
        return Err(LmError::Config { field: "windows", found, expected: "at most the model's `context`" });
    }
    let _guard = tch::no_grad_guard();
    let mut per_window = Vec::with_capacity(windows.len());
    for batch in windows.chunks(BATCH) {
        let losses = model.losses(&ids(batch), Mode::Evaluate);
        let means: Tensor = losses.mean_dim([1].as_slice(), false, Kind::Double);
        per_window.extend(Vec::<f64>::try_from(means).expect("means are f64"));
    }
    let nats_per_byte = per_window.iter().sum::<f64>() / per_window.len() as f64;
    Ok(Evaluation { nats_per_byte, bytes: per_window.len() * (length - 1), per_window })
}
