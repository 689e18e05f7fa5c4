//! Kernels for x86-64 processors; each entry is safe to call only where `capability()` says so, which `Kernel` checks.

mod avx2;
mod avx512;

pub(super) use avx2::{fill, plain, rows as avx2, ternary as ternary_avx2};
pub(super) use avx512::{rows as avx512, ternary as ternary_avx512};
