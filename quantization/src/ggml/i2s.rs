//! I2_S, the ternary layout of bitnet.cpp: 2-bit codes t + 1 and one f32 scale for the whole tensor.
//!
//! The layout depends on the build that reads it, so that files are not portable; [`Layout`] names the two.
//! Source: microsoft/BitNet, `src/ggml-bitnet-mad.cpp`.

use thiserror::Error;

/// Bytes after the codes: the scale, padded.
pub const TAIL_BYTES: usize = 32;

/// Weights below this magnitude are 0.
const THRESHOLD: f32 = 1e-6;

/// Which build of bitnet.cpp reads the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// x86, activation-parallel: blocks of 128 weights in 32 bytes.
    X86,
    /// ARM: blocks of 64 weights in 16 bytes.
    Arm,
}

impl Layout {
    /// Weights per block.
    pub fn block_len(self) -> usize {
        match self {
            Self::X86 => 128,
            Self::Arm => 64,
        }
    }

    /// Bytes of `weights` weights, codes and tail; `None` unless they fill whole blocks.
    pub fn bytes(self, weights: usize) -> Option<usize> {
        weights.is_multiple_of(self.block_len()).then(|| weights / 4 + TAIL_BYTES)
    }
}

/// Why ternary weights were not packed or unpacked.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum I2sError {
    /// The weights are not whole blocks, or the buffers disagree.
    #[error(
        "{weights} weights and {bytes} bytes do not go together; expected a multiple of {block_len} weights, a quarter as many bytes and 32 more"
    )]
    Sizes {
        /// Number of weights.
        weights: usize,
        /// Number of bytes.
        bytes: usize,
        /// Weights per block.
        block_len: usize,
    },
    /// A weight is not finite.
    #[error("weight {index} is {value}; expected a finite number: does the file hold what its header says?")]
    NonFinite {
        /// Index of the weight.
        index: usize,
        /// The weight.
        value: f32,
    },
    /// A code is 3, which no ternary weight has.
    #[error("byte {index} is {byte:#04x} and holds code 3; expected codes 0, 1 and 2: is it another layout?")]
    Code {
        /// Index of the byte.
        index: usize,
        /// The byte.
        byte: u8,
    },
}

/// Packs ternary weights {−s, 0, s}: signs as codes 0, 1, 2 and s = max|w| after them.
///
/// Weight j of a block goes to byte j mod (bytes per block), the first quarter of the block to the top two bits.
///
/// # Errors
/// [`I2sError`] when the sizes do not fit or a weight is not finite.
///
/// ```
/// use quantization::ggml::i2s::{Layout, pack, unpack};
/// let weights: Vec<f32> = (0..64).map(|i| [0.5, 0.0, -0.5][i % 3]).collect();
/// let mut bytes = [0; 48];
/// pack(Layout::Arm, &weights, &mut bytes)?;
/// assert_eq!(bytes[0], 0b10_01_00_10); // weights 0, 16, 32, 48: +, 0, −, +
/// let mut back = [0.0; 64];
/// unpack(Layout::Arm, &bytes, &mut back)?;
/// assert_eq!(back[..], weights[..]);
/// # Ok::<(), quantization::ggml::i2s::I2sError>(())
/// ```
pub fn pack(layout: Layout, weights: &[f32], out: &mut [u8]) -> Result<(), I2sError> {
    check(layout, weights.len(), out.len())?;
    if let Some(index) = weights.iter().position(|w| !w.is_finite()) {
        return Err(I2sError::NonFinite { index, value: weights[index] });
    }
    let scale = weights.iter().fold(0.0_f32, |most, w| most.max(w.abs()));
    let (codes, tail) = out.split_at_mut(weights.len() / 4);
    match layout {
        Layout::X86 => pack_blocks::<32>(weights, codes),
        Layout::Arm => pack_blocks::<16>(weights, codes),
    }
    tail.fill(0);
    tail[..4].copy_from_slice(&scale.to_le_bytes());
    Ok(())
}

/// Fills `out` with (code − 1)·s.
///
/// # Errors
/// [`I2sError`] when the sizes do not fit or a code is 3.
pub fn unpack(layout: Layout, bytes: &[u8], out: &mut [f32]) -> Result<(), I2sError> {
    check(layout, out.len(), bytes.len())?;
    let (codes, tail) = bytes.split_at(out.len() / 4);
    if let Some(index) = codes.iter().position(|byte| byte & byte >> 1 & 0x55 != 0) {
        return Err(I2sError::Code { index, byte: codes[index] });
    }
    let scale = f32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]);
    match layout {
        Layout::X86 => unpack_blocks::<32>(codes, scale, out),
        Layout::Arm => unpack_blocks::<16>(codes, scale, out),
    }
    Ok(())
}

fn check(layout: Layout, weights: usize, bytes: usize) -> Result<(), I2sError> {
    match layout.bytes(weights) {
        Some(expected) if expected == bytes => Ok(()),
        _ => Err(I2sError::Sizes { weights, bytes, block_len: layout.block_len() }),
    }
}

fn pack_blocks<const BYTES: usize>(weights: &[f32], out: &mut [u8]) {
    let code = |w: f32| if w.abs() < THRESHOLD { 1 } else { 2 * u8::from(w > 0.0) };
    for (block, out) in weights.chunks_exact(4 * BYTES).zip(out.as_chunks_mut::<BYTES>().0) {
        out.fill(0);
        for quarter in block.as_chunks::<BYTES>().0 {
            for (out, w) in out.iter_mut().zip(quarter) {
                *out = *out << 2 | code(*w);
            }
        }
    }
}

fn unpack_blocks<const BYTES: usize>(codes: &[u8], scale: f32, out: &mut [f32]) {
    for (codes, block) in codes.as_chunks::<BYTES>().0.iter().zip(out.chunks_exact_mut(4 * BYTES)) {
        for (quarter, out) in block.as_chunks_mut::<BYTES>().0.iter_mut().enumerate() {
            for (out, byte) in out.iter_mut().zip(codes) {
                *out = f32::from((byte >> (6 - 2 * quarter) & 3) as i8 - 1) * scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ternary(n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|i| ((i * i / 3 + i) % 3) as f32 * scale - scale).collect()
    }

    #[test]
    fn both_layouts_come_back() {
        for layout in [Layout::X86, Layout::Arm] {
            for n in [0, layout.block_len(), 5 * layout.block_len()] {
                let weights = ternary(n, 0.0375);
                let mut bytes = vec![0xFF; layout.bytes(n).unwrap()];
                pack(layout, &weights, &mut bytes).unwrap();
                let mut back = vec![f32::NAN; n];
                unpack(layout, &bytes, &mut back).unwrap();
                assert_eq!(back, weights);
            }
        }
    }

    #[test]
    fn weight_j_goes_to_byte_j_modulo_the_block_s_bytes() {
        for (layout, width) in [(Layout::X86, 32), (Layout::Arm, 16)] {
            for j in 0..layout.block_len() {
                let mut weights = vec![0.0; layout.block_len()];
                weights[j] = 1.0;
                let mut bytes = vec![0; layout.bytes(weights.len()).unwrap()];
                pack(layout, &weights, &mut bytes).unwrap();
                let code = bytes[j % width] >> (6 - 2 * (j / width)) & 3;
                assert_eq!(code, 2, "{layout:?} {j}");
                assert_eq!(bytes[..4 * width / 4].iter().filter(|byte| **byte != 0x55).count(), 1);
            }
        }
    }

    #[test]
    fn the_scale_follows_the_codes_and_tiny_weights_are_zero() {
        let mut weights = vec![-0.25; 64];
        weights[0] = -9e-7;
        let mut bytes = vec![0; 48];
        pack(Layout::Arm, &weights, &mut bytes).unwrap();
        assert_eq!(bytes[0], 0b01_00_00_00);
        assert_eq!(bytes[16..20], 0.25_f32.to_le_bytes());
        assert_eq!(bytes[20..], [0; 28]);
    }

    #[test]
    fn errors_name_sizes_weights_and_codes() {
        assert_eq!(
            pack(Layout::X86, &[0.0; 64], &mut [0; 48]).unwrap_err().to_string(),
            "64 weights and 48 bytes do not go together; expected a multiple of 128 weights, a quarter as many bytes and 32 more"
        );
        let mut weights = [0.0; 64];
        weights[9] = f32::INFINITY;
        assert_eq!(
            pack(Layout::Arm, &weights, &mut [0; 48]).unwrap_err().to_string(),
            "weight 9 is inf; expected a finite number: does the file hold what its header says?"
        );
        let mut bytes = [0; 48];
        bytes[3] = 0b01_11_00_00;
        assert_eq!(
            unpack(Layout::Arm, &bytes, &mut weights).unwrap_err().to_string(),
            "byte 3 is 0x70 and holds code 3; expected codes 0, 1 and 2: is it another layout?"
        );
    }
}
