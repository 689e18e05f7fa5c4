//! Codes of a matrix into the GPTQ layout, row by row.

use crate::gptq_layout::{Convention, LayoutError, Packed, pack};

/// A layer of the GPTQ layout that is filled with rows as they are quantized.
///
/// The layout is transposed: each output's codes run down a column of `qweight`.
#[derive(Clone, Debug)]
pub struct Packing {
    packed: Packed,
    /// Zero-points as used, `[groups, outputs]`.
    zeros: Vec<u32>,
    groups: usize,
    convention: Convention,
}

impl Packing {
    /// An empty layer with this many groups of inputs; `group_of_column` tells the group of each.
    ///
    /// # Errors
    /// [`LayoutError`] for bits or sizes that the layout does not have.
    pub fn new(
        bits: u32,
        inputs: usize,
        outputs: usize,
        group_of_column: &[usize],
        convention: Convention,
    ) -> Result<Self, LayoutError> {
        if ![2, 3, 4, 8].contains(&bits) {
            return Err(LayoutError::Bits(bits));
        }
        if !fits(inputs, outputs) {
            return Err(LayoutError::Multiple { inputs, outputs });
        }
        let groups = group_of_column.iter().max().map_or(1, |last| last + 1);
        let packed = Packed {
            bits,
            inputs,
            outputs,
            qweight: vec![0; inputs * bits as usize / 32 * outputs],
            qzeros: Vec::new(),
            scales: vec![0; groups * outputs],
            g_idx: group_of_column.iter().map(|&group| group as i32).collect(),
        };
        Ok(Self { packed, zeros: vec![0; groups * outputs], groups, convention })
    }

    /// Puts rows from `first` on: codes `[rows, inputs]`, scales and zero-points `[rows, groups]`.
    ///
    /// # Panics
    /// When the slices have other lengths than the layer's sizes say.
    pub fn put(&mut self, first: usize, codes: &[u8], scales: &[f32], zero_points: &[u8]) {
        let (inputs, outputs, groups) = (self.packed.inputs, self.packed.outputs, self.groups);
        let rows = codes.chunks_exact(inputs).zip(scales.chunks_exact(groups));
        for (row, ((codes, scales), zeros)) in rows.zip(zero_points.chunks_exact(groups)).enumerate() {
            let output = first + row;
            let codes: Vec<u32> = codes.iter().map(|&code| code.into()).collect();
            for (place, word) in pack(&codes, self.packed.bits).into_iter().enumerate() {
                self.packed.qweight[place * outputs + output] = word.cast_signed();
            }
            for (group, (&scale, &zero)) in scales.iter().zip(zeros).enumerate() {
                self.packed.scales[group * outputs + output] = crate::float::f32_to_f16(scale);
                self.zeros[group * outputs + output] = zero.into();
            }
        }
    }

    /// The layer, when all rows are in place.
    pub fn finish(mut self) -> Packed {
        let bits = self.packed.bits;
        for row in self.zeros.chunks_exact(self.packed.outputs) {
            let stored: Vec<u32> = row.iter().map(|&zero| self.convention.store(zero, bits)).collect();
            self.packed.qzeros.extend(pack(&stored, bits).into_iter().map(u32::cast_signed));
        }
        self.packed
    }
}

/// Whether a matrix has sizes that the layout can hold.
pub(super) fn fits(inputs: usize, outputs: usize) -> bool {
    inputs > 0 && outputs > 0 && inputs.is_multiple_of(32) && outputs.is_multiple_of(32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gptq_layout::Layer;

    #[test]
    fn rows_put_in_pieces_give_the_layer_that_is_packed_at_once() {
        let (inputs, outputs, groups) = (64, 32, 2);
        for bits in [2, 3, 4, 8] {
            let mask = (1_usize << bits) - 1;
            let code = |output: usize, input: usize| ((output * 7 + input * 13) & mask) as u8;
            let codes: Vec<u8> = (0..outputs)
                .flat_map(|o| (0..inputs).map(move |i| (o, i)))
                .map(|(o, i)| code(o, i))
                .collect();
            let scales: Vec<f32> = (0..outputs * groups).map(|i| 0.25 + i as f32 / 64.0).collect();
            let zeros: Vec<u8> = (0..outputs * groups).map(|i| ((i * 5) & mask) as u8).collect();
            let group: Vec<usize> = (0..inputs).map(|i| i / 32).collect();
            let mut packing = Packing::new(bits, inputs, outputs, &group, Convention::V1).unwrap();
            packing.put(0, &codes[..10 * inputs], &scales[..20], &zeros[..20]);
            packing.put(10, &codes[10 * inputs..], &scales[20..], &zeros[20..]);
            let by_group = |o: usize, g: usize| o * groups + g;
            let grid = || (0..groups).flat_map(|g| (0..outputs).map(move |o| (o, g)));
            let layer = Layer {
                bits,
                inputs,
                outputs,
                codes: (0..inputs)
                    .flat_map(|i| (0..outputs).map(move |o| (o, i)))
                    .map(|(o, i)| code(o, i).into())
                    .collect(),
                zeros: grid().map(|(o, g)| zeros[by_group(o, g)].into()).collect(),
                scales: grid().map(|(o, g)| scales[by_group(o, g)]).collect(),
                g_idx: group.iter().map(|&g| g as i32).collect(),
            };
            assert_eq!(packing.finish(), layer.pack(Convention::V1).unwrap(), "{bits} bits");
        }
    }
}
