//! libjpeg's accurate integer inverse DCT (`jidctint.c`, Loeffler, Ligtenberg and Moschytz 1989): eight columns at once, then the rows.

use super::super::dispatch::multiversion;

/// Bits behind the point of the constants.
const BITS: u32 = 13;
/// Bits that the first pass keeps.
const KEPT: u32 = 2;

type Rows = [[i32; 8]; 8];

/// Samples of a block of coefficients, written to eight lines of `stride` bytes.
pub(super) fn inverse(block: &[i16; 64], quantiser: &[i32; 64], out: &mut [u8], stride: usize) {
    if block[1..].iter().all(|&coefficient| coefficient == 0) {
        let level = i32::from(block[0]).wrapping_mul(quantiser[0]);
        let sample = (((level + 4) >> 3) + 128).clamp(0, 255) as u8;
        for line in 0..8 {
            out[line * stride..][..8].fill(sample);
        }
        return;
    }
    whole(block, quantiser, out, stride);
}

multiversion! {
    fn whole(block: &[i16; 64], quantiser: &[i32; 64], out: &mut [u8], stride: usize) {
        let mut rows: Rows = [[0; 8]; 8];
        for (y, row) in rows.iter_mut().enumerate() {
            for (x, value) in row.iter_mut().enumerate() {
                *value = i32::from(block[y * 8 + x]).wrapping_mul(quantiser[y * 8 + x]);
            }
        }
        let columns = transposed(&pass(&rows, BITS - KEPT));
        let samples = transposed(&pass(&columns, BITS + KEPT + 3));
        for (y, row) in samples.iter().enumerate() {
            for (byte, &value) in out[y * stride..][..8].iter_mut().zip(row) {
                *byte = (value + 128).clamp(0, 255) as u8;
            }
        }
    }
}

#[inline(always)]
fn transposed(rows: &Rows) -> Rows {
    let mut out = [[0; 8]; 8];
    for (y, row) in rows.iter().enumerate() {
        for (x, &value) in row.iter().enumerate() {
            out[x][y] = value;
        }
    }
    out
}

/// One dimension of the transform down the rows, eight lanes side by side.
#[inline(always)]
fn pass(rows: &Rows, shift: u32) -> Rows {
    let mut out = [[0; 8]; 8];
    for lane in 0..8 {
        let input = |row: usize| rows[row][lane];
        let times = |value: i32, constant: i32| value.wrapping_mul(constant);
        // Even part.
        let (z2, z3) = (input(2), input(6));
        let z1 = times(z2.wrapping_add(z3), 4433);
        let t2 = z1.wrapping_add(times(z3, -15137));
        let t3 = z1.wrapping_add(times(z2, 6270));
        let t0 = input(0).wrapping_add(input(4)) << BITS;
        let t1 = input(0).wrapping_sub(input(4)) << BITS;
        let (e0, e3) = (t0.wrapping_add(t3), t0.wrapping_sub(t3));
        let (e1, e2) = (t1.wrapping_add(t2), t1.wrapping_sub(t2));
        // Odd part.
        let (o0, o1, o2, o3) = (input(7), input(5), input(3), input(1));
        let (z1, z2) = (o0.wrapping_add(o3), o1.wrapping_add(o2));
        let (z3, z4) = (o0.wrapping_add(o2), o1.wrapping_add(o3));
        let z5 = times(z3.wrapping_add(z4), 9633);
        let (o0, o1, o2, o3) = (times(o0, 2446), times(o1, 16819), times(o2, 25172), times(o3, 12299));
        let (z1, z2) = (times(z1, -7373), times(z2, -20995));
        let z3 = times(z3, -16069).wrapping_add(z5);
        let z4 = times(z4, -3196).wrapping_add(z5);
        let o0 = o0.wrapping_add(z1).wrapping_add(z3);
        let o1 = o1.wrapping_add(z2).wrapping_add(z4);
        let o2 = o2.wrapping_add(z2).wrapping_add(z3);
        let o3 = o3.wrapping_add(z1).wrapping_add(z4);
        for (row, (even, odd)) in [(e0, o3), (e1, o2), (e2, o1), (e3, o0)].into_iter().enumerate() {
            let half = 1 << (shift - 1);
            out[row][lane] = even.wrapping_add(odd).wrapping_add(half) >> shift;
            out[7 - row][lane] = even.wrapping_sub(odd).wrapping_add(half) >> shift;
        }
    }
    out
}
