//! Activations, quantized as ggml does before an integer product.

use super::half::round_to_f16;
#[cfg(target_arch = "x86_64")]
use super::{Capability, capability};
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
        let mut activations = Self::empty();
        activations.refill(kind, x, columns)?;
        Ok(activations)
    }

    /// No activations; to be filled by [`Self::refill`].
    pub(super) fn empty() -> Self {
        Self { form: Form::Plain, columns: 0, rows: 0, groups: Vec::new(), plain: Vec::new() }
    }

    /// As [`Self::quantize`], in the memory that these have.
    ///
    /// # Errors
    /// As [`Self::quantize`]; these activations are then unchanged.
    pub fn refill(&mut self, kind: GgmlType, x: &[f32], columns: usize) -> Result<(), KernelError> {
        let form = Form::of(kind).ok_or(KernelError::Unsupported { kind })?;
        if columns == 0 || !columns.is_multiple_of(kind.block_len()) {
            return Err(KernelError::Columns { kind, columns });
        }
        if !x.len().is_multiple_of(columns) {
            return Err(KernelError::Activations { found: x.len(), columns });
        }
        if !largest(x).is_finite()
            && let Some(at) = x.iter().position(|value| !value.is_finite())
        {
            return Err(KernelError::NotFinite { row: at / columns, column: at % columns, value: x[at] });
        }
        (self.form, self.columns, self.rows) = (form, columns, x.len() / columns);
        self.plain.clear();
        self.groups.clear();
        if form == Form::Plain {
            self.plain.extend_from_slice(x);
        } else {
            self.groups.resize(self.rows * columns.div_ceil(GROUP), Group::ZERO);
            fill(form, x, columns, &mut self.groups);
        }
        Ok(())
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

    /// Takes over up to 256 `values`, whole blocks of the form.
    #[inline(always)]
    fn set(&mut self, form: Form, values: &[f32]) {
        match form {
            Form::Q8_K => self.set_super_block(values),
            _ => self.set_blocks(values),
        }
    }

    #[inline(always)]
    fn set_super_block(&mut self, values: &[f32]) {
        let extreme = extreme(values);
        if extreme == 0.0 {
            return;
        }
        let inverse = -127.0 / extreme;
        for (code, value) in self.codes.iter_mut().zip(values) {
            *code = nearest(inverse * value);
        }
        self.scales = [1.0 / inverse; SUBS];
        for (sub, codes) in self.codes.as_chunks::<16>().0.iter().enumerate() {
            let sum = sum(codes);
            self.sums[lane(sub)] = sum;
            self.offsets[lane(sub)] = self.scales[0] * sum as f32;
        }
    }

    #[inline(always)]
    fn set_blocks(&mut self, values: &[f32]) {
        let codes = self.codes.as_chunks_mut::<32>().0.iter_mut();
        for (block, (codes, values)) in codes.zip(values.as_chunks::<32>().0).enumerate() {
            let largest = largest(values);
            let inverse = if largest == 0.0 { 0.0 } else { 127.0 / largest };
            for (code, value) in codes.iter_mut().zip(values) {
                *code = nearest(value * inverse);
            }
            let scale = largest / 127.0;
            let (first, second) = (sum(&codes[..16]), sum(&codes[16..]));
            let (first_lane, second_lane) = (lane(2 * block), lane(2 * block + 1));
            (self.sums[first_lane], self.sums[second_lane]) = (first, second);
            let offset = 0.5 * round_to_f16(scale * first.wrapping_add(second) as f32);
            for lane in [first_lane, second_lane] {
                (self.scales[lane], self.offsets[lane]) = (round_to_f16(scale), offset);
            }
        }
    }
}

/// Fills the zero `groups` with `x`, by the widest instructions that there are: the results are the same.
fn fill(form: Form, x: &[f32], columns: usize, groups: &mut [Group]) {
    #[cfg(target_arch = "x86_64")]
    if capability() >= Capability::Avx2 {
        return super::x86::fill(form, x, columns, groups);
    }
    fill_plainly(form, x, columns, groups);
}

/// [`fill`] in plain Rust.
#[inline(always)]
pub(super) fn fill_plainly(form: Form, x: &[f32], columns: usize, groups: &mut [Group]) {
    let rows = x.chunks_exact(columns).zip(groups.chunks_exact_mut(columns.div_ceil(GROUP)));
    for (row, groups) in rows {
        for (values, group) in row.chunks(GROUP).zip(groups) {
            // A constant length lets compilers unroll.
            match values.first_chunk::<GROUP>() {
                Some(values) => group.set(form, values),
                None => group.set(form, values),
            }
        }
    }
}

/// The largest magnitude, compared as integers: compilers vectorise that, and finite floats have the same order.
#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    let magnitude = |value: &f32| value.to_bits() & 0x7fff_ffff;
    f32::from_bits(values.iter().map(magnitude).fold(0, u32::max))
}

/// The first value of the largest magnitude, 0 without values.
#[inline(always)]
fn extreme(values: &[f32]) -> f32 {
    let (mut positive, mut negative) = (0i32, 0u32);
    for value in values {
        positive = positive.max(value.to_bits() as i32);
        negative = negative.max(value.to_bits());
    }
    let positive = f32::from_bits(positive as u32);
    let negative = if negative >> 31 == 1 { f32::from_bits(negative) } else { 0.0 };
    if positive == -negative {
        return values.iter().copied().find(|value| value.abs() == positive).unwrap_or(0.0);
    }
    if positive > -negative { positive } else { negative }
}

#[inline(always)]
fn sum(codes: &[i8]) -> i32 {
    codes.iter().fold(0, |sum, &code| sum.wrapping_add(i32::from(code)))
}

/// The nearest integer, ties to even, by ggml's trick; −127 … 127 for every ratio to the largest of a block.
#[inline(always)]
fn nearest(value: f32) -> i8 {
    let bits = (value.clamp(-127.0, 127.0) + 12_582_912.0).to_bits();
    (bits as i32).wrapping_sub(0x4b40_0000) as i8
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
