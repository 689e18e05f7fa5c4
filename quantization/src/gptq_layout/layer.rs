//! One quantized matrix, packed and unpacked.

use thiserror::Error;

use super::{Convention, bits};
use crate::float::{f16_to_f32, f32_to_f16};
use crate::safetensors::{Dtype, File, ReadError};

/// A matrix that does not fit the layout.
#[derive(Debug, Error)]
pub enum LayoutError {
    /// Bits that the layout does not have.
    #[error("codes have {0} bits, expected 2, 3, 4 or 8")]
    Bits(u32),
    /// Sizes that do not fill words.
    #[error(
        "the matrix has {inputs} inputs and {outputs} outputs, expected positive multiples of 32; pad it or leave it out"
    )]
    Multiple {
        /// Inputs of the matrix.
        inputs: usize,
        /// Outputs of the matrix.
        outputs: usize,
    },
    /// A part of another length.
    #[error("`{part}` has {found} numbers, expected {expected} for the sizes of the matrix")]
    Length {
        /// Name of the part.
        part: &'static str,
        /// Its numbers.
        found: usize,
        /// Numbers by the sizes.
        expected: usize,
    },
    /// A code or zero-point that is too large.
    #[error("`{part}` number {at} is {found}, expected 0 to {largest} for {bits} bits")]
    Code {
        /// Name of the part.
        part: &'static str,
        /// Its place.
        at: usize,
        /// The number.
        found: u32,
        /// Largest that fits.
        largest: u32,
        /// Bits of a code.
        bits: u32,
    },
    /// A group that does not exist.
    #[error("`g_idx` number {at} is {found}, expected 0 to {last}: the groups and `scales` disagree")]
    Group {
        /// Its place.
        at: usize,
        /// The group.
        found: i32,
        /// The last group.
        last: usize,
    },
    /// A tensor of another type or shape.
    #[error("tensor `{name}` is {found}, expected {expected}; this is not the GPTQ layout")]
    Tensor {
        /// Its name.
        name: String,
        /// Type and shape.
        found: String,
        /// Type and shape of the layout.
        expected: String,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A quantized matrix in the open: what the layout stores, unpacked.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Bits of a code: 2, 3, 4 or 8.
    pub bits: u32,
    /// Columns of the weight matrix; a multiple of 32.
    pub inputs: usize,
    /// Rows of the weight matrix; a multiple of 32.
    pub outputs: usize,
    /// Codes, `[inputs, outputs]`.
    pub codes: Vec<u32>,
    /// Zero-points as used, not as stored, `[groups, outputs]`.
    pub zeros: Vec<u32>,
    /// Step sizes, `[groups, outputs]`; stored as f16.
    pub scales: Vec<f32>,
    /// Group of each input.
    pub g_idx: Vec<i32>,
}

/// A quantized matrix as the layout stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Bits of a code: 2, 3, 4 or 8.
    pub bits: u32,
    /// Columns of the weight matrix.
    pub inputs: usize,
    /// Rows of the weight matrix.
    pub outputs: usize,
    /// `[inputs·bits/32, outputs]`.
    pub qweight: Vec<i32>,
    /// `[groups, outputs·bits/32]`.
    pub qzeros: Vec<i32>,
    /// `[groups, outputs]`, f16 as bits.
    pub scales: Vec<u16>,
    /// `[inputs]`.
    pub g_idx: Vec<i32>,
}

impl Layer {
    /// Number of groups.
    pub fn groups(&self) -> usize {
        self.scales.len() / self.outputs.max(1)
    }

    /// Packs the layer; scales are rounded to f16.
    ///
    /// # Errors
    /// [`LayoutError`] when sizes, codes or groups do not fit.
    pub fn pack(&self, convention: Convention) -> Result<Packed, LayoutError> {
        let (bits, inputs, outputs, groups) = (self.bits, self.inputs, self.outputs, self.groups());
        check_sizes(bits, inputs, outputs)?;
        let lengths = [
            ("codes", self.codes.len(), inputs * outputs),
            ("zeros", self.zeros.len(), groups * outputs),
            ("scales", self.scales.len(), groups.max(1) * outputs),
            ("g_idx", self.g_idx.len(), inputs),
        ];
        check_lengths(&lengths)?;
        check_groups(&self.g_idx, groups)?;
        check_codes("codes", &self.codes, bits)?;
        check_codes("zeros", &self.zeros, bits)?;
        let mut qweight = vec![0; inputs * bits as usize / 32 * outputs];
        for output in 0..outputs {
            let column: Vec<u32> = (0..inputs).map(|input| self.codes[input * outputs + output]).collect();
            for (row, word) in bits::pack(&column, bits).into_iter().enumerate() {
                qweight[row * outputs + output] = word.cast_signed();
            }
        }
        let stored = |row: &[u32]| row.iter().map(|&zero| convention.store(zero, bits)).collect::<Vec<_>>();
        let rows = self.zeros.chunks_exact(outputs);
        let qzeros = rows.flat_map(|row| bits::pack(&stored(row), bits)).map(u32::cast_signed).collect();
        let scales = self.scales.iter().map(|&scale| f32_to_f16(scale)).collect();
        Ok(Packed { bits, inputs, outputs, qweight, qzeros, scales, g_idx: self.g_idx.clone() })
    }

    /// Weights, `[outputs, inputs]`: `scale · (code − zero)`.
    ///
    /// # Panics
    /// When the parts have other lengths than the sizes say.
    pub fn dequantize(&self) -> Vec<f32> {
        let mut weights = Vec::with_capacity(self.inputs * self.outputs);
        for output in 0..self.outputs {
            for (input, &group) in self.g_idx.iter().enumerate() {
                let at = group as usize * self.outputs + output;
                let code = self.codes[input * self.outputs + output].cast_signed();
                weights.push(self.scales[at] * (code - self.zeros[at].cast_signed()) as f32);
            }
        }
        weights
    }
}

impl Packed {
    /// Reads `prefix.qweight`, `.qzeros`, `.scales` and `.g_idx` (absent: groups of equal size in order).
    ///
    /// # Errors
    /// [`LayoutError`] when a tensor is missing or has another type or shape than the layout.
    pub fn read(file: &File, prefix: &str, bits: u32) -> Result<Self, LayoutError> {
        check_sizes(bits, 32, 32)?;
        let qweight = format!("{prefix}.qweight");
        let words = i32s(file, &qweight)?;
        let &[rows, outputs] = file.tensor(&qweight)?.shape.as_slice() else {
            return Err(unlike(file, &qweight, "of two dimensions"));
        };
        let inputs = rows.saturating_mul(32) / bits as usize;
        check_sizes(bits, inputs, outputs)?;
        let scales = format!("{prefix}.scales");
        let info = file.tensor(&scales)?;
        if info.dtype != Dtype::F16 || info.shape.len() != 2 {
            return Err(unlike(file, &scales, "F16 of shape [groups, outputs]"));
        }
        let groups = info.shape[0];
        let halves = file.read_tensor(&scales)?;
        let scales = halves.chunks_exact(2).map(|two| u16::from_le_bytes(two.try_into().expect("two bytes")));
        let indices = format!("{prefix}.g_idx");
        let g_idx = match file.header().tensor(&indices) {
            Some(_) => i32s(file, &indices)?,
            None => (0..inputs).map(|input| (input / inputs.div_ceil(groups.max(1))) as i32).collect(),
        };
        let qzeros = i32s(file, &format!("{prefix}.qzeros"))?;
        let packed = Self { bits, inputs, outputs, qweight: words, qzeros, scales: scales.collect(), g_idx };
        packed.check()?;
        Ok(packed)
    }

    /// The four tensors under `prefix`, ready for [`crate::safetensors::Writer`]: name, type, shape, bytes.
    pub fn tensors(&self, prefix: &str) -> [(String, Dtype, Vec<usize>, Vec<u8>); 4] {
        let (bits, groups) = (self.bits as usize, self.groups());
        let ints = |values: &[i32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let halves = self.scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
        let name = |part| format!("{prefix}.{part}");
        [
            (name("qweight"), Dtype::I32, vec![self.inputs * bits / 32, self.outputs], ints(&self.qweight)),
            (name("qzeros"), Dtype::I32, vec![groups, self.outputs * bits / 32], ints(&self.qzeros)),
            (name("scales"), Dtype::F16, vec![groups, self.outputs], halves),
            (name("g_idx"), Dtype::I32, vec![self.inputs], ints(&self.g_idx)),
        ]
    }

    /// Number of groups.
    pub fn groups(&self) -> usize {
        self.scales.len() / self.outputs.max(1)
    }

    /// Unpacks the layer, its zero-points read by `convention`.
    ///
    /// # Errors
    /// [`LayoutError`] when the parts have other lengths than the sizes say.
    pub fn unpack(&self, convention: Convention) -> Result<Layer, LayoutError> {
        self.check()?;
        let (bits, inputs, outputs) = (self.bits, self.inputs, self.outputs);
        let words = inputs * bits as usize / 32;
        let mut codes = vec![0; inputs * outputs];
        for output in 0..outputs {
            let column: Vec<u32> =
                (0..words).map(|row| self.qweight[row * outputs + output].cast_unsigned()).collect();
            for (input, code) in bits::unpack(&column, bits, inputs).into_iter().enumerate() {
                codes[input * outputs + output] = code;
            }
        }
        let zeros = self.stored_zeros().into_iter().map(|stored| convention.zero(stored, bits)).collect();
        let scales = self.scales.iter().map(|&scale| f16_to_f32(scale)).collect();
        Ok(Layer { bits, inputs, outputs, codes, zeros, scales, g_idx: self.g_idx.clone() })
    }

    /// What stands in `qzeros`, unpacked, `[groups, outputs]`.
    pub(super) fn stored_zeros(&self) -> Vec<u32> {
        let words: Vec<u32> = self.qzeros.iter().map(|word| word.cast_unsigned()).collect();
        let rows = words.chunks_exact(self.outputs * self.bits as usize / 32);
        rows.flat_map(|row| bits::unpack(row, self.bits, self.outputs)).collect()
    }

    fn check(&self) -> Result<(), LayoutError> {
        let (bits, outputs, groups) = (self.bits, self.outputs, self.groups());
        check_sizes(bits, self.inputs, outputs)?;
        check_lengths(&[
            ("qweight", self.qweight.len(), self.inputs * bits as usize / 32 * outputs),
            ("qzeros", self.qzeros.len(), groups * outputs * bits as usize / 32),
            ("scales", self.scales.len(), groups.max(1) * outputs),
            ("g_idx", self.g_idx.len(), self.inputs),
        ])?;
        check_groups(&self.g_idx, groups)
    }
}

fn check_sizes(bits: u32, inputs: usize, outputs: usize) -> Result<(), LayoutError> {
    if ![2, 3, 4, 8].contains(&bits) {
        return Err(LayoutError::Bits(bits));
    }
    if inputs == 0 || outputs == 0 || !inputs.is_multiple_of(32) || !outputs.is_multiple_of(32) {
        return Err(LayoutError::Multiple { inputs, outputs });
    }
    Ok(())
}

fn check_lengths(parts: &[(&'static str, usize, usize)]) -> Result<(), LayoutError> {
    match parts.iter().find(|(_, found, expected)| found != expected) {
        Some(&(part, found, expected)) => Err(LayoutError::Length { part, found, expected }),
        None => Ok(()),
    }
}

fn check_groups(g_idx: &[i32], groups: usize) -> Result<(), LayoutError> {
    let outside = |group: &i32| usize::try_from(*group).map_or(true, |group| group >= groups);
    match g_idx.iter().position(outside) {
        Some(at) => Err(LayoutError::Group { at, found: g_idx[at], last: groups.saturating_sub(1) }),
        None => Ok(()),
    }
}

fn check_codes(part: &'static str, codes: &[u32], bits: u32) -> Result<(), LayoutError> {
    let largest = super::mask(bits);
    match codes.iter().position(|&code| code > largest) {
        Some(at) => Err(LayoutError::Code { part, at, found: codes[at], largest, bits }),
        None => Ok(()),
    }
}

fn i32s(file: &File, name: &str) -> Result<Vec<i32>, LayoutError> {
    if file.tensor(name)?.dtype != Dtype::I32 {
        return Err(unlike(file, name, "I32"));
    }
    let bytes = file.read_tensor(name)?;
    Ok(bytes.chunks_exact(4).map(|four| i32::from_le_bytes(four.try_into().expect("four bytes"))).collect())
}

fn unlike(file: &File, name: &str, expected: &str) -> LayoutError {
    let found = file.header().tensor(name).map_or_else(
        || "missing".to_owned(),
        |tensor| format!("{} of shape {:?}", tensor.dtype.name(), tensor.shape),
    );
    LayoutError::Tensor { name: name.to_owned(), found, expected: expected.to_owned() }
}
