//! Conversions between f32 and the narrow floats of quantized files, bit for bit as ggml makes them.
//!
//! | format | module | bits: sign, exponent, mantissa | rounding |
//! |---|---|---|---|
//! | FP16 | [`half`] | 1, 5, 10 | to nearest, ties to even; overflow to infinity |
//! | BF16 | [`brain`] | 1, 8, 7 | to nearest, ties to even; overflow to infinity |
//! | FP8 E4M3, UE4M3, FP4 E2M1, E8M0 | [`small`] | 1, 4, 3 · 0, 4, 3 · 1, 2, 1 · 0, 8, 0 | see there |

pub mod brain;
pub mod half;
pub mod small;

pub use brain::{bf16_to_f32, bf16_to_f32_slice, f32_to_bf16, f32_to_bf16_slice};
pub use half::{f16_to_f32, f16_to_f32_slice, f32_to_f16, f32_to_f16_slice};
pub use small::{
    e2m1_to_f32, e4m3_to_f32, e8m0_to_f32, e8m0_to_f32_half, f32_to_e2m1, f32_to_e4m3, f32_to_ue4m3,
    ue4m3_to_f32,
};
