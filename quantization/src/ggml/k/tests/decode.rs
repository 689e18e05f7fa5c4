//! Values of super-blocks, as the formats define them.

use super::super::f16::f16_to_f32;
use crate::ggml::GgmlType;

fn half(y: &[u8], at: usize) -> f32 {
    f16_to_f32(u16::from_le_bytes([y[at], y[at + 1]]))
}

fn two_bits(y: &[u8], e: usize) -> u8 {
    y[e / 128 * 32 + e % 32] >> (e % 128 / 32 * 2) & 3
}

/// Weights of one super-block.
pub(super) fn decode(kind: GgmlType, y: &[u8]) -> Vec<f32> {
    (0..256).map(|e| value(kind, y, e)).collect()
}

fn value(kind: GgmlType, y: &[u8], e: usize) -> f32 {
    let j = e / 16;
    match kind {
        GgmlType::Q2_K => {
            let (d, dmin) = (half(y, 80), half(y, 82));
            let (scale, min) = (d * f32::from(y[j] & 15), dmin * f32::from(y[j] >> 4));
            scale * f32::from(two_bits(&y[16..], e)) - min
        }
        GgmlType::Q3_K => {
            let s = &y[96..108];
            let scale = (s[j % 8] >> (j / 8 * 4) & 15) | (s[8 + j % 4] >> (j / 4 * 2) & 3) << 4;
            let code = two_bits(&y[32..], e) | (y[e % 32] >> (e / 32) & 1) << 2;
            half(y, 108) * (f32::from(scale) - 32.0) * (f32::from(code) - 4.0)
        }
        GgmlType::Q6_K => {
            let (h, quarter, byte) = (e / 128, e % 128 / 32, e % 32);
            let low = y[h * 64 + quarter % 2 * 32 + byte] >> (quarter / 2 * 4) & 15;
            let code = low | (y[128 + h * 32 + byte] >> (quarter * 2) & 3) << 4;
            half(y, 208) * f32::from(y[192 + j] as i8) * (f32::from(code) - 32.0)
        }
        _ => {
            let (s, j) = (&y[4..16], e / 32);
            let (scale, min) = match j {
                0..4 => (s[j] & 63, s[j + 4] & 63),
                _ => ((s[j + 4] & 15) | s[j - 4] >> 6 << 4, s[j + 4] >> 4 | s[j] >> 6 << 4),
            };
            let five = kind == GgmlType::Q5_K;
            let qs = &y[if five { 48 } else { 16 }..];
            let high = if five { (y[16 + e % 32] >> j & 1) << 4 } else { 0 };
            let code = (qs[e / 64 * 32 + e % 32] >> (e % 64 / 32 * 4) & 15) | high;
            half(y, 0) * f32::from(scale) * f32::from(code) - half(y, 2) * f32::from(min)
        }
    }
}
