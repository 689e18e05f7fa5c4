//! As many super-blocks as there are lanes: in, encoded, out.

use super::f16::{f16_to_f32, f32_to_f16};
use super::lanes::{Int, Lanes, MOST};
use super::{Job, affine, signed};
use crate::ggml::GgmlType;

/// Words of as many super-blocks as there are lanes.
pub(super) type Words<V> = [<V as Lanes>::Int; 53];

/// Encodes every super-block of a job; `improve` replaces the words where it searches further.
#[inline(always)]
pub(super) fn encode<V: Lanes>(
    job: Job<'_>,
    improve: impl Fn(GgmlType, &[V; 256], Option<&[V; 256]>, &mut Words<V>),
) {
    let size = job.kind.block_bytes();
    let mut columns = [V::splat(0.0); 256];
    let mut importance = columns;
    for (g, out) in job.out.chunks_mut(size * V::N).enumerate() {
        let count = out.len() / size;
        let first = g * V::N;
        let start = |lane: usize| (first + lane.min(count - 1)) * 256;
        gather(job.weights, start, &mut columns);
        let mut v = None;
        if let Some(floats) = job.importance {
            gather(floats, |lane| start(lane) % job.row_len, &mut importance);
            v = Some(&importance);
        }
        let mut words = [V::Int::splat(0); 53];
        match job.kind {
            GgmlType::Q2_K => affine::q2(&columns, v, &mut words),
            GgmlType::Q3_K => signed::q3(&columns, v, &mut words),
            GgmlType::Q4_K => affine::q45::<V, 15>(&columns, v, &mut words),
            GgmlType::Q5_K => affine::q45::<V, 31>(&columns, v, &mut words),
            _ => signed::q6(&columns, v, &mut words),
        }
        if job.beyond {
            improve(job.kind, &columns, v, &mut words);
        }
        scatter::<V>(&words, out, size);
    }
}

/// Lane i of the vectors: 256 floats from `start(i)` on.
#[inline(always)]
fn gather<V: Lanes>(floats: &[f32], start: impl Fn(usize) -> usize, columns: &mut [V; 256]) {
    let mut rows: [&[f32]; MOST] = [&[]; MOST];
    for (lane, row) in rows.iter_mut().enumerate().take(V::N) {
        *row = &floats[start(lane)..][..256];
    }
    for (i, column) in columns.iter_mut().enumerate() {
        let mut values = [0.0; MOST];
        for lane in 0..V::N {
            values[lane] = rows[lane][i];
        }
        *column = V::load(&values);
    }
}

/// Writes lane i of the words to block i.
#[inline(always)]
fn scatter<V: Lanes>(words: &[V::Int; 53], out: &mut [u8], size: usize) {
    let mut table = [[0; MOST]; 53];
    for (row, word) in table.iter_mut().zip(words) {
        *row = word.store();
    }
    for (lane, block) in out.chunks_exact_mut(size).enumerate() {
        for (bytes, row) in block.chunks_mut(4).zip(&table) {
            let word = row[lane].to_le_bytes();
            bytes.copy_from_slice(&word[..bytes.len()]);
        }
    }
}

/// factor·Σx² / n.
#[inline(always)]
pub(super) fn mean_square<V: Lanes>(x: &[V], factor: f32) -> V {
    let mut sum = V::splat(0.0);
    for &x in x {
        sum = sum + x * x;
    }
    V::splat(factor) * sum / V::splat(x.len() as f32)
}

/// Importance times √(σ² + x²).
#[inline(always)]
pub(super) fn weighted<V: Lanes, const SUB: usize>(
    x: &[V; SUB],
    importance: &[V; SUB],
    sigma2: V,
) -> [V; SUB] {
    let mut w = *x;
    for i in 0..SUB {
        w[i] = importance[i] * (sigma2 + x[i] * x[i]).sqrt();
    }
    w
}

#[inline(always)]
pub(super) fn total<V: Lanes>(values: &[V]) -> V {
    let mut sum = V::splat(0.0);
    for &value in values {
        sum = sum + value;
    }
    sum
}

/// Bits of the nearest half, and its value.
#[inline(always)]
pub(super) fn halves<V: Lanes>(x: V) -> (V::Int, V) {
    let (mut bits, mut values) = ([0; MOST], x.store());
    for (bits, value) in bits.iter_mut().zip(&mut values).take(V::N) {
        let half = f32_to_f16(*value);
        (*bits, *value) = (u32::from(half), f16_to_f32(half));
    }
    (V::Int::load(&bits), V::load(&values))
}

/// Codes for the decoded scale and minimum, counted from the lowest; says where the decoded scale is zero.
#[inline(always)]
pub(super) fn requantize<V: Lanes, const SUB: usize>(
    x: &[V; SUB],
    scale: V,
    min: V,
    (low, high): (i32, i32),
    codes: &mut [V::Int; SUB],
) -> V::Mask {
    for i in 0..SUB {
        codes[i] = (((x[i] + min) / scale).nearest_within(low, high) - V::splat(low as f32)).int();
    }
    scale.same(V::splat(0.0))
}
