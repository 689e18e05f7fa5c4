//! ggml's searches for the scale of a sub-block, on several sub-blocks at once.
//!
//! Every sum runs over the weights in their order and every product associates to the left, as in ggml-quants.c.

use super::lanes::{Int, Lanes};

/// ggml's `GROUP_MAX_EPS`: groups below it are all zero.
pub(super) const EPS: f32 = 1e-15;

/// Sweeps of a coordinate descent; ggml's.
const SWEEPS: usize = 5;

/// Below every integer that ggml's `nearest_int` returns.
const UNBOUNDED: i32 = -0x40_0000;

/// Trial scales of [`affine`]: (highest code + rmin + rdelta·k) / range for k in 0..=steps.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub(super) rmin: f32,
    pub(super) rdelta: f32,
    pub(super) steps: usize,
    /// The error is Σ w·|d|, not Σ w·d².
    pub(super) absolute: bool,
    /// Codes out of range are cut before they are rounded (`make_qkx3_quants`).
    pub(super) guarded: bool,
}

/// Scale and minimum of a sub-block: x ≈ scale·code − min.
#[derive(Clone, Copy)]
pub(super) struct Affine<V: Lanes> {
    pub(super) scale: V,
    pub(super) min: V,
    iscale: V,
    base: V,
    untouched: V::Mask,
    empty: V::Mask,
    low: V,
    first: V,
}

#[inline(always)]
fn trial_code<V: Lanes>(v: V, nmax: i32, guarded: bool) -> V {
    if guarded {
        let magic = V::splat(super::lanes::MAGIC);
        v.above(V::splat(0.0)).below(V::splat(nmax as f32)) + magic - magic
    } else {
        v.nearest_within(0, nmax)
    }
}

#[inline(always)]
fn error<V: Lanes>(x: &[V], w: &[V], codes: &[V], scale: V, min: V, absolute: bool) -> V {
    let mut error = V::splat(0.0);
    for i in 0..x.len() {
        let diff = scale * codes[i] + min - x[i];
        error = error + w[i] * if absolute { diff.abs() } else { diff * diff };
    }
    error
}

/// `make_qkx2_quants` and `make_qkx3_quants`.
#[inline(always)]
pub(super) fn affine<V: Lanes, const SUB: usize>(
    nmax: i32,
    x: &[V; SUB],
    w: &[V; SUB],
    grid: Grid,
) -> Affine<V> {
    let zero = V::splat(0.0);
    let (mut low, mut high, mut sum_w, mut sum_x) = (x[0], x[0], w[0], w[0] * x[0]);
    for i in 1..SUB {
        low = x[i].below(low);
        high = x[i].above(high);
        sum_w = sum_w + w[i];
        sum_x = sum_x + w[i] * x[i];
    }
    low = zero.below(low);
    let mut codes = [zero; SUB];
    let first = V::splat(nmax as f32) / (high - low);
    for i in 0..SUB {
        codes[i] = (first * (x[i] - low)).nearest_within(0, nmax);
    }
    let (mut scale, mut min) = (V::splat(1.0) / first, low);
    let mut best = error(x, w, &codes, scale, min, grid.absolute);
    let (mut iscale, mut base, mut touched) = (first, low, zero.gt(zero));
    for step in 0..=grid.steps {
        let trial = V::splat(grid.rmin + grid.rdelta * step as f32 + nmax as f32) / (high - min);
        let (mut sum_l, mut sum_l2, mut sum_xl) = (zero, zero, zero);
        for i in 0..SUB {
            let l = trial_code(trial * (x[i] - min), nmax, grid.guarded);
            codes[i] = l;
            let wl = w[i] * l;
            sum_l = sum_l + wl;
            sum_l2 = sum_l2 + wl * l;
            sum_xl = sum_xl + wl * x[i];
        }
        let det = sum_w * sum_l2 - sum_l * sum_l;
        let this_min = (sum_l2 * sum_x - sum_l * sum_xl) / det;
        let positive = this_min.gt(zero);
        let this_scale = (sum_xl / sum_l2).where_or(positive, (sum_w * sum_xl - sum_x * sum_l) / det);
        let this_min = zero.where_or(positive, this_min);
        let this = error(x, w, &codes, this_scale, this_min, grid.absolute);
        let better = det.gt(zero) & best.gt(this);
        best = this.where_or(better, best);
        (iscale, base) = (trial.where_or(better, iscale), min.where_or(better, base));
        (scale, min) = (this_scale.where_or(better, scale), this_min.where_or(better, min));
        touched = touched | better;
    }
    let empty = !high.gt(low);
    let (scale, min) = (zero.where_or(empty, scale), zero - low.where_or(empty, min));
    Affine { scale, min, iscale, base, untouched: !touched, empty, low, first }
}

impl<V: Lanes> Affine<V> {
    /// A sub-block of zeros.
    #[inline(always)]
    pub(super) fn zero() -> Self {
        let zero = V::splat(0.0);
        let (none, all) = (zero.gt(zero), zero.same(zero));
        Self {
            scale: zero,
            min: zero,
            iscale: zero,
            base: zero,
            untouched: none,
            empty: all,
            low: zero,
            first: zero,
        }
    }

    /// The code that the search gave to `x`.
    #[inline(always)]
    pub(super) fn code(&self, x: V, nmax: i32, guarded: bool) -> V::Int {
        let first = (self.first * (x - self.low)).nearest_within(0, nmax);
        let last = trial_code(self.iscale * (x - self.base), nmax, guarded);
        V::splat(0.0).where_or(self.empty, first.where_or(self.untouched, last)).int()
    }
}

/// The value of largest magnitude, the first on ties: (magnitude, value).
#[inline(always)]
pub(super) fn extreme<V: Lanes>(x: &[V]) -> (V, V) {
    let (mut amax, mut max) = (V::splat(0.0), V::splat(0.0));
    for &x in x {
        let larger = x.abs().gt(amax);
        (amax, max) = (x.abs().where_or(larger, amax), x.where_or(larger, max));
    }
    (amax, max)
}

/// Scale of a sub-block without minimum: x ≈ scale·code, −n ≤ code < n.
#[derive(Clone, Copy)]
pub(super) struct Signed<V: Lanes> {
    pub(super) scale: V,
    iscale: V,
    empty: V::Mask,
}

/// `make_qx_quants` with weights.
#[inline(always)]
pub(super) fn signed<V: Lanes, const SUB: usize>(nmax: i32, x: &[V; SUB], w: &[V; SUB]) -> Signed<V> {
    let zero = V::splat(0.0);
    let (amax, max) = extreme(x);
    let mut wx = *w;
    for i in 0..SUB {
        wx[i] = w[i] * x[i];
    }
    let (mut scale, mut best, mut best_iscale) = (zero, zero, zero);
    for step in [0, -9, -8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8, 9] {
        let iscale = V::splat(-(nmax as f32 + 0.1 * step as f32)) / max;
        let (mut sumlx, mut suml2) = (zero, zero);
        for i in 0..SUB {
            let l = (iscale * x[i]).nearest_within(-nmax, nmax - 1);
            sumlx = sumlx + wx[i] * l;
            suml2 = suml2 + w[i] * l * l;
        }
        let this = sumlx / suml2;
        if step == 0 {
            scale = zero.where_or(suml2.same(zero), this);
            (best, best_iscale) = (scale * sumlx, iscale);
        } else {
            let better = suml2.gt(zero) & (sumlx * sumlx).gt(best * suml2);
            scale = this.where_or(better, scale);
            (best, best_iscale) =
                ((this * sumlx).where_or(better, best), iscale.where_or(better, best_iscale));
        }
    }
    let empty = V::splat(EPS).gt(amax);
    Signed { scale: zero.where_or(empty, scale), iscale: best_iscale, empty }
}

impl<V: Lanes> Signed<V> {
    /// A sub-block of zeros.
    #[inline(always)]
    pub(super) fn zero() -> Self {
        let zero = V::splat(0.0);
        Self { scale: zero, iscale: zero, empty: zero.same(zero) }
    }

    /// The code that the search gave to `x`, plus n.
    #[inline(always)]
    pub(super) fn code(&self, x: V, nmax: i32) -> V::Int {
        let l = (self.iscale * x).nearest_within(-nmax, nmax - 1) + V::splat(nmax as f32);
        V::splat(0.0).where_or(self.empty, l).int()
    }
}

/// State of `make_q3_quants` for a sub-block: codes, and Σ w·x·code and Σ w·code² over them, with w = x².
#[derive(Clone, Copy)]
struct Descent<V: Lanes> {
    codes: [V; 16],
    sumlx: V,
    suml2: V,
}

impl<V: Lanes> Descent<V> {
    /// Codes by the value of largest magnitude.
    #[inline(always)]
    fn start(x: &[V; 16]) -> Self {
        let zero = V::splat(0.0);
        let iscale = V::splat(-4.0) / extreme(x).1;
        let mut start = Self { codes: *x, sumlx: zero, suml2: zero };
        for (code, &x) in start.codes.iter_mut().zip(x) {
            let l = (iscale * x).nearest_within(-4, 3);
            let w = x * x;
            *code = l;
            start.sumlx = start.sumlx + w * x * l;
            start.suml2 = start.suml2 + w * l * l;
        }
        start
    }

    /// Tries another code for weight `i`; says where it is better.
    #[inline(always)]
    fn step(&mut self, x: V, i: usize) -> V::Mask {
        let (w, l) = (x * x, self.codes[i]);
        let wx = w * x;
        let slx = self.sumlx - wx * l;
        let sl2 = self.suml2 - w * l * l;
        let new = (x * sl2 / slx).nearest_within(-4, 3);
        let (new_slx, new_sl2) = (slx + wx * new, sl2 + w * new * new);
        let gain = (new_slx * new_slx * self.suml2).gt(self.sumlx * self.sumlx * new_sl2);
        let zero = V::splat(0.0);
        let better = slx.gt(zero) & !new.same(l) & new_sl2.gt(zero) & gain;
        self.codes[i] = new.where_or(better, l);
        self.sumlx = new_slx.where_or(better, self.sumlx);
        self.suml2 = new_sl2.where_or(better, self.suml2);
        better
    }
}

/// `make_q3_quants`: the scales of `M` sub-blocks, and their codes plus 4.
///
/// Each step waits for a division of the step before: several sub-blocks at once fill that time.
#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "the loops over a constant number of sub-blocks become straight code"
)]
pub(super) fn descend<V: Lanes, const M: usize>(x: &[[V; 16]; M]) -> [(V, [V; 16]); M] {
    let zero = V::splat(0.0);
    let mut descents = [Descent { codes: [zero; 16], sumlx: zero, suml2: zero }; M];
    for m in 0..M {
        descents[m] = Descent::start(&x[m]);
    }
    for _ in 0..SWEEPS {
        let mut changed = zero.gt(zero);
        for i in 0..16 {
            for m in 0..M {
                changed = changed | descents[m].step(x[m][i], i);
            }
        }
        if !V::any(changed) {
            break;
        }
    }
    let mut found = [(zero, [zero; 16]); M];
    for m in 0..M {
        let Descent { mut codes, sumlx, suml2 } = descents[m];
        let empty = V::splat(EPS).gt(extreme(&x[m]).0);
        for code in &mut codes {
            *code = zero.where_or(empty, *code + V::splat(4.0));
        }
        found[m] = (zero.where_or(empty | !suml2.gt(zero), sumlx / suml2), codes);
    }
    found
}

#[inline(always)]
fn as_byte<V: Lanes>(bits: V::Int) -> V {
    V::from_int(bits & V::Int::splat(0xff))
}

/// `make_qp_quants`: the scale of non-negative values, and their codes as ggml's bytes.
#[inline(always)]
pub(super) fn positive<V: Lanes>(nmax: i32, x: &[V], w: &[V], codes: &mut [V]) -> V {
    let zero = V::splat(0.0);
    let mut max = zero;
    for &x in x {
        max = max.above(x);
    }
    let mut iscale = V::splat(nmax as f32) / max;
    let mut best = zero;
    for step in [0, -4, -3, -2, -1, 1, 2, 3, 4] {
        let trial = V::splat(0.1 * step as f32 + nmax as f32) / max;
        let scale = V::splat(1.0) / trial;
        let mut mse = zero;
        for i in 0..x.len() {
            let v = trial * x[i];
            let l = if step == 0 { as_byte(v.nearest()) } else { v.nearest_within(UNBOUNDED, nmax) };
            let diff = x[i] - scale * l;
            mse = mse + w[i] * diff * diff;
        }
        if step == 0 {
            best = mse;
        } else {
            let better = best.gt(mse);
            (best, iscale) = (mse.where_or(better, best), trial.where_or(better, iscale));
        }
    }
    let (mut sumlx, mut suml2) = (zero, zero);
    for i in 0..x.len() {
        let l = (iscale * x[i]).nearest_within(UNBOUNDED, nmax);
        codes[i] = as_byte(l.int());
        sumlx = sumlx + w[i] * x[i] * l;
        suml2 = suml2 + w[i] * l * l;
    }
    for _ in 0..SWEEPS {
        let mut changed = zero.gt(zero);
        for i in 0..x.len() {
            let (l, wx) = (codes[i], w[i] * x[i]);
            let (slx, sl2) = (sumlx - wx * l, suml2 - w[i] * l * l);
            let new = (x[i] * sl2 / slx).nearest_within(UNBOUNDED, nmax);
            let (new_slx, new_sl2) = (slx + wx * new, sl2 + w[i] * new * new);
            let gain = (new_slx * new_slx * suml2).gt(sumlx * sumlx * new_sl2);
            let better = slx.gt(zero) & sl2.gt(zero) & !new.same(l) & gain;
            codes[i] = as_byte(new.where_or(better, l).int());
            (sumlx, suml2) = (new_slx.where_or(better, sumlx), new_sl2.where_or(better, suml2));
            changed = changed | better;
        }
        if !V::any(changed) {
            break;
        }
    }
    let empty = V::splat(EPS).gt(max);
    for code in codes {
        *code = zero.where_or(empty, *code);
    }
    zero.where_or(empty | !suml2.gt(zero), sumlx / suml2)
}
