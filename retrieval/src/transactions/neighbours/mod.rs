//! Exact nearest neighbours among millions of short vectors on one core.
//!
//! Rows of length about 1 are read as 8-bit codes first, 16 rows side by side; the rounding errors bound each similarity from
//! both sides, and only rows whose upper bound reaches the k-th lower bound are multiplied in f32. The result is that of a
//! full search in f32, ties by the lower number.

mod kernel;

use thiserror::Error;

use crate::maxsim::Tier;

/// Rows side by side.
const LANES: usize = 16;
/// Codes of a row that one instruction multiplies.
const STEP: usize = 4;
/// Rows of a chunk whose products stay in the first cache.
const CHUNK: usize = 4096;

/// Vectors that cannot be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NeighbourError {
    /// Values that do not fill rows.
    #[error("{values} values do not fill rows of width {width}; were they made by another model?")]
    Ragged {
        /// How many.
        values: usize,
        /// Values of a row.
        width: usize,
    },
    /// A number that is not finite.
    #[error("row {0} holds a number that is not finite; the model or its input is broken")]
    NotFinite(usize),
}

/// A neighbour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Number of the row.
    pub row: u32,
    /// Dot product with the query.
    pub similarity: f32,
}

/// Vectors to search.
#[derive(Debug)]
pub struct Neighbours {
    width: usize,
    n_rows: usize,
    values: Vec<f32>,
    /// `[blocks, steps, 16 rows, 4 codes]`, each 128 more than the code.
    codes: Vec<u8>,
    /// What one step of a code is worth, the same for all rows.
    scale: f32,
    /// Greatest norm of a row's rounding error, and of a row.
    error: f32,
    norm: f32,
}

impl Neighbours {
    /// An index of `[rows, width]`.
    ///
    /// ```
    /// use retrieval::transactions::neighbours::Neighbours;
    /// let index = Neighbours::new(2, vec![1.0, 0.0, 0.0, 1.0, 0.6, 0.8])?;
    /// let rows: Vec<u32> = index.search(&[0.0, 1.0], 2)?.iter().map(|n| n.row).collect();
    /// assert_eq!(rows, [1, 2]);
    /// # Ok::<(), retrieval::transactions::neighbours::NeighbourError>(())
    /// ```
    ///
    /// # Errors
    /// [`NeighbourError`].
    pub fn new(width: usize, values: Vec<f32>) -> Result<Self, NeighbourError> {
        check(width, &values)?;
        let n_rows = values.len() / width;
        let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        let steps = width.div_ceil(STEP);
        let mut codes = vec![128u8; n_rows.div_ceil(LANES) * steps * LANES * STEP];
        let (mut error, mut norm) = (0f32, 0f32);
        for (row, row_values) in values.chunks_exact(width).enumerate() {
            let (mut off, mut own) = (0f64, 0f64);
            for (place, &value) in row_values.iter().enumerate() {
                let code = (value / scale).round().clamp(-127.0, 127.0);
                codes[code_place(steps, row, place)] = (code as i32 + 128) as u8;
                off += f64::from(value - code * scale).powi(2);
                own += f64::from(value).powi(2);
            }
            (error, norm) = (error.max(off.sqrt() as f32), norm.max(own.sqrt() as f32));
        }
        Ok(Self { width, n_rows, values, codes, scale, error, norm })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.n_rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.n_rows == 0
    }

    /// Values of a row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    /// The `k` rows with the greatest dot products, the greatest first.
    ///
    /// # Errors
    /// [`NeighbourError`] for a query of another width.
    pub fn search(&self, query: &[f32], k: usize) -> Result<Vec<Neighbour>, NeighbourError> {
        self.search_on(Tier::best(), query, k)
    }

    /// The same with the instructions of `tier`.
    ///
    /// # Errors
    /// As [`Neighbours::search`].
    pub fn search_on(&self, tier: Tier, query: &[f32], k: usize) -> Result<Vec<Neighbour>, NeighbourError> {
        if query.len() != self.width {
            return Err(NeighbourError::Ragged { values: query.len(), width: self.width });
        }
        check(self.width, query)?;
        let k = k.min(self.n_rows);
        if k == 0 {
            return Ok(Vec::new());
        }
        let coded = Query::new(query);
        let scale = self.scale * coded.scale;
        // |q·x − q̂·x̂| ≤ |q||x − x̂| + |q − q̂||x̂|, and a little for sums in f32.
        let slack =
            coded.norm * self.error + coded.error * (self.norm + self.error) + 1e-5 * coded.norm * self.norm;
        let mut best = Best::new(k);
        let mut products = vec![0i32; CHUNK];
        let mut candidates: Vec<(u32, i32)> = Vec::new();
        let span = (2.0 * slack / scale).ceil() as i64;
        for first in (0..self.n_rows).step_by(CHUNK) {
            let n = CHUNK.min(self.n_rows - first);
            self.products(tier, &coded, first, &mut products);
            for (row, &product) in products[..n].iter().enumerate() {
                if i64::from(product) + span >= i64::from(best.threshold) {
                    candidates.push(((first + row) as u32, product));
                    best.offer(product);
                }
            }
        }
        let threshold = i64::from(best.threshold) - span;
        let mut found: Vec<Neighbour> = candidates
            .into_iter()
            .filter(|(_, product)| i64::from(*product) >= threshold)
            .map(|(row, _)| Neighbour { row, similarity: dot(query, self.row(row as usize)) })
            .collect();
        let order =
            |a: &Neighbour, b: &Neighbour| b.similarity.total_cmp(&a.similarity).then(a.row.cmp(&b.row));
        if found.len() > k {
            found.select_nth_unstable_by(k - 1, order);
            found.truncate(k);
        }
        found.sort_unstable_by(order);
        Ok(found)
    }

    /// Products of the query's codes with those of the rows from `first` on, a multiple of 16.
    fn products(&self, tier: Tier, query: &Query, first: usize, out: &mut [i32]) {
        let steps = self.width.div_ceil(STEP);
        let block = steps * LANES * STEP;
        let codes = &self.codes[first / LANES * block..];
        let codes = &codes[..codes.len().min(out.len() / LANES * block)];
        kernel::products(tier, codes, &query.codes, query.offset, out);
    }
}

fn check(width: usize, values: &[f32]) -> Result<(), NeighbourError> {
    if width == 0 || !values.len().is_multiple_of(width) {
        return Err(NeighbourError::Ragged { values: values.len(), width });
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(place) => Err(NeighbourError::NotFinite(place / width)),
        None => Ok(()),
    }
}

fn code_place(steps: usize, row: usize, place: usize) -> usize {
    ((row / LANES * steps + place / STEP) * LANES + row % LANES) * STEP + place % STEP
}

/// Dot product in a fixed order: eight sums side by side.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    let (whole_a, whole_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = whole_a.remainder().iter().zip(whole_b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in whole_a.zip(whole_b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// A query in codes.
struct Query {
    codes: Vec<i8>,
    /// 128 times their sum: what the rows' codes are too large by.
    offset: i32,
    scale: f32,
    error: f32,
    norm: f32,
}

impl Query {
    fn new(values: &[f32]) -> Self {
        let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        let mut codes: Vec<i8> = values.iter().map(|value| (value / scale).round() as i8).collect();
        let off = values
            .iter()
            .zip(&codes)
            .map(|(value, &code)| f64::from(value - f32::from(code) * scale).powi(2));
        let error = off.sum::<f64>().sqrt() as f32;
        let norm = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt() as f32;
        codes.resize(values.len().next_multiple_of(STEP), 0);
        let offset = 128 * codes.iter().map(|&code| i32::from(code)).sum::<i32>();
        Self { codes, offset, scale, error, norm }
    }
}

/// The k greatest products so far: those that could still be among the neighbours are at most `span` below the least of them.
struct Best {
    k: usize,
    heap: std::collections::BinaryHeap<std::cmp::Reverse<i32>>,
    threshold: i32,
}

impl Best {
    fn new(k: usize) -> Self {
        Self { k, heap: std::collections::BinaryHeap::with_capacity(k + 1), threshold: i32::MIN }
    }

    fn offer(&mut self, product: i32) {
        if self.heap.len() == self.k {
            if product <= self.threshold {
                return;
            }
            self.heap.pop();
        }
        self.heap.push(std::cmp::Reverse(product));
        if self.heap.len() == self.k {
            self.threshold = self.heap.peek().map_or(i32::MIN, |least| least.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    fn vectors(n: usize, width: usize, seed: u64) -> Vec<f32> {
        let mut rng = common::seed::rng(seed, "vectors", 0);
        let mut values: Vec<f32> = (0..n * width).map(|_| rng.random_range(-1.0..1.0)).collect();
        for row in values.chunks_exact_mut(width) {
            let norm = dot(row, row).sqrt();
            row.iter_mut().for_each(|value| *value /= norm);
        }
        values
    }

    #[test]
    fn every_instruction_set_finds_what_a_full_search_finds() {
        for (n, width) in [(1, 3), (17, 8), (5000, 16), (9001, 30), (4096, 64)] {
            let values = vectors(n, width, 1);
            let queries = vectors(5, width, 2);
            let index = Neighbours::new(width, values.clone()).unwrap();
            for query in queries.chunks_exact(width) {
                let mut all: Vec<Neighbour> = values
                    .chunks_exact(width)
                    .enumerate()
                    .map(|(row, other)| Neighbour { row: row as u32, similarity: dot(query, other) })
                    .collect();
                all.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.row.cmp(&b.row)));
                for (tier, k) in Tier::available().flat_map(|tier| [1, 10, n].map(|k| (tier, k))) {
                    assert_eq!(
                        index.search_on(tier, query, k).unwrap(),
                        all[..k.min(n)],
                        "{tier:?} {n} {width} {k}"
                    );
                }
            }
        }
    }

    #[test]
    fn equal_rows_come_in_their_order_and_bad_ones_are_refused() {
        let index = Neighbours::new(2, [1.0, 0.0].repeat(40)).unwrap();
        let rows: Vec<u32> = index.search(&[1.0, 0.0], 5).unwrap().iter().map(|n| n.row).collect();
        assert_eq!(rows, [0, 1, 2, 3, 4]);
        assert_eq!(
            Neighbours::new(2, vec![0.0; 3]).unwrap_err(),
            NeighbourError::Ragged { values: 3, width: 2 }
        );
        assert_eq!(
            Neighbours::new(2, vec![0.0, 0.0, f32::NAN, 0.0]).unwrap_err(),
            NeighbourError::NotFinite(1)
        );
        assert!(index.search(&[1.0], 1).is_err());
        let empty = Neighbours::new(2, vec![]).unwrap();
        assert_eq!(empty.search(&[1.0, 0.0], 3), Ok(vec![]));
    }
}
