//! The check of ggml's `ggml_validate_row_data`: no 16-bit float of a block is infinite or NaN.

use crate::ggml::GgmlType;
use crate::ggml::lanes::for_each_processor;

/// The first block with an infinite or NaN scale, minimum or number.
pub(super) fn first(kind: GgmlType, bytes: &[u8]) -> Option<usize> {
    use GgmlType::*;
    let offsets: &[usize] = match kind {
        Q4_0 | Q5_0 | Q8_0 | IQ4_NL | IQ4_XS | Q1_0 | Q2_0 => &[0],
        Q4_1 | Q5_1 | Q8_1 | Q4_K | Q5_K => &[0, 2],
        Q2_K => &[80, 82],
        Q3_K => &[108],
        Q6_K => &[208],
        TQ1_0 => &[52],
        TQ2_0 => &[64],
        _ => &[],
    };
    if matches!(kind, F16 | BF16) {
        return first_number(if kind == BF16 { 0x7F80 } else { 0x7C00 }, bytes);
    }
    let exponent = 0x7C00;
    let size = kind.block_bytes();
    let infinite = |block: &[u8], offset: usize| {
        u16::from_le_bytes([block[offset], block[offset + 1]]) & exponent == exponent
    };
    let blocks = offsets
        .iter()
        .filter_map(|offset| bytes.chunks_exact(size).position(|block| infinite(block, *offset)));
    blocks.min()
}

fn first_number(exponent: u16, bytes: &[u8]) -> Option<usize> {
    let numbers = bytes.as_chunks::<2>().0;
    if !any_infinite(exponent, numbers) {
        return None;
    }
    numbers.iter().position(|number| u16::from_le_bytes(*number) & exponent == exponent)
}

for_each_processor! {
    fn any_infinite(exponent: u16, numbers: &[[u8; 2]]) -> bool {
        numbers.iter().fold(0_u16, |most, number| most.max(u16::from_le_bytes(*number) & exponent)) == exponent
    }
}
