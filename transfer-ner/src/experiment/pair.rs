//! Pairs of source and target, and what each needs.

use common::corpora::CorpusName;
use serde::{Deserialize, Serialize};

use super::corpora::{DICTIONARIES, ENCODER, VECTORS};

/// Source and target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pair {
    /// WikiNEuRal English to Spanish, silver annotation, given word vectors.
    Es,
    /// Universal NER English to Portuguese, gold annotation, learned word vectors.
    Pt,
    /// WikiGold and English web text to the Broad Twitter Corpus.
    Btc,
    /// WikiGold and English web text to WNUT-2017.
    Wnut,
    /// As `Btc`, words read by a pre-trained encoder.
    BtcMinilm,
    /// As `Wnut`, words read by a pre-trained encoder.
    WnutMinilm,
    /// Japanese words to Japanese named entities, on characters: halves of the Wikipedia Annotated Corpus.
    Ja,
}

impl Pair {
    /// First half of its settings' names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es => "es",
            Self::Pt => "pt",
            Self::Btc => "btc",
            Self::Wnut => "wnut",
            Self::BtcMinilm => "btc+minilm",
            Self::WnutMinilm => "wnut+minilm",
            Self::Ja => "ja",
        }
    }

    /// Corpora of the source.
    pub fn sources(self) -> &'static [CorpusName] {
        match self {
            Self::Es => &[CorpusName::WikineuralEn],
            Self::Pt => &[CorpusName::Ewt],
            Self::Btc | Self::Wnut | Self::BtcMinilm | Self::WnutMinilm => {
                &[CorpusName::Wikigold, CorpusName::Ewt]
            }
            Self::Ja => &[CorpusName::Wac],
        }
    }

    /// Corpus of the target.
    pub fn target(self) -> CorpusName {
        match self {
            Self::Es => CorpusName::WikineuralEs,
            Self::Pt => CorpusName::Bosque,
            Self::Btc | Self::BtcMinilm => CorpusName::Btc,
            Self::Wnut | Self::WnutMinilm => CorpusName::Wnut17,
            Self::Ja => CorpusName::Wac,
        }
    }

    /// Whether both sides are one language in two domains.
    pub fn is_cross_domain(self) -> bool {
        matches!(self, Self::Btc | Self::Wnut | Self::BtcMinilm | Self::WnutMinilm)
    }

    /// The same pair with words of its own, where this one's are read by a pre-trained encoder.
    pub fn without_encoder(self) -> Option<Self> {
        match self {
            Self::BtcMinilm => Some(Self::Btc),
            Self::WnutMinilm => Some(Self::Wnut),
            _ => None,
        }
    }

    /// Data set of its pre-trained encoder.
    pub fn encoder(self) -> Option<&'static str> {
        self.without_encoder().map(|_| ENCODER)
    }

    /// Files of word vectors of source and target.
    pub fn vectors(self) -> Option<[&'static str; 2]> {
        (self == Self::Es).then_some(["wikineural.en.50.vec.gz", "wikineural.es.50.vec.gz"])
    }

    /// File of the dictionary.
    pub fn dictionary(self) -> Option<&'static str> {
        match self {
            Self::Es => Some("en-es.tsv"),
            Self::Pt => Some("en-pt.tsv"),
            _ => None,
        }
    }

    /// Data sets that it needs.
    pub fn data_sets(self) -> Vec<&'static str> {
        let mut sets: Vec<&str> = self.sources().iter().map(|corpus| corpus.data_set()).collect();
        sets.push(self.target().data_set());
        sets.extend(self.vectors().map(|_| VECTORS));
        sets.extend(self.dictionary().map(|_| DICTIONARIES));
        sets.extend(self.encoder());
        sets.sort_unstable();
        sets.dedup();
        sets
    }
}
