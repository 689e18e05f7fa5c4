//! Activations, quantized as ggml does before an integer product.

use super::half::round_to_f16;
use super::{GROUP, KernelError};
use crate::ggml::GgmlType;

/// Sub-blocks of 16 in a group.
pub(super) const SUBS: usize = GROUP / 16;

/// The 8-bit form that a weight type wants its activations in.
#[expect(non_camel_case_types, reason = "ggml's names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// f32, unchanged: for F32, F16 and BF16 weights.
    Plain,
    /// Blocks of 32 with a half-precision scale.
    Q8_0,
    /// [`Form::Q8_0`] and scale times sum of the codes, in half precision.
    Q8_1,
    /// Blocks of 256 with an f32 scale.
    Q8_K,
}

impl Form {
    /// The form for weights of type `kind`; `None` for types that nothing is computed with.
    pub fn of(kind: GgmlType) -> Option<Self> {
        use GgmlType::*;
        Some(match kind {
            F32 | F16 | BF16 => Self::Plain,
            Q4_0 | Q5_0 | Q8_0 | IQ4_NL | MXFP4 | NVFP4 | Q1_0 | Q2_0 => Self::Q8_0,
            Q4_1 | Q5_1 => Self::Q8_1,
            Q2_K | Q3_K | Q4_K | Q5_K | Q6_K | IQ4_XS | TQ1_0 | TQ2_0 => Self::Q8_K,
            F64 | I8 | I16 | I32 | I64 | Q8_1 | Q8_K => return None,
        })
    }
}

/// 256 codes with what the products need beside them, each array as wide as the widest register.
///
/// The sixteen values per sub-block of 16 stand at [`lane`], the order in which four registers of partial sums reduce to one.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(super) struct Group {
    pub(super) codes: [i8; GROUP],
    /// Scale of the block that the sub-block is part of.
    pub(super) scales: [f32; SUBS],
    /// Sum of the codes.
    pub(super) sums: [i32; SUBS],
    /// What minima multiply: scale times sum for Q8_K, half of the block's `s` for Q8_1 (a block's two halves count it once).
    pub(super) offsets: [f32; SUBS],
}

/// Where the value of sub-block `sub` stands in a [`Group`]'s arrays: a 4 × 4 transposition.
pub(super) const fn lane(sub: usize) -> usize {
    4 * (sub % 4) + sub / 4
}

/// Quantized activations, to be multiplied with any number of matrices.
#[derive(Clone, Debug)]
pub struct Activations {
    form: Form,
    columns: usize,
    rows: usize,
    pub(super) groups: Vec<Group>,
    pub(super) plain: Vec<f32>,
}

impl Activations {
    /// `x` (`[rows, columns]`) in the form that weights of type `kind` want.
    ///
    /// Codes and scales are those of ggml's x86 build: Q8_0 and Q8_1 round `x · 127/max|x|` with ties to even (its portable
    /// reference rounds ties away from zero), Q8_K is the same everywhere. For F32, F16 and BF16 weights `x` is kept.
    ///
    /// # Errors
    /// [`KernelError`] when `columns` is 0 or does not fill the blocks of `kind`, when `x` is no whole number of rows, when a
    /// value is not finite, or for types that nothing is computed with.
    pub fn quantize(kind: GgmlType, x: &[f32], columns: usize) -> Result<Self, KernelError> {
        let form = Form::of(kind).ok_or(KernelError::Unsupported { kind })?;
        if columns == 0 || !columns.is_multiple_of(kind.block_len()) {
            return Err(KernelError::Columns { kind, columns });
        }
        if !x.len().is_multiple_of(columns) {
            return Err(KernelError::Activations { found: x.len(), columns });
        }
        if let Some(at) = x.iter().position(|value| !value.is_finite()) {
            return Err(KernelError::NotFinite { row: at / columns, column: at % columns, value: x[at] });
        }
        let rows = x.len() / columns;
        let mut quantized = Self { form, columns, rows, groups: Vec::new(), plain: Vec::new() };
        if form == Form::Plain {
            quantized.plain = x.to_vec();
        } else {
            let groups = x.chunks_exact(columns).flat_map(|row| row.chunks(GROUP));
            quantized.groups = groups.map(|values| Group::quantize(form, values)).collect();
        }
        Ok(quantized)
    }

    /// Rows (tokens).
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values per row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The form they are in.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Codes of one row and the scale of each block of 32 (Q8_0, Q8_1) or 256 (Q8_K); empty for [`Form::Plain`].
    ///
    /// # Panics
    /// When `row` is not below [`Self::rows`].
    pub fn codes(&self, row: usize) -> (Vec<i8>, Vec<f32>) {
        let subs = if self.form == Form::Q8_K { SUBS } else { 2 };
        let mut codes: Vec<i8> = self.row(row).iter().flat_map(|group| group.codes).collect();
        let scales =
            self.row(row).iter().flat_map(|group| (0..SUBS).step_by(subs).map(|sub| group.scales[lane(sub)]));
        let mut scales: Vec<f32> = scales.collect();
        codes.truncate(self.columns);
        scales.truncate(self.columns.div_ceil(16 * subs));
        (codes, scales)
    }

    /// Groups of one row; the last is filled up with zeros.
    pub(super) fn row(&self, row: usize) -> &[Group] {
        let n_groups = self.groups.len() / self.rows.max(1);
        &self.groups[row * n_groups..][..n_groups]
    }
}

impl Group {
    const ZERO: Self = Self { codes: [0; GROUP], scales: [0.0; SUBS], sums: [0; SUBS], offsets: [0.0; SUBS] };

    fn quantize(form: Form, values: &[f32]) -> Self {
        let mut group = Self::ZERO;
        group.codes_and_scales(form, values);
        for (sub, codes) in group.codes.as_chunks::<16>().0.iter().enumerate() {
            let sum = codes.iter().map(|&code| i32::from(code)).sum();
            group.sums[lane(sub)] = sum;
            if form == Form::Q8_K {
                group.offsets[lane(sub)] = group.scales[lane(sub)] * sum as f32;
            }
        }
        group
    }

    fn codes_and_scales(&mut self, form: Form, values: &[f32]) {
        if form == Form::Q8_K {
            self.scales = [q8_k(values, &mut self.codes); SUBS];
            return;
        }
        for (block, values) in values.chunks(32).enumerate() {
            let codes = &mut self.codes[32 * block..][..values.len()];
            let scale = q8_0(values, codes);
            let sum: i32 = codes.iter().map(|&code| i32::from(code)).sum();
            for sub in [2 * block, 2 * block + 1] {
                self.scales[lane(sub)] = round_to_f16(scale);
                self.offsets[lane(sub)] = 0.5 * round_to_f16(scale * sum as f32);
            }
        }
    }
}

/// Codes of one block of 32; returns the scale before it is rounded to half precision.
fn q8_0(values: &[f32], codes: &mut [i8]) -> f32 {
    let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let inverse = if largest == 0.0 { 0.0 } else { 127.0 / largest };
    for (code, value) in codes.iter_mut().zip(values) {
        *code = nearest(value * inverse);
    }
    largest / 127.0
}

/// Codes of one block of 256; returns the scale.
fn q8_k(values: &[f32], codes: &mut [i8]) -> f32 {
    let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    let extreme = values.iter().copied().find(|value| value.abs() == largest).unwrap_or(largest);
    let inverse = -127.0 / extreme;
    for (code, value) in codes.iter_mut().zip(values) {
        *code = nearest(inverse * value);
    }
    1.0 / inverse
}

/// The nearest integer, ties to even, by ggml's trick; −127 … 127 for every ratio to the largest of a block.
fn nearest(value: f32) -> i8 {
    let bits = (value.clamp(-127.0, 127.0) + 12_582_912.0).to_bits();
    (bits as i32 - 0x4b40_0000) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_and_codes_are_those_of_ggml() {
        let x: Vec<f32> = (0..32).map(|i| i as f32 - 16.0).collect();
        let quantized = Activations::quantize(GgmlType::Q4_0, &x, 32).unwrap();
        let (codes, scales) = quantized.codes(0);
        assert_eq!(scales, [round_to_f16(16.0 / 127.0)]);
        assert_eq!((codes[0], codes[16], codes[31]), (-127, 0, 119));
        let x: Vec<f32> = (0..256).map(|i| (i as f32 - 100.0) / 155.0).collect();
        let (codes, scales) = Activations::quantize(GgmlType::Q4_K, &x, 256).unwrap().codes(0);
        assert_eq!((codes[255], codes[100], scales[0]), (-127, 0, 1.0 / -127.0));
    }

    #[test]
    fn lanes_are_a_transposition_of_their_own() {
        assert!((0..SUBS).all(|sub| lane(lane(sub)) == sub));
    }
}
