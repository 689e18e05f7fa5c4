//! Which instructions the processor has.

use std::sync::OnceLock;

/// Instruction set that the kernels are written for, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Plain Rust, on every processor; the reference.
    Portable,
    /// 256-bit vectors with fused multiplication, x86-64 since 2013.
    Avx2,
    /// 512-bit vectors with 8-bit dot products (`dpbusd`).
    Avx512,
    /// As [`Self::Avx512`], with dot products of brain floats (`dpbf16ps`).
    Avx512Bf16,
}

impl Tier {
    /// Every tier that this processor can run, weakest first.
    pub fn available() -> impl Iterator<Item = Self> {
        let best = Self::best();
        [Self::Portable, Self::Avx2, Self::Avx512, Self::Avx512Bf16]
            .into_iter()
            .filter(move |tier| *tier <= best)
    }

    /// The best tier that this processor can run; looked up once.
    pub fn best() -> Self {
        static FOUND: OnceLock<Tier> = OnceLock::new();
        *FOUND.get_or_init(detect)
    }

    /// Name as reports print it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512-vnni",
            Self::Avx512Bf16 => "avx512-bf16",
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Tier {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let wide = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni");
    match (avx2, wide, is_x86_feature_detected!("avx512bf16")) {
        (true, true, true) => Tier::Avx512Bf16,
        (true, true, false) => Tier::Avx512,
        (true, false, _) => Tier::Avx2,
        (false, ..) => Tier::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Tier {
    Tier::Portable
}
