//! The upper triangular factor of a Hessian's inverse, in 64 bits, by blocks.
//!
//! The published code factors `H`, inverts it, and factors the inverse. The same `U` comes from one factorisation less:
//! with `H = R Rᵀ`, `R` upper triangular (a Cholesky factorisation from the last column to the first), `U = R⁻¹`,
//! since `R⁻ᵀ R⁻¹ = (R Rᵀ)⁻¹ = H⁻¹`.

use std::ops::Range;

use rayon::prelude::*;

/// Columns of a block.
const BLOCK: usize = 128;
/// Rows that one task updates.
const BAND: usize = 256;

/// `U`, upper triangular with `UᵀU = H⁻¹`, `[width, width]`; none when `H` is not positive definite.
///
/// ```
/// use quantization::gptq::inverse_factor;
/// // H⁻¹ = [[4, 2], [2, 5]] = UᵀU with U = [[2, 1], [0, 2]]
/// let hessian = [5.0 / 16.0, -2.0 / 16.0, -2.0 / 16.0, 4.0 / 16.0];
/// assert_eq!(inverse_factor(&hessian, 2), Some(vec![2.0, 1.0, 0.0, 2.0]));
/// assert_eq!(inverse_factor(&[1.0, 1.0, 1.0, 1.0], 2), None);
/// ```
///
/// # Panics
/// When `hessian` is not `width · width` numbers.
pub fn inverse_factor(hessian: &[f64], width: usize) -> Option<Vec<f64>> {
    assert_eq!(hessian.len(), width * width, "a square matrix");
    let mut matrix: Vec<f64> = hessian.iter().rev().copied().collect();
    invert_backwards(&mut matrix, width, &[0])?;
    matrix.reverse();
    Some(matrix)
}

/// Replaces `H` read backwards, of which the lower triangle is enough, by what the sweep needs, read backwards: `U` inside
/// each span of columns, `M` between them. `spans` are the spans' first columns, counted forwards.
///
/// Backwards, the last column becomes the first: the ordinary lower factor of that matrix is R backwards. `U = R⁻¹` inside a
/// span `C` is `R_CC⁻¹`. Behind the finished columns `F`, with the errors `δ` of their original weights, the weights that
/// disturb the outputs least are `w_C + δ H_FX H_XX⁻¹`, `X` being all that is not finished; of this the columns of the next
/// span are `w_C + δ M_FC` with `M_FC = R_FC R_CC⁻¹`, so that no inverse of the whole factor is needed.
pub(super) fn invert_backwards(matrix: &mut [f64], width: usize, spans: &[usize]) -> Option<()> {
    let ends = spans.iter().skip(1).copied().chain([width]);
    let mut backwards: Vec<Range<usize>> =
        spans.iter().zip(ends).map(|(&start, end)| width - end..width - start).collect();
    backwards.reverse();
    let blocks: Vec<Range<usize>> = backwards
        .iter()
        .flat_map(|span| span.clone().step_by(BLOCK).map(|start| start..(start + BLOCK).min(span.end)))
        .collect();
    let diagonals = factor(matrix, width, &blocks)?;
    for span in &backwards {
        let own = blocks.iter().zip(&diagonals).filter(|(block, _)| span.contains(&block.start));
        invert(matrix, width, span.start, own);
        combine(matrix, width, span);
    }
    Some(())
}

/// Replaces the rows below a span, `L[rest, span]`, by their product with the span's inverse.
fn combine(matrix: &mut [f64], width: usize, span: &Range<usize>) {
    let size = span.len();
    let (done, rest) = matrix.split_at_mut(span.end * width);
    let inverse = &done[span.start * width + span.start..];
    rest.par_chunks_mut(BAND * width).for_each(|rows| {
        let count = rows.len() / width;
        let mut product = vec![0.0; count * size];
        let left = (&rows[span.start..], [width, 1]);
        gemm([count, size, size], 1.0, left, (inverse, [width, 1]), 0.0, &mut product, size);
        for (row, product) in rows.chunks_mut(width).zip(product.chunks(size)) {
            row[span.clone()].copy_from_slice(product);
        }
    });
}

/// Replaces the lower triangle by its Cholesky factor; returns the inverses of its diagonal blocks.
fn factor(matrix: &mut [f64], width: usize, blocks: &[Range<usize>]) -> Option<Vec<Vec<f64>>> {
    let originals: Vec<f64> = matrix.iter().step_by(width + 1).copied().collect();
    let mut inverses = Vec::new();
    for &Range { start, end } in blocks {
        let size = end - start;
        factor_small(&mut matrix[start * width..], width, start, &originals[start..end])?;
        let inverse = invert_small(&matrix[start * width..], width, start, size);
        let rest = &mut matrix[end * width..];
        let mut panel = vec![0.0; (width - end) * size];
        panel.par_chunks_mut(BAND * size).zip(rest.par_chunks(BAND * width)).for_each(|(panel, rows)| {
            let count = panel.len() / size;
            // panel = A · (L⁻¹)ᵀ
            gemm(
                [count, size, size],
                1.0,
                (&rows[start..], [width, 1]),
                (&inverse, [1, size]),
                0.0,
                panel,
                size,
            );
        });
        rest.par_chunks_mut(BAND * width).enumerate().for_each(|(band, rows)| {
            let (first, count) = (band * BAND, rows.len() / width);
            let own = &panel[first * size..(first + count) * size];
            for (row, own) in rows.chunks_mut(width).zip(own.chunks(size)) {
                row[start..end].copy_from_slice(own);
            }
            let columns = first + count; // up to the diagonal
            gemm(
                [count, size, columns],
                -1.0,
                (own, [size, 1]),
                (&panel, [1, size]),
                1.0,
                &mut rows[end..],
                width,
            );
        });
        inverses.push(inverse);
    }
    Some(inverses)
}

/// Replaces the lower factor of the span that begins at column `begin` by its inverse and the upper triangle by 0; `blocks` are the span's with the inverses of their diagonals.
fn invert<'a>(
    matrix: &mut [f64],
    width: usize,
    begin: usize,
    blocks: impl Iterator<Item = (&'a Range<usize>, &'a Vec<f64>)>,
) {
    for (&Range { start, end }, diagonal) in blocks {
        let size = end - start;
        let (done, rest) = matrix.split_at_mut(start * width);
        let rows = &mut rest[..size * width];
        // inverse[block, j] = −diagonal · Σₜ L[block, t] · inverse[t, j], t from j's block on
        let pieces: Vec<Vec<f64>> = (begin..start)
            .into_par_iter()
            .step_by(BAND)
            .map(|first| {
                let count = BAND.min(start - first);
                let mut sums = vec![0.0; size * count];
                let inner = start - first;
                let left = (&rows[first..], [width, 1]);
                gemm(
                    [size, inner, count],
                    1.0,
                    left,
                    (&done[first * width + first..], [width, 1]),
                    0.0,
                    &mut sums,
                    count,
                );
                let mut piece = vec![0.0; size * count];
                gemm(
                    [size, size, count],
                    -1.0,
                    (diagonal, [size, 1]),
                    (&sums, [count, 1]),
                    0.0,
                    &mut piece,
                    count,
                );
                piece
            })
            .collect();
        for (band, piece) in pieces.iter().enumerate() {
            let first = begin + band * BAND;
            let count = BAND.min(start - first);
            for (row, piece) in rows.chunks_mut(width).zip(piece.chunks(count)) {
                row[first..first + count].copy_from_slice(piece);
            }
        }
        for (row, diagonal) in rows.chunks_mut(width).zip(diagonal.chunks(size)) {
            row[start..end].copy_from_slice(diagonal);
            row[end..].fill(0.0);
        }
    }
}

/// Factors the block that begins at column `start` of the given rows; `originals` are its diagonal elements as given.
fn factor_small(rows: &mut [f64], width: usize, start: usize, originals: &[f64]) -> Option<()> {
    for (j, original) in originals.iter().enumerate() {
        let (above, row) = rows.split_at_mut(j * width);
        let row = &mut row[start..start + j + 1];
        for k in 0..j {
            let other = &above[k * width + start..][..k + 1];
            let dot: f64 = row[..k].iter().zip(other).map(|(x, y)| x * y).sum();
            row[k] = (row[k] - dot) / other[k];
        }
        let square = row[j] - row[..j].iter().map(|x| x * x).sum::<f64>();
        // a pivot that is all rounding error is no positive pivot
        if !(square > original * 1e-13 && square.is_finite()) {
            return None;
        }
        row[j] = square.sqrt();
    }
    Some(())
}

/// Inverse of the lower triangular block, `[size, size]`.
fn invert_small(rows: &[f64], width: usize, start: usize, size: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; size * size];
    for i in 0..size {
        let row = &rows[i * width + start..][..i + 1];
        let (done, own) = inverse.split_at_mut(i * size);
        for (k, factor) in row[..i].iter().enumerate() {
            for (out, x) in own[..k + 1].iter_mut().zip(&done[k * size..]) {
                *out -= factor * x;
            }
        }
        for out in &mut own[..i] {
            *out /= row[i];
        }
        own[i] = 1.0 / row[i];
    }
    inverse
}

/// `out ← beta · out + alpha · left · right` for sizes `[rows, inner, columns]`; strides are `[row, column]`.
#[expect(unsafe_code, reason = "matrixmultiply takes pointers")]
fn gemm(
    [rows, inner, columns]: [usize; 3],
    alpha: f64,
    (left, left_strides): (&[f64], [usize; 2]),
    (right, right_strides): (&[f64], [usize; 2]),
    beta: f64,
    out: &mut [f64],
    out_stride: usize,
) {
    if rows == 0 || columns == 0 || inner == 0 {
        return;
    }
    let last =
        |[row, column]: [usize; 2], rows: usize, columns: usize| (rows - 1) * row + (columns - 1) * column;
    assert!(last(left_strides, rows, inner) < left.len(), "left matrix is too short");
    assert!(last(right_strides, inner, columns) < right.len(), "right matrix is too short");
    assert!(last([out_stride, 1], rows, columns) < out.len() && columns <= out_stride, "result is too short");
    let strides = |[row, column]: [usize; 2]| (row as isize, column as isize);
    let ((lr, lc), (rr, rc)) = (strides(left_strides), strides(right_strides));
    // SAFETY: the asserts keep all elements inside the three slices; rows of the result do not overlap.
    unsafe {
        matrixmultiply::dgemm(
            rows,
            inner,
            columns,
            alpha,
            left.as_ptr(),
            lr,
            lc,
            right.as_ptr(),
            rr,
            rc,
            beta,
            out.as_mut_ptr(),
            out_stride as isize,
            1,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_of_a_known_inverse_is_found() {
        // H⁻¹ = [[4,2,6],[2,5,7],[6,7,22]], determinant 144
        let adjugate = [61.0, -2.0, -16.0, -2.0, 52.0, -16.0, -16.0, -16.0, 16.0];
        let hessian: Vec<f64> = adjugate.iter().map(|x| x / 144.0).collect();
        let factor = inverse_factor(&hessian, 3).unwrap();
        for (found, expected) in factor.iter().zip([2.0, 1.0, 3.0, 0.0, 2.0, 2.0, 0.0, 0.0, 3.0]) {
            assert!((found - expected).abs() < 1e-12, "{factor:?}");
        }
    }

    #[test]
    fn blocks_of_any_size_give_the_inverse() {
        for width in [1, 2, 63, 64, 65, 130, 200, 333] {
            // diagonally dominant, so positive definite
            let mut hessian: Vec<f64> = (0..width * width)
                .map(|i: usize| 1.0 / (1.0 + (i / width).abs_diff(i % width) as f64))
                .collect();
            for i in 0..width {
                hessian[i * width + i] += 0.5 + i as f64 / 7.0;
            }
            let factor = inverse_factor(&hessian, width).unwrap();
            let mut worst = 0f64;
            for i in 0..width {
                assert!(factor[i * width..i * width + i].iter().all(|x| *x == 0.0), "upper triangular");
                for j in 0..width {
                    // U H Uᵀ = I
                    let right = |k: usize| -> f64 {
                        (j..width).map(|l| hessian[k * width + l] * factor[j * width + l]).sum()
                    };
                    let product: f64 = if i <= j {
                        (i..width).map(|k| factor[i * width + k] * right(k)).sum()
                    } else {
                        continue;
                    };
                    worst = worst.max((product - f64::from(u8::from(i == j))).abs());
                }
                if width > 150 && i > 3 {
                    break;
                }
            }
            assert!(worst < 1e-10, "{width}: {worst:e}");
        }
    }
}
