//! The public corpora of the experiments on named entities with their splits, and a user's annotated files.

use std::fmt;
use std::path::{Path, PathBuf};

use rand::Rng;
use rand::seq::index;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::data::DataSet;
use crate::formats::conll::{self, ConllOptions};
use crate::formats::jsonl::{self, Record};
use crate::formats::knp::{self, KnpOptions, Tags};
use crate::formats::{AnnotatedText, ParseError, Sentence, Span, stockmark};
use crate::text::segment::Segmenter;
use crate::{files, seed};

/// Training, development and test sentences of one corpus.
#[derive(Clone, Debug)]
pub struct Splits {
    /// Sentences to learn from.
    pub train: Vec<Sentence>,
    /// Sentences that choose epochs and settings.
    pub dev: Vec<Sentence>,
    /// Sentences that are scored once.
    pub test: Vec<Sentence>,
}

/// A public corpus of the experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CorpusName {
    /// Wikipedia Annotated Corpus: Japanese, morphemes, eight IREX types with a heavy tail.
    Wac,
    /// Stockmark NER wiki: Japanese, characters, eight types.
    Stockmark,
    /// Universal NER Bosque: Portuguese newspapers, three types.
    Bosque,
    /// Broad Twitter Corpus: English tweets, three types.
    Btc,
    /// WNUT-2017: English social media with emerging entities, six types; the hard case.
    Wnut17,
    /// Universal NER: English web text (EWT) to learn from, without development and test sentences.
    Ewt,
    /// WikiNEuRal English: silver annotation of Wikipedia, four types.
    WikineuralEn,
    /// WikiNEuRal Spanish, in the same way.
    WikineuralEs,
    /// WikiGold: English Wikipedia, four types, without development and test sentences.
    Wikigold,
}

impl fmt::Display for CorpusName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wac => "wac",
            Self::Stockmark => "stockmark",
            Self::Bosque => "bosque",
            Self::Btc => "btc",
            Self::Wnut17 => "wnut17",
            Self::Ewt => "ewt",
            Self::WikineuralEn => "wikineural-en",
            Self::WikineuralEs => "wikineural-es",
            Self::Wikigold => "wikigold",
        })
    }
}

impl CorpusName {
    /// Data set that holds it, as `cargo xtask data` names it.
    pub fn data_set(self) -> &'static str {
        match self {
            Self::Wac => "wac-knp",
            Self::Stockmark => "stockmark-ner-wikipedia",
            Self::Bosque | Self::Ewt => "uner-en-pt",
            Self::Btc => "broad-twitter",
            Self::Wnut17 => "wnut17",
            Self::WikineuralEn | Self::WikineuralEs => "wikineural-en-es",
            Self::Wikigold => "wikigold",
        }
    }

    /// Files of the data set that are read.
    pub fn files(self) -> &'static [&'static str] {
        match self {
            Self::Wac => &["train.knp.gz", "dev.knp", "test.knp"],
            Self::Stockmark => &["ner.json"],
            Self::Bosque => &["pt_bosque-ud-train.iob2", "pt_bosque-ud-dev.iob2", "pt_bosque-ud-test.iob2"],
            Self::Btc => &["a.conll", "b.conll", "e.conll", "f.conll", "g.conll", "h.conll"],
            Self::Wnut17 => &["wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"],
            Self::Ewt => &["en_ewt-ud-dev.iob2", "en_ewt-ud-test.iob2"],
            Self::WikineuralEn => &["en.val.conllu.gz", "en.test.conllu.gz"],
            Self::WikineuralEs => &["es.val.conllu.gz", "es.test.conllu.gz"],
            Self::Wikigold => &["wikigold.conll.txt"],
        }
    }

    /// Its sentences with their official split; where there is none (Stockmark), 80/10/10 by a hash of the page,
    /// so that no page is in two parts. Parts that a corpus lacks are empty.
    ///
    /// # Errors
    /// Missing or malformed files.
    pub fn read(self, set: &DataSet) -> Result<Splits, ParseError> {
        let path = |index: usize| set.folder.join(self.files()[index]);
        let columns =
            |index: usize| conll::read(&path(index), &ConllOptions::default()).map(|corpus| corpus.sentences);
        match self {
            Self::Wac => {
                let options = KnpOptions { tags: Tags::Morphemes, optional: false };
                let read = |index: usize| knp::read(&path(index), &options).map(|corpus| corpus.sentences);
                Ok(Splits { train: read(0)?, dev: read(1)?, test: read(2)? })
            }
            Self::Stockmark => Ok(split_by_page(stockmark::read(&path(0))?)),
            Self::Bosque | Self::Wnut17 => {
                Ok(Splits { train: columns(0)?, dev: columns(1)?, test: columns(2)? })
            }
            Self::Btc => {
                // Recommended by its authors: section F is the test set, the second half of H the development set.
                let mut half = columns(5)?;
                let dev = half.split_off(half.len() / 2);
                let mut train = half;
                for section in [0, 1, 2, 4] {
                    train.extend(columns(section)?);
                }
                Ok(Splits { train, dev, test: columns(3)? })
            }
            // Both published parts of the English text: its training part is not among the files.
            Self::Ewt => Ok(Splits { train: [columns(0)?, columns(1)?].concat(), dev: vec![], test: vec![] }),
            Self::Wikigold => Ok(Splits { train: columns(0)?, dev: vec![], test: vec![] }),
            Self::WikineuralEn | Self::WikineuralEs => {
                // The published training part is not among the files: the validation part is learned from, its last fifth
                // chooses.
                let mut train = columns(0)?;
                let dev = train.split_off(train.len() * 4 / 5);
                Ok(Splits { train, dev, test: columns(1)? })
            }
        }
    }
}

fn split_by_page(texts: Vec<AnnotatedText>) -> Splits {
    let mut splits = Splits { train: vec![], dev: vec![], test: vec![] };
    for text in texts {
        let digest = files::sha256_hex(text.id.as_deref().unwrap_or_default().as_bytes());
        let tenth = u32::from_str_radix(&digest[..6], 16).expect("a digest is hexadecimal") % 10;
        let part = match tenth {
            8 => &mut splits.dev,
            9 => &mut splits.test,
            _ => &mut splits.train,
        };
        part.push(text.into_characters());
    }
    splits
}

/// Generated splits that stand in for a corpus that is not on this machine: invented words in which some name
/// entities, most often after a word that announces their type. They show that everything runs, nothing else.
pub fn generated(corpus: CorpusName) -> Splits {
    let mut rng = seed::rng(0, "generated", corpus as u64);
    let mut sentence = || {
        let mut made = Sentence::default();
        for _ in 0..rng.random_range(4..16) {
            let kind = rng.random_range(0..3_usize);
            if rng.random_bool(0.15) {
                let start = made.words.len() + 1;
                made.words.push(["mr", "in", "at"][kind].to_owned());
                let length = rng.random_range(1..3);
                made.words.extend((0..length).map(|_| format!("N{}", rng.random_range(0..400_u32))));
                let label = ["PER", "LOC", "ORG"][kind].to_owned();
                made.spans.push(Span { start, end: start + length, label });
            } else {
                made.words.push(format!("w{}", rng.random_range(0..2000_u32)));
            }
        }
        made
    };
    let mut part = |n: usize| (0..n).map(|_| sentence()).collect();
    Splits { train: part(3000), dev: part(400), test: part(400) }
}

/// `n` sentences drawn without replacement by the run's seed, in the order of the corpus; all when it has fewer.
pub fn sample(sentences: &[Sentence], n: usize, run_seed: u64) -> Vec<Sentence> {
    if n >= sentences.len() {
        return sentences.to_vec();
    }
    let mut rng = seed::rng(run_seed, "training-sample", 0);
    let mut rows = index::sample(&mut rng, sentences.len(), n).into_vec();
    rows.sort_unstable();
    rows.into_iter().map(|row| sentences[row].clone()).collect()
}

/// A file format of annotated text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// CoNLL columns.
    Conll,
    /// KNP text.
    Knp,
    /// Stockmark JSON.
    Stockmark,
    /// JSON lines with spans.
    Jsonl,
}

impl Format {
    /// Format by the name of a file.
    pub fn of(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        match name.rsplit('.').next() {
            Some("knp") => Self::Knp,
            Some("json") => Self::Stockmark,
            Some("jsonl") => Self::Jsonl,
            _ => Self::Conll,
        }
    }
}

/// How a user's annotated files are read.
#[derive(Debug)]
pub struct Reading {
    /// Columns and schemes of CoNLL files.
    pub columns: ConllOptions,
    /// Words of texts that are not cut into words.
    pub segmenter: Segmenter,
    /// Names of tags that are written as numbers.
    pub tag_names: Vec<String>,
}

/// Sentences of a user's files and what their entities lost by the cut into words.
#[derive(Debug, Default)]
pub struct ReadFiles {
    /// Sentences in order.
    pub sentences: Vec<Sentence>,
    /// Entities with a border within a word.
    pub straddling: usize,
    /// Entities left out, because they share their word with another.
    pub lost: usize,
}

impl ReadFiles {
    fn add(&mut self, text: AnnotatedText, segmenter: &Segmenter) {
        let offsets = segmenter.words(&text.text);
        let cut = text.into_words(&offsets);
        self.sentences.push(cut.sentence);
        self.straddling += cut.straddling;
        self.lost += cut.lost;
    }
}

/// A user's annotated files that cannot be read.
#[derive(Debug, Error)]
pub enum CorpusError {
    /// A malformed or missing file.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// Nothing in them.
    #[error("no sentence in {0} files")]
    Empty(usize),
}

/// Sentences of a user's annotated files.
///
/// # Errors
/// Missing, malformed or empty files.
pub fn read_files(paths: &[PathBuf], reading: &Reading) -> Result<ReadFiles, CorpusError> {
    let mut read = ReadFiles::default();
    for path in paths {
        match Format::of(path) {
            Format::Conll => read.sentences.extend(conll::read(path, &reading.columns)?.sentences),
            Format::Knp => {
                let options = KnpOptions { tags: Tags::Morphemes, optional: false };
                read.sentences.extend(knp::read(path, &options)?.sentences);
            }
            Format::Stockmark => {
                stockmark::read(path)?.into_iter().for_each(|text| read.add(text, &reading.segmenter));
            }
            Format::Jsonl => {
                for record in jsonl::read_records(path, &reading.tag_names)? {
                    match record {
                        Record::Text(text) => read.add(text, &reading.segmenter),
                        Record::Words(sentence) => read.sentences.push(sentence),
                    }
                }
            }
        }
    }
    if read.sentences.is_empty() {
        return Err(CorpusError::Empty(paths.len()));
    }
    Ok(read)
}
