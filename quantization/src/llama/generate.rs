//! Continuing a text.

use std::ops::ControlFlow;

use super::error::LlamaError;
use super::hooks::Hooks;
use super::model::Model;
use super::sample::{Sampler, Sampling};
use super::state::State;
use super::tokenizer::{Tokenizer, Utf8Stream};

/// Why a text ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The model said so (EOS, or BOS of a next text).
    End,
    /// As many tokens as were asked for.
    Tokens,
    /// The state is full.
    Context,
    /// The caller had enough.
    Caller,
}

/// A continuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Its tokens, without the one that ended it.
    pub tokens: Vec<u32>,
    /// Why it ends.
    pub stop: Stop,
}

/// Reads `prompt` after what `state` holds and continues it by at most `max_tokens` tokens.
///
/// `each` receives the continuation in whole characters as it grows, and may break off.
///
/// # Errors
/// As [`Model::forward`]: an empty prompt, one that does not fit the state, an id outside the vocabulary.
pub fn generate(
    model: &Model,
    tokenizer: &Tokenizer,
    prompt: &[u32],
    max_tokens: usize,
    sampling: Sampling,
    state: &mut State,
    each: &mut dyn FnMut(&str) -> ControlFlow<()>,
) -> Result<Generated, LlamaError> {
    let mut sampler = Sampler::new(sampling);
    let mut stream = Utf8Stream::default();
    let mut tokens = Vec::with_capacity(max_tokens.min(state.capacity()));
    let mut token = sampler.next(model.forward(prompt, state, &mut Hooks::none())?);
    let stop = loop {
        if tokens.len() == max_tokens {
            break Stop::Tokens;
        }
        if [tokenizer.eos(), tokenizer.bos()].contains(&Some(token)) {
            break Stop::End;
        }
        tokens.push(token);
        let text = stream.push(&tokenizer.piece(token));
        if !text.is_empty() && each(&text).is_break() {
            return Ok(Generated { tokens, stop: Stop::Caller });
        }
        if state.length() == state.capacity() {
            break Stop::Context;
        }
        token = sampler.next(model.forward(&[token], state, &mut Hooks::none())?);
    };
    let rest = stream.finish();
    if !rest.is_empty() && each(&rest).is_break() {
        return Ok(Generated { tokens, stop: Stop::Caller });
    }
    Ok(Generated { tokens, stop })
}
