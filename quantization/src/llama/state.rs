//! What a model remembers of a text: keys and values, and the space to compute in.

use super::config::Config;
use super::ops::{POSITIONS, angles};
use super::threads::Threads;

/// Keys and values of the positions so far, and scratch space; made by [`super::Model::state`].
#[derive(Debug)]
pub struct State {
    pub(super) threads: Threads,
    pub(super) capacity: usize,
    /// Positions per row of the cache.
    pub(super) stride: usize,
    pub(super) length: usize,
    /// `[layers, kv_heads, head_dim, stride]`: entries of all positions side by side.
    pub(super) keys: Vec<f32>,
    /// As the keys.
    pub(super) values: Vec<f32>,
    /// (cos, sin), `[capacity, rope_dims/2]`.
    pub(super) angles: Vec<(f32, f32)>,
    pub(super) scratch: Scratch,
    pub(super) hidden: Vec<f32>,
    pub(super) logits: Vec<f32>,
}

/// Buffers of a block, `[rows, width]` each; they grow to the largest batch and stay.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) normed: Vec<f32>,
    pub(super) single: Vec<f32>,
    pub(super) query: Vec<f32>,
    pub(super) key: Vec<f32>,
    pub(super) value: Vec<f32>,
    pub(super) mixed: Vec<f32>,
    pub(super) out: Vec<f32>,
    pub(super) gate: Vec<f32>,
    pub(super) up: Vec<f32>,
    pub(super) scores: Vec<f32>,
}

impl State {
    pub(super) fn new(config: &Config, factors: Option<&[f32]>, capacity: usize, threads: Threads) -> Self {
        // The extra block keeps rows of a power-of-two length from falling onto the same cache sets.
        let stride = capacity.next_multiple_of(POSITIONS) + POSITIONS;
        let cache = config.layers * config.key_width() * stride;
        let group = config.heads / config.kv_heads;
        let scores = vec![0.0; threads.count() * group * stride];
        Self {
            capacity,
            stride,
            length: 0,
            keys: vec![0.0; cache],
            values: vec![0.0; cache],
            angles: angles(capacity, config.rope_dims, config.rope_base, factors),
            scratch: Scratch { scores, ..Scratch::default() },
            hidden: Vec::new(),
            logits: vec![0.0; config.vocab],
            threads,
        }
    }

    /// Positions that are filled.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Positions that fit.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets the positions from `length` on.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

impl Scratch {
    pub(super) fn resize(&mut self, config: &Config, rows: usize) {
        let widest = config.dim.max(config.ffn).max(config.query_width());
        for (buffer, width) in [
            (&mut self.normed, config.dim),
            (&mut self.single, if config.norms.projection { widest } else { 0 }),
            (&mut self.query, config.query_width()),
            (&mut self.key, config.key_width()),
            (&mut self.value, config.key_width()),
            (&mut self.mixed, config.query_width()),
            (&mut self.out, config.dim),
            (&mut self.gate, config.ffn),
            (&mut self.up, config.ffn),
        ] {
            buffer.resize(rows * width, 0.0);
        }
    }
}
