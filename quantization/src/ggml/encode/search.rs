//! The two scale searches of the legacy types with importance, sixteen blocks of 32 at a time.
//!
//! Both try a row of scales and keep the best by weighted error; dossier names (A) and (C). Every lane adds in
//! ggml's order: Σ (w·x)·l and Σ (w·l)·l in (A), Σ w·l, Σ (w·l)·l, Σ (w·l)·x in (C).

use crate::ggml::lanes::{LANES, Lane, Tile, for_each_processor, nearest};

/// Blocks whose largest magnitude is below this are zero.
pub(super) const EPSILON: f32 = 1e-15;

/// What a search finds for each lane: x ≈ scale·code − (or +) …, and the codes of its 32 weights.
pub(super) struct Found {
    /// The step between codes.
    pub(super) scale: Lane,
    /// The value of code 0 (zero for [`signed`]).
    pub(super) min: Lane,
    /// `codes[weight][lane]`.
    pub(super) codes: [[u8; LANES]; 32],
}

/// (A): the scale s of codes −nmax…nmax−1, stored from 0 up, that maximises (Σ w·x·l)²/Σ w·l².
#[inline(always)]
pub(super) fn signed(nmax: f32, x: &Tile, w: &Tile) -> Found {
    let extreme = extremes(x);
    let mut inverse = extreme.map(|m| -nmax / m);
    let (sum_lx, sum_l2) = fit(nmax, &inverse, x, w);
    let mut scale = [0.0; LANES];
    let mut best = [0.0; LANES];
    for lane in 0..LANES {
        scale[lane] = if sum_l2[lane] == 0.0 { 0.0 } else { sum_lx[lane] / sum_l2[lane] };
        best[lane] = scale[lane] * sum_lx[lane];
    }
    for step in (-9..=9_i8).filter(|step| *step != 0) {
        let tried = extreme.map(|m| -(nmax + 0.1 * f32::from(step)) / m);
        let (sum_lx, sum_l2) = fit(nmax, &tried, x, w);
        for lane in 0..LANES {
            let (lx, l2) = (sum_lx[lane], sum_l2[lane]);
            let better = (l2 > 0.0) & (lx * lx > best[lane] * l2);
            let ratio = lx / l2;
            inverse[lane] = if better { tried[lane] } else { inverse[lane] };
            scale[lane] = if better { ratio } else { scale[lane] };
            best[lane] = if better { ratio * lx } else { best[lane] };
        }
    }
    let mut codes = [[0; LANES]; 32];
    for (codes, x) in codes.iter_mut().zip(x) {
        for lane in 0..LANES {
            let code = clamp(nearest(inverse[lane] * x[lane]) as f32, -nmax, nmax - 1.0) + nmax;
            codes[lane] = if extreme[lane].abs() < EPSILON { 0 } else { code as i32 as u8 };
        }
    }
    for lane in 0..LANES {
        scale[lane] = if extreme[lane].abs() < EPSILON { 0.0 } else { scale[lane] };
    }
    Found { scale, min: [0.0; LANES], codes }
}

/// The weight of largest magnitude of each lane with its sign, the first one on ties.
#[inline(always)]
pub(super) fn extremes(x: &Tile) -> Lane {
    let (mut most, mut extreme) = ([0.0; LANES], [0.0; LANES]);
    for x in x {
        for lane in 0..LANES {
            let larger = x[lane].abs() > most[lane];
            most[lane] = if larger { x[lane].abs() } else { most[lane] };
            extreme[lane] = if larger { x[lane] } else { extreme[lane] };
        }
    }
    extreme
}

for_each_processor! {
    /// Σ (w·x)·l and Σ (w·l)·l for the codes l of each lane's scale.
    fn fit(nmax: f32, inverse: &Lane, x: &Tile, w: &Tile) -> (Lane, Lane) {
        let (mut sum_lx, mut sum_l2) = ([0.0; LANES], [0.0; LANES]);
        for (x, w) in x.iter().zip(w) {
            for lane in 0..LANES {
                let l = clamp(nearest(inverse[lane] * x[lane]) as f32, -nmax, nmax - 1.0);
                sum_lx[lane] += w[lane] * x[lane] * l;
                sum_l2[lane] += w[lane] * l * l;
            }
        }
        (sum_lx, sum_l2)
    }
}

#[inline(always)]
fn clamp(l: f32, low: f32, high: f32) -> f32 {
    let l = if l > low { l } else { low };
    if l < high { l } else { high }
}

/// (C): scale s and minimum m ≤ 0 of codes 0…nmax that minimise Σ w·(s·l + m − x)², over 37 scales.
#[inline(always)]
pub(super) fn shifted(nmax: f32, x: &Tile, w: &Tile) -> Found {
    let (low, high) = ranges(x);
    let totals = totals(x, w);
    let flat: [bool; LANES] = std::array::from_fn(|lane| high[lane] <= low[lane]);
    let mut min = low;
    let mut chosen = Choice { inverse: [0.0; LANES], low };
    let (mut scale, mut best) = ([0.0; LANES], [0.0; LANES]);
    for lane in 0..LANES {
        chosen.inverse[lane] = nmax / (high[lane] - low[lane]);
        scale[lane] = 1.0 / chosen.inverse[lane];
    }
    let mut l = [[0.0; LANES]; 32];
    codes_of(nmax, &chosen, x, &mut l);
    error_of(&scale, &min, x, w, &l, &mut best);
    for step in 0..=36_u8 {
        let mut tried = Choice { inverse: [0.0; LANES], low: min };
        for lane in 0..LANES {
            tried.inverse[lane] = (-0.9 + 0.05 * f32::from(step) + nmax) / (high[lane] - min[lane]);
        }
        let sums = codes_and_sums(nmax, &tried, x, w, &mut l);
        let (s, m, solvable) = least_squares(&totals, &sums);
        let mut error = [0.0; LANES];
        error_of(&s, &m, x, w, &l, &mut error);
        for lane in 0..LANES {
            let better = solvable[lane] & (error[lane] < best[lane]);
            best[lane] = if better { error[lane] } else { best[lane] };
            scale[lane] = if better { s[lane] } else { scale[lane] };
            min[lane] = if better { m[lane] } else { min[lane] };
            chosen.inverse[lane] = if better { tried.inverse[lane] } else { chosen.inverse[lane] };
            chosen.low[lane] = if better { tried.low[lane] } else { chosen.low[lane] };
        }
    }
    codes_of(nmax, &chosen, x, &mut l);
    let mut codes = [[0; LANES]; 32];
    for (codes, l) in codes.iter_mut().zip(&l) {
        for lane in 0..LANES {
            codes[lane] = if flat[lane] { 0 } else { l[lane] as i32 as u8 };
        }
    }
    for lane in 0..LANES {
        scale[lane] = if flat[lane] { 0.0 } else { scale[lane] };
        min[lane] = if flat[lane] { low[lane] } else { min[lane] };
    }
    Found { scale, min, codes }
}

/// How codes are made: l = (x − low)·inverse, rounded and clamped.
struct Choice {
    inverse: Lane,
    low: Lane,
}

/// Σw and Σw·x of each lane.
struct Totals {
    w: Lane,
    x: Lane,
}

/// Σ w·l, Σ (w·l)·l, Σ (w·l)·x of each lane.
struct Sums {
    l: Lane,
    l2: Lane,
    xl: Lane,
}

/// min(smallest weight, 0) and largest weight of each lane.
#[inline(always)]
fn ranges(x: &Tile) -> (Lane, Lane) {
    let (mut low, mut high) = (x[0], x[0]);
    for x in &x[1..] {
        for lane in 0..LANES {
            low[lane] = if x[lane] < low[lane] { x[lane] } else { low[lane] };
            high[lane] = if x[lane] > high[lane] { x[lane] } else { high[lane] };
        }
    }
    for low in &mut low {
        *low = if *low > 0.0 { 0.0 } else { *low };
    }
    (low, high)
}

#[inline(always)]
fn totals(x: &Tile, w: &Tile) -> Totals {
    let mut totals = Totals { w: w[0], x: [0.0; LANES] };
    for lane in 0..LANES {
        totals.x[lane] = w[0][lane] * x[0][lane];
    }
    for (x, w) in x[1..].iter().zip(&w[1..]) {
        for lane in 0..LANES {
            totals.w[lane] += w[lane];
            totals.x[lane] += w[lane] * x[lane];
        }
    }
    totals
}

#[inline(always)]
fn codes_of(nmax: f32, choice: &Choice, x: &Tile, l: &mut Tile) {
    for (l, x) in l.iter_mut().zip(x) {
        for lane in 0..LANES {
            l[lane] = clamp(nearest(choice.inverse[lane] * (x[lane] - choice.low[lane])) as f32, 0.0, nmax);
        }
    }
}

for_each_processor! {
    fn codes_and_sums(nmax: f32, choice: &Choice, x: &Tile, w: &Tile, l: &mut Tile) -> Sums {
        let mut sums = Sums { l: [0.0; LANES], l2: [0.0; LANES], xl: [0.0; LANES] };
        for ((l, x), w) in l.iter_mut().zip(x).zip(w) {
            for lane in 0..LANES {
                let code = clamp(nearest(choice.inverse[lane] * (x[lane] - choice.low[lane])) as f32, 0.0, nmax);
                let wl = w[lane] * code;
                sums.l[lane] += wl;
                sums.l2[lane] += wl * code;
                sums.xl[lane] += wl * x[lane];
                l[lane] = code;
            }
        }
        sums
    }
}

/// Scale and minimum of the weighted least squares, and where they exist (D > 0). Minima above 0 become 0.
#[inline(always)]
fn least_squares(totals: &Totals, sums: &Sums) -> (Lane, Lane, [bool; LANES]) {
    let (mut scale, mut min, mut solvable) = ([0.0; LANES], [0.0; LANES], [false; LANES]);
    for lane in 0..LANES {
        let (w, x) = (totals.w[lane], totals.x[lane]);
        let (l, l2, xl) = (sums.l[lane], sums.l2[lane], sums.xl[lane]);
        let determinant = w * l2 - l * l;
        let free = (w * xl - x * l) / determinant;
        let m = (l2 * x - l * xl) / determinant;
        scale[lane] = if m > 0.0 { xl / l2 } else { free };
        min[lane] = if m > 0.0 { 0.0 } else { m };
        solvable[lane] = determinant > 0.0;
    }
    (scale, min, solvable)
}

for_each_processor! {
    /// Σ w·(s·l + m − x)².
    fn error_of(scale: &Lane, min: &Lane, x: &Tile, w: &Tile, l: &Tile, error: &mut Lane) {
        for ((l, x), w) in l.iter().zip(x).zip(w) {
            for lane in 0..LANES {
                let difference = scale[lane] * l[lane] + min[lane] - x[lane];
                error[lane] += w[lane] * (difference * difference);
            }
        }
    }
}
