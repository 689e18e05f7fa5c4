//! Q3_K and Q6_K: a signed scale per sub-block of 16.

use super::group::{halves, mean_square, requantize, total, weighted};
use super::lanes::{Int, Lanes};
use super::pack;
use super::search::{self, EPS, Signed};

/// Sub-blocks of Q3_K that are searched at once.
const TOGETHER: usize = 4;

/// What a search leaves of Q3_K: scales, codes, and the scales' codes and factor.
struct Found<V: Lanes> {
    codes: [V::Int; 256],
    scales: [V::Int; 16],
    d: V,
}

#[inline(always)]
fn find_plain<V: Lanes>(x: &[V; 256]) -> Found<V> {
    let zero = V::splat(0.0);
    let (mut codes, mut found) = ([V::Int::splat(0); 256], [zero; 16]);
    let parts: &[[V; 16]] = x.as_chunks().0;
    for (at, parts) in parts.as_chunks::<TOGETHER>().0.iter().enumerate() {
        for (m, (scale, part)) in search::descend(parts).into_iter().enumerate() {
            let j = TOGETHER * at + m;
            found[j] = scale;
            for i in 0..16 {
                codes[16 * j + i] = part[i].int();
            }
        }
    }
    let (_, max) = search::extreme(&found);
    let none = max.same(zero);
    let iscale = V::splat(-32.0) / max;
    let mut scales = [V::Int::splat(0); 16];
    for (scale, found) in scales.iter_mut().zip(found) {
        // ggml keeps the integer in a signed byte before it clamps.
        let wrapped = ((iscale * found).nearest() + V::Int::splat(128)) & V::Int::splat(0xff);
        let code = (wrapped - V::Int::splat(96)).most(V::Int::splat(0)).least(V::Int::splat(63));
        *scale = V::choose(none, V::Int::splat(0), code);
    }
    Found { codes, scales, d: zero.where_or(none, V::splat(1.0) / iscale) }
}

#[inline(always)]
fn find_weighted<V: Lanes>(x: &[V; 256], importance: &[V; 256]) -> Found<V> {
    let sigma2 = mean_square(x, 2.0);
    let (mut codes, mut found) = ([V::Int::splat(0); 256], [V::splat(0.0); 16]);
    let mut weights = found;
    for j in 0..16 {
        let part: &[V; 16] = &x.as_chunks().0[j];
        let w = weighted(part, &importance.as_chunks().0[j], sigma2);
        weights[j] = total(&w);
        let result = search::signed(4, part, &w);
        found[j] = result.scale;
        for i in 0..16 {
            codes[16 * j + i] = result.code(part[i], 4);
        }
    }
    let result = search::signed(32, &found, &weights);
    let mut scales = [V::Int::splat(0); 16];
    for (scale, found) in scales.iter_mut().zip(found) {
        *scale = result.code(found, 32);
    }
    Found { codes, scales, d: result.scale }
}

/// Words of Q3_K; the last holds two bytes.
#[inline(always)]
pub(super) fn q3<V: Lanes>(x: &[V; 256], importance: Option<&[V; 256]>, words: &mut [V::Int; 53]) {
    let Found { mut codes, scales, d } = match importance {
        Some(v) => find_weighted(x, v),
        None => find_plain(x),
    };
    let (d_bits, d) = halves(d);
    for (j, scale) in scales.iter().enumerate() {
        let part: &mut [V::Int; 16] = &mut codes.as_chunks_mut().0[j];
        let before = *part;
        let scale = d * (V::from_int(*scale) - V::splat(32.0));
        let x: &[V; 16] = &x.as_chunks().0[j];
        let dead = requantize(x, scale, V::splat(0.0), (-4, 3), part);
        if V::any(dead) {
            for i in 0..16 {
                part[i] = V::choose(dead, before[i], part[i]);
            }
        }
    }
    pack_q3::<V>(&codes, &scales, words);
    words[27] = d_bits;
}

/// Codes and scales of Q3_K.
#[inline(always)]
pub(super) fn pack_q3<V: Lanes>(codes: &[V::Int; 256], scales: &[V::Int; 16], words: &mut [V::Int; 53]) {
    pack::bits(codes, 2, &mut words[..8]);
    pack::crumbs(codes, 0, &mut words[8..24]);
    pack::bytes(&pack::scales_of_16(scales), &mut words[24..27]);
}

/// Words of Q6_K; the last holds two bytes.
#[inline(always)]
pub(super) fn q6<V: Lanes>(x: &[V; 256], importance: Option<&[V; 256]>, words: &mut [V::Int; 53]) {
    let mut scales = [V::splat(0.0); 16];
    let mut found = [Signed::zero(); 16];
    for j in 0..16 {
        let part: &[V; 16] = &x.as_chunks().0[j];
        let mut w = *part;
        for i in 0..16 {
            w[i] = match importance {
                Some(v) => v[16 * j + i],
                None => part[i] * part[i],
            };
        }
        found[j] = search::signed(32, part, &w);
        scales[j] = found[j].scale;
    }
    let (amax, max) = search::extreme(&scales);
    let iscale = V::splat(-128.0) / max;
    let (d_bits, d) = halves(V::splat(1.0) / iscale);
    let mut codes = [V::Int::splat(0); 256];
    let mut bytes = [V::Int::splat(0); 16];
    for j in 0..16 {
        let scale = (iscale * scales[j]).nearest_within(-128, 127);
        bytes[j] = scale.int();
        let part: &mut [V::Int; 16] = &mut codes.as_chunks_mut().0[j];
        let x: &[V; 16] = &x.as_chunks().0[j];
        let dead = requantize(x, d * scale, V::splat(0.0), (-32, 31), part);
        if V::any(dead) {
            for i in 0..16 {
                part[i] = V::choose(dead, found[j].code(x[i], 32), part[i]);
            }
        }
    }
    pack_q6::<V>(&codes, &bytes, words);
    words[52] = d_bits;
    let empty = V::splat(EPS).gt(amax);
    for word in words {
        *word = V::choose(empty, V::Int::splat(0), *word);
    }
}

/// Codes and scales of Q6_K.
#[inline(always)]
pub(super) fn pack_q6<V: Lanes>(codes: &[V::Int; 256], scales: &[V::Int; 16], words: &mut [V::Int; 53]) {
    for part in 0..4 {
        let low = part / 2 * 128 + part % 2 * 32;
        pack::nibbles(codes, low, low + 64, &mut words[8 * part..]);
    }
    pack::crumbs(codes, 4, &mut words[32..48]);
    pack::bytes(scales, &mut words[48..52]);
}
