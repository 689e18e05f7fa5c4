//! Ternary weights in bitnet.cpp's I2_S layout: two bits each, one scale for the whole tensor.

use super::{Capability, KernelError, capability};

/// Weights per block of the x86 layout.
pub(super) const BLOCK: usize = 128;

/// Bytes of such a block.
pub(super) const BLOCK_BYTES: usize = 32;

/// A matrix of −1, 0, 1 in I2_S's x86 layout: weight j of 128 is code `t + 1` in byte `j mod 32` at bits `6 − 2·(j / 32)`.
///
/// Source: bitnet.cpp, activation-parallel build.
#[derive(Clone, Debug, PartialEq)]
pub struct TernaryMatrix {
    codes: Vec<u8>,
    rows: usize,
    columns: usize,
    scale: f32,
}

impl TernaryMatrix {
    /// The matrix with these packed `codes` (`rows · columns / 4` bytes).
    ///
    /// # Errors
    /// [`KernelError::TernaryColumns`] when 128 does not divide `columns`, [`KernelError::Weights`] when the bytes are too many or too few.
    pub fn new(codes: Vec<u8>, rows: usize, columns: usize, scale: f32) -> Result<Self, KernelError> {
        if columns == 0 || !columns.is_multiple_of(BLOCK) {
            return Err(KernelError::TernaryColumns { columns });
        }
        let expected = rows.saturating_mul(columns / 4);
        if codes.len() != expected {
            return Err(KernelError::Weights { found: codes.len(), expected, rows, columns });
        }
        Ok(Self { codes, rows, columns, scale })
    }

    /// Packs `weights` (`[rows, columns]`, each −1, 0 or 1).
    ///
    /// # Errors
    /// As [`Self::new`], and [`KernelError::NotTernary`] for other values.
    pub fn pack(weights: &[i8], rows: usize, columns: usize, scale: f32) -> Result<Self, KernelError> {
        if let Some(at) = weights.iter().position(|weight| !(-1..=1).contains(weight)) {
            return Err(KernelError::NotTernary { at, value: weights[at] });
        }
        let mut codes = vec![0; weights.len() / 4];
        for (codes, weights) in codes.chunks_exact_mut(BLOCK_BYTES).zip(weights.chunks_exact(BLOCK)) {
            for (j, weight) in weights.iter().enumerate() {
                codes[j % 32] |= ((weight + 1) as u8) << (6 - 2 * (j / 32));
            }
        }
        Self::new(codes, rows, columns, scale)
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The scale of every weight.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// The packed codes.
    pub fn codes(&self) -> &[u8] {
        &self.codes
    }
}

/// Fills `sums` (`[tokens, rows]`) with the exact products Σ t·q of ternary weights and 8-bit activations (`[tokens, columns]`).
///
/// Multiply by [`TernaryMatrix::scale`] and the token's scale for the real product. No intermediate sum is narrower than needed:
/// 16-bit sums are widened after every block, so no input overflows.
///
/// # Errors
/// [`KernelError`] when sizes disagree, the tier is not available, or `threads` is 0.
pub fn ternary(
    tier: Capability,
    matrix: &TernaryMatrix,
    activations: &[i8],
    sums: &mut [i32],
    threads: usize,
) -> Result<(), KernelError> {
    let (rows, columns) = (matrix.rows, matrix.columns);
    let tokens = activations.len() / columns;
    if !activations.len().is_multiple_of(columns) {
        return Err(KernelError::Activations { found: activations.len(), columns });
    }
    if tokens.checked_mul(rows) != Some(sums.len()) {
        return Err(KernelError::Output { found: sums.len(), tokens, rows });
    }
    if tier > capability() {
        return Err(KernelError::Unavailable { found: tier, best: capability() });
    }
    if threads == 0 {
        return Err(KernelError::Threads);
    }
    if sums.is_empty() {
        return Ok(());
    }
    let per_task = rows.div_ceil(threads);
    let tokens = activations.chunks_exact(columns).zip(sums.chunks_exact_mut(rows));
    let tasks = tokens.flat_map(|(x, sums)| {
        let codes = matrix.codes.chunks(per_task * columns / 4);
        codes.zip(sums.chunks_mut(per_task)).map(move |(codes, sums)| (x, codes, sums))
    });
    if threads == 1 {
        tasks.for_each(|(x, codes, sums)| one_token(tier, codes, x, sums));
    } else {
        rayon::scope(|scope| {
            tasks.for_each(|(x, codes, sums)| scope.spawn(move |_| one_token(tier, codes, x, sums)));
        });
    }
    Ok(())
}

fn one_token(tier: Capability, codes: &[u8], x: &[i8], sums: &mut [i32]) {
    match tier {
        #[cfg(target_arch = "x86_64")]
        Capability::Avx512Vnni => super::x86::ternary_avx512(codes, x, sums),
        #[cfg(target_arch = "x86_64")]
        Capability::Avx2 => super::x86::ternary_avx2(codes, x, sums),
        _ => portable(codes, x, sums),
    }
}

fn portable(codes: &[u8], x: &[i8], sums: &mut [i32]) {
    let total: i32 = x.iter().map(|&x| i32::from(x)).sum();
    for (codes, sum) in codes.chunks_exact(x.len() / 4).zip(sums) {
        let blocks = codes.as_chunks::<BLOCK_BYTES>().0.iter().zip(x.as_chunks::<BLOCK>().0);
        *sum = blocks.map(|(codes, x)| block(codes, x)).sum::<i32>() - total;
    }
}

/// Σ (t + 1)·q of one block.
fn block(codes: &[u8; BLOCK_BYTES], x: &[i8; BLOCK]) -> i32 {
    let mut sum = 0i32;
    for (run, x) in x.as_chunks::<BLOCK_BYTES>().0.iter().enumerate() {
        for (code, &x) in codes.iter().zip(x) {
            let product = i16::from(code >> (6 - 2 * run) & 3).wrapping_mul(i16::from(x));
            sum = sum.wrapping_add(i32::from(product));
        }
    }
    sum
}
