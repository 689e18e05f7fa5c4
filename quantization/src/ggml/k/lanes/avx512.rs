//! Sixteen lanes of AVX-512.
#![expect(unsafe_code, reason = "vector instructions")]
// SAFETY (of every block below): these vectors are made only by the functions that `dispatch` calls after the
// processor said that it has AVX-512 F, BW, DQ and VL; the instructions touch registers and whole local arrays only.

use std::arch::x86_64::*;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Sub};

use super::{Int, Lanes, MOST};

/// Sixteen floats.
#[derive(Clone, Copy)]
pub(in super::super) struct F512(__m512);

/// Sixteen integers.
#[derive(Clone, Copy)]
pub(in super::super) struct I512(__m512i);

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

operators!(F512: Add add _mm512_add_ps, Sub sub _mm512_sub_ps, Mul mul _mm512_mul_ps, Div div _mm512_div_ps);
operators!(I512: Add add _mm512_add_epi32, Sub sub _mm512_sub_epi32,
    BitAnd bitand _mm512_and_si512, BitOr bitor _mm512_or_si512);

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

impl Lanes for F512 {
    const N: usize = 16;
    type Mask = __mmask16;
    type Int = I512;

    functions! {
        splat(x: f32) -> Self = Self(_mm512_set1_ps(x));
        load(x: &[f32; MOST]) -> Self = Self(_mm512_loadu_ps(x.as_ptr()));
        from_bits(bits: I512) -> Self = Self(_mm512_castsi512_ps(bits.0));
        choose(mask: __mmask16, a: I512, b: I512) -> I512 = I512(_mm512_mask_blend_epi32(mask, b.0, a.0));
    }

    methods! {
        sqrt(self) -> Self = Self(_mm512_sqrt_ps(self.0));
        abs(self) -> Self = Self(_mm512_abs_ps(self.0));
        where_or(self, mask: __mmask16, other: Self) -> Self = Self(_mm512_mask_blend_ps(mask, other.0, self.0));
        bits(self) -> I512 = I512(_mm512_castps_si512(self.0));
        above(self, b: Self) -> Self = Self(_mm512_max_ps(self.0, b.0));
        below(self, b: Self) -> Self = Self(_mm512_min_ps(self.0, b.0));
        gt(self, b: Self) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, b.0);
        same(self, b: Self) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self.0, b.0);
    }

    #[inline(always)]
    fn store(self) -> [f32; MOST] {
        let mut out = [0.0; MOST];
        // SAFETY: see the head of the file.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), self.0) };
        out
    }

    #[inline(always)]
    fn any(mask: __mmask16) -> bool {
        mask != 0
    }
}

impl Int for I512 {
    functions! {
        splat(x: i32) -> Self = Self(_mm512_set1_epi32(x));
        load(x: &[u32; MOST]) -> Self = Self(_mm512_loadu_si512(x.as_ptr().cast()));
    }

    methods! {
        least(self, b: Self) -> Self = Self(_mm512_min_epi32(self.0, b.0));
        most(self, b: Self) -> Self = Self(_mm512_max_epi32(self.0, b.0));
        shl(self, count: i32) -> Self = Self(_mm512_sllv_epi32(self.0, _mm512_set1_epi32(count)));
        shr(self, count: i32) -> Self = Self(_mm512_srlv_epi32(self.0, _mm512_set1_epi32(count)));
    }

    #[inline(always)]
    fn store(self) -> [u32; MOST] {
        let mut out = [0; MOST];
        // SAFETY: see the head of the file.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), self.0) };
        out
    }
}
