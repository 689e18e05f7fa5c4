//! Alignment of two embedding spaces (Xie et al. 2018, after Conneau et al. 2018): orthogonal Procrustes on words known to be
//! translations, refined by mutual CSLS neighbours, and the dictionary that follows from it.

use std::collections::HashSet;

use tch::{Kind, Tensor};
use thiserror::Error;

use crate::dictionary::Dictionary;
use crate::vectors::Vectors;

/// Neighbours of CSLS. Xie et al.: 10.
const NEIGHBOURS: i64 = 10;
/// Rows whose similarities are in memory at once. Ours.
const ROWS: i64 = 1024;

/// Spaces that cannot be aligned.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AlignError {
    /// Vectors of different widths.
    #[error(
        "the vectors of the source have {source_width} dimensions, those of the target {target_width}; give vectors of one width"
    )]
    Width {
        /// Of the source.
        source_width: usize,
        /// Of the target.
        target_width: usize,
    },
    /// Too few pairs to begin with.
    #[error(
        "{found} pairs of words to begin with, {expected} dimensions need at least as many; give a dictionary with --dictionary"
    )]
    Pairs {
        /// Pairs whose words both have vectors.
        found: usize,
        /// Width of the vectors.
        expected: usize,
    },
}

/// Two spaces and the rotation of the source into the target.
#[derive(Debug)]
pub struct Alignment {
    /// Rows of the source in the target's space, of length 1, `[source words, width]`.
    pub mapped: Tensor,
    /// Rows of the target, of length 1, `[target words, width]`.
    pub target: Tensor,
    /// Orthogonal `W`, `[width, width]`, f64: a source row `x` is mapped to `W x`.
    pub rotation: Tensor,
    /// Pairs that the last rotation was fitted on.
    pub pairs: usize,
}

/// Orthogonal `W` that minimises `‖W X − Y‖_F` over the columns of `X` and `Y`: `W = U Vᵀ` with `U Σ Vᵀ = SVD(Y Xᵀ)`.
///
/// # Shapes
/// - `x`, `y`: `[pairs, width]`, one pair per row, f64; result: `[width, width]`
pub fn procrustes(x: &Tensor, y: &Tensor) -> Tensor {
    let (u, _, v) = y.tr().matmul(x).svd(true, true);
    u.matmul(&v.tr())
}

/// Pairs of places of words that are written alike in both spaces.
pub fn identical(source: &Vectors, target: &Vectors) -> Vec<(i64, i64)> {
    let places = target.index();
    let pair = |(place, word): (usize, &String)| Some((place as i64, *places.get(&**word)? as i64));
    source.words.iter().enumerate().filter_map(pair).collect()
}

/// Pairs of places of a dictionary's words.
pub fn of_dictionary(dictionary: &Dictionary, source: &Vectors, target: &Vectors) -> Vec<(i64, i64)> {
    let (from, to) = (source.index(), target.index());
    let pair = |(word, translation): &(String, String)| {
        Some((*from.get(&**word)? as i64, *to.get(&*translation.to_lowercase())? as i64))
    };
    dictionary.pairs().iter().filter_map(pair).collect()
}

/// Aligns two spaces from the pairs to begin with; each refinement fits the rotation again on mutual CSLS neighbours.
///
/// # Errors
/// [`AlignError`].
pub fn align(
    source: &Vectors,
    target: &Vectors,
    pairs: &[(i64, i64)],
    refinements: usize,
) -> Result<Alignment, AlignError> {
    if source.width != target.width {
        return Err(AlignError::Width { source_width: source.width, target_width: target.width });
    }
    let _guard = tch::no_grad_guard();
    let (x, y) = (unit_rows(source), unit_rows(target));
    let mut pairs = pairs.to_vec();
    let mut refined = 0;
    loop {
        if pairs.len() < source.width {
            return Err(AlignError::Pairs { found: pairs.len(), expected: source.width });
        }
        let rows = |space: &Tensor, places: Vec<i64>| {
            space.index_select(0, &Tensor::from_slice(&places)).to_kind(Kind::Double)
        };
        let rotation = procrustes(
            &rows(&x, pairs.iter().map(|pair| pair.0).collect()),
            &rows(&y, pairs.iter().map(|pair| pair.1).collect()),
        );
        let mapped = x.matmul(&rotation.tr().to_kind(x.kind()));
        if refined == refinements {
            return Ok(Alignment { mapped, target: y, rotation, pairs: pairs.len() });
        }
        let there = nearest(&mapped, &y);
        let back = nearest(&y, &mapped);
        pairs = (0..).zip(there).filter(|&(from, to)| back[to as usize] == from).collect();
        refined += 1;
    }
}

/// Place of the nearest row of `to` for each row of `from`, both of rows of length 1, by
///
/// ```text
/// CSLS(x, y) = 2 cos(x, y) − r(x) − r(y)      r: mean cosine to the 10 nearest neighbours in the other space
/// ```
pub fn nearest(from: &Tensor, to: &Tensor) -> Vec<i64> {
    let _guard = tch::no_grad_guard();
    let density = density(to, from); // r of each row of `to`; that of a row of `from` changes no maximum
    let mut places = Vec::new();
    for rows in blocks(from) {
        let scores = rows.matmul(&to.tr()) * 2.0 - density.unsqueeze(0);
        places.extend(Vec::<i64>::try_from(scores.argmax(-1, false)).expect("i64 in one dimension"));
    }
    places
}

/// Mean cosine of each row of `of` to its nearest neighbours among `others`.
fn density(of: &Tensor, others: &Tensor) -> Tensor {
    let neighbours = NEIGHBOURS.min(others.size()[0]);
    let means: Vec<Tensor> = blocks(of)
        .map(|rows| {
            let (best, _) = rows.matmul(&others.tr()).topk(neighbours, -1, true, false);
            best.mean_dim([-1].as_slice(), false, of.kind())
        })
        .collect();
    Tensor::cat(&means, 0)
}

fn blocks(rows: &Tensor) -> impl Iterator<Item = Tensor> + '_ {
    let n = rows.size()[0];
    (0..n).step_by(ROWS as usize).map(move |start| rows.narrow(0, start, ROWS.min(n - start)))
}

fn unit_rows(vectors: &Vectors) -> Tensor {
    let rows = Tensor::from_slice(&vectors.rows).view([-1, vectors.width as i64]);
    let norms = rows.norm_scalaropt_dim(2.0, [1].as_slice(), true).clamp_min(1e-12);
    rows / norms
}

/// The nearest target word of each source word, as a dictionary: what translates a corpus.
pub fn dictionary(alignment: &Alignment, source: &Vectors, target: &Vectors) -> Dictionary {
    let places = nearest(&alignment.mapped, &alignment.target);
    let pairs = source.words.iter().zip(places);
    Dictionary::of(pairs.map(|(word, place)| (word.clone(), target.words[place as usize].clone())))
}

/// Source vectors in the target's space, with the lengths that they had.
pub fn mapped_vectors(alignment: &Alignment, source: &Vectors) -> Vectors {
    let _guard = tch::no_grad_guard();
    let rows = Tensor::from_slice(&source.rows).view([-1, source.width as i64]);
    let mapped = rows.matmul(&alignment.rotation.tr().to_kind(Kind::Float));
    let rows = Vec::<f32>::try_from(mapped.flatten(0, -1)).expect("f32 in one dimension");
    Vectors { rows, ..source.clone() }
}

/// Share of the headwords of a dictionary, among those with vectors on both sides, whose CSLS neighbour is one of their translations:
/// precision at 1. `None` without such a headword.
pub fn precision(
    alignment: &Alignment,
    source: &Vectors,
    target: &Vectors,
    truth: &Dictionary,
) -> Option<f64> {
    let known = of_dictionary(truth, source, target);
    let right: HashSet<(i64, i64)> = known.iter().copied().collect();
    let mut headwords: Vec<i64> = known.iter().map(|pair| pair.0).collect();
    headwords.sort_unstable();
    headwords.dedup();
    if headwords.is_empty() {
        return None;
    }
    let rows = alignment.mapped.index_select(0, &Tensor::from_slice(&headwords));
    // The target's densities are those among all source words, so the whole space takes part.
    let density = density(&alignment.target, &alignment.mapped);
    let scores = rows.matmul(&alignment.target.tr()) * 2.0 - density.unsqueeze(0);
    let found = Vec::<i64>::try_from(scores.argmax(-1, false)).expect("i64 in one dimension");
    let hits = headwords.iter().zip(&found).filter(|&(&from, &to)| right.contains(&(from, to))).count();
    Some(hits as f64 / headwords.len() as f64)
}
