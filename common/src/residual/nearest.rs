//! The nearest centroid of many vectors.

use rayon::prelude::*;

/// Vectors per parallel task.
const CHUNK: usize = 256;
/// Centroids from which coding them first pays.
#[cfg(target_arch = "x86_64")]
const SCREEN_FROM: usize = 64;

/// Centroid of greatest dot product of each vector, the lowest id of equals: the codec's assignment. The products are sums of
/// f32 in a fixed order, the same on every processor.
///
/// # Panics
/// For `dim` 0 or ragged slices; the codec has checked them.
pub fn nearest(vectors: &[f32], centroids: &[f32], dim: usize) -> Vec<u32> {
    let zeros = vec![0.0; centroids.len() / dim];
    best(vectors, centroids, dim, &zeros).into_iter().map(|(id, _)| id).collect()
}

/// Greatest dot product plus offset of each vector, and its centroid, the lowest of equals.
pub(super) fn best(vectors: &[f32], centroids: &[f32], dim: usize, offsets: &[f32]) -> Vec<(u32, f32)> {
    #[cfg(target_arch = "x86_64")]
    if offsets.len() >= SCREEN_FROM
        && let Some(screen) = super::screen::Screen::new(centroids, dim, offsets)
    {
        return vectors.par_chunks(CHUNK * dim).flat_map_iter(|chunk| screen.best(chunk)).collect();
    }
    one_by_one(vectors, centroids, dim, offsets)
}

fn one_by_one(vectors: &[f32], centroids: &[f32], dim: usize, offsets: &[f32]) -> Vec<(u32, f32)> {
    #[cfg(target_arch = "x86_64")]
    let wide = is_x86_feature_detected!("avx2");
    let chunk = |chunk: &[f32]| -> Vec<(u32, f32)> {
        #[cfg(target_arch = "x86_64")]
        if wide {
            #[expect(unsafe_code, reason = "calls a function that needs processor features")]
            // SAFETY: the processor has them.
            return unsafe { each_with_avx2(chunk, centroids, dim, offsets) };
        }
        each(chunk, centroids, dim, offsets)
    };
    vectors.par_chunks(CHUNK * dim).flat_map_iter(chunk).collect()
}

/// [`each`] with longer registers: the same sums, since products and sums stay apart.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn each_with_avx2(vectors: &[f32], centroids: &[f32], dim: usize, offsets: &[f32]) -> Vec<(u32, f32)> {
    each(vectors, centroids, dim, offsets)
}

#[inline(always)]
fn each(vectors: &[f32], centroids: &[f32], dim: usize, offsets: &[f32]) -> Vec<(u32, f32)> {
    let one = |vector: &[f32]| {
        let mut best = (0, f32::NEG_INFINITY);
        for (id, (centroid, offset)) in centroids.chunks_exact(dim).zip(offsets).enumerate() {
            let score = dot(vector, centroid) + offset;
            if score > best.1 {
                best = (id as u32, score);
            }
        }
        best
    };
    vectors.chunks_exact(dim).map(one).collect()
}

/// Lanes of the dot product: eight partial sums, so that the compiler uses vector registers.
const LANES: usize = 8;

#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (left, right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in left.zip(right) {
        for lane in 0..LANES {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    fn vectors(stream: &str, count: usize, dim: usize) -> Vec<f32> {
        let mut rng = crate::seed::rng(1, stream, 0);
        (0..count * dim).map(|_| rng.random_range(-1.0_f32..1.0)).collect()
    }

    #[test]
    fn screening_finds_the_same_centroids_and_scores_as_looking_at_each() {
        for dim in [1, 3, 7, 31, 64, 96, 128] {
            let mut centroids = vectors("centroids", 700, dim);
            // Equals, which must give the lower id, zeros, and large ones.
            let (first, last) = centroids.split_at_mut(350 * dim);
            last[..20 * dim].copy_from_slice(&first[..20 * dim]);
            last[20 * dim..22 * dim].fill(0.0);
            last[22 * dim..24 * dim].iter_mut().for_each(|x| *x *= 100.0);
            let mut points = vectors("points", 333, dim);
            points[..40 * dim].copy_from_slice(&centroids[300 * dim..340 * dim]);
            points[40 * dim..42 * dim].fill(0.0);
            let halves: Vec<f32> = centroids.chunks_exact(dim).map(|c| -0.5 * dot(c, c)).collect();
            for offsets in [vec![0.0; 700], halves] {
                let found = best(&points, &centroids, dim, &offsets);
                let expected = each(&points, &centroids, dim, &offsets);
                assert_eq!(found, expected, "width {dim}");
                assert_eq!(one_by_one(&points, &centroids, dim, &offsets), expected, "width {dim}");
            }
        }
    }
}
