//! Which tokens of a text are scored, after which context.

use std::ops::Range;

/// Tokens that a model reads together, and those of them whose prediction is scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// Places of the scored tokens; each is predicted from all tokens before it, so none is at 0.
    pub scored: Range<usize>,
}

impl Window {
    /// A sequence of its own, every token scored from the second on.
    ///
    /// ```
    /// use quantization::llama::Window;
    /// assert_eq!(Window::sequence(vec![1, 7, 9]).scored, 1..3);
    /// ```
    pub fn sequence(tokens: Vec<u32>) -> Self {
        let scored = 1..tokens.len().max(1);
        Self { tokens, scored }
    }
}

/// The first `count` windows of `length` tokens, their beginnings `stride` apart, every token scored from the second on.
///
/// ```
/// let windows = quantization::llama::strided(&[0, 1, 2, 3, 4, 5], 9, 3, 2);
/// assert_eq!(windows.iter().map(|w| w.tokens.clone()).collect::<Vec<_>>(), [[0, 1, 2], [2, 3, 4]]);
/// ```
pub fn strided(tokens: &[u32], count: usize, length: usize, stride: usize) -> Vec<Window> {
    let windows = tokens.windows(length.max(1)).step_by(stride.max(1)).take(count);
    windows.map(|tokens| Window::sequence(tokens.to_vec())).collect()
}

/// The windows of llama.cpp's perplexity tool (tools/perplexity): whole chunks of `context` tokens; the first becomes
/// `bos` where there is one; only tokens behind the middle one are scored.
///
/// ```
/// let chunks = quantization::llama::chunked(&[5, 6, 7, 8, 9], 4, Some(1));
/// assert_eq!((chunks.len(), &chunks[0].tokens[..], chunks[0].scored.clone()), (1, &[1, 6, 7, 8][..], 3..4));
/// ```
pub fn chunked(tokens: &[u32], context: usize, bos: Option<u32>) -> Vec<Window> {
    let chunks = tokens.chunks_exact(context.max(2));
    let window = |chunk: &[u32]| {
        let mut tokens = chunk.to_vec();
        tokens[0] = bos.unwrap_or(tokens[0]);
        Window { scored: tokens.len() / 2 + 1..tokens.len(), tokens }
    };
    chunks.map(window).collect()
}
