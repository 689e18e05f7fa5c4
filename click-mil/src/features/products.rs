//! Products of rows in half precision with the weights of machines. A tile of rows and machines is worked on at a time: rows are
//! widened in registers, not in memory, and read once for all machines.

use half::f16;

/// Products of all `rows` of `width` values with each of `weights`, plus `biases`: `[weights][rows]`.
pub(super) fn products(rows: &[f16], width: usize, weights: &[&[f32]], biases: &[f32]) -> Vec<Vec<f32>> {
    assert!(weights.iter().all(|weights| weights.len() == width), "weights of {width} values");
    let mut products: Vec<Vec<f32>> = biases.iter().map(|&bias| vec![bias; rows.len() / width]).collect();
    add(rows, width, weights, &mut products);
    products
}

fn add(rows: &[f16], width: usize, weights: &[&[f32]], products: &mut [Vec<f32>]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        #[expect(unsafe_code, reason = "calls functions that need processor features")]
        if has!("avx512f") {
            // SAFETY: the processor has it.
            return unsafe { x86::add_avx512(rows, width, weights, products) };
        } else if has!("avx2") && has!("fma") && has!("f16c") {
            // SAFETY: the processor has them.
            return unsafe { x86::add_avx2(rows, width, weights, products) };
        }
    }
    add_plainly(rows, width, weights, products);
}

/// For processors without such instructions.
fn add_plainly(rows: &[f16], width: usize, weights: &[&[f32]], products: &mut [Vec<f32>]) {
    for (at, row) in rows.chunks_exact(width).enumerate() {
        let row: Vec<f32> = row.iter().map(|value| value.to_f32()).collect();
        for (weights, products) in weights.iter().zip(&mut *products) {
            products[at] += row.iter().zip(*weights).map(|(a, b)| a * b).sum::<f32>();
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    clippy::needless_range_loop,
    reason = "vector instructions; tiles are named by row and machine"
)]
mod x86 {
    use std::arch::x86_64::{
        __m256, __m512, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm256_cvtph_ps, _mm256_fmadd_ps,
        _mm256_loadu_ps, _mm256_loadu_si256, _mm256_setzero_ps, _mm256_storeu_ps, _mm512_cvtph_ps,
        _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_reduce_add_ps, _mm512_setzero_ps,
    };

    use half::f16;

    /// A register of numbers. All are inlined into a function that has the instructions.
    trait Lanes: Copy {
        const N: usize;
        unsafe fn zero() -> Self;
        unsafe fn load(from: *const f32) -> Self;
        unsafe fn widen(from: *const f16) -> Self;
        /// `self + a b`.
        unsafe fn plus(self, a: Self, b: Self) -> Self;
        unsafe fn sum(self) -> f32;
    }

    impl Lanes for __m512 {
        const N: usize = 16;
        #[inline(always)]
        unsafe fn zero() -> Self {
            unsafe { _mm512_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn widen(from: *const f16) -> Self {
            unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
        }
        #[inline(always)]
        unsafe fn plus(self, a: Self, b: Self) -> Self {
            unsafe { _mm512_fmadd_ps(a, b, self) }
        }
        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            unsafe { _mm512_reduce_add_ps(self) }
        }
    }

    impl Lanes for __m256 {
        const N: usize = 8;
        #[inline(always)]
        unsafe fn zero() -> Self {
            unsafe { _mm256_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn widen(from: *const f16) -> Self {
            unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
        }
        #[inline(always)]
        unsafe fn plus(self, a: Self, b: Self) -> Self {
            unsafe { _mm256_fmadd_ps(a, b, self) }
        }
        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            let mut lanes = [0.0; 8];
            unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), self) };
            lanes.iter().sum()
        }
    }

    /// Values of a line of the cache. A tile asks for those of the next one ahead: the processor's own reading ahead ends with each page,
    /// which is a row of 2,048.
    const LINE: usize = 32;

    /// Adds the products of `R` rows and `M` machines, from row `at` and machine `from` on.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const M: usize>(
        (rows, width): (&[f16], usize),
        (weights, products): (&[&[f32]], &mut [Vec<f32>]),
        (at, from): (usize, usize),
    ) {
        let first = rows[at * width..(at + R) * width].as_ptr();
        let weights: &[&[f32]; M] = weights[from..].first_chunk().expect("so many machines");
        let whole = width / L::N * L::N;
        // SAFETY: places are below `width` in each of the `R` rows and of the weights; asking ahead never faults.
        unsafe {
            let mut sums = [[L::zero(); M]; R];
            let mut place = 0;
            while place < whole {
                let mut wide = [L::zero(); R];
                for row in 0..R {
                    wide[row] = L::widen(first.add(row * width + place));
                    if place % LINE == 0 {
                        _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add((R + row) * width + place).cast());
                    }
                }
                for machine in 0..M {
                    let weights = L::load(weights[machine].as_ptr().add(place));
                    for row in 0..R {
                        sums[row][machine] = sums[row][machine].plus(wide[row], weights);
                    }
                }
                place += L::N;
            }
            for row in 0..R {
                for machine in 0..M {
                    let rest = (whole..width)
                        .map(|place| rows[(at + row) * width + place].to_f32() * weights[machine][place]);
                    products[from + machine][at + row] += sums[row][machine].sum() + rest.sum::<f32>();
                }
            }
        }
    }

    /// All tiles: `R` rows by `M` machines, then the machines that are left one by one, `R1` rows at a time, then the rows that are.
    #[inline(always)]
    unsafe fn tiles<L: Lanes, const R: usize, const M: usize, const R1: usize>(
        (rows, width): (&[f16], usize),
        (weights, products): (&[&[f32]], &mut [Vec<f32>]),
    ) {
        let (n, machines) = (rows.len() / width, weights.len());
        let together = machines / M * M;
        let mut at = 0;
        // SAFETY: as the caller's.
        unsafe {
            while at + R1 <= n {
                for from in (0..together).step_by(M) {
                    for part in (0..R1).step_by(R) {
                        tile::<L, R, M>((rows, width), (weights, products), (at + part, from));
                    }
                }
                for from in together..machines {
                    tile::<L, R1, 1>((rows, width), (weights, products), (at, from));
                }
                at += R1;
            }
            for at in at..n {
                for from in 0..machines {
                    tile::<L, 1, 1>((rows, width), (weights, products), (at, from));
                }
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn add_avx512(rows: &[f16], width: usize, weights: &[&[f32]], products: &mut [Vec<f32>]) {
        // SAFETY: the instructions are there.
        unsafe { tiles::<__m512, 4, 5, 8>((rows, width), (weights, products)) }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn add_avx2(rows: &[f16], width: usize, weights: &[&[f32]], products: &mut [Vec<f32>]) {
        // SAFETY: the instructions are there.
        unsafe { tiles::<__m256, 2, 5, 8>((rows, width), (weights, products)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Add = fn(&[f16], usize, &[&[f32]], &mut [Vec<f32>]);

    #[test]
    fn products_are_those_of_the_widened_values() {
        let mut ways: Vec<Add> = vec![add, add_plainly];
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "calls a function that needs processor features")]
        if std::arch::is_x86_feature_detected!("f16c") && std::arch::is_x86_feature_detected!("fma") {
            // SAFETY: the processor has them; those with both have AVX2.
            ways.push(|rows, width, weights, products| unsafe {
                x86::add_avx2(rows, width, weights, products)
            });
        }
        for (n, width, machines) in
            [(0, 3, 1), (1, 1, 1), (9, 75, 1), (19, 40, 6), (8, 16, 5), (23, 2048, 12)]
        {
            let value = |at: usize, step: f32| (at as f32 * step).sin();
            let rows: Vec<f16> = (0..n * width).map(|at| f16::from_f32(value(at, 0.71))).collect();
            let weights: Vec<f32> = (0..machines * width).map(|at| value(at, 0.37)).collect();
            let weights: Vec<&[f32]> = weights.chunks_exact(width).collect();
            for add in &ways {
                let mut found = vec![vec![0.5; n]; machines];
                add(&rows, width, &weights, &mut found);
                for (machine, weights) in weights.iter().enumerate() {
                    for (at, row) in rows.chunks_exact(width).enumerate() {
                        let exact: f64 =
                            row.iter().zip(*weights).map(|(a, b)| a.to_f64() * f64::from(*b)).sum();
                        let error = (f64::from(found[machine][at]) - 0.5 - exact).abs();
                        assert!(error < 1e-4, "{n} {width} {machines}: row {at} of machine {machine}");
                    }
                }
            }
        }
    }
}
