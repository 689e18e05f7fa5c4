//! Matrix times several vectors: sixteen rows are unpacked once into a panel whose lanes are rows.
#![expect(unsafe_code, reason = "loads from pointers")]

use std::arch::x86_64::*;

use super::super::super::activations::{SUBS, lane};
use super::super::super::{Activations, GROUP};
use super::Format;

/// Rows of a panel: the 32-bit lanes of a register.
const ROWS: usize = 16;

/// Tokens that are multiplied with a panel at a time, as many as registers hold sums for.
const TOKENS: usize = 8;

/// 256 columns of sixteen rows; a lane is a row.
#[repr(C, align(64))]
struct Panel {
    /// Codes of four neighbouring columns per lane.
    codes: [[u8; 64]; GROUP / 4],
    scales: [[f32; ROWS]; SUBS],
    minima: [[f32; ROWS]; SUBS],
}

/// 256 activations as the panels want them: values per span of sub-blocks, in order.
#[repr(C, align(64))]
struct Token {
    codes: [i32; GROUP / 4],
    /// What the shift adds to the sums, negated.
    start: [i32; SUBS],
    scales: [f32; SUBS],
    offsets: [f32; SUBS],
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
    let n_rows = weights.len() / row_bytes;
    let n_groups = row_bytes / F::BYTES;
    let tokens: Vec<Token> = activations.groups.iter().map(token::<F>).collect();
    let mut panels: Vec<Panel> = Vec::with_capacity(n_groups);
    for (at, rows) in weights.chunks(ROWS * row_bytes).enumerate() {
        panels.clear();
        // SAFETY: the caller's.
        panels.extend((0..n_groups).map(|group| unsafe { pack::<F>(rows, row_bytes, group * F::BYTES) }));
        for first in (0..activations.rows()).step_by(TOKENS) {
            let count = TOKENS.min(activations.rows() - first);
            let tokens = &tokens[first * n_groups..][..count * n_groups];
            let y = &mut y[first * n_rows..][..count * n_rows];
            let height = rows.len() / row_bytes;
            let mut write = |token: usize, sums: &[f32; ROWS]| {
                y[token * n_rows + at * ROWS..][..height].copy_from_slice(&sums[..height]);
            };
            // SAFETY: the features.
            unsafe {
                match count {
                    TOKENS => tile::<F, TOKENS>(&panels, tokens, &mut write),
                    _ => (0..count).for_each(|token| {
                        let tokens = &tokens[token * n_groups..][..n_groups];
                        tile::<F, 1>(&panels, tokens, &mut |_, sums| write(token, sums));
                    }),
                }
            }
        }
    }
}

fn token<F: Format>(group: &super::super::super::activations::Group) -> Token {
    let mut codes = [0; GROUP / 4];
    for (codes, bytes) in codes.iter_mut().zip(group.codes.as_chunks::<4>().0) {
        *codes = i32::from_le_bytes(bytes.map(|code| code as u8));
    }
    let span = |at: usize| (at * F::SPAN..).take(F::SPAN).filter(|sub| *sub < SUBS).map(lane);
    Token {
        codes,
        start: std::array::from_fn(|at| match F::SHIFT {
            Some(shift) => -(span(at).map(|lane| group.sums[lane]).sum::<i32>() << shift),
            None => 0,
        }),
        scales: std::array::from_fn(|at| span(at).next().map_or(0.0, |lane| group.scales[lane])),
        offsets: std::array::from_fn(|at| span(at).map(|lane| group.offsets[lane]).sum()),
    }
}

/// The panel of up to sixteen `rows`' groups that begin at byte `at`; rows that are missing have code and scale 0.
///
/// # Safety
/// Rows of whole groups of `F`, and the features.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
unsafe fn pack<F: Format>(rows: &[u8], row_bytes: usize, at: usize) -> Panel {
    let mut panel =
        Panel { codes: [[0; 64]; GROUP / 4], scales: [[0.0; ROWS]; SUBS], minima: [[0.0; ROWS]; SUBS] };
    let mut groups: [&[u8]; ROWS] = [&[]; ROWS];
    for (group, row) in groups.iter_mut().zip(rows.chunks_exact(row_bytes)) {
        *group = &row[at..at + F::BYTES];
    }
    // SAFETY: the slices above are groups; the panel's arrays are as long as what is stored.
    unsafe {
        for part in 0..4 {
            let mut codes = [_mm512_setzero_si512(); ROWS];
            for (codes, group) in codes.iter_mut().zip(groups) {
                if group.len() == F::BYTES {
                    *codes = F::codes(group, part);
                }
            }
            for (column, codes) in transposed(codes).into_iter().enumerate() {
                _mm512_store_si512(panel.codes[16 * part + column].as_mut_ptr().cast(), codes);
            }
        }
        let (mut scales, mut minima) = ([_mm512_setzero_si512(); ROWS], [_mm512_setzero_si512(); ROWS]);
        for ((scales, minima), group) in scales.iter_mut().zip(&mut minima).zip(groups) {
            if group.len() == F::BYTES {
                *scales = _mm512_castps_si512(F::scales(group));
                *minima = if F::MINIMA { _mm512_castps_si512(F::minima(group)) } else { *minima };
            }
        }
        store(&mut panel.scales, scales);
        if F::MINIMA {
            store(&mut panel.minima, minima);
        }
    }
    panel
}

/// Stores one value per lane (a row's sub-blocks) as one value per row, in the order of the lanes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
fn store(out: &mut [[f32; ROWS]; SUBS], rows: [__m512i; ROWS]) {
    for (out, values) in out.iter_mut().zip(transposed(rows)) {
        // SAFETY: an array of sixteen.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), _mm512_castsi512_ps(values)) };
    }
}

/// The 16 × 16 transposition of 32-bit lanes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
#[inline]
fn transposed(rows: [__m512i; 16]) -> [__m512i; 16] {
    let mut quads = rows;
    for at in (0..16).step_by(4) {
        let [a, b, c, d] = [rows[at], rows[at + 1], rows[at + 2], rows[at + 3]];
        let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        (quads[at], quads[at + 1]) = (_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
        let (ab, cd) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        (quads[at + 2], quads[at + 3]) = (_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    }
    let mut columns = rows;
    for at in 0..4 {
        let [a, b, c, d] = [quads[at], quads[at + 4], quads[at + 8], quads[at + 12]];
        let (ab, cd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(c, d));
        columns[at] = _mm512_shuffle_i32x4::<0x88>(ab, cd);
        columns[at + 8] = _mm512_shuffle_i32x4::<0xdd>(ab, cd);
        let (ab, cd) = (_mm512_shuffle_i32x4::<0xdd>(a, b), _mm512_shuffle_i32x4::<0xdd>(c, d));
        columns[at + 4] = _mm512_shuffle_i32x4::<0x88>(ab, cd);
        columns[at + 12] = _mm512_shuffle_i32x4::<0xdd>(ab, cd);
    }
    columns
}

/// Products of sixteen rows with `N` tokens (`[N, groups]`), handed to `write` token by token.
///
/// # Safety
/// The features.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,f16c")]
unsafe fn tile<F: Format, const N: usize>(
    panels: &[Panel],
    tokens: &[Token],
    write: &mut impl FnMut(usize, &[f32; ROWS]),
) {
    let mut totals = [_mm512_setzero_ps(); N];
    for (at, panel) in panels.iter().enumerate() {
        let tokens: [&Token; N] = std::array::from_fn(|token| &tokens[token * panels.len() + at]);
        for span in 0..SUBS / F::SPAN {
            let mut sums = tokens.map(|token| _mm512_set1_epi32(token.start[span]));
            for column in 4 * F::SPAN * span..4 * F::SPAN * (span + 1) {
                // SAFETY: an aligned array of 64 bytes.
                let weights = unsafe { _mm512_load_si512(panel.codes[column].as_ptr().cast()) };
                for (sum, token) in sums.iter_mut().zip(tokens) {
                    *sum = _mm512_dpbusd_epi32(*sum, weights, _mm512_set1_epi32(token.codes[column]));
                }
            }
            let first = lane(span * F::SPAN);
            // SAFETY: arrays of sixteen.
            let (scales, minima) = unsafe {
                (_mm512_loadu_ps(panel.scales[first].as_ptr()), _mm512_loadu_ps(panel.minima[first].as_ptr()))
            };
            for ((total, sum), token) in totals.iter_mut().zip(sums).zip(tokens) {
                let scales = _mm512_mul_ps(scales, _mm512_set1_ps(token.scales[span]));
                *total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scales, *total);
                if F::MINIMA {
                    *total = _mm512_fmadd_ps(minima, _mm512_set1_ps(token.offsets[span]), *total);
                }
            }
        }
    }
    for (token, total) in totals.into_iter().enumerate() {
        let mut values = [0.0; ROWS];
        // SAFETY: an array of sixteen.
        unsafe { _mm512_storeu_ps(values.as_mut_ptr(), total) };
        write(token, &values);
    }
}
