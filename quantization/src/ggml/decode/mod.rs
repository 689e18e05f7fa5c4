//! Blocks to weights, for every type.

mod fp4;
mod k;
mod legacy;
mod plain;
mod ternary;

use super::{DecodeError, GgmlType};

/// Fills `out` with the weights that blocks stand for, as ggml's dequantizers compute them, bit for bit.
///
/// `out` is as long as the weights of all blocks: `bytes.len() / block_bytes · block_len`.
///
/// # Errors
/// [`DecodeError`] for types that hold no weights (integers, F64), for bytes that are not whole blocks and for an
/// output of another length.
///
/// ```
/// use quantization::ggml::{GgmlType, decode};
/// let mut block = [0x11; 18]; // IQ4_NL: every code 1, which stands for −104
/// (block[0], block[1]) = (0x00, 0x38); // d = 0.5
/// let mut values = [0.0; 32];
/// decode(GgmlType::IQ4_NL, &block, &mut values)?;
/// assert_eq!(values, [-52.0; 32]);
/// # Ok::<(), quantization::ggml::DecodeError>(())
/// ```
pub fn decode(kind: GgmlType, bytes: &[u8], out: &mut [f32]) -> Result<(), DecodeError> {
    use GgmlType::*;
    let decoder: fn(&[u8], &mut [f32]) = match kind {
        F32 => plain::f32,
        F16 => plain::f16,
        BF16 => plain::bf16,
        Q4_0 => legacy::q4_0,
        Q4_1 => legacy::q4_1,
        Q5_0 => legacy::q5_0,
        Q5_1 => legacy::q5_1,
        Q8_0 => legacy::q8_0,
        Q8_1 => legacy::q8_1,
        IQ4_NL => legacy::iq4_nl,
        IQ4_XS => legacy::iq4_xs,
        Q2_K => k::q2_k,
        Q3_K => k::q3_k,
        Q4_K => k::q4_k,
        Q5_K => k::q5_k,
        Q6_K => k::q6_k,
        Q8_K => k::q8_k,
        MXFP4 => fp4::mxfp4,
        NVFP4 => fp4::nvfp4,
        TQ1_0 => ternary::tq1_0,
        TQ2_0 => ternary::tq2_0,
        Q1_0 => ternary::q1_0,
        Q2_0 => ternary::q2_0,
        F64 | I8 | I16 | I32 | I64 => return Err(DecodeError::Unsupported { kind }),
    };
    let block_bytes = kind.block_bytes();
    if !bytes.len().is_multiple_of(block_bytes) {
        return Err(DecodeError::Blocks { kind, found: bytes.len(), block_bytes });
    }
    let expected = bytes.len() / block_bytes * kind.block_len();
    if out.len() != expected {
        return Err(DecodeError::Length { kind, found: out.len(), expected });
    }
    decoder(bytes, out);
    Ok(())
}

/// The f32 of a half at the start of `bytes`.
#[inline(always)]
fn half(bytes: &[u8]) -> f32 {
    crate::float::f16_to_f32(u16::from_le_bytes([bytes[0], bytes[1]]))
}
