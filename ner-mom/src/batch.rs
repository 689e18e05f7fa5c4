//! Sentences as tensors: ids once per corpus, batches per step.

use common::formats::Sentence;
use common::nn::bert::Packed;
use common::tagging::lexicon::Lexicon;
use common::tagging::words::{PaddedWords, Spellings, WordIds};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};
use thiserror::Error;

use crate::vocabulary::{SEPARATOR, Vocabulary};

/// A sentence with more word pieces than the encoder has positions.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("sentence {sentence} has {found} word pieces, the encoder takes {limit}: split it into shorter ones")]
pub struct TooLong {
    sentence: usize,
    found: usize,
    limit: usize,
}

/// What one row of a batch reads: a sentence, after a query where the model answers queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Place of the sentence.
    pub sentence: usize,
    /// Place of the query, which is that of its entity type.
    pub query: Option<usize>,
}

/// The ids of many sentences and of the model's queries, looked up once, from which batches are cut.
#[derive(Debug)]
pub struct Prepared {
    lengths: Vec<usize>,
    n_queries: usize,
    ids: Ids,
}

#[derive(Debug)]
enum Ids {
    Words { sentences: Vec<WordIds>, queries: Vec<WordIds>, spellings: Spellings },
    Pieces { sentences: Vec<Vec<Vec<i64>>>, queries: Vec<Vec<i64>>, classify: i64, separate: i64 },
}

/// A batch of rows.
#[derive(Debug)]
pub struct Batch {
    /// Words of each row's sentence.
    pub words: Vec<usize>,
    /// What the encoder reads.
    pub input: Input,
    /// Rows of the encoder's flattened states that belong to words of the sentences (for word pieces: to the first
    /// piece of each), in order, `[words]`.
    pub valid: Tensor,
}

/// What an encoder reads.
#[derive(Debug)]
pub enum Input {
    /// Padded words with their characters; those of a query stand before the sentence.
    Words(PaddedWords),
    /// Word pieces without padding.
    Pieces(Packed),
}

impl Prepared {
    /// Looks up the words and characters, or the word pieces, of `sentences` and `queries`.
    ///
    /// # Errors
    /// [`TooLong`] for a sentence that has more word pieces than the encoder's positions.
    pub fn new(sentences: &[Sentence], queries: &[String], vocabulary: &Vocabulary) -> Result<Self, TooLong> {
        let ids = match vocabulary {
            Vocabulary::Words(lexicon) => words(sentences, queries, lexicon),
            Vocabulary::Pieces { pieces, positions } => {
                let query_ids =
                    |query: &String| query.split_whitespace().flat_map(|word| pieces.ids(word)).collect();
                let ids = Ids::Pieces {
                    sentences: sentences
                        .iter()
                        .map(|s| s.words.iter().map(|w| pieces.ids(w)).collect())
                        .collect(),
                    queries: queries.iter().map(query_ids).collect(),
                    classify: pieces.classify(),
                    separate: pieces.separate(),
                };
                check_lengths(&ids, *positions)?;
                ids
            }
        };
        let lengths = sentences.iter().map(|sentence| sentence.words.len()).collect();
        Ok(Self { lengths, n_queries: queries.len(), ids })
    }

    /// All rows: every sentence, or every sentence with every query, sentence by sentence.
    pub fn rows(&self) -> Vec<Row> {
        let queries = |sentence| match self.n_queries {
            0 => vec![Row { sentence, query: None }],
            n => (0..n).map(|query| Row { sentence, query: Some(query) }).collect(),
        };
        (0..self.lengths.len()).flat_map(queries).collect()
    }

    /// Words of a sentence.
    pub fn n_words(&self, sentence: usize) -> usize {
        self.lengths[sentence]
    }

    /// The batch of `rows`. `unknown` reads a word seen once in training as unknown with a probability, so that the
    /// unknown word's vector is learned.
    pub fn batch(&self, rows: &[Row], unknown: Option<(f64, &mut ChaCha8Rng)>, device: Device) -> Batch {
        let words = rows.iter().map(|row| self.lengths[row.sentence]).collect();
        let (input, valid) = match &self.ids {
            Ids::Words { sentences, queries, spellings } => {
                word_input(rows, sentences, queries, spellings, unknown, device)
            }
            Ids::Pieces { sentences, queries, classify, separate } => {
                piece_input(rows, sentences, queries, *classify, *separate, device)
            }
        };
        Batch { words, input, valid: Tensor::from_slice(&valid).to_device(device) }
    }
}

fn words(sentences: &[Sentence], queries: &[String], lexicon: &Lexicon) -> Ids {
    let mut spellings = Spellings::default();
    let mut look_up = |words: &mut dyn Iterator<Item = &str>| {
        spellings.ids(words, lexicon, |word| (lexicon.word_id(word), lexicon.seen_once(word)))
    };
    let sentences = sentences.iter().map(|s| look_up(&mut s.words.iter().map(|word| &**word))).collect();
    let queries = queries.iter().map(|q| look_up(&mut q.split_whitespace().chain([SEPARATOR]))).collect();
    Ids::Words { sentences, queries, spellings }
}

fn check_lengths(ids: &Ids, positions: usize) -> Result<(), TooLong> {
    let Ids::Pieces { sentences, queries, .. } = ids else { return Ok(()) };
    // [CLS] and [SEP] around the sentence, and a query with its [SEP].
    let frame = 2 + queries.iter().map(|query| query.len() + 1).max().unwrap_or(0);
    let limit = positions.saturating_sub(frame);
    let count = |sentence: &Vec<Vec<i64>>| sentence.iter().map(Vec::len).sum::<usize>();
    match sentences.iter().map(count).enumerate().find(|(_, found)| *found > limit) {
        Some((place, found)) => Err(TooLong { sentence: place + 1, found, limit }),
        None => Ok(()),
    }
}

/// `query [SEP] sentence`, or the sentence alone, padded; and the flat places of the sentences' words.
fn word_input(
    rows: &[Row],
    sentences: &[WordIds],
    queries: &[WordIds],
    spellings: &Spellings,
    unknown: Option<(f64, &mut ChaCha8Rng)>,
    device: Device,
) -> (Input, Vec<i64>) {
    let parts = |row: &Row| {
        row.query.map(|query| &queries[query]).into_iter().chain([&sentences[row.sentence]]).collect()
    };
    let words = spellings.pad(&rows.iter().map(parts).collect::<Vec<_>>(), unknown, device);
    let tokens = words.words.size()[1];
    let mut valid = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let end = place as i64 * tokens + words.lengths[place];
        valid.extend(end - sentences[row.sentence].words.len() as i64..end);
    }
    (Input::Words(words), valid)
}

/// `[CLS] sentence [SEP]` or `[CLS] query [SEP] sentence [SEP]` with segments 0 and 1; and the rows of each word's
/// first piece.
fn piece_input(
    rows: &[Row],
    sentences: &[Vec<Vec<i64>>],
    queries: &[Vec<i64>],
    classify: i64,
    separate: i64,
    device: Device,
) -> (Input, Vec<i64>) {
    let (mut ids, mut types, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    let mut start = 0;
    for row in rows {
        let mut own = vec![classify];
        if let Some(query) = row.query {
            own.extend(&queries[query]);
            own.push(separate);
        }
        let first = if row.query.is_some() { own.len() } else { 0 };
        for word in &sentences[row.sentence] {
            valid.push((start + own.len()) as i64);
            own.extend(word);
        }
        own.push(separate);
        start += own.len();
        types.push((0..own.len()).map(|place| i64::from(row.query.is_some() && place >= first)).collect());
        ids.push(own);
    }
    (Input::Pieces(Packed::with_token_types(&ids, &types, device)), valid)
}
