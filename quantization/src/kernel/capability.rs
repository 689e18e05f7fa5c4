//! Which instructions the processor has.

use std::sync::OnceLock;

/// Instruction set that a kernel is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Plain Rust, on every processor; the reference.
    Portable,
    /// 256-bit integer vectors (`maddubs`), x86-64 since 2013.
    Avx2,
    /// 512-bit vectors with 8-bit dot products (`dpbusd`) and byte permutations.
    Avx512Vnni,
}

impl Capability {
    /// Every tier that this processor can run, weakest first.
    pub fn available() -> impl Iterator<Item = Self> {
        [Self::Portable, Self::Avx2, Self::Avx512Vnni].into_iter().filter(|tier| *tier <= capability())
    }

    /// Name as reports print it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512Vnni => "avx512-vnni",
        }
    }
}

/// The best tier that this processor can run; looked up once.
pub fn capability() -> Capability {
    static FOUND: OnceLock<Capability> = OnceLock::new();
    *FOUND.get_or_init(detect)
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Capability {
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    let wide = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vnni");
    match (avx2, wide) {
        (true, true) => Capability::Avx512Vnni,
        (true, false) => Capability::Avx2,
        (false, _) => Capability::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Capability {
    Capability::Portable
}
