//! MaxSim with gradients over ragged rows.
//!
//! Which document token is nearest to a query token is found without gradients; the score is then a sum of
//! products of just those rows. The gradient is that of the maximum (towards the first of equals), and the
//! backward pass costs one product per query token and document instead of one per query token and document
//! token.

use tch::{Device, Kind, Tensor};

/// Token vectors of texts, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// `[rows, width]`
    pub values: &'a Tensor,
    /// For each text the row behind its last.
    pub ends: &'a [usize],
}

impl Rows<'_> {
    fn range(&self, text: usize) -> std::ops::Range<usize> {
        let start = if text == 0 { 0 } else { self.ends[text - 1] };
        start..self.ends[text]
    }
}

/// Scores of pairs (query, document), `[pairs]`:
///
/// ```text
/// score(q, d) = Σᵢ maxⱼ qᵢ · dⱼ
/// ```
/// Source: JaColBERTv2.5, equation 1. A query without rows scores 0.
///
/// ```
/// use retrieval::training::maxsim::{maxsim, Rows};
/// let queries = tch::Tensor::from_slice2(&[[1.0f32, 0.0], [0.0, 1.0]]);
/// let documents = tch::Tensor::from_slice2(&[[0.6f32, 0.8], [1.0, 0.0], [0.0, -1.0]]);
/// let rows = |values, ends| Rows { values, ends };
/// let scores = maxsim(rows(&queries, &[2]), rows(&documents, &[2, 3]), &[(0, 0), (0, 1)]);
/// assert_eq!(Vec::<f32>::try_from(scores).unwrap(), [1.8, -1.0]);
/// ```
///
/// # Panics
/// When widths or kinds disagree, or a document of a pair has no row: every document keeps its `[CLS]`.
pub fn maxsim(queries: Rows<'_>, documents: Rows<'_>, pairs: &[(usize, usize)]) -> Tensor {
    let mut of_query: Vec<Vec<usize>> = vec![Vec::new(); queries.ends.len()];
    for (place, (query, _)) in pairs.iter().enumerate() {
        of_query[*query].push(place);
    }
    let (mut query_rows, mut document_rows, mut owners) = (Vec::new(), Vec::new(), Vec::new());
    for (query, places) in of_query.iter().enumerate() {
        let rows = queries.range(query);
        if places.is_empty() || rows.is_empty() {
            continue;
        }
        let list: Vec<usize> = places.iter().map(|&place| pairs[place].1).collect();
        let best = nearest(queries, query, documents, &list);
        for (place, best) in places.iter().zip(best.chunks(rows.len())) {
            query_rows.extend(rows.clone().map(|row| row as i64));
            document_rows.extend_from_slice(best);
            owners.extend(std::iter::repeat_n(*place as i64, rows.len()));
        }
    }
    let device = queries.values.device();
    // The gradient of `embedding` is summed in one pass, that of `index_select` row by row.
    let pick = |from: &Tensor, rows: &[i64]| {
        Tensor::embedding(from, &Tensor::from_slice(rows).to_device(device), -1, false, false)
    };
    let products = pick(queries.values, &query_rows) * pick(documents.values, &document_rows);
    let products = products.sum_dim_intlist([-1].as_slice(), false, products.kind());
    let scores = Tensor::zeros([pairs.len() as i64], (products.kind(), device));
    scores.index_add(0, &Tensor::from_slice(&owners).to_device(device), &products)
}

/// For each document of `list` and each row of the query, the document's row with the largest product.
fn nearest(queries: Rows<'_>, query: usize, documents: Rows<'_>, list: &[usize]) -> Vec<i64> {
    let _guard = tch::no_grad_guard();
    let rows = queries.range(query);
    let query = queries.values.narrow(0, rows.start as i64, rows.len() as i64);
    let ranges: Vec<std::ops::Range<usize>> =
        list.iter().map(|&document| documents.range(document)).collect();
    let adjacent = ranges.windows(2).all(|pair| pair[0].end == pair[1].start);
    let candidates = if adjacent {
        let (start, end) = (ranges[0].start as i64, ranges[ranges.len() - 1].end as i64);
        documents.values.narrow(0, start, end - start)
    } else {
        let picked: Vec<i64> = ranges.iter().flat_map(|range| range.clone().map(|row| row as i64)).collect();
        documents.values.index_select(0, &Tensor::from_slice(&picked).to_device(documents.values.device()))
    };
    let products = candidates.matmul(&query.tr()).to_device(Device::Cpu).to_kind(Kind::Double);
    let products = Vec::<f64>::try_from(products.flatten(0, -1)).expect("f64 on the CPU by construction");
    let mut at = 0;
    let mut best = Vec::with_capacity(list.len() * rows.len());
    for range in ranges {
        assert!(!range.is_empty(), "a document without rows");
        let block = &products[at * rows.len()..(at + range.len()) * rows.len()];
        best.extend(largest(block, rows.len()).into_iter().map(|row| (range.start + row) as i64));
        at += range.len();
    }
    best
}

/// For each column of a block `[rows, columns]` the row of its first largest value.
fn largest(block: &[f64], columns: usize) -> Vec<usize> {
    let mut values = block[..columns].to_vec();
    let mut places = vec![0; columns];
    for (row, line) in block.chunks(columns).enumerate().skip(1) {
        for ((value, place), new) in values.iter_mut().zip(&mut places).zip(line) {
            if new > value {
                (*value, *place) = (*new, row);
            }
        }
    }
    places
}
