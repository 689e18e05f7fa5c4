//! Texts to token vectors in batches of near-equal lengths, each distinct text once.

use std::collections::HashMap;
use std::ops::Range;

use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

use super::{ColBert, EncoderError};
use crate::tokenizer::{Sequence, TokenizerError};
use crate::vectors::TokenVectors;

/// Tokens of a batch: enough for the matrix library, few enough for the inner activations to stay in the
/// caches. Ours, measured.
const BATCH_TOKENS: usize = 4096;
/// The same on a GPU.
const BATCH_TOKENS_GPU: usize = 65_536;

/// For each text the bytes that each kept token stands for; empty for special tokens.
pub type Places = Vec<Vec<Range<usize>>>;

impl ColBert {
    /// Token vectors of queries: `[queries, tokens, width]`, ragged; every position of a filled-up query has
    /// a row.
    ///
    /// # Errors
    /// [`EncoderError`] when a text cannot be cut into tokens.
    pub fn encode_queries(&self, texts: &[&str]) -> Result<TokenVectors, EncoderError> {
        let (distinct, owner) = distinct(texts);
        self.encode(&self.query_sequences(&distinct)?, &owner)
    }

    /// Token vectors of documents: `[documents, kept tokens, width]`, ragged. Equal texts are encoded once.
    ///
    /// # Errors
    /// As [`ColBert::encode_queries`].
    pub fn encode_documents(&self, texts: &[&str]) -> Result<TokenVectors, EncoderError> {
        Ok(self.encode_documents_with_places(texts)?.0)
    }

    /// The same with the bytes of the text that each row stands for, for highlighting.
    ///
    /// # Errors
    /// As [`ColBert::encode_queries`].
    pub fn encode_documents_with_places(
        &self,
        texts: &[&str],
    ) -> Result<(TokenVectors, Places), EncoderError> {
        let (distinct, owner) = distinct(texts);
        let sequences = self.document_sequences(&distinct)?;
        let vectors = self.encode(&sequences, &owner)?;
        Ok((vectors, owner.iter().map(|&i| kept_places(&sequences[i])).collect()))
    }

    /// The bytes of a query's text that each row stands for; empty for special and added tokens.
    ///
    /// # Errors
    /// As [`ColBert::encode_queries`].
    pub fn query_places(&self, texts: &[&str]) -> Result<Places, EncoderError> {
        Ok(self.query_sequences(texts)?.iter().map(kept_places).collect())
    }

    /// One vector per text, mean-pooled: `[texts, 1, width]`. Markers are those of documents or of queries;
    /// encoders without markers, such as those of sentence-transformers, give the same for both.
    ///
    /// # Errors
    /// As [`ColBert::encode_queries`].
    pub fn encode_pooled(&self, texts: &[&str], queries: bool) -> Result<TokenVectors, EncoderError> {
        let (distinct, owner) = distinct(texts);
        let sequences =
            if queries { self.query_sequences(&distinct)? } else { self.document_sequences(&distinct)? };
        self.in_batches(&sequences, &owner, |batch| self.forward_pooled(batch, false), |_| 1)
    }

    /// The sequences of queries.
    ///
    /// # Errors
    /// [`EncoderError::Tokenizer`].
    pub fn query_sequences(&self, texts: &[&str]) -> Result<Vec<Sequence>, EncoderError> {
        let tokenizer = &self.tokenizer;
        let sequences: Result<_, TokenizerError> =
            texts.par_iter().map(|text| tokenizer.query(text)).collect();
        Ok(sequences?)
    }

    /// The sequences of documents.
    ///
    /// # Errors
    /// [`EncoderError::Tokenizer`].
    pub fn document_sequences(&self, texts: &[&str]) -> Result<Vec<Sequence>, EncoderError> {
        let tokenizer = &self.tokenizer;
        let sequences: Result<_, TokenizerError> =
            texts.par_iter().map(|text| tokenizer.document(text)).collect();
        Ok(sequences?)
    }

    fn encode(&self, sequences: &[Sequence], owner: &[usize]) -> Result<TokenVectors, EncoderError> {
        self.in_batches(sequences, owner, |batch| self.forward(batch, false), kept)
    }

    /// Rows of all sequences, longest first so that a batch that does not fit the memory fails at once; text
    /// `i` gets those of `owner[i]`.
    fn in_batches(
        &self,
        sequences: &[Sequence],
        owner: &[usize],
        forward: impl Fn(&[&Sequence]) -> Result<Tensor, EncoderError>,
        n_rows: impl Fn(&Sequence) -> usize,
    ) -> Result<TokenVectors, EncoderError> {
        let _guard = tch::no_grad_guard();
        let budget = if self.device() == Device::Cpu { BATCH_TOKENS } else { BATCH_TOKENS_GPU };
        let mut order: Vec<usize> = (0..sequences.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(sequences[i].ids.len()));
        let mut rows: Vec<Vec<f32>> = vec![Vec::new(); sequences.len()];
        let mut rest = order.as_slice();
        while let Some(&longest) = rest.first() {
            let fitting = (budget / sequences[longest].ids.len().max(1)).clamp(1, rest.len());
            let (places, others) = rest.split_at(fitting);
            let batch: Vec<&Sequence> = places.iter().map(|&i| &sequences[i]).collect();
            let values = floats(&forward(&batch)?);
            let mut at = 0;
            for &i in places {
                let size = n_rows(&sequences[i]) * self.width();
                rows[i] = values[at..at + size].to_vec();
                at += size;
            }
            rest = others;
        }
        let mut vectors = TokenVectors::new(self.width());
        for &i in owner {
            vectors.push(&rows[i]).expect("rows of the model's width");
        }
        Ok(vectors)
    }
}

fn kept(sequence: &Sequence) -> usize {
    sequence.keep.iter().filter(|keep| **keep).count()
}

fn kept_places(sequence: &Sequence) -> Vec<Range<usize>> {
    sequence
        .places
        .iter()
        .zip(&sequence.keep)
        .filter(|(_, keep)| **keep)
        .map(|(place, _)| place.clone())
        .collect()
}

/// The distinct texts in the order of their first appearance, and which of them each text is.
fn distinct<'a>(texts: &[&'a str]) -> (Vec<&'a str>, Vec<usize>) {
    let (mut known, mut list) = (HashMap::new(), Vec::new());
    let owner = texts.iter().map(|&text| {
        *known.entry(text).or_insert_with(|| {
            list.push(text);
            list.len() - 1
        })
    });
    let owner = owner.collect();
    (list, owner)
}

fn floats(rows: &Tensor) -> Vec<f32> {
    let flat = rows.to_device(Device::Cpu).to_kind(Kind::Float).flatten(0, -1);
    Vec::<f32>::try_from(flat).expect("f32 on the CPU by construction")
}
