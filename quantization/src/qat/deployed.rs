//! The integer layer that a fake-quantized one stands for: int8 codes, int32 sums, one multiplication per group.

use super::{Grid, QatError};

/// Rows of int8 codes with one scale each.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedRows {
    /// Codes, `[rows, columns]`.
    pub codes: Vec<i8>,
    /// Scale of each row.
    pub scales: Vec<f32>,
}

impl QuantizedRows {
    /// Absmax codes of each row (token) of `x` `[rows, columns]` in `bits` bits, ties to even.
    ///
    /// # Panics
    /// For `columns` 0.
    pub fn per_token(x: &[f32], columns: usize, bits: u32) -> Self {
        let grid = Grid::symmetric(bits);
        let mut codes = Vec::with_capacity(x.len());
        let mut scales = Vec::with_capacity(x.len() / columns);
        for row in x.chunks_exact(columns) {
            let largest = row.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let scale = (largest / grid.high as f32).max(f32::MIN_POSITIVE);
            let code =
                |value: &f32| (value / scale).round_ties_even().clamp(grid.low as f32, grid.high as f32);
            codes.extend(row.iter().map(|value| code(value) as i8));
            scales.push(scale);
        }
        Self { codes, scales }
    }
}

/// A linear layer of integer codes.
#[derive(Clone, Debug, PartialEq)]
pub struct DeployedLinear {
    codes: Vec<i8>,
    scales: Vec<f32>,
    rows: usize,
    columns: usize,
    groups: usize,
}

impl DeployedLinear {
    /// A layer of `codes` `[rows, columns]` and `scales` `[rows, groups]`.
    ///
    /// # Errors
    /// [`QatError::Length`] when they do not fit the shape.
    pub fn new(codes: Vec<i8>, scales: Vec<f32>, rows: usize, groups: usize) -> Result<Self, QatError> {
        let columns = codes.len() / rows.max(1);
        if rows == 0 || groups == 0 || codes.len() != rows * columns || !columns.is_multiple_of(groups) {
            return Err(QatError::Length { name: "codes", found: codes.len(), expected: rows * columns });
        }
        if scales.len() != rows * groups {
            return Err(QatError::Length { name: "scales", found: scales.len(), expected: rows * groups });
        }
        Ok(Self { codes, scales, rows, columns, groups })
    }

    /// `y = x Wᵀ` `[tokens, rows]`: int32 sums per group, then the scales of group and token.
    ///
    /// # Errors
    /// [`QatError::Length`] when the codes of `x` are no whole rows of this layer.
    pub fn forward(&self, x: &QuantizedRows) -> Result<Vec<f32>, QatError> {
        let expected = x.scales.len() * self.columns;
        if x.codes.len() != expected {
            return Err(QatError::Length { name: "x", found: x.codes.len(), expected });
        }
        let mut y = Vec::with_capacity(x.scales.len() * self.rows);
        for (token, &scale) in x.codes.chunks_exact(self.columns).zip(&x.scales) {
            let rows = self.codes.chunks_exact(self.columns).zip(self.scales.chunks_exact(self.groups));
            y.extend(rows.map(|(row, scales)| scale * self.row(row, scales, token)));
        }
        Ok(y)
    }

    fn row(&self, row: &[i8], scales: &[f32], token: &[i8]) -> f32 {
        let group = self.columns / self.groups;
        let parts = row.chunks_exact(group).zip(token.chunks_exact(group)).zip(scales);
        parts.map(|((w, a), scale)| scale * integer_dot(w, a) as f32).sum()
    }
}

fn integer_dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}
