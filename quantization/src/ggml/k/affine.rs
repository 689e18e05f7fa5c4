//! Q2_K, Q4_K and Q5_K: a scale and a minimum per sub-block.

use super::group::{halves, mean_square, requantize, total, weighted};
use super::lanes::{Int, Lanes};
use super::pack;
use super::search::{self, Affine, Grid};

const IMPORTANCE: Grid = Grid { rmin: -0.9, rdelta: 0.05, steps: 36, absolute: false, guarded: true };
const PLAIN_2: Grid = Grid { rmin: -0.5, rdelta: 0.1, steps: 15, absolute: true, guarded: false };
const PLAIN_4: Grid = Grid { rmin: -1.0, rdelta: 0.1, steps: 20, absolute: false, guarded: false };
const PLAIN_5: Grid = Grid { rmin: -0.5, rdelta: 0.1, steps: 15, absolute: false, guarded: false };

/// Sub-blocks as the search leaves them.
struct Found<V: Lanes, const COUNT: usize> {
    parts: [Affine<V>; COUNT],
    weights: [V; COUNT],
}

/// Scales and minima of every sub-block, with the sums of their weights.
#[inline(always)]
fn find<V: Lanes, const SUB: usize, const COUNT: usize>(
    x: &[V; 256],
    importance: Option<&[V; 256]>,
    (nmax, plain): (i32, Grid),
) -> Found<V, COUNT> {
    let sigma2 = mean_square(x, if SUB == 16 { 1.0 } else { 2.0 });
    let mut weights = [V::splat(0.0); COUNT];
    let mut parts = [Affine::zero(); COUNT];
    for j in 0..COUNT {
        let part: &[V; SUB] = &x.as_chunks().0[j];
        let w = match importance {
            Some(v) => weighted(part, &v.as_chunks().0[j], sigma2),
            None => plain_weights(part),
        };
        weights[j] = total(&w);
        parts[j] = search::affine(nmax, part, &w, if importance.is_some() { IMPORTANCE } else { plain });
    }
    Found { parts, weights }
}

/// |x| for sub-blocks of 16, |x| + root of the mean square for sub-blocks of 32.
#[inline(always)]
fn plain_weights<V: Lanes, const SUB: usize>(x: &[V; SUB]) -> [V; SUB] {
    let mut w = *x;
    let mean = mean_square(x, 1.0).sqrt();
    for w in &mut w {
        *w = if SUB == 16 { w.abs() } else { mean + w.abs() };
    }
    w
}

/// Bytes of the scales (or minima) and their common factor.
#[inline(always)]
fn quantize_scales<V: Lanes, const COUNT: usize>(
    scales: &[V; COUNT],
    weights: Option<&[V; COUNT]>,
    nmax: i32,
) -> ([V::Int; COUNT], V) {
    let zero = V::splat(0.0);
    let mut bytes = [V::Int::splat(0); COUNT];
    if let Some(weights) = weights {
        let mut codes = [zero; COUNT];
        let factor = search::positive(nmax, scales, weights, &mut codes);
        for (byte, code) in bytes.iter_mut().zip(codes) {
            *byte = code.int();
        }
        return (bytes, factor);
    }
    let mut max = zero;
    for scale in scales {
        max = scale.above(max);
    }
    let some = max.gt(zero);
    let inverse = V::splat(nmax as f32) / max;
    for (byte, &scale) in bytes.iter_mut().zip(scales) {
        let code = (inverse * scale).nearest() & V::Int::splat(0xff);
        *byte = V::choose(some, code, V::Int::splat(0));
    }
    (bytes, max / V::splat(nmax as f32))
}

#[inline(always)]
fn codes<V: Lanes, const SUB: usize>(
    x: &[V; SUB],
    (nmax, guarded): (i32, bool),
    found: &Affine<V>,
    (scale, min): (V, V),
    codes: &mut [V::Int; SUB],
) {
    let dead = requantize(x, scale, min, (0, nmax), codes);
    if V::any(dead) {
        for i in 0..SUB {
            codes[i] = V::choose(dead, found.code(x[i], nmax, guarded), codes[i]);
        }
    }
}

/// Words of Q2_K.
#[inline(always)]
pub(super) fn q2<V: Lanes>(x: &[V; 256], importance: Option<&[V; 256]>, words: &mut [V::Int; 53]) {
    let found: Found<V, 16> = find::<V, 16, 16>(x, importance, (3, PLAIN_2));
    let weights = importance.map(|_| &found.weights);
    let (scales, mins) = scales_and_mins(&found);
    let (scales, d) = quantize_scales(&scales, weights, 15);
    let (mins, dmin) = quantize_scales(&mins, weights, 15);
    let ((d_bits, d), (dmin_bits, dmin)) = (halves(d), halves(dmin));
    let mut bytes = scales;
    let mut all = [V::Int::splat(0); 256];
    for j in 0..16 {
        bytes[j] = (scales[j] | mins[j].shl(4)) & V::Int::splat(0xff);
        let decoded = (d * V::from_int(bytes[j] & V::Int::splat(15)), dmin * V::from_int(bytes[j].shr(4)));
        let part: &mut [V::Int; 16] = &mut all.as_chunks_mut().0[j];
        codes(&x.as_chunks().0[j], (3, importance.is_some()), &found.parts[j], decoded, part);
    }
    pack::bytes(&bytes, &mut words[..4]);
    pack::crumbs(&all, 0, &mut words[4..]);
    words[20] = d_bits | dmin_bits.shl(16);
}

/// Words of Q4_K (15) or Q5_K (31).
#[inline(always)]
pub(super) fn q45<V: Lanes, const NMAX: i32>(
    x: &[V; 256],
    importance: Option<&[V; 256]>,
    words: &mut [V::Int; 53],
) {
    let plain = if NMAX == 15 { PLAIN_4 } else { PLAIN_5 };
    let found: Found<V, 8> = find::<V, 32, 8>(x, importance, (NMAX, plain));
    let weights = importance.map(|_| &found.weights);
    let (scales, mins) = scales_and_mins(&found);
    let (mut scales, d) = quantize_scales(&scales, weights, 63);
    let (mut mins, dmin) = quantize_scales(&mins, weights, 63);
    if NMAX == 31 || importance.is_none() {
        for code in scales.iter_mut().chain(&mut mins) {
            *code = code.least(V::Int::splat(63));
        }
    }
    let ((d_bits, d), (dmin_bits, dmin)) = (halves(d), halves(dmin));
    let packed = pack::scales_of_8(&scales, &mins);
    let mut all = [V::Int::splat(0); 256];
    for j in 0..8 {
        let (scale, min) = pack::scale_of_8(&packed, j);
        let decoded = (d * V::from_int(scale), dmin * V::from_int(min));
        let part: &mut [V::Int; 32] = &mut all.as_chunks_mut().0[j];
        codes(&x.as_chunks().0[j], (NMAX, importance.is_some()), &found.parts[j], decoded, part);
    }
    words[0] = d_bits | dmin_bits.shl(16);
    pack::bytes(&packed, &mut words[1..4]);
    pack_q45::<V, NMAX>(&all, &mut words[4..]);
}

/// Codes of Q4_K or Q5_K.
#[inline(always)]
pub(super) fn pack_q45<V: Lanes, const NMAX: i32>(codes: &[V::Int; 256], words: &mut [V::Int]) {
    let start = if NMAX == 31 { 8 } else { 0 };
    if NMAX == 31 {
        pack::bits(codes, 4, words);
    }
    for part in 0..4 {
        pack::nibbles(codes, 64 * part, 64 * part + 32, &mut words[start + 8 * part..]);
    }
}

#[inline(always)]
fn scales_and_mins<V: Lanes, const COUNT: usize>(found: &Found<V, COUNT>) -> ([V; COUNT], [V; COUNT]) {
    let (mut scales, mut mins) = ([V::splat(0.0); COUNT], [V::splat(0.0); COUNT]);
    for j in 0..COUNT {
        (scales[j], mins[j]) = (found.parts[j].scale, found.parts[j].min);
    }
    (scales, mins)
}
