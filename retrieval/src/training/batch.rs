//! Scores of a batch: each distinct document goes through the encoder once.

use std::collections::HashMap;

use rand::Rng;
use tch::{Kind, Tensor};

use super::config::{Interaction, TrainConfig};
use super::data::{TrainingData, sampled};
use super::loss::in_batch_negatives;
use super::maxsim::{Rows, maxsim};
use crate::encoder::{ColBert, EncoderError};
use crate::tokenizer::Sequence;

/// Factor of pooled scores.
const POOLED_SCALE: f64 = 20.0;

/// Queries and documents of one step.
#[derive(Debug)]
pub struct Batch {
    queries: Vec<Sequence>,
    /// Distinct documents.
    documents: Vec<Sequence>,
    /// For each query the places of its documents in `documents`.
    ways: Vec<Vec<usize>>,
    /// `[batch · n_ways]`, or nothing.
    teacher: Vec<f32>,
}

impl Batch {
    /// The batch of these examples, their documents sampled by `rng`.
    ///
    /// # Errors
    /// [`EncoderError`] when a text cannot be cut into tokens.
    pub fn new(
        model: &ColBert,
        data: &TrainingData,
        examples: &[usize],
        n_ways: usize,
        rng: &mut impl Rng,
    ) -> Result<Self, EncoderError> {
        let (mut known, mut texts): (HashMap<&str, usize>, Vec<&str>) = Default::default();
        let (mut ways, mut teacher) = (Vec::new(), Vec::new());
        for &example in examples {
            let (documents, scores) = sampled(&data.examples[example], n_ways, rng);
            teacher.extend(scores);
            let place = |document: usize| {
                let text = data.documents[document].as_str();
                *known.entry(text).or_insert_with(|| {
                    texts.push(text);
                    texts.len() - 1
                })
            };
            ways.push(documents.into_iter().map(place).collect());
        }
        let queries: Vec<&str> =
            examples.iter().map(|&example| data.queries[data.examples[example].query].as_str()).collect();
        Ok(Self {
            queries: model.query_sequences(&queries)?,
            documents: model.document_sequences(&texts)?,
            ways,
            teacher,
        })
    }

    /// Tokens that go through the encoder.
    pub fn n_tokens(&self) -> usize {
        self.queries.iter().chain(&self.documents).map(|sequence| sequence.ids.len()).sum()
    }

    /// The loss of the batch, a scalar with gradients.
    ///
    /// # Errors
    /// [`EncoderError`] for sequences that the network cannot take.
    pub fn loss(&self, model: &ColBert, config: &TrainConfig, train: bool) -> Result<Tensor, EncoderError> {
        let n_ways = self.ways[0].len();
        let size = [self.ways.len() as i64, n_ways as i64];
        let own = (0..)
            .zip(&self.ways)
            .flat_map(|(query, ways)| ways.iter().map(move |&document| (query, document)));
        let mut pairs: Vec<(usize, usize)> = own.collect();
        let n_own = pairs.len() as i64;
        if config.in_batch_negatives {
            pairs.extend(
                (0..self.queries.len())
                    .flat_map(|query| (0..self.documents.len()).map(move |document| (query, document))),
            );
        }
        let scores = self.scores(model, config, &pairs, train)?;
        let student = scores.narrow(0, 0, n_own).view(size);
        let teacher = if config.loss.needs_teacher() {
            Tensor::from_slice(&self.teacher).view(size).to_device(student.device())
        } else {
            student.detach()
        };
        let loss = config.loss.forward(&student, &teacher, config.normalisation);
        if !config.in_batch_negatives {
            return Ok(loss);
        }
        let all = scores.narrow(0, n_own, scores.size()[0] - n_own).view([size[0], -1]);
        let columns: Vec<i64> = self.ways.iter().flatten().map(|&document| document as i64).collect();
        let all = all.index_select(1, &Tensor::from_slice(&columns).to_device(all.device()));
        Ok(loss + in_batch_negatives(&all, size[1], &self.positives_elsewhere()))
    }

    /// Places of a query's positive among the other queries' documents.
    fn positives_elsewhere(&self) -> Vec<(i64, i64)> {
        let n_ways = self.ways[0].len();
        let flat: Vec<usize> = self.ways.iter().flatten().copied().collect();
        let mut places = Vec::new();
        for (query, ways) in self.ways.iter().enumerate() {
            let other = |column: &usize| column / n_ways != query && flat[*column] == ways[0];
            places.extend((0..flat.len()).filter(other).map(|column| (query as i64, column as i64)));
        }
        places
    }

    fn scores(
        &self,
        model: &ColBert,
        config: &TrainConfig,
        pairs: &[(usize, usize)],
        train: bool,
    ) -> Result<Tensor, EncoderError> {
        let all: Vec<&Sequence> = self.queries.iter().chain(&self.documents).collect();
        let n_queries = self.queries.len();
        if config.interaction == Interaction::Pooled {
            let vectors = config.precision.of(|| model.forward_pooled(&all, train))?;
            let column = |f: &dyn Fn(&(usize, usize)) -> usize| {
                let rows: Vec<i64> = pairs.iter().map(|pair| f(pair) as i64).collect();
                vectors.index_select(0, &Tensor::from_slice(&rows).to_device(vectors.device()))
            };
            let products = column(&|pair| pair.0) * column(&|pair| n_queries + pair.1);
            return Ok(products.sum_dim_intlist([-1].as_slice(), false, Kind::Float) * POOLED_SCALE);
        }
        let rows = config.precision.of(|| model.forward(&all, train))?;
        let ends = |sequences: &[Sequence]| -> Vec<usize> {
            let kept = sequences.iter().map(|sequence| sequence.keep.iter().filter(|keep| **keep).count());
            kept.scan(0, |end, n| {
                *end += n;
                Some(*end)
            })
            .collect()
        };
        let (query_ends, document_ends) = (ends(&self.queries), ends(&self.documents));
        let split = query_ends.last().copied().unwrap_or(0) as i64;
        let parts = rows.split_with_sizes([split, rows.size()[0] - split].as_slice(), 0);
        let (queries, documents) =
            (Rows { values: &parts[0], ends: &query_ends }, Rows { values: &parts[1], ends: &document_ends });
        Ok(maxsim(queries, documents, pairs))
    }
}
