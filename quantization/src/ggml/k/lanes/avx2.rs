//! Eight lanes of AVX2.
#![expect(unsafe_code, reason = "vector instructions")]
// SAFETY (of every block below): these vectors are made only by the functions that `dispatch` calls after the
// processor said that it has AVX2; the instructions touch registers and whole local arrays only.

use std::arch::x86_64::*;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Not, Sub};

use super::{Int, Lanes, MOST};

/// Eight floats.
#[derive(Clone, Copy)]
pub(in super::super) struct F256(__m256);

/// Eight integers.
#[derive(Clone, Copy)]
pub(in super::super) struct I256(__m256i);

/// Eight truth values, as all bits or none.
#[derive(Clone, Copy)]
pub(in super::super) struct M256(__m256);

macro_rules! operators {
    ($type:ident: $($trait:ident $method:ident $instruction:ident),*) => {$(
        impl $trait for $type {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                // SAFETY: see the head of the file.
                Self(unsafe { $instruction(self.0, other.0) })
            }
        }
    )*};
}

operators!(F256: Add add _mm256_add_ps, Sub sub _mm256_sub_ps, Mul mul _mm256_mul_ps, Div div _mm256_div_ps);
operators!(M256: BitAnd bitand _mm256_and_ps, BitOr bitor _mm256_or_ps);
operators!(I256: Add add _mm256_add_epi32, Sub sub _mm256_sub_epi32,
    BitAnd bitand _mm256_and_si256, BitOr bitor _mm256_or_si256);

impl Not for M256 {
    type Output = Self;

    #[inline(always)]
    fn not(self) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm256_xor_ps(self.0, _mm256_castsi256_ps(_mm256_set1_epi32(-1))) })
    }
}

/// Functions of one instruction each.
macro_rules! functions {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name($($argument: $type),*) -> $result {
            // SAFETY: see the head of the file.
            unsafe { $body }
        }
    )*};
}

/// Methods of one instruction each.
macro_rules! methods {
    ($($name:ident($this:ident $(, $argument:ident: $type:ty)*) -> $result:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name($this $(, $argument: $type)*) -> $result {
            // SAFETY: see the head of the file.
            unsafe { $body }
        }
    )*};
}

impl Lanes for F256 {
    const N: usize = 8;
    type Mask = M256;
    type Int = I256;

    functions! {
        splat(x: f32) -> Self = Self(_mm256_set1_ps(x));
        load(x: &[f32; MOST]) -> Self = Self(_mm256_loadu_ps(x.as_ptr()));
        from_bits(bits: I256) -> Self = Self(_mm256_castsi256_ps(bits.0));
        choose(mask: M256, a: I256, b: I256) -> I256 = I256(_mm256_blendv_epi8(b.0, a.0, _mm256_castps_si256(mask.0)));
    }

    methods! {
        sqrt(self) -> Self = Self(_mm256_sqrt_ps(self.0));
        abs(self) -> Self = Self(_mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0));
        where_or(self, mask: M256, other: Self) -> Self = Self(_mm256_blendv_ps(other.0, self.0, mask.0));
        bits(self) -> I256 = I256(_mm256_castps_si256(self.0));
        above(self, b: Self) -> Self = Self(_mm256_max_ps(self.0, b.0));
        below(self, b: Self) -> Self = Self(_mm256_min_ps(self.0, b.0));
        gt(self, b: Self) -> M256 = M256(_mm256_cmp_ps::<_CMP_GT_OQ>(self.0, b.0));
        same(self, b: Self) -> M256 = M256(_mm256_cmp_ps::<_CMP_EQ_OQ>(self.0, b.0));
    }

    #[inline(always)]
    fn store(self) -> [f32; MOST] {
        let mut out = [0.0; MOST];
        // SAFETY: see the head of the file.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), self.0) };
        out
    }

    #[inline(always)]
    fn any(mask: M256) -> bool {
        // SAFETY: see the head of the file.
        unsafe { _mm256_movemask_ps(mask.0) != 0 }
    }
}

impl Int for I256 {
    functions! {
        splat(x: i32) -> Self = Self(_mm256_set1_epi32(x));
        load(x: &[u32; MOST]) -> Self = Self(_mm256_loadu_si256(x.as_ptr().cast()));
    }

    methods! {
        least(self, b: Self) -> Self = Self(_mm256_min_epi32(self.0, b.0));
        most(self, b: Self) -> Self = Self(_mm256_max_epi32(self.0, b.0));
        shl(self, count: i32) -> Self = Self(_mm256_sllv_epi32(self.0, _mm256_set1_epi32(count)));
        shr(self, count: i32) -> Self = Self(_mm256_srlv_epi32(self.0, _mm256_set1_epi32(count)));
    }

    #[inline(always)]
    fn store(self) -> [u32; MOST] {
        let mut out = [0; MOST];
        // SAFETY: see the head of the file.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), self.0) };
        out
    }
}
