//! Search of every document.

use rayon::prelude::*;

use super::panel::Panel;
use super::screen::{Codes, Screening};
use super::tile::Words;
use super::{Hit, Match, MaxSimError, Tier, bf16, check_query, check_rows, explain, top_k, words};
use crate::vectors::TokenVectors;

/// Documents per parallel task: about a megabyte of f32.
const CHUNK: usize = 16;
/// Queries whose scores are held at a time, each reading a chunk of documents while it is in the cache.
const QUERIES: usize = 16;

/// How document vectors are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// 32-bit floats.
    F32,
    /// Brain floats: half the memory; documents and query are rounded to 8 bits of mantissa, products and sums are not.
    Bf16,
    /// 32-bit floats behind 8-bit codes (five quarters of the memory): the same hits and scores as [`Self::F32`], mostly
    /// without reading the floats.
    Screened,
}

/// All documents in memory, each scored for each query.
#[derive(Debug)]
pub struct Exact {
    width: usize,
    ends: Vec<usize>,
    tier: Tier,
    data: Data,
}

#[derive(Debug)]
enum Data {
    F32(TokenVectors),
    Bf16(Vec<u32>),
    Screened(TokenVectors, Codes),
}

impl Exact {
    /// Documents ready to be searched.
    ///
    /// ```
    /// use retrieval::{maxsim::{Exact, Storage}, vectors::TokenVectors};
    /// let documents = TokenVectors::from_parts(2, vec![1, 1, 2], vec![1.0, 0.0, 0.6, 0.8])?;
    /// let exact = Exact::new(documents, Storage::F32)?;
    /// let hits = exact.search(&[0.0, 1.0], 3)?;
    /// assert_eq!(hits.iter().map(|hit| hit.document).collect::<Vec<_>>(), [2, 0]); // 1 has no token
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`MaxSimError`] for numbers that are not finite, or too many documents.
    pub fn new(documents: TokenVectors, storage: Storage) -> Result<Self, MaxSimError> {
        Self::on(documents, storage, Tier::best())
    }

    /// [`Self::new`] with a weaker instruction set than the processor's best.
    ///
    /// # Errors
    /// As [`Self::new`].
    ///
    /// # Panics
    /// When the processor lacks `tier`.
    pub fn on(documents: TokenVectors, storage: Storage, tier: Tier) -> Result<Self, MaxSimError> {
        assert!(tier <= Tier::best(), "the processor lacks {}", tier.name());
        check_rows("documents", documents.values(), documents.width())?;
        if u32::try_from(documents.len()).is_err() {
            return Err(MaxSimError::TooMany(documents.len()));
        }
        let (width, ends) = (documents.width(), documents.ends().to_vec());
        let data = match storage {
            Storage::F32 => Data::F32(documents),
            Storage::Bf16 => {
                let rows = documents.values().par_chunks_exact(width);
                Data::Bf16(rows.flat_map_iter(|row| row.chunks(2).map(bf16::pair)).collect())
            }
            Storage::Screened => {
                let codes = Codes::new(&documents);
                Data::Screened(documents, codes)
            }
        };
        Ok(Self { width, ends, tier, data })
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no document.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The `k` best documents for `query` (`[query tokens, width]`), best first, ties in the order of the documents.
    /// Documents without tokens are never among them. The result does not depend on the number of threads.
    ///
    /// # Errors
    /// [`MaxSimError`] for a ragged, empty or non-finite query.
    pub fn search(&self, query: &[f32], k: usize) -> Result<Vec<Hit>, MaxSimError> {
        Ok(self.search_counted(query, k)?.0)
    }

    /// [`Self::search`], and how many documents were scored exactly: all, unless they are [`Storage::Screened`].
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn search_counted(&self, query: &[f32], k: usize) -> Result<(Vec<Hit>, Screening), MaxSimError> {
        check_query(query, self.width)?;
        if let Data::Screened(vectors, codes) = &self.data {
            let panel = Panel::f32(query, self.width);
            let exact = |document: u32| panel.score(self.tier, words(vectors.text(document as usize)));
            return Ok(codes.search(self.tier, query, &self.ends, k, exact));
        }
        let scores = self.scores_of(&[self.panel(query)]);
        let documents = scores.iter().filter(|score| **score > f32::NEG_INFINITY).count();
        Ok((top_k(hits(&scores), k), Screening { documents, scored: documents }))
    }

    /// [`Self::search`] for each of `queries`; documents are read once for several queries.
    ///
    /// # Errors
    /// As [`Self::search`], and when the widths disagree.
    pub fn search_batch(&self, queries: &TokenVectors, k: usize) -> Result<Vec<Vec<Hit>>, MaxSimError> {
        if queries.width() != self.width {
            return Err(MaxSimError::Width { found: queries.width(), expected: self.width });
        }
        queries.iter().try_for_each(|query| check_query(query, self.width))?;
        if matches!(self.data, Data::Screened(..)) {
            return queries.iter().map(|query| self.search(query, k)).collect();
        }
        let panels: Vec<Panel> = queries.iter().map(|query| self.panel(query)).collect();
        let group = |panels: &[Panel]| -> Vec<Vec<Hit>> {
            let scores = self.scores_of(panels);
            // Chunks of documents, each with all the group's queries: the scores of one query are every n-th.
            let of = |query: usize| hits_every(&scores, query, panels.len());
            (0..panels.len()).into_par_iter().map(|query| top_k(of(query), k)).collect()
        };
        Ok(panels.chunks(QUERIES).flat_map(group).collect())
    }

    /// Score of every document, in order; `-inf` for one without tokens.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn scores(&self, query: &[f32]) -> Result<Vec<f32>, MaxSimError> {
        check_query(query, self.width)?;
        Ok(self.scores_of(&[self.panel(query)]))
    }

    /// The best token of document `index` for each query token, see [`explain`].
    ///
    /// # Errors
    /// As [`Self::search`].
    ///
    /// # Panics
    /// When there is no such document.
    pub fn explain(&self, query: &[f32], index: usize) -> Result<Vec<Match>, MaxSimError> {
        match &self.data {
            Data::F32(vectors) | Data::Screened(vectors, _) => {
                explain(query, vectors.text(index), self.width)
            }
            Data::Bf16(data) => explain(query, &self.widened(data, index), self.width),
        }
    }

    /// Rows of a document of brain floats.
    fn widened(&self, data: &[u32], index: usize) -> Vec<f32> {
        let halves = |&word: &u32| [bf16::value(word as u16), bf16::value((word >> 16) as u16)];
        let steps = Words::Bf16.per_row(self.width);
        let rows = self.rows(data, index, steps).chunks_exact(steps);
        rows.flat_map(|row| row.iter().flat_map(halves).take(self.width)).collect()
    }

    fn panel(&self, query: &[f32]) -> Panel {
        match self.data {
            Data::Bf16(_) => Panel::bf16(query, self.width),
            _ => Panel::f32(query, self.width),
        }
    }

    fn rows<'a>(&self, data: &'a [u32], index: usize, steps: usize) -> &'a [u32] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &data[start * steps..self.ends[index] * steps]
    }

    /// Scores `[documents, queries]`.
    fn scores_of(&self, panels: &[Panel]) -> Vec<f32> {
        let (data, steps) = match &self.data {
            Data::F32(vectors) | Data::Screened(vectors, _) => (words(vectors.values()), self.width),
            Data::Bf16(data) => (&data[..], Words::Bf16.per_row(self.width)),
        };
        let count = panels.len();
        let mut scores = vec![0.0; self.ends.len() * count];
        scores.par_chunks_mut(CHUNK * count).enumerate().for_each(|(chunk, scores)| {
            for (place, scores) in scores.chunks_exact_mut(count).enumerate() {
                let rows = self.rows(data, chunk * CHUNK + place, steps);
                for (panel, score) in panels.iter().zip(scores) {
                    *score = panel.score(self.tier, rows);
                }
            }
        });
        scores
    }
}

fn hits(scores: &[f32]) -> impl Iterator<Item = Hit> {
    hits_every(scores, 0, 1)
}

fn hits_every(scores: &[f32], first: usize, step: usize) -> impl Iterator<Item = Hit> {
    (0..).zip(scores.iter().skip(first).step_by(step)).map(|(document, &score)| Hit { document, score })
}
