//! Products of one row of codes with blocks of 16.

use super::{LANES, STEP, Tier};

pub(super) fn products(tier: Tier, codes: &[u8], query: &[i8], offset: i32, out: &mut [i32]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: the tier is available, so the processor has the instructions.
        unsafe {
            match tier {
                Tier::Portable => {}
                Tier::Avx2 => return avx2(codes, query, offset, out),
                Tier::Avx512 | Tier::Avx512Bf16 => return avx512(codes, query, offset, out),
            }
        }
    }
    let _ = tier;
    portable(codes, query, offset, out);
}

#[inline(always)]
fn portable(codes: &[u8], query: &[i8], offset: i32, out: &mut [i32]) {
    let block = query.len() * LANES;
    for (rows, out) in codes.chunks_exact(block).zip(out.chunks_exact_mut(LANES)) {
        let mut sums = [-offset; LANES];
        for (step, q) in rows.chunks_exact(LANES * STEP).zip(query.chunks_exact(STEP)) {
            for (sum, row) in sums.iter_mut().zip(step.chunks_exact(STEP)) {
                let product = |i: usize| i32::from(row[i]) * i32::from(q[i]);
                *sum += product(0) + product(1) + product(2) + product(3);
            }
        }
        out.copy_from_slice(&sums);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(codes: &[u8], query: &[i8], offset: i32, out: &mut [i32]) {
    portable(codes, query, offset, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn avx512(codes: &[u8], query: &[i8], offset: i32, out: &mut [i32]) {
    use std::arch::x86_64::*;
    let words: Vec<i32> = query
        .chunks_exact(STEP)
        .map(|q| i32::from_le_bytes([q[0] as u8, q[1] as u8, q[2] as u8, q[3] as u8]))
        .collect();
    let block = query.len() * LANES;
    for (rows, out) in codes.chunks_exact(block).zip(out.chunks_exact_mut(LANES)) {
        let mut sums = [_mm512_set1_epi32(-offset), _mm512_setzero_si512()];
        for (i, (step, &word)) in rows.chunks_exact(LANES * STEP).zip(&words).enumerate() {
            #[expect(unsafe_code, reason = "a load of 64 bytes")]
            // SAFETY: the chunk has 64 bytes.
            let row = unsafe { _mm512_loadu_si512(step.as_ptr().cast()) };
            sums[i % 2] = _mm512_dpbusd_epi32(sums[i % 2], row, _mm512_set1_epi32(word));
        }
        #[expect(unsafe_code, reason = "a store of 16 words")]
        // SAFETY: the chunk has 16 words.
        unsafe {
            _mm512_storeu_si512(out.as_mut_ptr().cast(), _mm512_add_epi32(sums[0], sums[1]));
        }
    }
}
