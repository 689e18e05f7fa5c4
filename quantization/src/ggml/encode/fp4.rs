//! MXFP4 and NVFP4: E2M1 codes with a scale per 32 or 16 weights. Importance is ignored.

use crate::float::{e8m0_to_f32_half, f32_to_ue4m3, ue4m3_to_f32};
use crate::ggml::lanes::{for_each_processor, largest};

/// E2M1 magnitudes, doubled; the step is halved to compensate.
const DOUBLED: [f32; 8] = [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0];

/// Weights whose codes are found in one loop.
const PIECE: usize = 512;

/// `{ u8 e; u8 qs[16] }`: e = ⌊log₂ max|x|⌋ − 2 + 127, the code nearest to x/2^(e−127).
pub(super) fn mxfp4(weights: &[f32], out: &mut [u8]) {
    for (weights, out) in weights.chunks(PIECE).zip(out.chunks_mut(PIECE / 32 * 17)) {
        let (mut steps, mut codes) = ([0.0; PIECE], [0; PIECE]);
        let blocks = out.as_chunks_mut::<17>().0;
        let numbers = weights.as_chunks::<32>().0.iter().zip(steps.as_chunks_mut::<32>().0);
        for ((x, steps), out) in numbers.zip(blocks.iter_mut()) {
            out[0] = shared_exponent(largest(x));
            steps.fill(e8m0_to_f32_half(out[0]));
        }
        nearest_codes(weights, &steps, &mut codes);
        for (out, codes) in blocks.iter_mut().zip(codes.as_chunks::<32>().0) {
            pack(codes, &mut out[1..]);
        }
    }
}

/// `{ u8 d[4]; u8 qs[32] }`: per 16 weights d = UE4M3(max|x|/6) and the code nearest to x/d.
pub(super) fn nvfp4(weights: &[f32], out: &mut [u8]) {
    for (weights, out) in weights.chunks(PIECE).zip(out.chunks_mut(PIECE / 64 * 36)) {
        let (mut steps, mut codes) = ([0.0; PIECE], [0; PIECE]);
        let blocks = out.as_chunks_mut::<36>().0;
        let runs = weights.as_chunks::<16>().0.iter().zip(steps.as_chunks_mut::<16>().0);
        for ((x, steps), scale) in runs.zip(blocks.iter_mut().flat_map(|block| &mut block[..4])) {
            *scale = f32_to_ue4m3(largest(x) / 6.0);
            steps.fill(ue4m3_to_f32(*scale) * 0.5);
        }
        nearest_codes(weights, &steps, &mut codes);
        for (out, codes) in blocks.iter_mut().zip(codes.as_chunks::<64>().0) {
            for (out, codes) in out[4..].as_chunks_mut::<8>().0.iter_mut().zip(codes.as_chunks::<16>().0) {
                pack(codes, out);
            }
        }
    }
}

/// Byte j: code j below code j + half a run.
#[inline(always)]
fn pack(codes: &[u8], out: &mut [u8]) {
    let (low, high) = codes.split_at(codes.len() / 2);
    for ((out, low), high) in out.iter_mut().zip(low).zip(high) {
        *out = low | high << 4;
    }
}

/// The exponent byte of a block.
///
/// ggml takes the logarithm in f32, which reaches the next whole number just below a power of two, and casts a
/// negative result (largest weight below 2⁻¹²⁵) to a byte, which on x86 keeps its low eight bits; every code is then 0.
#[inline(always)]
fn shared_exponent(largest: f32) -> u8 {
    if largest == 0.0 {
        return 0;
    }
    let bits = largest.to_bits();
    let exponent = (bits >> 23) as i32;
    // Far from the next power of two, and normal, the exponent field is the logarithm's floor.
    if exponent != 0 && bits & 0x7F_FF00 != 0x7F_FF00 {
        return (exponent - 2) as u8;
    }
    ((f64::from(largest).log2() as f32).floor() as i32 + 125) as u8
}

for_each_processor! {
    /// The first code with the smallest |F·step − x|; magnitudes suffice: the wrong sign is never nearer than 0.
    fn nearest_codes(x: &[f32], steps: &[f32], codes: &mut [u8]) {
        for ((code, x), step) in codes.iter_mut().zip(x).zip(steps) {
            let a = x.abs();
            let (mut best, mut error) = (0_u32, a);
            for i in 1..8_u32 {
                let distance = (DOUBLED[i as usize] * step - a).abs();
                best = if distance < error { i } else { best };
                error = if distance < error { distance } else { error };
            }
            let sign = if best == 0 { 0 } else { x.to_bits() >> 28 & 8 };
            *code = (best | sign) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_exponent_is_the_rounded_logarithm_s() {
        let near = (0..254).flat_map(|e| (0..600).map(move |below| ((e + 1) << 23) - 1 - below));
        let others = (0..0x7F80_0000_u32).step_by(99_991);
        for x in near.chain(others).map(f32::from_bits).filter(|x| *x > 0.0) {
            let expected = (x.log2().floor() - 2.0 + 127.0) as i32 as u8;
            assert_eq!(shared_exponent(x), expected, "{x:e}");
        }
    }
}
