//! The nearest centroid by 8-bit codes first: bounds of the products rule nearly all centroids out, the others are compared
//! exactly.
//!
//! With codes of a vector, `x = x̂ + e`, and of a centroid, `c = ĉ + f`:
//!
//! ```text
//! |x·c − x̂·ĉ| = |e·c + x̂·f| ≤ ‖e‖·‖c‖ + ‖x̂‖·‖f‖        (Cauchy–Schwarz)
//! ```
//! and what the f32 sums of the exact product and of the bound may be off is added. A centroid whose upper bound is below
//! another's lower bound cannot be the nearest.
#![expect(unsafe_code, reason = "loads from pointers, calls into functions that need processor features")]

use std::arch::x86_64::*;

use super::nearest::dot;

/// Vectors in the lanes of two registers.
const LANES: usize = 32;
/// Centroids in flight: 24 of 32 registers are sums.
const TILE: usize = 12;
/// Centroids whose bounds are held at a time.
const BLOCK: usize = 504;
/// Largest code.
const LARGEST: f32 = 127.0;
/// A float at which the lowest bit is worth 1.
const ANCHOR: f32 = 12_582_912.0;
/// Code 0 of a centroid: its bytes are unsigned.
const ZERO: i32 = 128;

/// Centroids and their codes.
pub(super) struct Screen<'a> {
    centroids: &'a [f32],
    dim: usize,
    offsets: &'a [f32],
    /// Words of a row, four codes each.
    steps: usize,
    codes: Vec<u32>,
    bounds: Vec<Bound>,
}

/// What bounds need to know of a centroid.
#[derive(Clone, Copy)]
struct Bound {
    scale: f32,
    offset: f32,
    /// `‖c‖`.
    length: f32,
    /// `‖f‖`.
    error: f32,
    /// Rounding of the offset's addition.
    slack: f32,
}

/// 32 vectors in lanes, and what bounds need to know of each.
struct Panel {
    words: Vec<u32>,
    scale: [f32; LANES],
    /// 128 times the sum of the codes, which the unsigned centroid bytes add.
    excess: [i32; LANES],
    /// `‖x̂‖`.
    length: [f32; LANES],
    /// `‖e‖`, and the rounding of the exact product per unit of `‖c‖`.
    error: [f32; LANES],
}

/// Codes of a row, their scale, and the lengths of what they decode to and of the rest.
fn code(row: &[f32], codes: &mut [i8]) -> (f32, f32, f32) {
    let largest = row.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    // A scale that cannot be divided by codes nothing: all of the row is error then.
    let scale = largest / LARGEST;
    let inverse = if scale > f32::MIN_POSITIVE { 1.0 / scale } else { 0.0 };
    let (mut decoded, mut error) = (0.0_f64, 0.0_f64);
    for (&x, code) in row.iter().zip(codes) {
        // Rounds to the nearest, without the function call that it takes on plain x86-64.
        let rounded = ((x * inverse + ANCHOR) - ANCHOR).clamp(-LARGEST, LARGEST);
        *code = rounded as i8;
        let value = f64::from(rounded) * f64::from(scale);
        decoded += value * value;
        error += (f64::from(x) - value).powi(2);
    }
    // The next f32 up, so that a bound stays one.
    let up = |square: f64| (square.sqrt() as f32).next_up();
    (scale, up(decoded), up(error))
}

impl<'a> Screen<'a> {
    /// `None` on processors without 8-bit dot products of 512 bits.
    pub(super) fn new(centroids: &'a [f32], dim: usize, offsets: &'a [f32]) -> Option<Self> {
        let able = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vnni");
        if !able {
            return None;
        }
        let steps = dim.div_ceil(4);
        let mut codes = Vec::with_capacity(offsets.len() * steps);
        let mut bounds = Vec::with_capacity(offsets.len());
        let mut row_codes = vec![0; 4 * steps];
        for (row, &offset) in centroids.chunks_exact(dim).zip(offsets) {
            let (scale, _, error) = code(row, &mut row_codes);
            let word = |codes: &[i8; 4]| u32::from_le_bytes(codes.map(|code| (i32::from(code) + ZERO) as u8));
            codes.extend(row_codes.as_chunks::<4>().0.iter().map(word));
            let length = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt() as f32;
            let slack = 4.0 * f32::EPSILON * offset.abs();
            bounds.push(Bound { scale, offset, length: length.next_up(), error, slack });
        }
        Some(Self { centroids, dim, offsets, steps, codes, bounds })
    }

    /// Nearest centroid and score of each of `vectors`, `[rows, dim]`.
    pub(super) fn best(&self, vectors: &[f32]) -> Vec<(u32, f32)> {
        let mut uppers = vec![[0.0; LANES]; BLOCK];
        let mut found = Vec::with_capacity(vectors.len() / self.dim);
        for vectors in vectors.chunks(LANES * self.dim) {
            let panel = self.panel(vectors);
            let mut best = [(0, f32::NEG_INFINITY); LANES];
            let mut least = [f32::NEG_INFINITY; LANES];
            // Lanes without a vector look for nothing.
            least[vectors.len() / self.dim..].fill(f32::INFINITY);
            // SAFETY: `new` has found the features.
            unsafe { self.search(vectors, &panel, &mut uppers, &mut least, &mut best) };
            found.extend_from_slice(&best[..vectors.len() / self.dim]);
        }
        found
    }

    fn panel(&self, vectors: &[f32]) -> Panel {
        let mut panel = Panel {
            words: vec![0; self.steps * LANES],
            scale: [0.0; LANES],
            excess: [0; LANES],
            length: [0.0; LANES],
            error: [0.0; LANES],
        };
        let mut codes = vec![0; 4 * self.steps];
        let rounding = (self.dim + 32) as f32 * f32::EPSILON;
        for (lane, row) in vectors.chunks_exact(self.dim).enumerate() {
            let (scale, length, error) = code(row, &mut codes);
            for (step, codes) in codes.as_chunks::<4>().0.iter().enumerate() {
                panel.words[step * LANES + lane] = u32::from_le_bytes(codes.map(i8::cast_unsigned));
            }
            panel.scale[lane] = scale;
            panel.excess[lane] = ZERO * codes.iter().map(|&code| i32::from(code)).sum::<i32>();
            panel.length[lane] = length;
            panel.error[lane] = error + rounding * (length + error);
        }
        panel
    }

    /// Raises `best` to the nearest centroids of the panel's vectors.
    ///
    /// # Safety
    /// The features that [`Self::new`] looks for.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
    unsafe fn search(
        &self,
        vectors: &[f32],
        panel: &Panel,
        uppers: &mut [[f32; LANES]],
        least: &mut [f32; LANES],
        best: &mut [(u32, f32); LANES],
    ) {
        for (block, (codes, bounds)) in
            self.codes.chunks(BLOCK * self.steps).zip(self.bounds.chunks(BLOCK)).enumerate()
        {
            // SAFETY: the features; a block has as many rows of codes as bounds, and `uppers` room for them.
            unsafe { bounds_of(panel, codes, bounds, self.steps, uppers, least) };
            for (place, upper) in uppers[..bounds.len()].iter().enumerate() {
                let mut lanes = reaching(upper, least);
                while lanes != 0 {
                    let lane = lanes.trailing_zeros() as usize;
                    lanes &= lanes - 1;
                    let id = block * BLOCK + place;
                    let centroid = &self.centroids[id * self.dim..][..self.dim];
                    let score = dot(&vectors[lane * self.dim..][..self.dim], centroid) + self.offsets[id];
                    if score > best[lane].1 {
                        best[lane] = (id as u32, score);
                        least[lane] = least[lane].max(score);
                    }
                }
            }
        }
    }
}

/// Lanes whose upper bound reaches the least.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn reaching(upper: &[f32; LANES], least: &[f32; LANES]) -> u32 {
    // SAFETY: both arrays have 32 floats.
    unsafe {
        let mask = |first: usize| {
            let (upper, least) = (upper.as_ptr().add(first), least.as_ptr().add(first));
            _mm512_cmp_ps_mask::<_CMP_GE_OQ>(_mm512_loadu_ps(upper), _mm512_loadu_ps(least))
        };
        u32::from(mask(0)) | u32::from(mask(16)) << 16
    }
}

/// Upper bounds of the products with the rows of `codes`, and `least` raised to the lower bounds.
///
/// # Safety
/// The features; as many rows of `steps` words in `codes` as there are `bounds`; as many `uppers` at least.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
unsafe fn bounds_of(
    panel: &Panel,
    codes: &[u32],
    bounds: &[Bound],
    steps: usize,
    uppers: &mut [[f32; LANES]],
    least: &mut [f32; LANES],
) {
    // SAFETY: the arrays have 32 lanes; rows are below `bounds.len()`.
    unsafe {
        let floats = |lanes: &[f32; LANES]| [0, 16].map(|first| _mm512_loadu_ps(lanes.as_ptr().add(first)));
        let excess = [0, 16].map(|first| _mm512_loadu_si512(panel.excess.as_ptr().add(first).cast()));
        let (scale, length, error) = (floats(&panel.scale), floats(&panel.length), floats(&panel.error));
        let mut lowest = floats(least);
        let mut row = 0;
        while row < bounds.len() {
            let count = TILE.min(bounds.len() - row);
            let first = codes.as_ptr().add(row * steps);
            let sums = match count {
                TILE => products::<TILE>(panel.words.as_ptr(), first, steps),
                _ => few(panel.words.as_ptr(), first, steps, count),
            };
            for (place, sums) in sums.into_iter().enumerate().take(count) {
                let bound = bounds[row + place];
                let out = uppers[row + place].as_mut_ptr();
                for half in 0..2 {
                    let product = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums[half], excess[half]));
                    let product = _mm512_mul_ps(product, scale[half]);
                    let score =
                        _mm512_fmadd_ps(product, _mm512_set1_ps(bound.scale), _mm512_set1_ps(bound.offset));
                    let coding = _mm512_fmadd_ps(
                        length[half],
                        _mm512_set1_ps(bound.error),
                        _mm512_set1_ps(bound.slack),
                    );
                    let radius = _mm512_fmadd_ps(error[half], _mm512_set1_ps(bound.length), coding);
                    lowest[half] = _mm512_max_ps(lowest[half], _mm512_sub_ps(score, radius));
                    _mm512_storeu_ps(out.add(16 * half), _mm512_add_ps(score, radius));
                }
            }
            row += count;
        }
        for (half, lowest) in lowest.into_iter().enumerate() {
            _mm512_storeu_ps(least.as_mut_ptr().add(16 * half), lowest);
        }
    }
}

/// Integer products of `T` rows with the panel.
///
/// # Safety
/// The features; `steps` words of 32 lanes in `panel`, `T` rows of `steps` words in `rows`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
unsafe fn products<const T: usize>(panel: *const u32, rows: *const u32, steps: usize) -> [[__m512i; 2]; T] {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[_mm512_setzero_si512(); 2]; T];
        for step in 0..steps {
            let lanes = [0, 16].map(|first| _mm512_loadu_si512(panel.add(step * LANES + first).cast()));
            for (row, sums) in sums.iter_mut().enumerate() {
                let value = _mm512_set1_epi32((*rows.add(row * steps + step)).cast_signed());
                sums[0] = _mm512_dpbusd_epi32(sums[0], value, lanes[0]);
                sums[1] = _mm512_dpbusd_epi32(sums[1], value, lanes[1]);
            }
        }
        sums
    }
}

/// [`products`] of fewer rows.
///
/// # Safety
/// As [`products`], with `count` rows.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
unsafe fn few(panel: *const u32, rows: *const u32, steps: usize, count: usize) -> [[__m512i; 2]; TILE] {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[_mm512_setzero_si512(); 2]; TILE];
        for (row, sums) in sums.iter_mut().enumerate().take(count) {
            [*sums] = products::<1>(panel, rows.add(row * steps), steps);
        }
        sums
    }
}
