//! What the kernels of every tier agree on about a weight type.

use super::GROUP;
use crate::ggml::GgmlType;

/// Bytes of 256 weights.
pub(super) fn group_bytes(kind: GgmlType) -> usize {
    GROUP / kind.block_len() * kind.block_bytes()
}

/// Power of two that is added to the signed codes, so that the stored ones are unsigned: `signed = unsigned − 2^shift`.
///
/// `None` where codes are unsigned by nature (the types with minima). Unsigned codes are what `maddubs` and `dpbusd` take;
/// the sum over the activations, known beforehand, corrects for the shift.
pub(super) fn shift(kind: GgmlType) -> Option<u32> {
    use GgmlType::*;
    match kind {
        Q1_0 | Q2_0 | TQ1_0 | TQ2_0 => Some(0),
        Q3_K => Some(2),
        Q4_0 => Some(3),
        Q5_0 | MXFP4 | NVFP4 => Some(4),
        Q6_K => Some(5),
        Q8_0 | IQ4_NL | IQ4_XS => Some(7),
        _ => None,
    }
}

/// IQ4_NL's and IQ4_XS' table, plus 128.
pub(super) const NON_LINEAR: [u8; 16] = {
    let table: [i16; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
    let mut shifted = [0; 16];
    let mut at = 0;
    while at < 16 {
        shifted[at] = (table[at] + 128) as u8;
        at += 1;
    }
    shifted
};

/// Doubled E2M1 values, plus 16.
pub(super) const FP4: [u8; 16] = [16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4];

/// Scales and minima of the eight sub-blocks of Q4_K and Q5_K from their twelve bytes: two words of eight bytes, first sub-block lowest.
pub(super) fn six_bit_pairs(bytes: &[u8; 12]) -> (u64, u64) {
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (low, middle, high) = (word(0), word(4), word(8));
    let scales_high = high & 0x0f0f_0f0f | (low >> 2) & 0x3030_3030;
    let minima_high = (high >> 4) & 0x0f0f_0f0f | (middle >> 2) & 0x3030_3030;
    let join = |first: u32, second: u32| u64::from(first & 0x3f3f_3f3f) | u64::from(second) << 32;
    (join(low, scales_high), join(middle, minima_high))
}

/// The sixteen six-bit scales of Q3_K from their twelve bytes, in four words of four bytes.
pub(super) fn six_bit_scales(bytes: &[u8; 12]) -> [u32; 4] {
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (first, second, high) = (word(0), word(4), word(8));
    let part = |low: u32, shift: u32| low & 0x0f0f_0f0f | ((high >> shift) & 0x0303_0303) << 4;
    [part(first, 0), part(second, 2), part(first >> 4, 4), part(second >> 4, 6)]
}

/// The eight six-bit scales of IQ4_XS, minus 32.
pub(super) fn iq4_xs_scales(high: u16, low: u32) -> [i8; 8] {
    std::array::from_fn(|sub| {
        let code = ((low >> (4 * sub)) & 15) as u8 | (((high >> (2 * sub)) & 3) as u8) << 4;
        code as i8 - 32
    })
}
