//! The checkpoint layout of GPTQ (AutoGPTQ, GPTQModel): packed codes, zero-points, scales and groups.
//!
//! | tensor | shape | content |
//! | --- | --- | --- |
//! | `qweight` i32 | `[in·bits/32, out]` | codes, packed down the inputs |
//! | `qzeros` i32 | `[groups, out·bits/32]` | zero-points, packed along the outputs |
//! | `scales` f16 | `[groups, out]` | step sizes |
//! | `g_idx` i32 | `[in]` | group of each input |
//!
//! ```text
//! w[o, i] = scales[g_idx[i], o] · (code[i, o] − zero[g_idx[i], o])
//! ```
//! Packing is one little-endian stream of bits: code `n` takes bits `b·n` to `b·n + b − 1`, also across words (3 bits).
//! Source: AutoGPTQ, `qlinear_cuda_old.py`; GPTQModel, `utils/model.py`.

mod bits;
mod config;
mod convention;
mod layer;

pub use bits::{pack, unpack};
pub use config::{ConfigError, QuantizeConfig};
pub use convention::{Verdict, zero_point_convention};
pub use layer::{Layer, LayoutError, Packed};

/// How zero-points are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convention {
    /// `checkpoint_format = "gptq"`: zero − 1, masked to the bits; readers add 1 and mask again.
    V1,
    /// `checkpoint_format = "gptq_v2"`: the zero-point itself.
    V2,
}

impl Convention {
    /// What stands in the file for a zero-point.
    pub fn store(self, zero: u32, bits: u32) -> u32 {
        match self {
            Self::V1 => zero.wrapping_sub(1) & mask(bits),
            Self::V2 => zero & mask(bits),
        }
    }

    /// Zero-point for what stands in the file.
    ///
    /// ```
    /// use quantization::gptq_layout::Convention;
    /// assert_eq!(Convention::V1.zero(7, 4), 8);
    /// assert_eq!(Convention::V1.zero(15, 4), 0);
    /// assert_eq!(Convention::V2.zero(7, 4), 7);
    /// ```
    pub fn zero(self, stored: u32, bits: u32) -> u32 {
        match self {
            Self::V1 => stored.wrapping_add(1) & mask(bits),
            Self::V2 => stored & mask(bits),
        }
    }

    /// Name in `checkpoint_format`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "gptq",
            Self::V2 => "gptq_v2",
        }
    }
}

fn mask(bits: u32) -> u32 {
    (1 << bits) - 1
}
