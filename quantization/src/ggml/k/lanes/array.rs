//! Lanes on any processor: arrays, which the compiler vectorizes as far as it can.

use std::ops::{Add, BitAnd, BitOr, Div, Mul, Not, Sub};

use super::{Int, Lanes, MOST};

/// `N` floats.
#[derive(Clone, Copy)]
pub(in super::super) struct Array<const N: usize>([f32; N]);

/// `N` integers, also masks (all bits or none).
#[derive(Clone, Copy)]
pub(in super::super) struct Whole<const N: usize>([u32; N]);

macro_rules! lane_by_lane {
    ($type:ident: $($trait:ident $method:ident $operation:expr),*) => {$(
        impl<const N: usize> $trait for $type<N> {
            type Output = Self;

            #[inline(always)]
            fn $method(mut self, other: Self) -> Self {
                for (a, b) in self.0.iter_mut().zip(other.0) {
                    *a = $operation(*a, b);
                }
                self
            }
        }
    )*};
}

lane_by_lane!(Array: Add add (|a: f32, b: f32| a + b), Sub sub (|a: f32, b: f32| a - b),
    Mul mul (|a: f32, b: f32| a * b), Div div (|a: f32, b: f32| a / b));
lane_by_lane!(Whole: Add add u32::wrapping_add, Sub sub u32::wrapping_sub,
    BitAnd bitand (|a: u32, b: u32| a & b), BitOr bitor (|a: u32, b: u32| a | b));

impl<const N: usize> Not for Whole<N> {
    type Output = Self;

    #[inline(always)]
    fn not(self) -> Self {
        Self(self.0.map(|x| !x))
    }
}

impl<const N: usize> Array<N> {
    #[inline(always)]
    fn test(self, other: Self, test: impl Fn(f32, f32) -> bool) -> Whole<N> {
        let mut mask = [0; N];
        for ((mask, a), b) in mask.iter_mut().zip(self.0).zip(other.0) {
            *mask = if test(a, b) { u32::MAX } else { 0 };
        }
        Whole(mask)
    }
}

impl<const N: usize> Lanes for Array<N> {
    const N: usize = N;
    type Mask = Whole<N>;
    type Int = Whole<N>;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; N])
    }

    #[inline(always)]
    fn load(x: &[f32; MOST]) -> Self {
        let mut lanes = [0.0; N];
        lanes.copy_from_slice(&x[..N]);
        Self(lanes)
    }

    #[inline(always)]
    fn store(self) -> [f32; MOST] {
        let mut out = [0.0; MOST];
        out[..N].copy_from_slice(&self.0);
        out
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(self.0.map(f32::sqrt))
    }

    #[inline(always)]
    fn abs(self) -> Self {
        Self(self.0.map(f32::abs))
    }

    #[inline(always)]
    fn above(mut self, other: Self) -> Self {
        for (a, b) in self.0.iter_mut().zip(other.0) {
            *a = if *a > b { *a } else { b };
        }
        self
    }

    #[inline(always)]
    fn below(mut self, other: Self) -> Self {
        for (a, b) in self.0.iter_mut().zip(other.0) {
            *a = if *a < b { *a } else { b };
        }
        self
    }

    #[inline(always)]
    fn gt(self, other: Self) -> Whole<N> {
        self.test(other, |a, b| a > b)
    }

    #[inline(always)]
    fn same(self, other: Self) -> Whole<N> {
        self.test(other, |a, b| a == b)
    }

    #[inline(always)]
    fn where_or(self, mask: Whole<N>, other: Self) -> Self {
        Self::from_bits(Self::choose(mask, self.bits(), other.bits()))
    }

    #[inline(always)]
    fn any(mask: Whole<N>) -> bool {
        mask.0.iter().fold(0, |any, mask| any | mask) != 0
    }

    #[inline(always)]
    fn bits(self) -> Whole<N> {
        Whole(self.0.map(f32::to_bits))
    }

    #[inline(always)]
    fn from_bits(bits: Whole<N>) -> Self {
        Self(bits.0.map(f32::from_bits))
    }

    #[inline(always)]
    fn choose(mask: Whole<N>, a: Whole<N>, b: Whole<N>) -> Whole<N> {
        (mask & a) | (!mask & b)
    }
}

impl<const N: usize> Int for Whole<N> {
    #[inline(always)]
    fn splat(x: i32) -> Self {
        Self([x as u32; N])
    }

    #[inline(always)]
    fn load(x: &[u32; MOST]) -> Self {
        let mut lanes = [0; N];
        lanes.copy_from_slice(&x[..N]);
        Self(lanes)
    }

    #[inline(always)]
    fn store(self) -> [u32; MOST] {
        let mut out = [0; MOST];
        out[..N].copy_from_slice(&self.0);
        out
    }

    #[inline(always)]
    fn shl(self, count: i32) -> Self {
        Self(self.0.map(|x| x << count))
    }

    #[inline(always)]
    fn shr(self, count: i32) -> Self {
        Self(self.0.map(|x| x >> count))
    }

    #[inline(always)]
    fn least(mut self, other: Self) -> Self {
        for (a, b) in self.0.iter_mut().zip(other.0) {
            *a = if (*a as i32) < b as i32 { *a } else { b };
        }
        self
    }

    #[inline(always)]
    fn most(mut self, other: Self) -> Self {
        for (a, b) in self.0.iter_mut().zip(other.0) {
            *a = if (*a as i32) > b as i32 { *a } else { b };
        }
        self
    }
}
