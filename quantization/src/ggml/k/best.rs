//! A search beyond ggml's in the same formats: alternating least squares over everything that a super-block stores.
//!
//! From ggml's encoding, and from a search with the true weights, in turn: for every sub-block the integer scale (three
//! around the least-squares one, each with its best minimum, codes rounded anew), then both factors of the super-block
//! together. The best encoding seen is kept, and ggml's where none is better.

use super::affine::pack_q45;
use super::group::{halves, requantize};
use super::lanes::{Int, Lanes};
use super::search::{self, Grid};
use super::{pack, signed};
use crate::ggml::GgmlType;

/// Rounds of the alternation from each start.
const ROUNDS: usize = 3;

/// Gains below this fraction may be rounding of the sums, so ggml's encoding stays.
const MARGIN: f32 = 1e-5;

const GRID: Grid = Grid { rmin: -0.9, rdelta: 0.1, steps: 18, absolute: false, guarded: true };

/// Ranges of a format: x ≈ d·scale·code − dmin·min.
#[derive(Clone, Copy)]
struct Shape {
    kind: GgmlType,
    codes: (i32, i32),
    scales: (i32, i32),
}

impl Shape {
    fn of(kind: GgmlType) -> Self {
        let (codes, scales) = match kind {
            GgmlType::Q2_K => ((0, 3), (0, 15)),
            GgmlType::Q3_K => ((-4, 3), (-32, 31)),
            GgmlType::Q4_K => ((0, 15), (0, 63)),
            GgmlType::Q5_K => ((0, 31), (0, 63)),
            _ => ((-32, 31), (-128, 127)),
        };
        Self { kind, codes, scales }
    }

    fn has_min(self) -> bool {
        self.codes.0 == 0
    }
}

/// What a super-block stores beside its codes; the factors are halves, the rest whole numbers.
#[derive(Clone, Copy)]
struct State<V, const COUNT: usize> {
    d: V,
    dmin: V,
    scales: [V; COUNT],
    mins: [V; COUNT],
}

/// Sums over a sub-block for one scale and minimum, the codes rounded for them.
#[derive(Clone, Copy)]
struct Sums<V> {
    error: V,
    l: V,
    l2: V,
    xl: V,
}

#[inline(always)]
fn sums<V: Lanes, const SUB: usize>(shape: Shape, x: &[V; SUB], w: &[V; SUB], scale: V, min: V) -> Sums<V> {
    let zero = V::splat(0.0);
    let inverse = V::splat(1.0) / scale;
    let (mut error, mut l1, mut l2, mut xl) = (zero, zero, zero, zero);
    for i in 0..SUB {
        let l = ((x[i] + min) * inverse).nearest_within(shape.codes.0, shape.codes.1);
        let diff = scale * l - min - x[i];
        let wl = w[i] * l;
        error = error + w[i] * (diff * diff);
        l1 = l1 + wl;
        l2 = l2 + wl * l;
        xl = xl + wl * x[i];
    }
    Sums { error, l: l1, l2, xl }
}

/// The better of the present scale and minimum of a sub-block and three around the least-squares scale.
#[inline(always)]
fn choose<V: Lanes, const SUB: usize>(
    shape: Shape,
    (x, w): (&[V; SUB], &[V; SUB]),
    (d, dmin): (V, V),
    (scale, min): (&mut V, &mut V),
) -> (Sums<V>, V, V) {
    let zero = V::splat(0.0);
    let (mut sw, mut sx) = (zero, zero);
    for i in 0..SUB {
        sw = sw + w[i];
        sx = sx + w[i] * x[i];
    }
    let now = sums(shape, x, w, d * *scale, dmin * *min);
    let flat = now.xl / now.l2;
    let mut target = flat;
    if shape.has_min() {
        let det = sw * now.l2 - now.l * now.l;
        let shifted = (now.l * now.xl - now.l2 * sx).gt(zero) & det.gt(zero);
        target = ((sw * now.xl - sx * now.l) / det).where_or(shifted, flat);
    }
    let middle = (target / d).nearest_within(shape.scales.0, shape.scales.1);
    let mut best = now;
    for delta in [-1.0, 0.0, 1.0] {
        let new = (middle + V::splat(delta)).nearest_within(shape.scales.0, shape.scales.1);
        let mut new_min = zero;
        if shape.has_min() {
            new_min = ((new * d * now.l - sx) / (sw * dmin)).nearest_within(0, shape.scales.1);
        }
        let sums = sums(shape, x, w, d * new, dmin * new_min);
        let better = best.error.gt(sums.error);
        (*scale, *min) = (new.where_or(better, *scale), new_min.where_or(better, *min));
        best = Sums {
            error: sums.error.where_or(better, best.error),
            l: sums.l.where_or(better, best.l),
            l2: sums.l2.where_or(better, best.l2),
            xl: sums.xl.where_or(better, best.xl),
        };
    }
    (best, sw, sx)
}

/// One round: scales and minima of every sub-block for the factors; their error; then factors fitted to the codes.
#[inline(always)]
fn round<V: Lanes, const SUB: usize, const COUNT: usize>(
    shape: Shape,
    (x, w): (&[V; 256], &[V; 256]),
    state: &mut State<V, COUNT>,
) -> (V, V, V) {
    let zero = V::splat(0.0);
    let (mut error, mut aa, mut ab, mut bb, mut ax, mut bx) = (zero, zero, zero, zero, zero, zero);
    for j in 0..COUNT {
        let part = (&x.as_chunks().0[j], &w.as_chunks().0[j]);
        let (scale, min) = (&mut state.scales[j], &mut state.mins[j]);
        let (sums, sw, sx) = choose::<V, SUB>(shape, part, (state.d, state.dmin), (scale, min));
        let (scale, min) = (*scale, *min);
        error = error + sums.error;
        aa = aa + scale * scale * sums.l2;
        ab = ab + scale * min * sums.l;
        bb = bb + min * min * sw;
        ax = ax + scale * sums.xl;
        bx = bx + min * sx;
    }
    let det = aa * bb - ab * ab;
    let both = det.gt(V::splat(1e-6) * aa * bb);
    let d = ((ax * bb - bx * ab) / det).where_or(both, (ax + state.dmin * ab) / aa);
    let dmin = ((ax * ab - bx * aa) / det).where_or(both, state.dmin).above(zero);
    let d = d.where_or(aa.gt(zero), state.d);
    (error, halves(d).1, halves(dmin).1)
}

/// Keeps the best state met from a start on, and its error.
#[inline(always)]
fn refine<V: Lanes, const SUB: usize, const COUNT: usize>(
    shape: Shape,
    data: (&[V; 256], &[V; 256]),
    (best, best_error): (&mut State<V, COUNT>, &mut V),
    mut state: State<V, COUNT>,
) {
    for _ in 0..ROUNDS {
        let (error, d, dmin) = round::<V, SUB, COUNT>(shape, data, &mut state);
        let better = best_error.gt(error);
        *best_error = error.where_or(better, *best_error);
        best.d = state.d.where_or(better, best.d);
        best.dmin = state.dmin.where_or(better, best.dmin);
        for j in 0..COUNT {
            best.scales[j] = state.scales[j].where_or(better, best.scales[j]);
            best.mins[j] = state.mins[j].where_or(better, best.mins[j]);
        }
        (state.d, state.dmin) = (d, dmin);
    }
}

/// Scales (or minima) over their common factor, a half.
#[inline(always)]
fn divide<V: Lanes, const COUNT: usize>(values: &mut [V; COUNT], (low, high): (i32, i32)) -> V {
    let (_, max) = search::extreme(values);
    let limit = if low == 0 { high } else { low };
    let (_, factor) = halves(max / V::splat(limit as f32));
    for value in values {
        *value = (*value / factor).nearest_within(low, high);
    }
    factor
}

/// A start of its own: every sub-block searched with the true weights.
#[inline(always)]
fn searched<V: Lanes, const SUB: usize, const COUNT: usize>(
    shape: Shape,
    (x, w): (&[V; 256], &[V; 256]),
) -> State<V, COUNT> {
    let zero = V::splat(0.0);
    let mut state = State { d: zero, dmin: zero, scales: [zero; COUNT], mins: [zero; COUNT] };
    for j in 0..COUNT {
        let (x, w): (&[V; SUB], &[V; SUB]) = (&x.as_chunks().0[j], &w.as_chunks().0[j]);
        if shape.has_min() {
            let found = search::affine(shape.codes.1, x, w, GRID);
            (state.scales[j], state.mins[j]) = (found.scale, found.min);
        } else {
            state.scales[j] = search::signed(-shape.codes.0, x, w).scale;
        }
    }
    state.d = divide(&mut state.scales, shape.scales);
    if shape.has_min() {
        state.dmin = divide(&mut state.mins, shape.scales);
    }
    state
}

/// Replaces the words of ggml in every lane for which a better encoding is found.
#[inline(always)]
pub(super) fn improve<V: Lanes>(
    kind: GgmlType,
    x: &[V; 256],
    importance: Option<&[V; 256]>,
    words: &mut [V::Int; 53],
) {
    let ones = [V::splat(1.0); 256];
    let data = (x, importance.unwrap_or(&ones));
    let shape = Shape::of(kind);
    let new = match kind {
        GgmlType::Q4_K | GgmlType::Q5_K => improved::<V, 32, 8>(shape, data, words),
        _ => improved::<V, 16, 16>(shape, data, words),
    };
    if let Some((better, new)) = new {
        for (word, new) in words.iter_mut().zip(new) {
            *word = V::choose(better, new, *word);
        }
    }
}

#[inline(always)]
fn improved<V: Lanes, const SUB: usize, const COUNT: usize>(
    shape: Shape,
    data: (&[V; 256], &[V; 256]),
    words: &[V::Int; 53],
) -> Option<(V::Mask, [V::Int; 53])> {
    let ggml: State<V, COUNT> = read(shape, words);
    let mut before = V::splat(0.0);
    for j in 0..COUNT {
        let (x, w): (&[V; SUB], &[V; SUB]) = (&data.0.as_chunks().0[j], &data.1.as_chunks().0[j]);
        before = before + sums(shape, x, w, ggml.d * ggml.scales[j], ggml.dmin * ggml.mins[j]).error;
    }
    let (mut best, mut error) = (ggml, before);
    for start in [ggml, searched::<V, SUB, COUNT>(shape, data)] {
        refine::<V, SUB, COUNT>(shape, data, (&mut best, &mut error), start);
    }
    let better = (before * V::splat(1.0 - MARGIN)).gt(error);
    if !V::any(better) {
        return None;
    }
    Some((better, write::<V, SUB, COUNT>(shape, data.0, &best)))
}

#[inline(always)]
fn byte<I: Int>(words: &[I], i: usize) -> I {
    words[i / 4].shr(8 * (i % 4) as i32) & I::splat(0xff)
}

/// Values of 16-bit floats in the lower halves.
#[inline(always)]
fn factor<V: Lanes>(bits: V::Int) -> V {
    let mut values = [0.0; super::lanes::MOST];
    for (value, bits) in values.iter_mut().zip(bits.store()).take(V::N) {
        *value = super::f16::f16_to_f32(bits as u16);
    }
    V::load(&values)
}

/// The state in the words of a super-block.
#[inline(always)]
fn read<V: Lanes, const COUNT: usize>(shape: Shape, words: &[V::Int; 53]) -> State<V, COUNT> {
    let zero = V::splat(0.0);
    let mut state = State { d: zero, dmin: zero, scales: [zero; COUNT], mins: [zero; COUNT] };
    let mut packed = [V::Int::splat(0); 12];
    let (factors, start) = match shape.kind {
        GgmlType::Q2_K => (words[20], 0),
        GgmlType::Q3_K => (words[27], 96),
        GgmlType::Q6_K => (words[52], 192),
        _ => (words[0], 4),
    };
    for (i, packed) in packed.iter_mut().enumerate() {
        *packed = byte(words, start + i);
    }
    state.d = factor::<V>(factors);
    if shape.has_min() {
        state.dmin = factor::<V>(factors.shr(16));
    }
    for j in 0..COUNT {
        let (scale, min) = match shape.kind {
            GgmlType::Q2_K => {
                let byte = byte(words, j);
                (byte & V::Int::splat(15), byte.shr(4))
            }
            GgmlType::Q3_K => {
                let low = packed[j % 8].shr((j / 8 * 4) as i32) & V::Int::splat(15);
                let high = packed[8 + j % 4].shr((j / 4 * 2) as i32) & V::Int::splat(3);
                ((low | high.shl(4)) - V::Int::splat(32), V::Int::splat(0))
            }
            GgmlType::Q6_K => {
                let byte = byte(words, 192 + j) + V::Int::splat(128);
                ((byte & V::Int::splat(0xff)) - V::Int::splat(128), V::Int::splat(0))
            }
            _ => pack::scale_of_8(&packed, j % 8),
        };
        (state.scales[j], state.mins[j]) = (V::from_int(scale), V::from_int(min));
    }
    state
}

/// The words of a state, codes rounded for it.
#[inline(always)]
fn write<V: Lanes, const SUB: usize, const COUNT: usize>(
    shape: Shape,
    x: &[V; 256],
    state: &State<V, COUNT>,
) -> [V::Int; 53] {
    let mut words = [V::Int::splat(0); 53];
    let mut codes = [V::Int::splat(0); 256];
    let (mut scales, mut mins) = ([V::Int::splat(0); COUNT], [V::Int::splat(0); COUNT]);
    for j in 0..COUNT {
        let (scale, min) = (state.d * state.scales[j], state.dmin * state.mins[j]);
        let part: &mut [V::Int; SUB] = &mut codes.as_chunks_mut().0[j];
        requantize(&x.as_chunks().0[j], scale, min, shape.codes, part);
        (scales[j], mins[j]) = (state.scales[j].int(), state.mins[j].int());
    }
    let ((d, _), (dmin, _)) = (halves(state.d), halves(state.dmin));
    let factors = d | dmin.shl(16);
    match shape.kind {
        GgmlType::Q2_K => {
            for j in 0..COUNT {
                scales[j] = scales[j] | mins[j].shl(4);
            }
            pack::bytes(&scales, &mut words[..4]);
            pack::crumbs(&codes, 0, &mut words[4..]);
            words[20] = factors;
        }
        GgmlType::Q3_K | GgmlType::Q6_K => {
            let offset = if shape.kind == GgmlType::Q3_K { 32 } else { 0 };
            let mut all = [V::Int::splat(0); 16];
            for j in 0..COUNT {
                all[j] = scales[j] + V::Int::splat(offset);
            }
            if offset == 32 {
                signed::pack_q3::<V>(&codes, &all, &mut words);
                words[27] = d;
            } else {
                signed::pack_q6::<V>(&codes, &all, &mut words);
                words[52] = d;
            }
        }
        _ => {
            words[0] = factors;
            pack::bytes(&pack::scales_of_8(&scales, &mins), &mut words[1..4]);
            if shape.kind == GgmlType::Q4_K {
                pack_q45::<V, 15>(&codes, &mut words[4..]);
            } else {
                pack_q45::<V, 31>(&codes, &mut words[4..]);
            }
        }
    }
    words
}
