//! Training examples: a query, its documents, the teacher's scores.

use std::ops::Range;

use rand::Rng;
use rand::seq::{SliceRandom, index};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use common::seed;

/// One query with its documents, the labelled positive first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Place of the query among the queries.
    pub query: usize,
    /// Places of the documents.
    pub documents: Vec<usize>,
    /// The teacher's score of each document; empty where there is no teacher.
    #[serde(default)]
    pub scores: Vec<f32>,
}

/// Texts and examples that point into them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingData {
    /// Texts of the queries.
    pub queries: Vec<String>,
    /// Texts of the documents.
    pub documents: Vec<String>,
    /// The examples.
    pub examples: Vec<Example>,
}

/// Examples that cannot be trained on.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DataError {
    /// None at all.
    #[error("no training examples; training needs some")]
    Empty,
    /// A place outside the texts.
    #[error("training example {example} names {what} {place}, there are {n}")]
    Unknown {
        /// Example, from 0.
        example: usize,
        /// `query` or `document`.
        what: &'static str,
        /// The place.
        place: usize,
        /// Number of texts.
        n: usize,
    },
    /// Fewer documents than the loss compares.
    #[error(
        "training example {example} has {found} documents, expected at least {expected}; lower \
         `n_ways` or give more documents"
    )]
    Few {
        /// Example, from 0.
        example: usize,
        /// Its documents.
        found: usize,
        /// `n_ways`.
        expected: usize,
    },
    /// Another number of scores than documents.
    #[error(
        "training example {example} has {scores} teacher scores for {documents} documents; expected one \
         each, all finite"
    )]
    Scores {
        /// Example, from 0.
        example: usize,
        /// Its scores.
        scores: usize,
        /// Its documents.
        documents: usize,
    },
}

impl TrainingData {
    /// Nothing, when each example has `n_ways` documents, and one finite score for each where a teacher is
    /// needed.
    ///
    /// # Errors
    /// [`DataError`] for the first example that has not.
    pub fn check(&self, n_ways: usize, teacher: bool) -> Result<(), DataError> {
        if self.examples.is_empty() {
            return Err(DataError::Empty);
        }
        for (i, example) in self.examples.iter().enumerate() {
            let unknown = |what, place, n| Err(DataError::Unknown { example: i, what, place, n });
            if example.query >= self.queries.len() {
                return unknown("query", example.query, self.queries.len());
            }
            if let Some(place) = example.documents.iter().find(|&&place| place >= self.documents.len()) {
                return unknown("document", *place, self.documents.len());
            }
            let (found, scores) = (example.documents.len(), example.scores.len());
            if found < n_ways {
                return Err(DataError::Few { example: i, found, expected: n_ways });
            }
            let finite = example.scores.iter().all(|score| score.is_finite());
            if !finite || scores != found && (teacher || scores > 0) {
                return Err(DataError::Scores { example: i, scores, documents: found });
            }
        }
        Ok(())
    }

    /// These examples and, drawn at random from `old`, a `share` of their number (0.1: one old example for
    /// ten new ones): post-training without forgetting (JaColBERTv2.5, section 3.8).
    pub fn with_replay(mut self, old: &Self, share: f64, run_seed: u64) -> Self {
        let n = ((self.examples.len() as f64 * share).round() as usize).min(old.examples.len());
        let mut rng = seed::rng(run_seed, "replay", 0);
        let mut drawn = index::sample(&mut rng, old.examples.len(), n).into_vec();
        drawn.sort_unstable();
        let (first_query, first_document) = (self.queries.len(), self.documents.len());
        self.queries.extend_from_slice(&old.queries);
        self.documents.extend_from_slice(&old.documents);
        self.examples.extend(drawn.into_iter().map(|i| {
            let Example { query, documents, scores } = &old.examples[i];
            let documents = documents.iter().map(|document| document + first_document).collect();
            Example { query: query + first_query, documents, scores: scores.clone() }
        }));
        self
    }
}

/// The documents of an example that a step looks at: the positive, and `n_ways - 1` others at random.
pub(super) fn sampled(example: &Example, n_ways: usize, rng: &mut impl Rng) -> (Vec<usize>, Vec<f32>) {
    let others = example.documents.len() - 1;
    let mut places = vec![0];
    places.extend(index::sample(rng, others, n_ways - 1).into_iter().map(|place| place + 1));
    let documents = places.iter().map(|&place| example.documents[place]).collect();
    let scores = places.iter().filter_map(|&place| example.scores.get(place).copied()).collect();
    (documents, scores)
}

/// The order in which an epoch goes through `n` examples: runs of `together` neighbours are shuffled, cut at another place
/// in each epoch.
pub(super) fn order(n: usize, together: usize, run_seed: u64, epoch: usize) -> Vec<usize> {
    let mut rng = seed::rng(run_seed, "shuffle", epoch as u64);
    if together == 1 {
        let mut order: Vec<usize> = (0..n).collect();
        order.shuffle(&mut rng);
        return order;
    }
    let first = rng.random_range(0..together).min(n);
    let rest = (first..n).step_by(together).map(|start| start..(start + together).min(n));
    let mut runs: Vec<Range<usize>> = std::iter::once(0..first).chain(rest).collect();
    runs.shuffle(&mut rng);
    runs.into_iter().flatten().collect()
}
