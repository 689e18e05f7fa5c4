//! Sentences of one resource as tensors: ids and gold classes once per corpus, batches per step.

use common::formats::Sentence;
use common::tagging::label::{LabelSet, UnknownType};
use common::tagging::words::{PaddedWords, Spellings, WordIds};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::vocabulary::Vocabulary;

/// One of the two sides of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// Rich in annotation.
    Source,
    /// Poor in annotation, the one that counts.
    Target,
}

impl Resource {
    /// 0 and 1, for pairs.
    pub fn index(self) -> usize {
        self as usize
    }

    /// Name of its layers.
    pub fn name(self) -> &'static str {
        ["source", "target"][self.index()]
    }
}

/// Sentences of a resource, looked up once.
#[derive(Debug)]
pub struct Prepared {
    /// Which one.
    pub resource: Resource,
    ids: Vec<WordIds>,
    spellings: Spellings,
    gold: Vec<Vec<usize>>,
    features: Option<Vec<Tensor>>,
}

/// A batch of sentences of one resource.
#[derive(Debug)]
pub struct Batch {
    /// Which one.
    pub resource: Resource,
    /// Words, padded.
    pub padded: PaddedWords,
    /// Number of characters of each distinct word, `[distinct]`.
    pub characters: Tensor,
    /// Real words, `[batch, tokens]`, bool.
    pub keep: Tensor,
    /// Words of each sentence.
    pub lengths: Vec<usize>,
    /// Gold classes of each sentence; empty where there are none.
    pub gold: Vec<Vec<usize>>,
    /// Word vectors of a pre-trained encoder, `[batch, tokens, width]`, where it takes the place of the word table.
    pub features: Option<Tensor>,
}

impl Prepared {
    /// Looks up words and characters. `labels` gives the gold classes; without it there are none. `features` holds one
    /// `[words, width]` per sentence where a pre-trained encoder read them.
    ///
    /// # Errors
    /// [`UnknownType`] for an entity type that the labels lack.
    pub fn new(
        sentences: &[Sentence],
        resource: Resource,
        vocabulary: &Vocabulary,
        labels: Option<&LabelSet>,
        features: Option<Vec<Tensor>>,
    ) -> Result<Self, UnknownType> {
        let mut spellings = Spellings::default();
        let ids = sentences
            .iter()
            .map(|sentence| {
                let words = sentence.words.iter().map(|word| &**word);
                spellings.ids(words, &vocabulary.lexicon, |word| vocabulary.word_id(word, resource))
            })
            .collect();
        let classes = |sentence: &Sentence| match labels {
            None => Ok(Vec::new()),
            Some(labels) => {
                let classes = labels.encode(&sentence.spans, sentence.words.len())?;
                Ok(classes.into_iter().map(|class| class as usize).collect())
            }
        };
        let gold = sentences.iter().map(classes).collect::<Result<_, _>>()?;
        Ok(Self { resource, ids, spellings, gold, features })
    }

    /// Number of sentences.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Words of each sentence.
    pub fn lengths(&self) -> Vec<usize> {
        self.ids.iter().map(|ids| ids.words.len()).collect()
    }

    /// The batch of these sentences, see [`Spellings::pad`] for `unknown`.
    pub fn batch(
        &self,
        sentences: &[usize],
        unknown: Option<(f64, &mut ChaCha8Rng)>,
        device: Device,
    ) -> Batch {
        let rows: Vec<Vec<&WordIds>> = sentences.iter().map(|&sentence| vec![&self.ids[sentence]]).collect();
        let padded = self.spellings.pad(&rows, unknown, device);
        let characters = padded.characters.not_equal(0).sum_dim_intlist([1].as_slice(), false, Kind::Int64);
        let tokens = padded.words.size()[1];
        let ends = Tensor::from_slice(&padded.lengths).to_device(device).unsqueeze(-1);
        let keep = Tensor::arange(tokens, (Kind::Int64, device)).unsqueeze(0).lt_tensor(&ends);
        let features = self.features.as_ref().map(|features| {
            let pad = |&sentence: &usize| {
                let own = &features[sentence];
                own.constant_pad_nd([0, 0, 0, tokens - own.size()[0]])
            };
            Tensor::stack(&sentences.iter().map(pad).collect::<Vec<_>>(), 0).to_device(device)
        });
        Batch {
            resource: self.resource,
            lengths: padded.lengths.iter().map(|&length| length as usize).collect(),
            gold: sentences.iter().map(|&sentence| self.gold[sentence].clone()).collect(),
            padded,
            characters,
            keep,
            features,
        }
    }
}
