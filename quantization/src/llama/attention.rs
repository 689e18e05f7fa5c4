//! Causal attention with grouped keys and values over the cache.

use super::config::Config;
use super::ops::{POSITIONS, key_scores, softmax};
use super::simd::{Rows, products};
use super::state::State;

/// Puts the rows' keys and values into the cache and fills `scratch.mixed` `[rows, heads·head_dim]`:
///
/// ```text
/// mixed_h = Σ_{t ≤ position} softmax_t(q_h · k_t / √head_dim) v_t
/// ```
pub(super) fn attend(config: &Config, layer: usize, start: usize, rows: usize, state: &mut State) {
    let (width, stride) = (config.head_dim, state.stride);
    let size = config.key_width() * stride;
    let (keys, values) = (&mut state.keys[layer * size..][..size], &mut state.values[layer * size..][..size]);
    store(&state.scratch.key, keys, stride, start, rows);
    store(&state.scratch.value, values, stride, start, rows);
    let (keys, values, query) = (&*keys, &*values, &state.scratch.query);
    let group = config.heads / config.kv_heads;
    let (unit, scale) = (group * width, 1.0 / (width as f32).sqrt());
    let work = rows * config.query_width() * (2 * start + rows);
    let scratch = (&mut state.scratch.scores[..], group * stride);
    state.threads.split_with(&mut state.scratch.mixed, unit, work, scratch, |first, mixed, scores| {
        for (index, mixed) in mixed.chunks_exact_mut(unit).enumerate() {
            let (row, head) = ((first + index) / config.kv_heads, (first + index) % config.kv_heads);
            let query = &query[(first + index) * unit..][..unit];
            let positions = start + row + 1;
            let computed = positions.next_multiple_of(POSITIONS);
            let keys = &keys[head * width * stride..][..width * stride];
            for (query, scores) in query.chunks_exact(width).zip(scores.chunks_exact_mut(stride)) {
                key_scores(query, keys, stride, scale, &mut scores[..computed]);
                softmax(&mut scores[..positions]);
            }
            let values = Rows { values: &values[head * width * stride..], count: width, stride };
            products(values, Rows { values: scores, count: group, stride }, positions, mixed, width);
        }
    });
}

/// Writes `[rows, width]` as columns `start…` of `[width, stride]`.
fn store(rows_of: &[f32], cache: &mut [f32], stride: usize, start: usize, rows: usize) {
    let width = rows_of.len() / rows;
    for (entry, cache) in cache.chunks_exact_mut(stride).enumerate() {
        for (row, place) in cache[start..][..rows].iter_mut().enumerate() {
            *place = rows_of[row * width + entry];
        }
    }
}
