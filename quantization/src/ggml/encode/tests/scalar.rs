//! The encoders as plain loops over one block, the obvious way.

use crate::float::{e8m0_to_f32_half, f32_to_bf16, f32_to_f16, f32_to_ue4m3, ue4m3_to_f32};
use crate::ggml::GgmlType;
use crate::ggml::encode::iq4::VALUES;

pub(super) fn encode(kind: GgmlType, weights: &[f32], row_len: usize, importance: Option<&[f32]>) -> Vec<u8> {
    use GgmlType::*;
    let mut out = Vec::new();
    for row in weights.chunks(row_len) {
        let sigma2 = mean_square(row);
        for (block, x) in row.chunks(kind.block_len()).enumerate() {
            let v = importance.map(|v| &v[block * x.len()..(block + 1) * x.len()]);
            let bytes = match (kind, v) {
                (F16, _) => f32_to_f16(x[0]).to_le_bytes().to_vec(),
                (BF16, _) => f32_to_bf16(x[0]).to_le_bytes().to_vec(),
                (Q4_0 | Q5_0, Some(v)) => signed_search(kind, x, &element_weights(x, v, sigma2)),
                (Q4_1 | Q5_1, Some(v)) => shifted_search(kind, x, &element_weights(x, v, sigma2)),
                (Q4_0 | Q5_0, None) => signed(kind, x),
                (Q4_1 | Q5_1, None) => shifted(kind, x),
                (Q8_0, _) => bytes(x),
                (IQ4_NL | IQ4_XS, v) => non_linear(x, v),
                (MXFP4, _) => mxfp4(x),
                (NVFP4, _) => nvfp4(x),
                (TQ1_0 | TQ2_0, _) => ternary(kind, x),
                (Q1_0, _) => signs(x),
                (Q2_0, _) => four_levels(x),
                _ => unreachable!("the tests leave it out"),
            };
            out.extend(bytes);
        }
    }
    out
}

fn mean_square(x: &[f32]) -> f32 {
    x.iter().fold(0.0, |sum, x| sum + x * x) / x.len() as f32
}

fn element_weights(x: &[f32], v: &[f32], sigma2: f32) -> Vec<f32> {
    x.iter().zip(v).map(|(x, v)| v * (sigma2 + x * x).sqrt()).collect()
}

fn extreme(x: &[f32]) -> f32 {
    x.iter().fold(0.0_f32, |m, x| if x.abs() > m.abs() { *x } else { m })
}

fn inverse(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

/// x86's conversion: what does not fit is the least integer.
fn cast(v: f32) -> i32 {
    if v.abs() < 2_147_483_648.0 { v as i32 } else { i32::MIN }
}

fn nearest(v: f32) -> i32 {
    ((v + 12_582_912.0).to_bits() & 0x7F_FFFF) as i32 - 0x40_0000
}

/// Halves, fifth bits and nibbles.
fn layout(kind: GgmlType, scale: f32, min: f32, codes: &[u8]) -> Vec<u8> {
    let mut out = f32_to_f16(scale).to_le_bytes().to_vec();
    if matches!(kind, GgmlType::Q4_1 | GgmlType::Q5_1) {
        out.extend(f32_to_f16(min).to_le_bytes());
    }
    if matches!(kind, GgmlType::Q5_0 | GgmlType::Q5_1) {
        let bits = codes.iter().enumerate().fold(0, |bits, (e, code)| bits | u32::from(code >> 4 & 1) << e);
        out.extend(bits.to_le_bytes());
    }
    out.extend((0..16).map(|j| codes[j] & 15 | codes[j + 16] << 4));
    out
}

/// 16 for five bits, 8 for four.
fn levels(kind: GgmlType) -> f32 {
    if matches!(kind, GgmlType::Q5_0 | GgmlType::Q5_1) { 16.0 } else { 8.0 }
}

fn signed(kind: GgmlType, x: &[f32]) -> Vec<u8> {
    let zero = levels(kind);
    let d = extreme(x) / -zero;
    let top = 2 * zero as i8 - 1;
    let codes: Vec<u8> =
        x.iter().map(|x| (cast(x * inverse(d) + (zero + 0.5)) as i8).min(top) as u8).collect();
    layout(kind, d, 0.0, &codes)
}

fn shifted(kind: GgmlType, x: &[f32]) -> Vec<u8> {
    let top = 2.0 * levels(kind) - 1.0;
    let min = x.iter().fold(f32::MAX, |min, x| if *x < min { *x } else { min });
    let max = x.iter().fold(-f32::MAX, |max, x| if *x > max { *x } else { max });
    let d = (max - min) / top;
    let codes: Vec<u8> =
        x.iter().map(|x| (cast((x - min) * inverse(d) + 0.5) as i8).min(top as i8) as u8).collect();
    layout(kind, d, min, &codes)
}

fn bytes(x: &[f32]) -> Vec<u8> {
    let d = extreme(x).abs() / 127.0;
    let codes = x.iter().map(|x| cast((x * inverse(d)).round()) as u8);
    f32_to_f16(d).to_le_bytes().into_iter().chain(codes).collect()
}

fn signed_search(kind: GgmlType, x: &[f32], w: &[f32]) -> Vec<u8> {
    let nmax = levels(kind);
    let m = extreme(x);
    if m.abs() < 1e-15 {
        return layout(kind, 0.0, 0.0, &[0; 32]);
    }
    let codes =
        |scale: f32| x.iter().map(move |x| nearest(scale * x).clamp(-nmax as i32, nmax as i32 - 1) as f32);
    let sums = |scale: f32| {
        let terms = codes(scale).zip(x.iter().zip(w));
        terms.fold((0.0, 0.0), |(lx, l2), (l, (x, w))| (lx + w * x * l, l2 + w * l * l))
    };
    let mut chosen = -nmax / m;
    let (lx, l2) = sums(chosen);
    let mut scale = if l2 == 0.0 { 0.0 } else { lx / l2 };
    let mut best = scale * lx;
    for step in (-9..=9).filter(|step| *step != 0) {
        let tried = -(nmax + 0.1 * step as f32) / m;
        let (lx, l2) = sums(tried);
        if l2 > 0.0 && lx * lx > best * l2 {
            (chosen, scale) = (tried, lx / l2);
            best = scale * lx;
        }
    }
    let stored: Vec<u8> = codes(chosen).map(|l| (l + nmax) as u8).collect();
    layout(kind, scale, 0.0, &stored)
}

fn shifted_search(kind: GgmlType, x: &[f32], w: &[f32]) -> Vec<u8> {
    let nmax = 2.0 * levels(kind) - 1.0;
    let (mut min, mut max) = (x[0], x[0]);
    for x in x {
        min = if *x < min { *x } else { min };
        max = if *x > max { *x } else { max };
    }
    min = if min > 0.0 { 0.0 } else { min };
    if max <= min {
        return layout(kind, 0.0, min, &[0; 32]);
    }
    let sum = |f: &dyn Fn(usize) -> f32| (1..32).fold(f(0), |sum, i| sum + f(i));
    let zero_sum = |f: &dyn Fn(usize) -> f32| (0..32).fold(0.0, |sum, i| sum + f(i));
    let (sw, sx) = (sum(&|i| w[i]), sum(&|i| w[i] * x[i]));
    let codes = |inverse: f32, min: f32| -> Vec<f32> {
        x.iter().map(|x| nearest(inverse * (x - min)).clamp(0, nmax as i32) as f32).collect()
    };
    let error = |s: f32, m: f32, l: &[f32]| {
        zero_sum(&|i| {
            let difference = s * l[i] + m - x[i];
            w[i] * (difference * difference)
        })
    };
    let mut scale = 1.0 / (nmax / (max - min));
    let mut chosen = codes(nmax / (max - min), min);
    let mut best = error(scale, min, &chosen);
    for step in 0..=36 {
        let l = codes((-0.9 + 0.05 * step as f32 + nmax) / (max - min), min);
        let sl = zero_sum(&|i| w[i] * l[i]);
        let sl2 = zero_sum(&|i| w[i] * l[i] * l[i]);
        let sxl = zero_sum(&|i| w[i] * l[i] * x[i]);
        let determinant = sw * sl2 - sl * sl;
        if determinant > 0.0 {
            let mut s = (sw * sxl - sx * sl) / determinant;
            let mut m = (sl2 * sx - sl * sxl) / determinant;
            if m > 0.0 {
                (s, m) = (sxl / sl2, 0.0);
            }
            let e = error(s, m, &l);
            if e < best {
                (best, scale, min, chosen) = (e, s, m, l);
            }
        }
    }
    layout(kind, scale, min, &chosen.iter().map(|l| *l as u8).collect::<Vec<_>>())
}

/// By halving, as ggml does.
fn table_index(v: f32) -> usize {
    let value = |k: usize| f32::from(VALUES[k]);
    if v <= value(0) {
        return 0;
    }
    if v >= value(15) {
        return 15;
    }
    let (mut low, mut high) = (0, 15);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if v < value(middle) { high = middle } else { low = middle }
    }
    if v - value(high - 1) < value(high) - v { high - 1 } else { high }
}

fn non_linear_scale(x: &[f32], w: &[f32]) -> f32 {
    let m = extreme(x);
    if m.abs() < 1e-15 {
        return 0.0;
    }
    let sums = |inverse: f32| {
        x.iter().zip(w).fold((0.0, 0.0), |(qx, q2), (x, w)| {
            let q = f32::from(VALUES[table_index(inverse * x)]);
            (qx + w * q * x, q2 + w * q * q)
        })
    };
    let (qx, q2) = sums(1.0 / (-m / -127.0));
    let mut d = if q2 > 0.0 { qx / q2 } else { 0.0 };
    let mut best = d * qx;
    for step in -7..=7 {
        let (qx, q2) = sums((step - 127) as f32 / m);
        if q2 > 0.0 && qx * qx > best * q2 {
            d = qx / q2;
            best = d * qx;
        }
    }
    d
}

fn non_linear(x: &[f32], v: Option<&[f32]>) -> Vec<u8> {
    let sigma2 = x.iter().fold(0.0, |sum, x| sum + x * x) * (2.0 / x.len() as f32);
    let w = match v {
        Some(v) => element_weights(x, v, sigma2),
        None => x.iter().map(|x| x * x).collect(),
    };
    let scales: Vec<f32> = x.chunks(32).zip(w.chunks(32)).map(|(x, w)| non_linear_scale(x, w)).collect();
    let nibbles = |x: &[f32], inverse: f32| -> Vec<u8> {
        let codes: Vec<u8> = x.iter().map(|x| table_index(inverse * x) as u8).collect();
        (0..16).map(|j| codes[j] | codes[j + 16] << 4).collect()
    };
    if x.len() == 32 {
        return [f32_to_f16(scales[0]).to_le_bytes().to_vec(), nibbles(x, inverse(scales[0]))].concat();
    }
    let d = -extreme(&scales) / 32.0;
    let mut high = 0_u16;
    let (mut low, mut codes) = ([0; 4], Vec::new());
    for (run, (x, scale)) in x.chunks(32).zip(&scales).enumerate() {
        let l = nearest(inverse(d) * scale).clamp(-32, 31);
        codes.extend(nibbles(x, inverse(d * l as f32)));
        low[run / 2] |= ((l + 32) as u8 & 15) << (4 * (run % 2));
        high |= ((l + 32) as u16 >> 4) << (2 * run);
    }
    [&f32_to_f16(d).to_le_bytes()[..], &high.to_le_bytes(), &low, &codes].concat()
}

fn fp4_index(x: f32, step: f32) -> u8 {
    let doubled = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
    let errors = doubled.map(|value| (value as f32 * step - x).abs());
    (1..16).fold(0, |best, i| if errors[i] < errors[best] { i } else { best }) as u8
}

fn mxfp4(x: &[f32]) -> Vec<u8> {
    let most = extreme(x).abs();
    let e = if most > 0.0 { cast(most.log2().floor() - 2.0 + 127.0) as u8 } else { 0 };
    let code = |j: usize| fp4_index(x[j], e8m0_to_f32_half(e));
    std::iter::once(e).chain((0..16).map(|j| code(j) | code(j + 16) << 4)).collect()
}

fn nvfp4(x: &[f32]) -> Vec<u8> {
    let scales: Vec<u8> = x.chunks(16).map(|x| f32_to_ue4m3(extreme(x).abs() / 6.0)).collect();
    let mut out = scales.clone();
    for (x, scale) in x.chunks(16).zip(scales) {
        let code = |j: usize| fp4_index(x[j], ue4m3_to_f32(scale) * 0.5);
        out.extend((0..8).map(|j| code(j) | code(j + 8) << 4));
    }
    out
}

fn ternary(kind: GgmlType, x: &[f32]) -> Vec<u8> {
    let d = extreme(x).abs();
    let trits: Vec<u8> = x
        .iter()
        .map(|x| {
            let v = (x * inverse(d)).round();
            (if v.is_finite() { v as i32 } else { 0 } + 1) as u8
        })
        .collect();
    let d = f32_to_f16(d).to_le_bytes();
    if kind == GgmlType::TQ2_0 {
        let byte =
            |h: usize, m: usize| (0..4).fold(0, |byte, n| byte | trits[128 * h + m + 32 * n] << (2 * n));
        return (0..2).flat_map(|h| (0..32).map(move |m| (h, m))).map(|(h, m)| byte(h, m)).chain(d).collect();
    }
    let byte = |first: usize, stride: usize| {
        let number =
            (0..5).fold(0, |n, k| 3 * n + trits.get(first + k * stride).map_or(0, |trit| u32::from(*trit)));
        ((256 * number + 242) as f64 / 243.0).floor() as u8
    };
    let bytes = (0..32).map(|m| byte(m, 32)).chain((0..16).map(|m| byte(160 + m, 16)));
    bytes.chain((0..4).map(|j| byte(240 + j, 4))).chain(d).collect()
}

fn signs(x: &[f32]) -> Vec<u8> {
    let d = x.iter().fold(0.0, |sum, x| sum + x.abs()) / 128.0;
    let bytes = x.chunks(8).map(|x| (0..8).fold(0, |byte, i| byte | u8::from(x[i] >= 0.0) << i));
    f32_to_f16(d).to_le_bytes().into_iter().chain(bytes).collect()
}

fn four_levels(x: &[f32]) -> Vec<u8> {
    let d = extreme(x).abs();
    let code = |x: f32| (cast((x * inverse(d)).round()).wrapping_add(1)).clamp(0, 3) as u8;
    let bytes = x.chunks(4).map(|x| (0..4).fold(0, |byte, i| byte | code(x[i]) << (2 * i)));
    f32_to_f16(d).to_le_bytes().into_iter().chain(bytes).collect()
}
