//! Several super-blocks at once: lane i of every vector belongs to super-block i, so that each keeps ggml's order of sums.

use std::ops::{Add, BitAnd, BitOr, Div, Mul, Not, Sub};

mod array;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

pub(super) use array::Array;
#[cfg(target_arch = "x86_64")]
pub(super) use avx2::F256;
#[cfg(target_arch = "x86_64")]
pub(super) use avx512::F512;

/// Most lanes of any implementation.
pub(super) const MOST: usize = 16;

/// 1.5·2²³: adding it rounds to an integer, ties to even.
pub(super) const MAGIC: f32 = 12_582_912.0;

/// A vector of f32 whose operations are those of IEEE in every lane, never fused.
pub(super) trait Lanes:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// Number of lanes.
    const N: usize;
    /// As many truth values.
    type Mask: Copy + BitAnd<Output = Self::Mask> + BitOr<Output = Self::Mask> + Not<Output = Self::Mask>;
    /// As many 32-bit integers.
    type Int: Int;

    fn splat(x: f32) -> Self;
    fn load(x: &[f32; MOST]) -> Self;
    fn store(self) -> [f32; MOST];
    fn sqrt(self) -> Self;
    fn abs(self) -> Self;
    /// `self > other ? self : other`, so `other` where one is not a number.
    fn above(self, other: Self) -> Self;
    /// `self < other ? self : other`, so `other` where one is not a number.
    fn below(self, other: Self) -> Self;
    fn gt(self, other: Self) -> Self::Mask;
    /// False where one is not a number.
    fn same(self, other: Self) -> Self::Mask;
    /// `mask ? self : other`.
    fn where_or(self, mask: Self::Mask, other: Self) -> Self;
    fn any(mask: Self::Mask) -> bool;
    fn bits(self) -> Self::Int;
    fn from_bits(bits: Self::Int) -> Self;
    /// `mask ? a : b`.
    fn choose(mask: Self::Mask, a: Self::Int, b: Self::Int) -> Self::Int;

    /// ggml's `nearest_int`, as the float 2²³ + 2²² + integer; wraps for the same values that ggml's does.
    #[inline(always)]
    fn nearest_bits(self) -> Self::Int {
        let bits = (self + Self::splat(MAGIC)).bits();
        (bits & Self::Int::splat(0x7f_ffff)) | Self::Int::splat(0x4b00_0000)
    }

    /// ggml's `nearest_int`.
    #[inline(always)]
    fn nearest(self) -> Self::Int {
        self.nearest_bits() - Self::Int::splat(MAGIC.to_bits() as i32)
    }

    /// ggml's `nearest_int`, clamped.
    #[inline(always)]
    fn nearest_within(self, low: i32, high: i32) -> Self {
        let [low, high] = [low, high].map(|limit| Self::Int::splat(MAGIC.to_bits() as i32 + limit));
        Self::from_bits(self.nearest_bits().most(low).least(high)) - Self::splat(MAGIC)
    }

    /// The float with the value of an integer of at most 22 bits.
    #[inline(always)]
    fn from_int(x: Self::Int) -> Self {
        Self::from_bits(x + Self::Int::splat(MAGIC.to_bits() as i32)) - Self::splat(MAGIC)
    }

    /// The integer of a whole number of at most 22 bits.
    #[inline(always)]
    fn int(self) -> Self::Int {
        (self + Self::splat(MAGIC)).bits() - Self::Int::splat(MAGIC.to_bits() as i32)
    }
}

/// A vector of 32-bit integers that wrap.
pub(super) trait Int:
    Copy + Add<Output = Self> + Sub<Output = Self> + BitAnd<Output = Self> + BitOr<Output = Self>
{
    fn splat(x: i32) -> Self;
    fn load(x: &[u32; MOST]) -> Self;
    fn store(self) -> [u32; MOST];
    fn shl(self, count: i32) -> Self;
    fn shr(self, count: i32) -> Self;
    /// The smaller, signed.
    fn least(self, other: Self) -> Self;
    /// The larger, signed.
    fn most(self, other: Self) -> Self;
}
