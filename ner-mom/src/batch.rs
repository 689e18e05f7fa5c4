//! Sentences as tensors: ids once per corpus, padded batches per step.

use std::collections::HashMap;

use common::formats::Sentence;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};

use crate::lexicon::Lexicon;

/// Character ids of one word are cut here: longer words (links, mostly) keep their beginning.
pub const MAX_CHARACTERS: usize = 24;

/// The ids of many sentences, looked up once, from which batches are cut.
#[derive(Debug)]
pub struct Prepared {
    sentences: Vec<PreparedSentence>,
    characters: Vec<Vec<i64>>,
}

#[derive(Debug)]
struct PreparedSentence {
    words: Vec<i64>,
    surfaces: Vec<u32>,
    rare: Vec<bool>,
}

/// A padded batch of sentences.
#[derive(Debug)]
pub struct Batch {
    /// Words per row.
    pub lengths: Vec<i64>,
    /// Word ids, `[batch, tokens]`; padding is 0.
    pub words: Tensor,
    /// Character ids of the batch's distinct words, `[distinct, characters]`; padding is 0.
    pub characters: Tensor,
    /// Row of `characters` for each place of the padded batch, `[batch * tokens]`.
    pub surface: Tensor,
    /// Flat places of real words, `[words]`, row by row.
    pub valid: Tensor,
}

impl Prepared {
    /// Looks up words and characters of `sentences`.
    pub fn new(sentences: &[Sentence], lexicon: &Lexicon) -> Self {
        let mut index: HashMap<&str, u32> = HashMap::new();
        let mut characters = Vec::new();
        let mut prepared = Vec::with_capacity(sentences.len());
        for sentence in sentences {
            let surfaces = sentence.words.iter().map(|word| {
                *index.entry(word).or_insert_with(|| {
                    characters.push(lexicon.character_ids(word, MAX_CHARACTERS));
                    characters.len() as u32 - 1
                })
            });
            prepared.push(PreparedSentence {
                surfaces: surfaces.collect(),
                words: sentence.words.iter().map(|word| lexicon.word_id(word)).collect(),
                rare: sentence.words.iter().map(|word| lexicon.seen_once(word)).collect(),
            });
        }
        Self { sentences: prepared, characters }
    }

    /// Number of sentences.
    pub fn len(&self) -> usize {
        self.sentences.len()
    }

    /// Whether there is no sentence.
    pub fn is_empty(&self) -> bool {
        self.sentences.is_empty()
    }

    /// Words of each sentence.
    pub fn lengths(&self) -> Vec<usize> {
        self.sentences.iter().map(|sentence| sentence.words.len()).collect()
    }

    /// Padded batch of the sentences `rows`. `unknown` reads a word seen once in training as unknown with a
    /// probability, so that the unknown word's vector is learned.
    pub fn batch(&self, rows: &[usize], unknown: Option<(f64, &mut ChaCha8Rng)>, device: Device) -> Batch {
        let tokens = rows.iter().map(|&row| self.sentences[row].words.len()).max().unwrap_or(0).max(1);
        let mut local: HashMap<u32, i64> = HashMap::new();
        let mut distinct = Vec::new();
        let (mut words, mut surface) = (vec![0; rows.len() * tokens], vec![0; rows.len() * tokens]);
        let mut valid = Vec::new();
        for (place, &row) in rows.iter().enumerate() {
            let sentence = &self.sentences[row];
            let offset = place * tokens;
            words[offset..offset + sentence.words.len()].copy_from_slice(&sentence.words);
            for (token, &id) in sentence.surfaces.iter().enumerate() {
                surface[offset + token] = *local.entry(id).or_insert_with(|| {
                    distinct.push(id);
                    distinct.len() as i64 - 1
                });
            }
            valid.extend((0..sentence.words.len()).map(|token| (offset + token) as i64));
        }
        if let Some((rate, rng)) = unknown {
            self.forget_rare_words(rows, tokens, rate, rng, &mut words);
        }
        let shape = [rows.len() as i64, tokens as i64];
        let to = |values: &[i64]| Tensor::from_slice(values).to_device(device);
        Batch {
            lengths: rows.iter().map(|&row| self.sentences[row].words.len() as i64).collect(),
            words: to(&words).view(shape),
            characters: self.character_table(&distinct).to_device(device),
            surface: to(&surface),
            valid: to(&valid),
        }
    }

    fn forget_rare_words(
        &self,
        rows: &[usize],
        tokens: usize,
        rate: f64,
        rng: &mut ChaCha8Rng,
        words: &mut [i64],
    ) {
        for (place, &row) in rows.iter().enumerate() {
            for (token, &rare) in self.sentences[row].rare.iter().enumerate() {
                if rare && rng.random_bool(rate) {
                    words[place * tokens + token] = Lexicon::UNKNOWN;
                }
            }
        }
    }

    /// Character ids of the words `distinct`, padded with 0 to the longest, `[distinct, characters]`.
    fn character_table(&self, distinct: &[u32]) -> Tensor {
        let width = distinct.iter().map(|&id| self.characters[id as usize].len()).max().unwrap_or(0).max(1);
        let mut table = vec![0; distinct.len().max(1) * width];
        for (row, &id) in distinct.iter().enumerate() {
            let ids = &self.characters[id as usize];
            table[row * width..row * width + ids.len()].copy_from_slice(ids);
        }
        Tensor::from_slice(&table).view([distinct.len().max(1) as i64, width as i64])
    }
}
