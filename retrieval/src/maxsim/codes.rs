//! A query as 8-bit codes.

use super::panel::Panel;

/// Largest code.
pub(crate) const LARGEST: f32 = 127.0;
/// Code 0 of a document: its bytes are unsigned.
pub(crate) const ZERO: u8 = 128;

/// Codes of a query in lanes, `q = t·p + f` for each token.
#[derive(Debug)]
pub(crate) struct QueryCodes {
    pub(crate) panel: Panel,
    /// `t` of each token.
    pub(crate) scales: Vec<f32>,
    /// `128 · Σ p` of each token, which the unsigned document bytes add to a product.
    pub(crate) excess: Vec<i32>,
    /// Greatest `‖t·p‖` of a token.
    pub(crate) longest: f32,
    /// `Σ ‖q‖` over the tokens.
    pub(crate) lengths: f64,
    /// `Σ ‖f‖` over the tokens.
    pub(crate) errors: f64,
}

impl QueryCodes {
    pub(crate) fn new(query: &[f32], width: usize) -> Self {
        let (mut codes, mut scales, mut excess) = (Vec::with_capacity(query.len()), Vec::new(), Vec::new());
        let (mut lengths, mut errors, mut longest) = (0.0, 0.0, 0.0_f32);
        for row in query.chunks_exact(width) {
            let largest = row.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let scale = if largest > 0.0 { largest / LARGEST } else { 1.0 };
            let first = codes.len();
            codes.extend(row.iter().map(|value| (value / scale).round().clamp(-LARGEST, LARGEST) as i8));
            let off = |(&value, &code): (&f32, &i8)| f64::from(value) - f64::from(code) * f64::from(scale);
            errors += row.iter().zip(&codes[first..]).map(off).map(|x| x * x).sum::<f64>().sqrt();
            let square: i32 = codes[first..].iter().map(|&code| i32::from(code).pow(2)).sum();
            longest = longest.max(scale * (square as f32).sqrt());
            lengths += row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            scales.push(scale);
            excess.push(i32::from(ZERO) * codes[first..].iter().map(|&code| i32::from(code)).sum::<i32>());
        }
        Self { panel: Panel::i8(&codes, width), scales, excess, longest, lengths, errors }
    }
}
