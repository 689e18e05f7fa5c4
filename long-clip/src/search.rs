//! Nearest images of descriptions, in parts of an index that fit memory.

use common::files::FileError;
use tch::Tensor;

use crate::array::ArrayReader;

/// Rows that are read at once.
const ROWS: usize = 1 << 14;

/// The `k` rows with the largest products for each query, best first; of equal ones the earlier row. Places and products.
///
/// # Shapes
/// - `queries`: `[queries, width]`
///
/// # Errors
/// [`FileError`] when the features cannot be read, or have another width.
pub fn nearest(
    queries: &Tensor,
    features: &ArrayReader,
    k: usize,
) -> Result<Vec<Vec<(usize, f32)>>, FileError> {
    let _guard = tch::no_grad_guard();
    let mut best: Vec<Vec<(usize, f32)>> = vec![Vec::new(); queries.size()[0] as usize];
    let mut first = 0;
    while first < features.rows() {
        let count = ROWS.min(features.rows() - first);
        let products = queries.matmul(&features.read(first, count)?.tr());
        for (query, best) in best.iter_mut().enumerate() {
            let mut row = vec![0.0_f32; count];
            products.get(query as i64).copy_data(&mut row, count);
            best.extend(row.into_iter().enumerate().map(|(i, product)| (first + i, product)));
            best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            best.truncate(k);
        }
        first += count;
    }
    Ok(best)
}
