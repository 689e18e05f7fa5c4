//! The pairs of source and target, each with its vectors, dictionary or encoder.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result};
use common::corpora::{CorpusName, Splits, generated};
use common::data::{self, DataError};
use common::formats::Sentence;
use tch::Device;

use super::design::Sizes;
use super::pair::Pair;
use crate::contextual::Contextual;
use crate::data::{as_characters, as_segmentation, nested_sample};
use crate::dictionary::Dictionary;
use crate::methods::{Inputs, by_alignment, read_vectors};
use crate::translate::frequencies;

/// A pair as the methods take it.
#[derive(Debug)]
pub struct Material {
    /// All target sentences to draw from, the others in the sizes of the design.
    pub inputs: Inputs,
    /// Test sentences.
    pub test: Vec<Sentence>,
}

/// Pairs read so far, for a worker that carries out many jobs.
#[derive(Debug)]
pub struct Pairs {
    root: PathBuf,
    generate: bool,
    sizes: Sizes,
    device: Device,
    encoder: Option<Rc<Contextual>>,
    read: HashMap<Pair, Material>,
}

impl Pairs {
    /// Pairs below a data root, none read yet; `generate` replaces missing sets by generated text. A pre-trained encoder stands on
    /// `device`.
    pub fn below(root: PathBuf, generate: bool, sizes: Sizes, device: Device) -> Self {
        Self { root, generate, sizes, device, encoder: None, read: HashMap::new() }
    }

    /// A pair, read when it is asked for first.
    ///
    /// # Errors
    /// Missing or malformed files.
    pub fn get(&mut self, pair: Pair) -> Result<&Material> {
        if !self.read.contains_key(&pair) {
            let material =
                self.material(pair).with_context(|| format!("reading the pair {}", pair.name()))?;
            self.read.insert(pair, material);
        }
        Ok(&self.read[&pair])
    }

    fn splits(&self, corpus: CorpusName) -> Result<Splits> {
        Ok(match data::locate(&self.root, corpus.data_set()) {
            Err(DataError::Missing { .. }) if self.generate => generated(corpus),
            found => corpus.read(&found?)?,
        })
    }

    /// The encoder of all pairs that have one; it keeps what it has read.
    fn encoder(&mut self, set: &str) -> Result<Rc<Contextual>> {
        if self.encoder.is_none() {
            let folder = data::locate(&self.root, set)?.folder;
            self.encoder = Some(Rc::new(Contextual::read(&folder, self.device)?.remembering()));
        }
        Ok(self.encoder.clone().expect("read above"))
    }

    fn material(&mut self, pair: Pair) -> Result<Material> {
        let encoder = pair.encoder().map(|set| self.encoder(set)).transpose()?;
        let mut source = Vec::new();
        for corpus in pair.sources() {
            source.extend(self.splits(*corpus)?.train);
        }
        if pair.is_cross_domain() {
            // The other sources and the Broad Twitter Corpus do not annotate it.
            source.iter_mut().for_each(|sentence| sentence.spans.retain(|span| span.label != "MISC"));
        }
        let mut target = self.splits(pair.target())?;
        if pair == Pair::Ja {
            // Words of one half of the sentences, entities of the other.
            source = as_segmentation(&source[..source.len() / 2]);
            target.train = as_characters(&target.train[target.train.len() / 2..]);
            (target.dev, target.test) = (as_characters(&target.dev), as_characters(&target.test));
        }
        // Draws of the evaluation parts are the same for all runs; their seed is none of theirs.
        let source = nested_sample(&source, self.sizes.source, 0);
        let dev = nested_sample(&target.dev, self.sizes.dev, 0);
        let test = nested_sample(&target.test, self.sizes.test, 0);
        let vectors = match pair.vectors() {
            Some([one, two]) => match data::locate(&self.root, VECTORS) {
                Err(DataError::Missing { .. }) if self.generate => None,
                set => {
                    let folder = set?.folder;
                    let paths = [folder.join(one), folder.join(two)];
                    let of_target = [&target.train[..], &dev, &test].concat();
                    Some(read_vectors([&paths[0], &paths[1]], [&source, &of_target], usize::MAX)?)
                }
            },
            None => None,
        };
        let dictionary = match pair.dictionary() {
            Some(file) => Some(self.dictionary(file)?),
            None => None,
        };
        let aligned = match &vectors {
            Some(vectors) => Some(by_alignment(vectors, None, &mut Vec::new())?),
            None => None,
        };
        let kept = pair.dictionary().map(|_| "PER".to_owned()).into_iter().collect();
        // Text of the target without its annotation says which translation is frequent.
        let counts = Some(frequencies(&target.train));
        let target = target.train;
        let inputs = Inputs { source, target, dev, vectors, dictionary, aligned, counts, kept, encoder };
        Ok(Material { inputs, test })
    }

    fn dictionary(&self, file: &str) -> Result<Dictionary> {
        match data::locate(&self.root, DICTIONARIES) {
            Err(DataError::Missing { .. }) if self.generate => {
                Ok(Dictionary::of((0..200).map(|at| (format!("w{at}"), format!("w{}", 200 + at)))))
            }
            set => Ok(Dictionary::read(&set?.folder.join(Path::new(file)))?),
        }
    }
}

/// Data set of word vectors.
pub(super) const VECTORS: &str = "wikineural-vec50";
/// Data set of the pre-trained encoder.
pub(super) const ENCODER: &str = "all-minilm-l6-v2";
/// Data set of dictionaries.
pub(super) const DICTIONARIES: &str = "freedict-bilingual";
