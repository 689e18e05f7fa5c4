//! TQ1_0, TQ2_0, Q1_0, Q2_0.

use super::half;
use crate::ggml::lanes::for_each_processor;

for_each_processor! {
    /// Trit k of byte b is ⌊3·(b·3ᵏ mod 256)/256⌋; x̂ = (trit − 1)·d.
    pub(super) fn tq1_0(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<54>().0.iter().zip(out.as_chunks_mut::<256>().0) {
            let d = half(&block[52..]);
            base_three::<32>(d, &block[..32], &mut out[..160]);
            base_three::<16>(d, &block[32..48], &mut out[160..240]);
            base_three::<4>(d, &block[48..52], &mut out[240..]);
        }
    }

    /// x̂ = (q − 1)·d.
    pub(super) fn tq2_0(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<66>().0.iter().zip(out.as_chunks_mut::<256>().0) {
            let d = half(&block[64..]);
            let halves = block.as_chunks::<32>().0.iter().zip(out.as_chunks_mut::<128>().0);
            for (codes, out) in halves {
                for (l, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
                    for (out, byte) in out.iter_mut().zip(codes) {
                        *out = f32::from((byte >> (2 * l) & 3) as i8 - 1) * d;
                    }
                }
            }
        }
    }

    /// x̂ = d where the bit is 1, −d where it is 0.
    pub(super) fn q1_0(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<18>().0.iter().zip(out.as_chunks_mut::<128>().0) {
            let d = half(block);
            for (byte, out) in block[2..].iter().zip(out.as_chunks_mut::<8>().0) {
                for (bit, out) in out.iter_mut().enumerate() {
                    *out = if byte >> bit & 1 == 1 { d } else { -d };
                }
            }
        }
    }

    /// x̂ = (q − 1)·d.
    pub(super) fn q2_0(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<18>().0.iter().zip(out.as_chunks_mut::<64>().0) {
            let d = half(block);
            for (byte, out) in block[2..].iter().zip(out.as_chunks_mut::<4>().0) {
                for (i, out) in out.iter_mut().enumerate() {
                    *out = f32::from((byte >> (2 * i) & 3) as i8 - 1) * d;
                }
            }
        }
    }
}

#[inline(always)]
fn base_three<const STRIDE: usize>(d: f32, bytes: &[u8], out: &mut [f32]) {
    let mut power = 1_u8;
    for out in out.as_chunks_mut::<STRIDE>().0 {
        for (out, byte) in out.iter_mut().zip(bytes) {
            let trit = (u16::from(byte.wrapping_mul(power)) * 3) >> 8;
            *out = f32::from(trit as i8 - 1) * d;
        }
        power = power.wrapping_mul(3);
    }
}
