//! The network, forward only: embedding, blocks, head.

use super::attention::attend;
use super::config::{Config, Gate};
use super::error::{LlamaError, expect_length};
use super::hooks::{Hooks, Role};
use super::ops::{add, rms_norm, rotate, silu_times, squared_relu_times};
use super::source::TensorSource;
use super::state::State;
use super::threads::Threads;
use super::weights::{Layer, Loading, Projection, Weights};

/// Positions that pass through the blocks together.
const BATCH: usize = 256;

/// A Llama-architecture model.
///
/// ```text
/// h ← E[tokens]
/// per block:  h ← h + W_o · attention(rotate(W_q n), rotate(W_k n), W_v n)     n = RMSNorm(h)
///             h ← h + W_down · (silu(W_gate n) ⊙ W_up n)                       n = RMSNorm(h)
/// logits = W_head · RMSNorm(h)
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    config: Config,
    weights: Weights,
}

impl Model {
    /// The model in `source`.
    ///
    /// # Errors
    /// [`LlamaError`] for a configuration or tensor that does not fit.
    pub fn load(source: &dyn TensorSource, loading: &Loading) -> Result<Self, LlamaError> {
        let read = source.config();
        let config = read
            .map_err(|error| LlamaError::Tensor { name: "the configuration".into(), error })?
            .checked()?;
        let weights = Weights::load(&config, source, loading)?;
        Ok(Self { config, weights })
    }

    /// Its sizes and options.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Its weights, to replace some.
    pub fn weights_mut(&mut self) -> &mut Weights {
        &mut self.weights
    }

    /// An empty state for `capacity` positions, computing on `threads` threads.
    ///
    /// # Errors
    /// [`LlamaError::Threads`] when the threads cannot be started.
    pub fn state(&self, capacity: usize, threads: usize) -> Result<State, LlamaError> {
        let factors = self.weights.rope_factors.as_deref();
        Ok(State::new(&self.config, factors, capacity, Threads::new(threads)?))
    }

    /// The logits `[vocab]` after the last of `tokens`, which follow the positions in `state`.
    ///
    /// # Errors
    /// [`LlamaError::Token`], [`LlamaError::Full`], [`LlamaError::Length`] for no tokens, [`LlamaError::Kernel`].
    pub fn forward<'s>(
        &self,
        tokens: &[u32],
        state: &'s mut State,
        hooks: &mut Hooks,
    ) -> Result<&'s [f32], LlamaError> {
        if tokens.is_empty() {
            return Err(LlamaError::Length { what: "the list of tokens", found: 0, expected: 1 });
        }
        let dim = self.config.dim;
        let mut logits = std::mem::take(&mut state.logits);
        let mut last = 0;
        let run = self.each_batch(tokens, state, hooks, &mut |hidden, _, _, _| {
            last = hidden.len() / dim - 1;
            Ok(())
        });
        let row = run.and_then(|()| {
            let mut hidden = std::mem::take(&mut state.hidden);
            let result = self.head(&mut hidden[last * dim..][..dim], state, hooks, &mut logits);
            state.hidden = hidden;
            result
        });
        state.logits = logits;
        row?;
        Ok(&state.logits)
    }

    /// Calls `each(position in tokens, logits)` for the positions from `from` on, in order.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn logits(
        &self,
        tokens: &[u32],
        from: usize,
        state: &mut State,
        hooks: &mut Hooks,
        each: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), LlamaError> {
        let (dim, vocab) = (self.config.dim, self.config.vocab);
        let mut logits = Vec::new();
        self.each_batch(tokens, state, hooks, &mut |hidden, start, state, hooks| {
            let skipped = from.saturating_sub(start).min(hidden.len() / dim);
            for (chunk, hidden) in hidden[skipped * dim..].chunks_mut(64 * dim).enumerate() {
                let rows = hidden.len() / dim;
                logits.resize(rows * vocab, 0.0);
                self.head(hidden, state, hooks, &mut logits)?;
                for (row, logits) in logits.chunks_exact(vocab).enumerate() {
                    each(start + skipped + chunk * 64 + row, logits);
                }
            }
            Ok(())
        })
    }

    /// Runs `tokens` in batches; `each(hidden, first position in tokens, …)` sees the last block's output.
    fn each_batch(
        &self,
        tokens: &[u32],
        state: &mut State,
        hooks: &mut Hooks,
        each: Each,
    ) -> Result<(), LlamaError> {
        let needed = state.length + tokens.len();
        if needed > state.capacity {
            return Err(LlamaError::Full { needed, capacity: state.capacity });
        }
        let mut hidden = std::mem::take(&mut state.hidden);
        let result = tokens.chunks(BATCH).enumerate().try_for_each(|(batch, tokens)| {
            self.embed(tokens, &mut hidden)?;
            for layer in 0..self.config.layers {
                self.block(layer, &mut hidden, state.length, state, hooks)?;
            }
            state.length += tokens.len();
            each(&mut hidden, batch * BATCH, state, hooks)
        });
        state.hidden = hidden;
        result
    }

    /// Fills `hidden` with the embeddings `[tokens, dim]`.
    ///
    /// # Errors
    /// [`LlamaError::Token`] for an id outside the vocabulary, [`LlamaError::Kernel`].
    pub fn embed(&self, tokens: &[u32], hidden: &mut Vec<f32>) -> Result<(), LlamaError> {
        let Config { dim, vocab, .. } = self.config;
        hidden.resize(tokens.len() * dim, 0.0);
        for (&token, out) in tokens.iter().zip(hidden.chunks_exact_mut(dim)) {
            if token as usize >= vocab {
                return Err(LlamaError::Token { token, vocab });
            }
            self.weights.embedding.row(token as usize, out)?;
        }
        Ok(())
    }

    /// Passes `hidden` `[rows, dim]`, the positions from `start` on, through one block, keeping keys and values in
    /// `state`. The keys and values of earlier positions must be there, those of this and later ones are overwritten.
    ///
    /// # Errors
    /// [`LlamaError::Full`], [`LlamaError::Length`] or [`LlamaError::Kernel`].
    pub fn block(
        &self,
        layer: usize,
        hidden: &mut [f32],
        start: usize,
        state: &mut State,
        hooks: &mut Hooks,
    ) -> Result<(), LlamaError> {
        let config = &self.config;
        let rows = hidden.len() / config.dim;
        expect_length("the hidden state", hidden.len(), rows * config.dim)?;
        if start + rows > state.capacity {
            return Err(LlamaError::Full { needed: start + rows, capacity: state.capacity });
        }
        let Some(weights) = self.weights.layers.get(layer) else {
            return Err(LlamaError::Length {
                what: "the model's blocks",
                found: config.layers,
                expected: layer + 1,
            });
        };
        state.scratch.resize(config, rows);
        let mut block = Block { config, weights, layer, rows, hooks };
        block.attention(hidden, start, state)?;
        add(hidden, &state.scratch.out);
        block.feed_forward(hidden, state)?;
        add(hidden, &state.scratch.out);
        Ok(())
    }

    /// Fills `logits` `[rows, vocab]` from the last block's output `[rows, dim]`, which is normalized in place.
    ///
    /// # Errors
    /// [`LlamaError::Length`] or [`LlamaError::Kernel`].
    pub fn head(
        &self,
        hidden: &mut [f32],
        state: &mut State,
        hooks: &mut Hooks,
        logits: &mut [f32],
    ) -> Result<(), LlamaError> {
        let rows = hidden.len() / self.config.dim;
        let normed = &mut state.scratch.normed;
        normed.resize(hidden.len(), 0.0);
        rms_norm(hidden, &self.weights.output_norm, self.config.norm_epsilon, normed);
        hooks.call(self.config.layers, Role::Head, normed, rows);
        hidden.copy_from_slice(normed);
        self.weights.head().apply(hidden, logits, &state.threads)
    }
}

/// Sees a batch's last hidden state, its first position, and what runs it.
type Each<'a> = &'a mut dyn FnMut(&mut [f32], usize, &mut State, &mut Hooks) -> Result<(), LlamaError>;

/// One block at work on `rows` positions.
struct Block<'a, 'h> {
    config: &'a Config,
    weights: &'a Layer,
    layer: usize,
    rows: usize,
    hooks: &'a mut Hooks<'h>,
}

impl Block<'_, '_> {
    fn attention(&mut self, hidden: &[f32], start: usize, state: &mut State) -> Result<(), LlamaError> {
        let (config, scratch) = (self.config, &mut state.scratch);
        self.normalize(self.weights.attn_norm.as_deref(), hidden, &mut scratch.normed);
        let outputs = [&mut scratch.query, &mut scratch.key, &mut scratch.value];
        self.project(Role::Attention, &mut scratch.normed, &mut scratch.single, outputs, &state.threads)?;
        let per_row = config.rope_dims / 2;
        for row in 0..self.rows {
            let angles = &state.angles[(start + row) * per_row..][..per_row];
            rotate(
                &mut scratch.query[row * config.query_width()..][..config.query_width()],
                config.head_dim,
                angles,
            );
            rotate(
                &mut scratch.key[row * config.key_width()..][..config.key_width()],
                config.head_dim,
                angles,
            );
        }
        attend(config, self.layer, start, self.rows, state);
        let scratch = &mut state.scratch;
        if let Some(norm) = &self.weights.attn_sub_norm {
            scratch.query.copy_from_slice(&scratch.mixed);
            rms_norm(&scratch.query, norm, config.norm_epsilon, &mut scratch.mixed);
        }
        let role = Role::Single(Projection::Output);
        self.project(role, &mut scratch.mixed, &mut scratch.single, [&mut scratch.out], &state.threads)
    }

    fn feed_forward(&mut self, hidden: &[f32], state: &mut State) -> Result<(), LlamaError> {
        let scratch = &mut state.scratch;
        self.normalize(self.weights.ffn_norm.as_deref(), hidden, &mut scratch.normed);
        let outputs = [&mut scratch.gate, &mut scratch.up];
        self.project(Role::FeedForward, &mut scratch.normed, &mut scratch.single, outputs, &state.threads)?;
        match self.config.gate {
            Gate::Silu => silu_times(&mut scratch.gate, &scratch.up),
            Gate::SquaredRelu => squared_relu_times(&mut scratch.gate, &scratch.up),
        }
        if let Some(norm) = &self.weights.ffn_sub_norm {
            scratch.up.copy_from_slice(&scratch.gate);
            rms_norm(&scratch.up, norm, self.config.norm_epsilon, &mut scratch.gate);
        }
        let role = Role::Single(Projection::Down);
        self.project(role, &mut scratch.gate, &mut scratch.single, [&mut scratch.out], &state.threads)
    }

    fn normalize(&self, norm: Option<&[f32]>, x: &[f32], y: &mut [f32]) {
        match norm {
            Some(norm) => rms_norm(x, norm, self.config.norm_epsilon, y),
            None => y.copy_from_slice(x),
        }
    }

    /// Applies the role's projections to their common input; each to its own norm of it where the model says so.
    fn project<const N: usize>(
        &mut self,
        role: Role,
        input: &mut [f32],
        single: &mut [f32],
        outputs: [&mut Vec<f32>; N],
        threads: &Threads,
    ) -> Result<(), LlamaError> {
        let norms = &self.weights.projection_norms;
        if norms.is_empty() {
            self.hooks.call(self.layer, role, input, self.rows);
        }
        for (&projection, output) in role.projections().iter().zip(outputs) {
            let matrix = &self.weights.matrices[projection as usize];
            if let Some(norm) = norms.get(projection as usize) {
                let single = &mut single[..input.len()];
                rms_norm(input, norm, self.config.norm_epsilon, single);
                self.hooks.call(self.layer, Role::Single(projection), single, self.rows);
                matrix.apply(single, output, threads)?;
            } else {
                matrix.apply(input, output, threads)?;
            }
        }
        Ok(())
    }
}
