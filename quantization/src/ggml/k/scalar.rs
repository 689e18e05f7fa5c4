//! The K-quant searches of ggml-quants.c, one block after the other: what the lanes are tested against.

use super::f16::{f16_to_f32, f32_to_f16};
use crate::ggml::GgmlType;

/// ggml's `GROUP_MAX_EPS`: groups below it are all zero.
const EPS: f32 = 1e-15;

/// Steps of ggml's search for a scale and a minimum.
struct Grid {
    rmin: f32,
    rdelta: f32,
    nstep: usize,
    absolute: bool,
    guarded: bool,
}

const IMPORTANCE_GRID: Grid = Grid { rmin: -0.9, rdelta: 0.05, nstep: 36, absolute: false, guarded: true };

/// The blocks of `weights`, encoded as ggml does.
pub(super) fn encode(
    kind: GgmlType,
    weights: &[f32],
    row_len: usize,
    importance: Option<&[f32]>,
    out: &mut [u8],
) {
    for (i, (x, y)) in weights.chunks_exact(256).zip(out.chunks_exact_mut(kind.block_bytes())).enumerate() {
        let start = i * 256 % row_len;
        let v = importance.map(|v| &v[start..start + 256]);
        y.fill(0);
        match kind {
            GgmlType::Q2_K => q2(x, v, y),
            GgmlType::Q3_K => q3(x, v, y),
            GgmlType::Q4_K => q45(x, v, y, 15),
            GgmlType::Q5_K => q45(x, v, y, 31),
            GgmlType::Q6_K => q6(x, v, y),
            GgmlType::Q8_K => q8(x, y),
            other => panic!("{other} is no K-quant"),
        }
    }
}

fn nearest(x: f32) -> i32 {
    ((x + 12_582_912.0).to_bits() & 0x7f_ffff) as i32 - 0x40_0000
}

fn store(y: &mut [u8], x: f32) -> f32 {
    let half = f32_to_f16(x);
    y[..2].copy_from_slice(&half.to_le_bytes());
    f16_to_f32(half)
}

fn spread(x: &[f32], factor: f32) -> f32 {
    let mut sum = 0.0;
    for &x in x {
        sum += x * x;
    }
    factor * sum / x.len() as f32
}

fn weigh(x: &[f32], v: &[f32], sigma2: f32) -> Vec<f32> {
    x.iter().zip(v).map(|(&x, &v)| v * (sigma2 + x * x).sqrt()).collect()
}

fn in_order(values: &[f32]) -> f32 {
    let mut sum = 0.0;
    for &value in values {
        sum += value;
    }
    sum
}

fn extreme(x: &[f32]) -> (f32, f32) {
    let (mut amax, mut max) = (0.0, 0.0);
    for &x in x {
        if x.abs() > amax {
            (amax, max) = (x.abs(), x);
        }
    }
    (amax, max)
}

fn qx(nmax: i32, x: &[f32], w: Option<&[f32]>, codes: &mut [u8]) -> f32 {
    let (amax, max) = extreme(x);
    codes.fill(0);
    if amax < EPS {
        return 0.0;
    }
    let weight = |i: usize| w.map_or(x[i] * x[i], |w| w[i]);
    let code = |iscale: f32, x: f32| nearest(iscale * x).clamp(-nmax, nmax - 1);
    let sums = |iscale: f32| {
        let (mut sumlx, mut suml2) = (0.0, 0.0);
        for (i, &x) in x.iter().enumerate() {
            let l = code(iscale, x) as f32;
            sumlx += weight(i) * x * l;
            suml2 += weight(i) * l * l;
        }
        (sumlx, suml2)
    };
    let mut best_iscale = -nmax as f32 / max;
    let (sumlx, suml2) = sums(best_iscale);
    let mut scale = if suml2 != 0.0 { sumlx / suml2 } else { 0.0 };
    let mut best = scale * sumlx;
    for step in (-9..=9).filter(|&step| step != 0) {
        let iscale = -(nmax as f32 + 0.1 * step as f32) / max;
        let (sumlx, suml2) = sums(iscale);
        if suml2 > 0.0 && sumlx * sumlx > best * suml2 {
            best_iscale = iscale;
            scale = sumlx / suml2;
            best = scale * sumlx;
        }
    }
    for (l, &x) in codes.iter_mut().zip(x) {
        *l = (nmax + code(best_iscale, x)) as u8;
    }
    scale
}

fn descend(x: &[f32], codes: &mut [u8]) -> f32 {
    let (amax, max) = extreme(x);
    codes.fill(0);
    if amax < EPS {
        return 0.0;
    }
    let mut l: Vec<i32> = x.iter().map(|&x| nearest(-4.0 / max * x).clamp(-4, 3)).collect();
    let (mut sumlx, mut suml2) = (0.0f32, 0.0f32);
    for (&x, &l) in x.iter().zip(&l) {
        sumlx += x * x * x * l as f32;
        suml2 += x * x * l as f32 * l as f32;
    }
    for _ in 0..5 {
        let mut changed = false;
        for (&x, l) in x.iter().zip(&mut l) {
            let w = x * x;
            let mut slx = sumlx - w * x * *l as f32;
            if slx <= 0.0 || slx.is_nan() {
                continue;
            }
            let mut sl2 = suml2 - w * *l as f32 * *l as f32;
            let new = nearest(x * sl2 / slx).clamp(-4, 3);
            if new != *l {
                slx += w * x * new as f32;
                sl2 += w * new as f32 * new as f32;
                if sl2 > 0.0 && slx * slx * suml2 > sumlx * sumlx * sl2 {
                    (*l, sumlx, suml2, changed) = (new, slx, sl2, true);
                }
            }
        }
        if !changed {
            break;
        }
    }
    for (code, l) in codes.iter_mut().zip(l) {
        *code = (l + 4) as u8;
    }
    if suml2 > 0.0 { sumlx / suml2 } else { 0.0 }
}

fn qkx(nmax: i32, x: &[f32], w: &[f32], grid: &Grid, codes: &mut [u8]) -> (f32, f32) {
    let (mut min, mut max, mut sum_w, mut sum_x) = (x[0], x[0], w[0], w[0] * x[0]);
    for (&x, &w) in x.iter().zip(w).skip(1) {
        min = if x < min { x } else { min };
        max = if x > max { x } else { max };
        sum_w += w;
        sum_x += w * x;
    }
    min = min.min(0.0);
    codes.fill(0);
    if max <= min {
        return (0.0, -min);
    }
    let error = |scale: f32, min: f32, codes: &[u8]| {
        let mut error = 0.0;
        for ((&x, &w), &l) in x.iter().zip(w).zip(codes) {
            let diff = scale * f32::from(l) + min - x;
            error += w * if grid.absolute { diff.abs() } else { diff * diff };
        }
        error
    };
    let iscale = nmax as f32 / (max - min);
    for (l, &x) in codes.iter_mut().zip(x) {
        *l = nearest(iscale * (x - min)).clamp(0, nmax) as u8;
    }
    let mut scale = 1.0 / iscale;
    let mut best = error(scale, min, codes);
    for step in 0..=grid.nstep {
        let iscale = (grid.rmin + grid.rdelta * step as f32 + nmax as f32) / (max - min);
        let mut trial = vec![0u8; x.len()];
        let (mut sum_l, mut sum_l2, mut sum_xl) = (0.0f32, 0.0f32, 0.0f32);
        for ((&x, &w), l) in x.iter().zip(w).zip(&mut trial) {
            let v = iscale * (x - min);
            *l = if !grid.guarded {
                nearest(v).clamp(0, nmax) as u8
            } else if v > 0.0 {
                nearest(v.min(nmax as f32)) as u8
            } else {
                0
            };
            let l = f32::from(*l);
            sum_l += w * l;
            sum_l2 += w * l * l;
            sum_xl += w * l * x;
        }
        let det = sum_w * sum_l2 - sum_l * sum_l;
        if det > 0.0 {
            let mut this_scale = (sum_w * sum_xl - sum_x * sum_l) / det;
            let mut this_min = (sum_l2 * sum_x - sum_l * sum_xl) / det;
            if this_min > 0.0 {
                (this_scale, this_min) = (sum_xl / sum_l2, 0.0);
            }
            let this = error(this_scale, this_min, &trial);
            if this < best {
                codes.copy_from_slice(&trial);
                (best, scale, min) = (this, this_scale, this_min);
            }
        }
    }
    (scale, -min)
}

fn qp(nmax: i32, x: &[f32], w: &[f32], codes: &mut [u8]) -> f32 {
    let max = x.iter().fold(0.0, |max, &x| if max > x { max } else { x });
    codes.fill(0);
    if max < EPS {
        return 0.0;
    }
    let mut iscale = nmax as f32 / max;
    let mse = |scale: f32, code: &dyn Fn(f32) -> i32| {
        let mut mse = 0.0;
        for (&x, &w) in x.iter().zip(w) {
            let diff = x - scale * code(x) as f32;
            mse += w * diff * diff;
        }
        mse
    };
    let mut best = mse(1.0 / iscale, &|x| i32::from(nearest(iscale * x) as u8));
    for step in (-4..=4).filter(|&step| step != 0) {
        let trial = (0.1 * step as f32 + nmax as f32) / max;
        let this = mse(1.0 / trial, &|x| nearest(trial * x).min(nmax));
        if this < best {
            (best, iscale) = (this, trial);
        }
    }
    let (mut sumlx, mut suml2) = (0.0, 0.0);
    for ((&x, &w), code) in x.iter().zip(w).zip(codes.iter_mut()) {
        let l = nearest(iscale * x).min(nmax);
        *code = l as u8;
        sumlx += w * x * l as f32;
        suml2 += w * l as f32 * l as f32;
    }
    for _ in 0..5 {
        let mut changed = false;
        for ((&x, &w), code) in x.iter().zip(w).zip(codes.iter_mut()) {
            let l = f32::from(*code);
            let mut slx = sumlx - w * x * l;
            let mut sl2 = suml2 - w * l * l;
            if slx > 0.0 && sl2 > 0.0 {
                let new = nearest(x * sl2 / slx).min(nmax);
                if new != i32::from(*code) {
                    slx += w * x * new as f32;
                    sl2 += w * new as f32 * new as f32;
                    if slx * slx * suml2 > sumlx * sumlx * sl2 {
                        (*code, sumlx, suml2, changed) = (new as u8, slx, sl2, true);
                    }
                }
            }
        }
        if !changed {
            break;
        }
    }
    if suml2 > 0.0 { sumlx / suml2 } else { 0.0 }
}

fn requantize(x: &[f32], scale: f32, min: f32, low: i32, high: i32, codes: &mut [u8]) {
    if scale == 0.0 {
        return;
    }
    for (&x, l) in x.iter().zip(codes) {
        *l = (nearest((x + min) / scale).clamp(low, high) - low) as u8;
    }
}

fn pack2(codes: &[u8], y: &mut [u8]) {
    for (e, &l) in codes.iter().enumerate() {
        y[e / 128 * 32 + e % 32] |= (l & 3) << (e % 128 / 32 * 2);
    }
}

fn q2(x: &[f32], v: Option<&[f32]>, y: &mut [u8]) {
    let grid = Grid { rmin: -0.5, rdelta: 0.1, nstep: 15, absolute: true, guarded: false };
    let (mut scales, mut mins, mut sums, mut codes) = ([0.0; 16], [0.0; 16], [0.0; 16], [0u8; 256]);
    let sigma2 = spread(x, 1.0);
    for j in 0..16 {
        let (part, l) = (&x[16 * j..][..16], &mut codes[16 * j..][..16]);
        let w =
            v.map_or_else(|| part.iter().map(|x| x.abs()).collect(), |v| weigh(part, &v[16 * j..], sigma2));
        sums[j] = in_order(&w);
        let grid = if v.is_some() { &IMPORTANCE_GRID } else { &grid };
        (scales[j], mins[j]) = qkx(3, part, &w, grid, l);
    }
    let [mut d, mut dmin] = [0.0; 2];
    for (shift, values, d) in [(0, &scales, &mut d), (4, &mins, &mut dmin)] {
        let mut codes = [0; 16];
        if v.is_some() {
            *d = qp(15, values, &sums, &mut codes);
        } else {
            let max = values.iter().fold(0.0, |max, &x| if x > max { x } else { max });
            if max > 0.0 {
                codes = values.map(|value| nearest(15.0 / max * value) as u8);
            }
            *d = max / 15.0;
        }
        for (y, code) in y.iter_mut().zip(codes) {
            *y |= code << shift;
        }
    }
    let (d, dmin) = (store(&mut y[80..], d), store(&mut y[82..], dmin));
    for (j, codes) in codes.chunks_exact_mut(16).enumerate() {
        let (scale, min) = (d * f32::from(y[j] & 15), dmin * f32::from(y[j] >> 4));
        requantize(&x[16 * j..][..16], scale, min, 0, 3, codes);
    }
    pack2(&codes, &mut y[16..80]);
}

fn q3(x: &[f32], v: Option<&[f32]>, y: &mut [u8]) {
    let (mut scales, mut sums, mut codes) = ([0.0; 16], [0.0; 16], [0u8; 256]);
    let sigma2 = spread(x, 2.0);
    for j in 0..16 {
        let (part, l) = (&x[16 * j..][..16], &mut codes[16 * j..][..16]);
        scales[j] = if let Some(v) = v {
            let w = weigh(part, &v[16 * j..], sigma2);
            sums[j] = in_order(&w);
            qx(4, part, Some(&w), l)
        } else {
            descend(part, l)
        };
    }
    let mut ls = [0u8; 16];
    let mut d = 0.0;
    if v.is_some() {
        d = qx(32, &scales, Some(&sums), &mut ls);
    } else {
        let max = extreme(&scales).1;
        if max != 0.0 {
            let iscale = -32.0 / max;
            ls = scales.map(|s| ((nearest(iscale * s) as i8).clamp(-32, 31) + 32) as u8);
            d = 1.0 / iscale;
        }
    }
    let scales = &mut y[96..108];
    for (j, &l) in ls.iter().enumerate() {
        scales[j % 8] |= (l & 15) << (j / 8 * 4);
        scales[8 + j % 4] |= (l >> 4) << (j / 4 * 2);
    }
    let d = store(&mut y[108..], d);
    for (j, codes) in codes.chunks_exact_mut(16).enumerate() {
        requantize(&x[16 * j..][..16], d * (f32::from(ls[j]) - 32.0), 0.0, -4, 3, codes);
    }
    pack2(&codes, &mut y[32..96]);
    for (e, &l) in codes.iter().enumerate() {
        y[e % 32] |= u8::from(l > 3) << (e / 32);
    }
}

fn q45(x: &[f32], v: Option<&[f32]>, y: &mut [u8], nmax: i32) {
    let (rmin, nstep) = if nmax == 15 { (-1.0, 20) } else { (-0.5, 15) };
    let grid = Grid { rmin, rdelta: 0.1, nstep, absolute: false, guarded: false };
    let (mut scales, mut mins, mut sums, mut codes) = ([0.0; 8], [0.0; 8], [0.0; 8], [0u8; 256]);
    let sigma2 = spread(x, 2.0);
    for j in 0..8 {
        let (part, l) = (&x[32 * j..][..32], &mut codes[32 * j..][..32]);
        let mean = spread(part, 1.0).sqrt();
        let w = match v {
            Some(v) => weigh(part, &v[32 * j..], sigma2),
            None => part.iter().map(|x| mean + x.abs()).collect(),
        };
        sums[j] = in_order(&w);
        (scales[j], mins[j]) = qkx(nmax, part, &w, if v.is_some() { &IMPORTANCE_GRID } else { &grid }, l);
    }
    let (mut ls, mut d) = ([[0u8; 8]; 2], [0.0; 2]);
    for (values, (ls, d)) in [&scales, &mins].into_iter().zip(ls.iter_mut().zip(&mut d)) {
        if v.is_some() {
            *d = qp(63, values, &sums, ls);
        } else {
            let max = values.iter().fold(0.0, |max, &x| if x > max { x } else { max });
            let inverse = if max > 0.0 { 63.0 / max } else { 0.0 };
            *ls = values.map(|value| (nearest(inverse * value) as u8).min(63));
            *d = max / 63.0;
        }
        if nmax == 31 {
            *ls = ls.map(|l| l.min(63));
        }
    }
    let s = &mut y[4..16];
    for j in 0..4 {
        (s[j], s[j + 4]) = (ls[0][j], ls[1][j]);
    }
    for j in 4..8 {
        let (ls, lm) = (ls[0][j], ls[1][j]);
        s[j + 4] = (ls & 15) | (lm & 15) << 4;
        s[j - 4] |= ls >> 4 << 6;
        s[j] |= lm >> 4 << 6;
    }
    let (d, dmin) = (store(y, d[0]), store(&mut y[2..], d[1]));
    for (j, codes) in codes.chunks_exact_mut(32).enumerate() {
        let s = &y[4..16];
        let (sc, mn) = match j {
            0..4 => (s[j] & 63, s[j + 4] & 63),
            _ => ((s[j + 4] & 15) | s[j - 4] >> 6 << 4, s[j + 4] >> 4 | s[j] >> 6 << 4),
        };
        requantize(&x[32 * j..][..32], d * f32::from(sc), dmin * f32::from(mn), 0, nmax, codes);
    }
    let (head, qs) = y.split_at_mut(if nmax == 31 { 48 } else { 16 });
    for (e, &l) in codes.iter().enumerate() {
        qs[e / 64 * 32 + e % 32] |= (l & 15) << (e % 64 / 32 * 4);
        if nmax == 31 {
            head[16 + e % 32] |= (l >> 4) << (e / 32);
        }
    }
}

fn q6(x: &[f32], v: Option<&[f32]>, y: &mut [u8]) {
    let (mut scales, mut codes) = ([0.0; 16], [0u8; 256]);
    for j in 0..16 {
        scales[j] = qx(32, &x[16 * j..][..16], v.map(|v| &v[16 * j..][..16]), &mut codes[16 * j..][..16]);
    }
    let (amax, max) = extreme(&scales);
    if amax < EPS {
        return;
    }
    let iscale = -128.0 / max;
    let d = store(&mut y[208..], 1.0 / iscale);
    for (j, codes) in codes.chunks_exact_mut(16).enumerate() {
        let sc = nearest(iscale * scales[j]).min(127) as i8;
        y[192 + j] = sc as u8;
        requantize(&x[16 * j..][..16], d * f32::from(sc), 0.0, -32, 31, codes);
    }
    for (e, &l) in codes.iter().enumerate() {
        let (half, quarter, byte) = (e / 128, e % 128 / 32, e % 32);
        y[half * 64 + quarter % 2 * 32 + byte] |= (l & 15) << (quarter / 2 * 4);
        y[128 + half * 32 + byte] |= (l >> 4) << (quarter * 2);
    }
}

fn q8(x: &[f32], y: &mut [u8]) {
    let (amax, max) = extreme(x);
    if amax == 0.0 {
        return;
    }
    let iscale = -127.0 / max;
    y[..4].copy_from_slice(&(1.0 / iscale).to_le_bytes());
    for (j, x) in x.chunks_exact(16).enumerate() {
        let mut sum = 0i16;
        for (i, &x) in x.iter().enumerate() {
            let l = nearest(iscale * x).min(127) as i8;
            y[4 + 16 * j + i] = l as u8;
            sum += i16::from(l);
        }
        y[260 + 2 * j..][..2].copy_from_slice(&sum.to_le_bytes());
    }
}
