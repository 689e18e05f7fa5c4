//! ColBERTv2's residual codec on the hidden states of the language model.

use std::path::Path;

use anyhow::Result;
use common::report::{Table, number};
use common::residual::{Cells, Codec, CodecConfig, KmeansConfig};
use common::stats;
use matrixmultiply::sgemm;

use crate::experiment::design::Preset;
use crate::experiment::lab::{Amount, Lab, Subject};
use crate::llama::{Hooks, Role};
use common::outcome::Outcome;

/// Neighbours that are looked for.
const NEIGHBOURS: usize = 10;
/// Rounds of k-means, as in ColBERTv2.
const ROUNDS: usize = 4;
/// Share of the vectors that choose the cells, as in ColBERTv2.
const HELD_OUT: f64 = 0.05;
/// Groups of queries: units of replication.
const GROUPS: usize = 20;
/// Vectors that are searched; every fourth of the others is a query.
const QUERY_STEP: usize = 4;

pub(super) fn run(preset: Preset, root: &Path) -> Result<Outcome> {
    let lab = Lab::open(Subject::Shakespeare, Amount::of(preset), root)?;
    let dim = lab.model.config().dim;
    let documents = states(&lab, lab.calibration.iter().map(Vec::as_slice))?;
    let scored = states(&lab, lab.windows.iter().map(|window| &window.tokens[..256]))?;
    let queries: Vec<f32> = scored.chunks_exact(dim).step_by(QUERY_STEP).flatten().copied().collect();
    let exact = neighbours(&queries, &documents, dim);
    let mut outcome = Outcome::default();
    outcome.put("residual", "exact", "recall", vec![1.0; GROUPS]);
    let mut rows = Vec::new();
    for bits in [1, 2, 4] {
        for (cells, suffix) in [(Cells::Quantile, ""), (Cells::LloydMax, "-lloyd")] {
            let config = CodecConfig {
                bits,
                cells,
                kmeans: KmeansConfig { centroids: centroids(documents.len() / dim), rounds: ROUNDS },
                held_out: HELD_OUT,
            };
            let codec = Codec::train(&documents, dim, &config, 0)?;
            let restored = codec.decompress(&codec.compress(&documents)?)?;
            let cosine = in_groups(&cosines(&documents, &restored, dim));
            let found = neighbours(&queries, &restored, dim);
            let recall: Vec<f64> = exact.iter().zip(&found).map(|(a, b)| overlap(a, b)).collect();
            let recall = in_groups(&recall);
            let arm = format!("{bits}-bit{suffix}");
            let mean = |values: &[f64]| number(stats::mean(values).unwrap_or_default(), 4);
            rows.push(vec![
                arm.clone(),
                codec.vector_bytes().to_string(),
                number((2 * dim) as f64 / codec.vector_bytes() as f64, 2),
                mean(&cosine),
                mean(&recall),
            ]);
            outcome.put("residual", &arm, "cosine", cosine);
            outcome.put("residual", &arm, "recall", recall);
        }
    }
    let columns =
        ["codec", "bytes per vector", "times smaller than FP16", "cosine", "recall of 10 neighbours"];
    outcome.tables.push(Table {
        caption: format!(
            "{} hidden states of width {dim} (unit length) compressed, {} queries from other text",
            documents.len() / dim,
            queries.len() / dim
        ),
        columns: columns.map(str::to_owned).into(),
        rows,
    });
    Ok(outcome)
}

/// The reference takes the power of two at sixteen times the square root of the number of vectors.
fn centroids(vectors: usize) -> usize {
    let wanted = 16.0 * (vectors as f64).sqrt();
    (2f64.powf(wanted.log2().floor()) as usize).min(vectors / 8).max(1)
}

/// Last hidden states, unit length.
fn states<'a>(lab: &Lab, texts: impl Iterator<Item = &'a [u32]>) -> Result<Vec<f32>> {
    let mut all = Vec::new();
    let mut state = lab.model.state(512, 1)?;
    for tokens in texts {
        let mut observe = |_: usize, role: Role, inputs: &[f32], rows: usize| {
            if role == Role::Head {
                for row in inputs.chunks_exact(inputs.len() / rows.max(1)) {
                    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
                    all.extend(row.iter().map(|x| x / length));
                }
            }
        };
        state.truncate(0);
        let mut hooks = Hooks { observe: Some(&mut observe), replace: None };
        lab.model.logits(tokens, 0, &mut state, &mut hooks, &mut |_, _| ())?;
    }
    Ok(all)
}

/// The most similar documents of each query, most similar first, ties by place.
fn neighbours(queries: &[f32], documents: &[f32], dim: usize) -> Vec<Vec<u32>> {
    let n = documents.len() / dim;
    let mut similarity = vec![0.0f32; n];
    let best = |query: &[f32]| {
        product(query, documents, dim, &mut similarity);
        let mut order: Vec<u32> = (0..n as u32).collect();
        let by =
            |a: &u32, b: &u32| similarity[*b as usize].total_cmp(&similarity[*a as usize]).then(a.cmp(b));
        order.select_nth_unstable_by(NEIGHBOURS.min(n - 1), by);
        order.truncate(NEIGHBOURS);
        order
    };
    queries.chunks_exact(dim).map(best).collect()
}

/// `documents · query`.
#[expect(unsafe_code, reason = "the matrix product takes pointers")]
fn product(query: &[f32], documents: &[f32], dim: usize, out: &mut [f32]) {
    let (rows, width) = (out.len(), dim as isize);
    assert!(query.len() == dim && documents.len() == rows * dim, "whole rows");
    // SAFETY: the three slices hold `rows × dim`, `dim × 1` and `rows × 1` numbers, as just asserted, and do not overlap.
    unsafe {
        sgemm(
            rows,
            dim,
            1,
            1.0,
            documents.as_ptr(),
            width,
            1,
            query.as_ptr(),
            1,
            1,
            0.0,
            out.as_mut_ptr(),
            1,
            1,
        );
    }
}

fn overlap(a: &[u32], b: &[u32]) -> f64 {
    a.iter().filter(|id| b.contains(id)).count() as f64 / a.len() as f64
}

fn cosines(a: &[f32], b: &[f32], dim: usize) -> Vec<f64> {
    let dot = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    a.chunks_exact(dim).zip(b.chunks_exact(dim)).map(dot).collect()
}

/// Means of equal groups of neighbouring values.
fn in_groups(values: &[f64]) -> Vec<f64> {
    let size = (values.len() / GROUPS).max(1);
    values.chunks_exact(size).take(GROUPS).filter_map(stats::mean).collect()
}
