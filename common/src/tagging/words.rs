//! Sentences of words as tensors: ids once per corpus, padded batches per step, characters once per distinct word.

use std::collections::HashMap;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};

use super::lexicon::Lexicon;

/// Character ids of one word are cut here: longer words (links, mostly) keep their beginning.
pub const MAX_CHARACTERS: usize = 24;

/// Ids of a sequence of words.
#[derive(Clone, Debug, Default)]
pub struct WordIds {
    /// Id of each word.
    pub words: Vec<i64>,
    /// Place of each word's characters in the [`Spellings`].
    pub spellings: Vec<u32>,
    /// Whether each word may be read as unknown.
    pub rare: Vec<bool>,
}

/// Character ids of every distinct word of a corpus.
#[derive(Debug, Default)]
pub struct Spellings {
    index: HashMap<String, u32>,
    characters: Vec<Vec<i64>>,
}

/// Rows of words, padded on the right.
#[derive(Debug)]
pub struct PaddedWords {
    /// Words per row.
    pub lengths: Vec<i64>,
    /// Word ids, `[batch, tokens]`; padding is 0.
    pub words: Tensor,
    /// Character ids of the batch's distinct words, `[distinct, characters]`; padding is 0.
    pub characters: Tensor,
    /// Row of `characters` for each place of the padded batch, `[batch * tokens]`.
    pub surface: Tensor,
}

impl Spellings {
    /// Ids of `words`; new spellings are kept. `word` gives the id of a word and whether it is rare.
    pub fn ids<'a>(
        &mut self,
        words: impl Iterator<Item = &'a str>,
        lexicon: &Lexicon,
        word: impl Fn(&str) -> (i64, bool),
    ) -> WordIds {
        let mut ids = WordIds::default();
        for text in words {
            let next = self.characters.len() as u32;
            let place = *self.index.entry(text.to_owned()).or_insert_with(|| {
                self.characters.push(lexicon.character_ids(text, MAX_CHARACTERS));
                next
            });
            ids.spellings.push(place);
            let (id, rare) = word(text);
            ids.words.push(id);
            ids.rare.push(rare);
        }
        ids
    }

    /// The batch of `rows`, each the words of its parts one after another. `unknown` reads a rare word as unknown with a
    /// probability, so that the unknown word's vector is learned.
    pub fn pad(
        &self,
        rows: &[Vec<&WordIds>],
        mut unknown: Option<(f64, &mut ChaCha8Rng)>,
        device: Device,
    ) -> PaddedWords {
        let lengths: Vec<usize> =
            rows.iter().map(|parts| parts.iter().map(|part| part.words.len()).sum()).collect();
        let tokens = lengths.iter().copied().max().unwrap_or(0).max(1);
        let (mut words, mut surface) = (vec![0; rows.len() * tokens], vec![0; rows.len() * tokens]);
        let mut local: HashMap<u32, i64> = HashMap::new();
        let mut distinct = Vec::new();
        for (place, parts) in rows.iter().enumerate() {
            let mut at = place * tokens;
            for part in parts {
                for ((&word, &id), &rare) in part.words.iter().zip(&part.spellings).zip(&part.rare) {
                    let forgotten =
                        rare && unknown.as_mut().is_some_and(|(rate, rng)| rng.random_bool(*rate));
                    words[at] = if forgotten { Lexicon::UNKNOWN } else { word };
                    surface[at] = *local.entry(id).or_insert_with(|| {
                        distinct.push(id);
                        distinct.len() as i64 - 1
                    });
                    at += 1;
                }
            }
        }
        let to = |values: &[i64]| Tensor::from_slice(values).to_device(device);
        PaddedWords {
            lengths: lengths.iter().map(|&length| length as i64).collect(),
            words: to(&words).view([rows.len() as i64, tokens as i64]),
            characters: self.table(&distinct).to_device(device),
            surface: to(&surface),
        }
    }

    /// Character ids of the words `distinct`, padded with 0 to the longest, `[distinct, characters]`.
    fn table(&self, distinct: &[u32]) -> Tensor {
        let of = |id: &u32| &self.characters[*id as usize];
        let width = distinct.iter().map(|id| of(id).len()).max().unwrap_or(0).max(1);
        let mut table = vec![0; distinct.len().max(1) * width];
        for (row, id) in distinct.iter().enumerate() {
            table[row * width..row * width + of(id).len()].copy_from_slice(of(id));
        }
        Tensor::from_slice(&table).view([distinct.len().max(1) as i64, width as i64])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::Sentence;

    #[test]
    fn characters_stand_once_per_distinct_word_and_padding_is_zero() {
        let sentence = |text: &str| Sentence {
            words: text.split(' ').map(str::to_owned).collect(),
            ..Sentence::default()
        };
        let corpus = [sentence("ab cab ab"), sentence("cab")];
        let lexicon = Lexicon::of(&corpus, std::iter::empty());
        let mut spellings = Spellings::default();
        let ids = corpus.each_ref().map(|s| {
            let words = s.words.iter().map(|word| &**word);
            spellings.ids(words, &lexicon, |word| (lexicon.word_id(word), false))
        });
        let batch = spellings.pad(&[vec![&ids[0]], vec![&ids[1], &ids[1]]], None, Device::Cpu);
        assert_eq!(batch.lengths, [3, 2]);
        assert_eq!(batch.characters.size(), [2, 3]);
        let numbers = |tensor: &Tensor| Vec::<i64>::try_from(tensor.flatten(0, -1)).unwrap();
        assert_eq!(numbers(&batch.surface), [0, 1, 0, 1, 1, 0]);
        assert_eq!(numbers(&batch.words)[5], Lexicon::PADDING);
        assert_eq!(numbers(&batch.characters)[2], 0);
    }
}
