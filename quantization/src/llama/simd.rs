//! Products of rows, with AVX-512, AVX2 or plain code, chosen at run time.
//!
//! Each product is summed in the same order whatever rows stand beside it, so a batch gives the bits of one row alone.

#![expect(unsafe_code, reason = "vector loads from pointers and calls of code for one processor")]

use std::sync::OnceLock;

/// What the processor can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Anything.
    Portable,
    /// AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// The level of this processor.
pub(super) fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(detect)
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    use std::arch::is_x86_feature_detected as has;
    if !(has!("avx2") && has!("fma") && has!("f16c")) {
        Level::Portable
    } else if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
        Level::Avx512
    } else {
        Level::Avx2
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Portable
}

/// A weight that is widened to f32 on its way into a register.
pub(super) trait Weight: Copy + Sync {
    /// [`F32`], [`F16`] or [`BF16`].
    const KIND: u8;
    /// The value.
    fn widen(self) -> f32;
}

const F32: u8 = 0;
const F16: u8 = 1;
const BF16: u8 = 2;

/// Bits of a half-precision number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Half(pub(super) u16);

/// Bits of a brain float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Brain(pub(super) u16);

impl Weight for f32 {
    const KIND: u8 = F32;
    fn widen(self) -> f32 {
        self
    }
}

impl Weight for Half {
    const KIND: u8 = F16;
    fn widen(self) -> f32 {
        let (exponent, mantissa) = (u32::from(self.0 >> 10) & 31, u32::from(self.0) & 1023);
        let magnitude = match exponent {
            0 => mantissa as f32 * 2f32.powi(-24),
            31 => f32::from_bits(0x7f80_0000 | mantissa << 13),
            _ => f32::from_bits((exponent + 112) << 23 | mantissa << 13),
        };
        if self.0 >> 15 == 1 { -magnitude } else { magnitude }
    }
}

impl Weight for Brain {
    const KIND: u8 = BF16;
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
}

/// Rows of a matrix, `stride` apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a, W> {
    /// The values.
    pub(super) values: &'a [W],
    /// Number of rows.
    pub(super) count: usize,
    /// Distance of the beginnings of rows.
    pub(super) stride: usize,
}

/// `y[j·y_stride + i] = Σ_k weights[i, k]·x[j, k]` over the first `columns` entries of the rows.
///
/// # Panics
/// If a row ends behind its slice.
pub(super) fn products<W: Weight>(
    weights: Rows<W>,
    x: Rows<f32>,
    columns: usize,
    y: &mut [f32],
    y_stride: usize,
) {
    if weights.count == 0 || x.count == 0 {
        return;
    }
    assert!((weights.count - 1) * weights.stride + columns <= weights.values.len(), "rows of weights");
    assert!((x.count - 1) * x.stride + columns <= x.values.len(), "rows of inputs");
    assert!((x.count - 1) * y_stride + weights.count <= y.len(), "rows of outputs");
    #[cfg(target_arch = "x86_64")]
    if W::KIND != F32 && x.count >= WIDEN_FROM && level() == Level::Avx512 {
        return widened(weights, x, columns, y, y_stride);
    }
    // Rows of x that stay in the second-level cache while the weights pass by.
    let block = (65_536 / columns.max(1)).clamp(4, 256);
    for start in (0..x.count).step_by(block) {
        let count = block.min(x.count - start);
        let x = Rows { values: &x.values[start * x.stride..], count, stride: x.stride };
        let y = &mut y[start * y_stride..];
        match level() {
            Level::Portable => portable(weights, x, columns, y, y_stride),
            // SAFETY: `level` found the features; the lengths were checked above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::avx2(weights, x, columns, y, y_stride) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::avx512(weights, x, columns, y, y_stride) },
        }
    }
}

/// Inputs from which it pays to widen weights once.
#[cfg(target_arch = "x86_64")]
const WIDEN_FROM: usize = 8;

/// [`products`] of weights widened a few rows at a time.
#[cfg(target_arch = "x86_64")]
fn widened<W: Weight>(weights: Rows<W>, x: Rows<f32>, columns: usize, y: &mut [f32], y_stride: usize) {
    let together = (65_536 / columns.max(1)).next_multiple_of(4).clamp(4, 64);
    let mut rows = vec![0f32; together * columns];
    for start in (0..weights.count).step_by(together) {
        let count = together.min(weights.count - start);
        for (row, out) in rows.chunks_exact_mut(columns.max(1)).take(count).enumerate() {
            let from = &weights.values[(start + row) * weights.stride..][..columns];
            // SAFETY: the caller found the level; both slices have `columns` values.
            unsafe { x86::widen512(from.as_ptr(), columns, out.as_mut_ptr()) };
        }
        products(Rows { values: &rows, count, stride: columns }, x, columns, &mut y[start..], y_stride);
    }
}

fn portable<W: Weight>(weights: Rows<W>, x: Rows<f32>, columns: usize, y: &mut [f32], y_stride: usize) {
    for i in 0..weights.count {
        let weights = &weights.values[i * weights.stride..][..columns];
        for j in 0..x.count {
            y[j * y_stride + i] = portable_dot(weights, &x.values[j * x.stride..][..columns]);
        }
    }
}

fn portable_dot<W: Weight>(weights: &[W], x: &[f32]) -> f32 {
    let mut lanes = [0f32; 8];
    let (weight_chunks, x_chunks) = (weights.chunks_exact(8), x.chunks_exact(8));
    let rest = weight_chunks.remainder().iter().zip(x_chunks.remainder());
    let rest: f32 = rest.map(|(w, x)| w.widen() * x).sum();
    for (weights, x) in weight_chunks.zip(x_chunks) {
        for lane in 0..8 {
            lanes[lane] += weights[lane].widen() * x[lane];
        }
    }
    lanes.iter().sum::<f32>() + rest
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{BF16, F16, Rows, Weight};

    /// Runs `$tile::<W, rows, inputs>` over the whole product: `$r` rows by `$c` inputs, then single ones.
    macro_rules! tiles {
        ($name:ident, $tile:ident, $features:literal, $r:literal, $c:literal, $alone:literal) => {
            /// [`super::products`] without checks.
            ///
            /// # Safety
            /// The processor has the features; no row ends behind its slice.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn $name<W: Weight>(
                weights: Rows<W>,
                x: Rows<f32>,
                columns: usize,
                y: &mut [f32],
                y_stride: usize,
            ) {
                let (w0, x0, y0) = (weights.values.as_ptr(), x.values.as_ptr(), y.as_mut_ptr());
                let (ws, xs) = (weights.stride, x.stride);
                let together = x.count / $c * $c;
                let mut i = 0;
                // SAFETY: i and j stay below the counts; the caller vouches for the rows.
                unsafe {
                    while i + $r <= weights.count && together > 0 {
                        for j in (0..together).step_by($c) {
                            let y = y0.add(j * y_stride + i);
                            $tile::<W, $r, $c>(w0.add(i * ws), ws, x0.add(j * xs), xs, columns, y, y_stride);
                        }
                        i += $r;
                    }
                    for i in i..weights.count {
                        for j in 0..together {
                            let y = y0.add(j * y_stride + i);
                            $tile::<W, 1, 1>(w0.add(i * ws), ws, x0.add(j * xs), xs, columns, y, y_stride);
                        }
                    }
                    for j in together..x.count {
                        let mut i = 0;
                        while i + $alone <= weights.count {
                            let y = y0.add(j * y_stride + i);
                            $tile::<W, $alone, 1>(
                                w0.add(i * ws),
                                ws,
                                x0.add(j * xs),
                                xs,
                                columns,
                                y,
                                y_stride,
                            );
                            i += $alone;
                        }
                        for i in i..weights.count {
                            let y = y0.add(j * y_stride + i);
                            $tile::<W, 1, 1>(w0.add(i * ws), ws, x0.add(j * xs), xs, columns, y, y_stride);
                        }
                    }
                }
            }
        };
    }

    tiles!(avx512, tile512, "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c", 4, 4, 8);
    tiles!(avx2, tile256, "avx2,fma,f16c", 4, 2, 8);

    // Loads go through all-ones masks, which compile to plain loads: `loadu` checks its pointer at every call where debug
    // assertions are on, as they are in this workspace's only profile.

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    unsafe fn load512<W: Weight>(at: *const W) -> __m512 {
        // SAFETY: the caller vouches for 16 weights.
        unsafe {
            match W::KIND {
                F16 => _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(!0, at.cast())),
                BF16 => _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(
                    _mm256_maskz_loadu_epi16(!0, at.cast()),
                ))),
                _ => _mm512_maskz_loadu_ps(!0, at.cast()),
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    unsafe fn load512_some<W: Weight>(at: *const W, mask: u16) -> __m512 {
        // SAFETY: the caller vouches for the weights under the mask; others are not touched.
        unsafe {
            match W::KIND {
                F16 => _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, at.cast())),
                BF16 => {
                    let bits = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, at.cast()));
                    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
                }
                _ => _mm512_maskz_loadu_ps(mask, at.cast()),
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    unsafe fn tile512<W: Weight, const R: usize, const C: usize>(
        weights: *const W,
        weight_stride: usize,
        x: *const f32,
        x_stride: usize,
        columns: usize,
        y: *mut f32,
        y_stride: usize,
    ) {
        let mut sums = [[_mm512_setzero_ps(); C]; R];
        let whole = columns / 16 * 16;
        let (mut weights_at, mut inputs_at) = ([weights; R], [x; C]);
        (0..R).for_each(|r| weights_at[r] = weights.wrapping_add(r * weight_stride));
        (0..C).for_each(|c| inputs_at[c] = x.wrapping_add(c * x_stride));
        // SAFETY: the caller vouches for R rows of weights, C of inputs, and their products.
        unsafe {
            for k in (0..whole).step_by(16) {
                let mut inputs = [_mm512_setzero_ps(); C];
                for (c, input) in inputs.iter_mut().enumerate() {
                    *input = _mm512_maskz_loadu_ps(!0, inputs_at[c].wrapping_add(k));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let weights = load512(weights_at[r].wrapping_add(k));
                    for (sum, &input) in sums.iter_mut().zip(&inputs) {
                        *sum = _mm512_fmadd_ps(weights, input, *sum);
                    }
                }
            }
            if whole < columns {
                let mask = (1u16 << (columns - whole)) - 1;
                for (r, sums) in sums.iter_mut().enumerate() {
                    let weights = load512_some(weights.add(r * weight_stride + whole), mask);
                    for (c, sum) in sums.iter_mut().enumerate() {
                        let input = _mm512_maskz_loadu_ps(mask, x.add(c * x_stride + whole));
                        *sum = _mm512_fmadd_ps(weights, input, *sum);
                    }
                }
            }
            if R == 4 && C == 4 {
                let totals = totals_of_sixteen(|c, r| sums[r % R][c % C]);
                _mm_storeu_ps(y, _mm512_extractf32x4_ps::<0>(totals));
                _mm_storeu_ps(y.add(y_stride), _mm512_extractf32x4_ps::<1>(totals));
                _mm_storeu_ps(y.add(2 * y_stride), _mm512_extractf32x4_ps::<2>(totals));
                _mm_storeu_ps(y.add(3 * y_stride), _mm512_extractf32x4_ps::<3>(totals));
                return;
            }
            for (r, sums) in sums.iter().enumerate() {
                for (c, &sum) in sums.iter().enumerate() {
                    *y.add(c * y_stride + r) = total(sum);
                }
            }
        }
    }

    /// Sum of 16 lanes, in each quarter `(0 + 2) + (1 + 3)`, then `(first + second) + (third + fourth)` of the quarters.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    fn total(lanes: __m512) -> f32 {
        let pairs = _mm512_add_ps(lanes, _mm512_shuffle_ps::<0x4e>(lanes, lanes));
        let quarters = _mm512_add_ps(pairs, _mm512_shuffle_ps::<0xb1>(pairs, pairs));
        let halves = _mm512_add_ps(quarters, _mm512_shuffle_f32x4::<0xb1>(quarters, quarters));
        _mm512_cvtss_f32(_mm512_add_ps(halves, _mm512_shuffle_f32x4::<0x4e>(halves, halves)))
    }

    /// [`total`] of `sum(c, r)` for c, r < 4 at place `4c + r`, bit for bit.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    fn totals_of_sixteen(sum: impl Fn(usize, usize) -> __m512) -> __m512 {
        let mut four = [_mm512_setzero_ps(); 4];
        for (c, four) in four.iter_mut().enumerate() {
            let pairs =
                |a: __m512, b: __m512| _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
            let (low, high) = (pairs(sum(c, 0), sum(c, 1)), pairs(sum(c, 2), sum(c, 3)));
            let (low, high) = (_mm512_castps_pd(low), _mm512_castps_pd(high));
            let (even, odd) = (_mm512_unpacklo_pd(low, high), _mm512_unpackhi_pd(low, high));
            *four = _mm512_add_ps(_mm512_castpd_ps(even), _mm512_castpd_ps(odd));
        }
        let quarters = |a: __m512, b: __m512| {
            _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b))
        };
        quarters(quarters(four[0], four[1]), quarters(four[2], four[3]))
    }

    /// Widens `count` weights.
    ///
    /// # Safety
    /// The processor has the features; both pointers have `count` values.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    pub(super) unsafe fn widen512<W: Weight>(from: *const W, count: usize, to: *mut f32) {
        let whole = count / 16 * 16;
        // SAFETY: all places are below `count`.
        unsafe {
            for place in (0..whole).step_by(16) {
                _mm512_storeu_ps(to.add(place), load512(from.add(place)));
            }
            for place in whole..count {
                *to.add(place) = (*from.add(place)).widen();
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn load256<W: Weight>(at: *const W) -> __m256 {
        // SAFETY: the caller vouches for 8 weights.
        unsafe {
            match W::KIND {
                F16 => _mm256_cvtph_ps(_mm_loadu_si128(at.cast())),
                BF16 => _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(
                    at.cast(),
                )))),
                _ => _mm256_loadu_ps(at.cast()),
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn tile256<W: Weight, const R: usize, const C: usize>(
        weights: *const W,
        weight_stride: usize,
        x: *const f32,
        x_stride: usize,
        columns: usize,
        y: *mut f32,
        y_stride: usize,
    ) {
        let mut sums = [[_mm256_setzero_ps(); C]; R];
        let whole = columns / 8 * 8;
        // SAFETY: the caller vouches for R rows of weights, C of inputs, and their products.
        unsafe {
            for k in (0..whole).step_by(8) {
                let mut inputs = [_mm256_setzero_ps(); C];
                for (c, input) in inputs.iter_mut().enumerate() {
                    *input = _mm256_loadu_ps(x.add(c * x_stride + k));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let weights = load256(weights.add(r * weight_stride + k));
                    for (sum, &input) in sums.iter_mut().zip(&inputs) {
                        *sum = _mm256_fmadd_ps(weights, input, *sum);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (c, &sum) in sums.iter().enumerate() {
                    let mut total = sum_of_lanes(sum);
                    for k in whole..columns {
                        let input = *x.add(c * x_stride + k);
                        total = (*weights.add(r * weight_stride + k)).widen().mul_add(input, total);
                    }
                    *y.add(c * y_stride + r) = total;
                }
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn sum_of_lanes(lanes: __m256) -> f32 {
        let four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }
}

/// Gives `$name`, which runs the inlined `$body::<FMA>` compiled for the processor at hand.
macro_rules! for_each_processor {
    ($(#[$doc:meta])* $name:ident = $body:ident($($argument:ident: $kind:ty),*)) => {
        $(#[$doc])*
        pub(super) fn $name($($argument: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
                fn wide($($argument: $kind),*) {
                    $body::<true>($($argument),*);
                }
                #[target_feature(enable = "avx2,fma,f16c")]
                fn narrow($($argument: $kind),*) {
                    $body::<true>($($argument),*);
                }
                match $crate::llama::simd::level() {
                    $crate::llama::simd::Level::Portable => {}
                    // SAFETY: `level` found the features.
                    $crate::llama::simd::Level::Avx2 => return unsafe { narrow($($argument),*) },
                    // SAFETY: as above.
                    $crate::llama::simd::Level::Avx512 => return unsafe { wide($($argument),*) },
                }
            }
            $body::<false>($($argument),*);
        }
    };
}

pub(super) use for_each_processor;

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn halves_and_brain_floats_widen_exactly() {
        let cases = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x0001, 2f32.powi(-24)),
            (0x7c00, f32::INFINITY),
            (0x7bff, 65504.0),
        ];
        for (bits, value) in cases {
            assert_eq!(Half(bits).widen(), value);
        }
        assert!(Half(0x7e01).widen().is_nan());
        assert_eq!(Brain(0xc049).widen(), -3.140_625);
    }

    #[test]
    fn products_equal_double_sums_and_do_not_depend_on_their_neighbours() {
        for (rows, inputs, columns) in [(1, 1, 1), (9, 5, 64), (13, 6, 172), (4, 4, 37), (3, 300, 15)] {
            let (weights, x) = (numbers(rows * columns, 1), numbers(inputs * columns, 2));
            check(&weights, &x, rows, inputs, columns);
            let half: Vec<Half> =
                weights.iter().map(|w| Half(0x3000 | (w.to_bits() >> 12) as u16 & 0x8fff)).collect();
            check(&half, &x, rows, inputs, columns);
            let brain: Vec<Brain> = weights.iter().map(|w| Brain((w.to_bits() >> 16) as u16)).collect();
            check(&brain, &x, rows, inputs, columns);
        }
    }

    fn check<W: Weight>(weights: &[W], x: &[f32], rows: usize, inputs: usize, columns: usize) {
        let mut y = vec![0.0; rows * inputs];
        let all = Rows { values: weights, count: rows, stride: columns };
        products(all, Rows { values: x, count: inputs, stride: columns }, columns, &mut y, rows);
        for j in 0..inputs {
            for i in 0..rows {
                let (weights, x) = (&weights[i * columns..][..columns], &x[j * columns..][..columns]);
                let exact: f64 =
                    weights.iter().zip(x).map(|(w, x)| f64::from(w.widen()) * f64::from(*x)).sum();
                assert!((f64::from(y[j * rows + i]) - exact).abs() < 2e-5, "{} {exact}", y[j * rows + i]);
                let mut alone = [0.0];
                let row = Rows { values: weights, count: 1, stride: columns };
                products(row, Rows { values: x, count: 1, stride: columns }, columns, &mut alone, 1);
                assert_eq!(alone[0].to_bits(), y[j * rows + i].to_bits());
            }
        }
    }
}
