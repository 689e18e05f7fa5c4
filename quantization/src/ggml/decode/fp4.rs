//! MXFP4 and NVFP4.

use super::legacy::nibbles;
use crate::float::{e8m0_to_f32_half, ue4m3_to_f32};
use crate::ggml::lanes::for_each_processor;

/// E2M1 values, doubled.
const DOUBLED: [f32; 16] =
    [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 0.0, -1.0, -2.0, -3.0, -4.0, -6.0, -8.0, -12.0];

for_each_processor! {
    /// x̂ = F[q]·2^(e−128).
    pub(super) fn mxfp4(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<17>().0.iter().zip(out.as_chunks_mut::<32>().0) {
            let step = e8m0_to_f32_half(block[0]);
            let products = DOUBLED.map(|value| value * step);
            for (out, q) in out.iter_mut().zip(nibbles(&block[1..])) {
                *out = products[usize::from(q & 15)];
            }
        }
    }

    /// x̂ = F[q]·(d/2), d the UE4M3 of 16 weights.
    pub(super) fn nvfp4(bytes: &[u8], out: &mut [f32]) {
        for (block, out) in bytes.as_chunks::<36>().0.iter().zip(out.as_chunks_mut::<64>().0) {
            let (scales, codes) = block.split_at(4);
            let runs = codes.as_chunks::<8>().0.iter().zip(out.as_chunks_mut::<16>().0);
            for ((codes, out), scale) in runs.zip(scales) {
                let step = ue4m3_to_f32(*scale) * 0.5;
                let products = DOUBLED.map(|value| value * step);
                for (j, byte) in codes.iter().enumerate() {
                    out[j] = products[usize::from(byte & 15)];
                    out[j + 8] = products[usize::from(byte >> 4)];
                }
            }
        }
    }
}
