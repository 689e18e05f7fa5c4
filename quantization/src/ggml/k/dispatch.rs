//! The widest vectors of the processor, found at run time.
#![expect(unsafe_code, reason = "functions for processors that have the instructions")]

use super::group::Words;
use super::lanes::Array;
#[cfg(target_arch = "x86_64")]
use super::lanes::{F256, F512};
use super::{Job, activations, best, group};
use crate::ggml::GgmlType;

/// Vectors to compute with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Sixteen lanes.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Eight lanes.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Whatever the compiler makes of arrays.
    Portable,
}

impl Level {
    /// Levels that this processor has, the widest first.
    pub(super) fn available() -> impl Iterator<Item = Self> {
        let found = [
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512, has_avx512()),
            #[cfg(target_arch = "x86_64")]
            (Self::Avx2, is_x86_feature_detected!("avx2")),
            (Self::Portable, true),
        ];
        found.into_iter().filter(|(_, has)| *has).map(|(level, _)| level)
    }

    /// The widest level of this processor.
    pub(super) fn best() -> Self {
        Self::available().next().unwrap_or(Self::Portable)
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

/// Encodes with vectors of a level that [`Level::available`] gave.
pub(super) fn encode(level: Level, job: Job<'_>) {
    debug_assert!(Level::available().any(|available| available == level), "{level:?} is not available");
    match level {
        // SAFETY: levels come from `Level::available`, which asked the processor.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { avx512(job) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2(job) },
        Level::Portable if job.kind == GgmlType::Q8_K => activations::encode(job.weights, job.out),
        Level::Portable => group::encode::<Array<4>>(job, best::improve),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn avx512(job: Job<'_>) {
    match job.kind {
        GgmlType::Q8_K => activations::encode(job.weights, job.out),
        _ => group::encode::<F512>(job, |kind, x, v, words| improve_avx512(kind, x, v, words)),
    }
}

/// Apart from [`avx512`], so that the compiler sees smaller functions.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn improve_avx512(kind: GgmlType, x: &[F512; 256], v: Option<&[F512; 256]>, words: &mut Words<F512>) {
    best::improve(kind, x, v, words);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(job: Job<'_>) {
    match job.kind {
        GgmlType::Q8_K => activations::encode(job.weights, job.out),
        _ => group::encode::<F256>(job, |kind, x, v, words| improve_avx2(kind, x, v, words)),
    }
}

/// Apart from [`avx2`], so that the compiler sees smaller functions.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx2")]
fn improve_avx2(kind: GgmlType, x: &[F256; 256], v: Option<&[F256; 256]>, words: &mut Words<F256>) {
    best::improve(kind, x, v, words);
}
