//! What each method makes of a user's sentences, vectors and dictionary before training.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;

use common::formats::Sentence;
use thiserror::Error;

use crate::adapt::map_words;
use crate::align::{self, AlignError};
use crate::config::{Config, Method};
use crate::contextual::Contextual;
use crate::dictionary::Dictionary;
use crate::translate::{Choice, frequencies, translate};
use crate::vectors::{Vectors, VectorsError, Wanted};

/// Rounds of refinement of an alignment. Xie et al.: 3.
pub const REFINEMENTS: usize = 3;
/// Words of each language that an alignment sees, the most frequent ones. Xie et al.: 100,000.
pub const ALIGNED_WORDS: usize = 100_000;

/// What a user has.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Source sentences.
    pub source: Vec<Sentence>,
    /// Target sentences to learn from.
    pub target: Vec<Sentence>,
    /// Target sentences that choose.
    pub dev: Vec<Sentence>,
    /// Vectors of source and target words.
    pub vectors: Option<[Vectors; 2]>,
    /// Source to target.
    pub dictionary: Option<Dictionary>,
    /// Source to target by nearest neighbours in aligned spaces, where it was made before; else the method makes it.
    pub aligned: Option<Dictionary>,
    /// How often target words stand in text; of the target and development sentences where nothing is given.
    pub counts: Option<HashMap<String, u64>>,
    /// Entity types that translation leaves as they are.
    pub kept: Vec<String>,
    /// A BERT in place of word vectors.
    pub encoder: Option<Rc<Contextual>>,
}

/// What training takes, and what was done to get it.
#[derive(Clone, Debug)]
pub struct Arranged {
    /// Configuration, adjusted to what there is.
    pub config: Config,
    /// Source sentences, translated where the method translates; none where it does without.
    pub source: Vec<Sentence>,
    /// Vectors of source and target words.
    pub vectors: Option<[Vectors; 2]>,
    /// Facts for the user.
    pub notes: Vec<String>,
}

/// Inputs that a method cannot do with.
#[derive(Debug, Error)]
pub enum MethodError {
    /// Something is missing.
    #[error("the method {method} needs {what}; {how}")]
    Missing {
        /// The method.
        method: Method,
        /// What it needs.
        what: &'static str,
        /// How to give it.
        how: &'static str,
    },
    /// Spaces that cannot be aligned.
    #[error(transparent)]
    Align(#[from] AlignError),
}

/// Prepares a method.
///
/// # Errors
/// [`MethodError`] for a missing dictionary or vectors.
pub fn arrange(mut config: Config, inputs: &Inputs) -> Result<Arranged, MethodError> {
    let method = config.method;
    let mut source = inputs.source.clone();
    let mut vectors = inputs.vectors.clone();
    let mut notes = Vec::new();
    match method {
        Method::Base => source = Vec::new(),
        Method::Direct => config.network.share_words |= vectors.is_none(),
        Method::Cheap | Method::Align => {
            let missing = |what, how| MethodError::Missing { method, what, how };
            let dictionary = match (method, &inputs.dictionary, &vectors) {
                (Method::Cheap, Some(dictionary), _) => dictionary.clone(),
                (Method::Cheap, None, _) => {
                    return Err(missing("a dictionary from source to target", "give one with --dictionary"));
                }
                (_, _, None) => {
                    let how = "give them with --source-vectors and --target-vectors";
                    return Err(missing("word vectors of both languages", how));
                }
                (_, dictionary, Some(vectors)) => match &inputs.aligned {
                    Some(aligned) => aligned.clone(),
                    None => by_alignment(vectors, dictionary.as_ref(), &mut notes)?,
                },
            };
            let own;
            let counts = match &inputs.counts {
                Some(counts) => counts,
                None => {
                    own = frequencies(&[&inputs.target[..], &inputs.dev].concat());
                    &own
                }
            };
            let translated = translate(&source, &dictionary, Choice::Frequent(counts), &inputs.kept);
            notes.push(format!("translated {} of {} source words", translated.replaced, translated.words));
            source = translated.sentences;
            config.network.share_words = true;
        }
        Method::Adapt => {
            if let Some([of_source, of_target]) = vectors.as_mut().filter(|_| config.transfer.map_words) {
                let counts = [&inputs.source, &inputs.target].map(|sentences| frequencies(sentences));
                let (mapped, pivots) = map_words(of_target, of_source, counts.each_ref());
                notes.push(format!("mapped the target's vectors by {pivots} pivot words"));
                *of_target = mapped;
            }
        }
        _ => {}
    }
    Ok(Arranged { config, source, vectors, notes })
}

/// The dictionary of nearest words in aligned spaces, with a note on it. The alignment begins with words that are written alike and with the pairs of a
/// dictionary, where there is one.
///
/// # Errors
/// [`MethodError::Align`].
pub fn by_alignment(
    [source, target]: &[Vectors; 2],
    dictionary: Option<&Dictionary>,
    notes: &mut Vec<String>,
) -> Result<Dictionary, MethodError> {
    let mut pairs = align::identical(source, target);
    if let Some(dictionary) = dictionary {
        pairs.extend(align::of_dictionary(dictionary, source, target));
    }
    let alignment = align::align(source, target, &pairs, REFINEMENTS)?;
    notes.push(format!("aligned the spaces from {} pairs to {}", pairs.len(), alignment.pairs));
    Ok(align::dictionary(&alignment, source, target))
}

/// Vectors of both sides with the rows that sentences need, and the most frequent ones besides.
///
/// # Errors
/// [`VectorsError`]; files of different widths.
pub fn read_vectors(
    [source, target]: [&Path; 2],
    sentences: [&[Sentence]; 2],
    most_frequent: usize,
) -> Result<[Vectors; 2], VectorsError> {
    let needed = sentences.map(needed);
    let read = |path: &Path, words: &HashSet<String>, width: Option<usize>| {
        Vectors::read(path, Wanted::WordsAndFirst(words, most_frequent), width)
    };
    let source = read(source, &needed[0], None)?;
    let target = read(target, &needed[1], Some(source.width))?;
    Ok([source, target])
}

/// Words of sentences as they are and in lower case.
fn needed(sentences: &[Sentence]) -> HashSet<String> {
    let words = sentences.iter().flat_map(|sentence| &sentence.words);
    words.flat_map(|word| [word.clone(), word.to_lowercase()]).collect()
}
