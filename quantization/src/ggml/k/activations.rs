//! Q8_K: the activations that meet the K-quants.

use super::lanes::MAGIC;

/// Encodes super-blocks of Q8_K: f32 scale, 256 signed bytes, sums of 16.
///
/// A block of zeros has sums of zero here; ggml leaves that field as it was.
#[inline(always)]
pub(super) fn encode(weights: &[f32], out: &mut [u8]) {
    for (x, y) in weights.as_chunks::<256>().0.iter().zip(out.as_chunks_mut::<292>().0) {
        y.fill(0);
        let magnitude = x.iter().fold(0, |max, x| max.max(x.to_bits() & 0x7fff_ffff));
        let Some(max) = x.iter().find(|x| x.to_bits() & 0x7fff_ffff == magnitude && magnitude != 0) else {
            continue;
        };
        let iscale = -127.0 / max;
        y[..4].copy_from_slice(&(1.0 / iscale).to_le_bytes());
        let mut codes = [0i8; 256];
        for (code, x) in codes.iter_mut().zip(x) {
            let bits = (iscale * x + MAGIC).to_bits() & 0x7f_ffff;
            *code = (bits as i32 - 0x40_0000).min(127) as i8;
        }
        for (byte, code) in y[4..260].iter_mut().zip(codes) {
            *byte = code as u8;
        }
        for (sum, codes) in y[260..].as_chunks_mut::<2>().0.iter_mut().zip(codes.as_chunks::<16>().0) {
            *sum = codes.iter().map(|&code| i16::from(code)).sum::<i16>().to_le_bytes();
        }
    }
}
