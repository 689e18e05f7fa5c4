//! Matrix times several vectors: rows are unpacked once into panels whose lanes are rows, and multiplied with tiles of tokens.
#![expect(unsafe_code, reason = "functions that need processor features, stores of registers")]

use std::arch::x86_64::*;
use std::cell::Cell;

use super::super::super::activations::{Group, SUBS, lane};
use super::super::super::{Activations, GROUP};
use super::Format;
use super::transpose::transposed;
use super::unpack::load64;

/// Rows of a panel: the 32-bit lanes of a register.
const ROWS: usize = 16;

/// Panels that are packed together, so that they and a tile of tokens stay in the first cache.
const PANELS: usize = 4;

/// Tokens of a tile: as many as registers hold integer and float sums for, and enough to hide the latency of `dpbusd`.
const TOKENS: usize = 8;

thread_local! {
    /// Memory of the last call's tiles: fresh pages cost more than filling them.
    static LAST: Cell<Vec<Tile>> = const { Cell::new(Vec::new()) };
}

/// 256 columns of sixteen rows; a lane is a row.
#[derive(Clone)]
#[repr(C, align(64))]
struct Panel {
    /// Codes of four neighbouring columns per lane.
    codes: [[u8; 64]; GROUP / 4],
    /// Per sub-block, at its `lane`.
    scales: [[f32; ROWS]; SUBS],
    minima: [[f32; ROWS]; SUBS],
}

/// 256 activations of the tokens of a tile, with values per span of sub-blocks that share scales, in order.
#[derive(Clone)]
#[repr(C, align(64))]
struct Tile {
    codes: [[i32; TOKENS]; GROUP / 4],
    /// What the shift adds to the sums, negated.
    start: [[i32; TOKENS]; SUBS],
    scales: [[f32; TOKENS]; SUBS],
    offsets: [[f32; TOKENS]; SUBS],
}

/// Sums of a tile's tokens and a panel's rows.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Sums([[f32; ROWS]; TOKENS]);

impl Panel {
    const ZERO: Self =
        Self { codes: [[0; 64]; GROUP / 4], scales: [[0.0; ROWS]; SUBS], minima: [[0.0; ROWS]; SUBS] };
}

impl Tile {
    const ZERO: Self = Self {
        codes: [[0; TOKENS]; GROUP / 4],
        start: [[0; TOKENS]; SUBS],
        scales: [[0.0; TOKENS]; SUBS],
        offsets: [[0.0; TOKENS]; SUBS],
    };

    /// Takes over `group` as token `token`.
    fn set<F: Format>(&mut self, token: usize, group: &Group) {
        for (codes, bytes) in self.codes.iter_mut().zip(group.codes.as_chunks::<4>().0) {
            codes[token] = i32::from_le_bytes(bytes.map(|code| code as u8));
        }
        for span in 0..SUBS / F::SPAN {
            let lanes = (span * F::SPAN..(span + 1) * F::SPAN).map(lane);
            let sum: i32 = lanes.clone().map(|lane| group.sums[lane]).sum();
            self.start[span][token] = F::SHIFT.map_or(0, |shift| -(sum << shift));
            self.scales[span][token] = group.scales[lane(span * F::SPAN)];
            self.offsets[span][token] = lanes.map(|lane| group.offsets[lane]).sum();
        }
    }
}

/// Products of every row of `weights` with every row of `activations`; `y` is `[tokens, rows]`.
///
/// # Safety
/// Rows of whole groups of `F`, and the features.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn rows<F: Format>(
    weights: &[u8],
    row_bytes: usize,
    activations: &Activations,
    y: &mut [f32],
) {
    let (n_rows, n_groups) = (weights.len() / row_bytes, row_bytes / F::BYTES);
    let mut tiles = LAST.take();
    fill::<F>(&mut tiles, activations, n_groups);
    let n_tiles = activations.rows().div_ceil(TOKENS);
    let mut panels = vec![Panel::ZERO; PANELS];
    let mut sums = vec![[Sums([[0.0; ROWS]; TOKENS]); PANELS]; n_tiles];
    for (at, block) in weights.chunks(PANELS * ROWS * row_bytes).enumerate() {
        sums.fill([Sums([[0.0; ROWS]; TOKENS]); PANELS]);
        let n_panels = block.len().div_ceil(ROWS * row_bytes);
        for (group, tiles) in tiles.chunks_exact(n_tiles).enumerate() {
            for (panel, rows) in panels.iter_mut().zip(block.chunks(ROWS * row_bytes)) {
                // SAFETY: the caller's.
                unsafe { pack::<F>(panel, rows, row_bytes, group * F::BYTES) };
            }
            for (sums, tile) in sums.iter_mut().zip(tiles) {
                for (sums, panel) in sums.iter_mut().zip(&panels[..n_panels]) {
                    // SAFETY: the caller's.
                    unsafe { multiply::<F>(sums, panel, tile) };
                }
            }
        }
        let height = block.len() / row_bytes;
        for (token, y) in y.chunks_exact_mut(n_rows).enumerate() {
            let y = &mut y[at * PANELS * ROWS..][..height];
            for (y, sums) in y.chunks_mut(ROWS).zip(&sums[token / TOKENS]) {
                y.copy_from_slice(&sums.0[token % TOKENS][..y.len()]);
            }
        }
    }
    LAST.set(tiles);
}

/// Fills `tiles` with the activations (`[groups, tiles]`); tokens that are missing in the last tile keep whatever is there.
fn fill<F: Format>(tiles: &mut Vec<Tile>, activations: &Activations, n_groups: usize) {
    let n_tiles = activations.rows().div_ceil(TOKENS);
    tiles.resize(n_groups * n_tiles, Tile::ZERO);
    for token in 0..activations.rows() {
        for (at, group) in activations.row(token).iter().enumerate() {
            tiles[at * n_tiles + token / TOKENS].set::<F>(token % TOKENS, group);
        }
    }
}

/// Fills `panel` with up to sixteen `rows`' groups that begin at byte `at`; rows that are missing have code and scale 0.
///
/// # Safety
/// Rows of whole groups of `F`, and the features.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
unsafe fn pack<F: Format>(panel: &mut Panel, rows: &[u8], row_bytes: usize, at: usize) {
    let zero = _mm512_setzero_si512();
    let (mut scales, mut minima, mut codes) = ([zero; ROWS], [zero; ROWS], [[zero; ROWS]; 4]);
    for (row, bytes) in rows.chunks_exact(row_bytes).enumerate().take(ROWS) {
        let group = &bytes[at..][..F::BYTES];
        // SAFETY: the caller's.
        unsafe {
            codes[0][row] = F::codes(group, 0);
            codes[1][row] = F::codes(group, 1);
            codes[2][row] = F::codes(group, 2);
            codes[3][row] = F::codes(group, 3);
            scales[row] = _mm512_castps_si512(F::scales(group));
            if F::MINIMA {
                minima[row] = _mm512_castps_si512(F::minima(group));
            }
        }
    }
    for (panel, codes) in panel.codes.as_chunks_mut::<16>().0.iter_mut().zip(codes) {
        for (panel, codes) in panel.iter_mut().zip(transposed(codes)) {
            // SAFETY: as long as a register, every value valid.
            *panel = unsafe { std::mem::transmute::<__m512i, [u8; 64]>(codes) };
        }
    }
    store(&mut panel.scales, scales);
    if F::MINIMA {
        store(&mut panel.minima, minima);
    }
}

/// Stores one value per lane (a row's sub-blocks) as one value per row, in the order of the lanes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
fn store(out: &mut [[f32; ROWS]; SUBS], rows: [__m512i; ROWS]) {
    for (out, values) in out.iter_mut().zip(transposed(rows)) {
        // SAFETY: as long as a register, every value valid.
        *out = unsafe { std::mem::transmute::<__m512i, [f32; ROWS]>(values) };
    }
}

/// A register of sixteen floats.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
fn load(values: &[f32; ROWS]) -> __m512 {
    // SAFETY: as long as a register, every value valid.
    unsafe { std::mem::transmute::<[f32; ROWS], __m512>(*values) }
}

/// Adds the products of sixteen rows with a tile of tokens.
///
/// # Safety
/// The features.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
#[expect(
    clippy::needless_range_loop,
    reason = "the loops over a constant number of tokens become straight code"
)]
unsafe fn multiply<F: Format>(out: &mut Sums, panel: &Panel, tile: &Tile) {
    let mut totals = [_mm512_setzero_ps(); TOKENS];
    for token in 0..TOKENS {
        totals[token] = load(&out.0[token]);
    }
    for span in 0..SUBS / F::SPAN {
        let mut sums = [_mm512_setzero_si512(); TOKENS];
        if F::SHIFT.is_some() {
            for token in 0..TOKENS {
                sums[token] = _mm512_set1_epi32(tile.start[span][token]);
            }
        }
        for column in 4 * F::SPAN * span..4 * F::SPAN * (span + 1) {
            let weights = load64(&panel.codes[column], 0);
            for token in 0..TOKENS {
                sums[token] =
                    _mm512_dpbusd_epi32(sums[token], weights, _mm512_set1_epi32(tile.codes[column][token]));
            }
        }
        let scales = load(&panel.scales[lane(span * F::SPAN)]);
        for token in 0..TOKENS {
            let scales = _mm512_mul_ps(scales, _mm512_set1_ps(tile.scales[span][token]));
            totals[token] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[token]), scales, totals[token]);
        }
        if F::MINIMA {
            let minima = load(&panel.minima[lane(span * F::SPAN)]);
            for token in 0..TOKENS {
                totals[token] =
                    _mm512_fmadd_ps(minima, _mm512_set1_ps(tile.offsets[span][token]), totals[token]);
            }
        }
    }
    for token in 0..TOKENS {
        // SAFETY: as long as a register, every value valid.
        out.0[token] = unsafe { std::mem::transmute::<__m512, [f32; ROWS]>(totals[token]) };
    }
}
