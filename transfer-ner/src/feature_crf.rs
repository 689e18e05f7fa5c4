//! A linear-chain CRF over hand-made features of words, without embeddings: the floor that a neural tagger has to beat.

use std::collections::HashMap;
use std::path::Path;

use common::crf::Scores;
use common::files::{self, FileError};
use common::formats::{Scheme, Sentence, Span};
use common::seed;
use common::tagging::label::LabelSet;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

const DESCRIPTION: &str = "feature-crf.json";

/// How a feature CRF is trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureConfig {
    /// Passes over the sentences.
    pub epochs: usize,
    /// Step size of AdaGrad.
    pub rate: f64,
    /// Weight of the squared norm.
    pub decay: f64,
}

impl FeatureConfig {
    /// Ours.
    pub fn usual() -> Self {
        Self { epochs: 20, rate: 0.1, decay: 1e-6 }
    }
}

/// A trained feature CRF.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureCrf {
    labels: LabelSet,
    features: HashMap<String, usize>,
    /// Weight of feature `f` for tag `j` at `f * tags + j`.
    weights: Vec<f64>,
    start: Vec<f64>,
    end: Vec<f64>,
    transitions: Vec<f64>,
}

/// Parameters with the sums of their squared gradients.
struct AdaGrad {
    values: Vec<f64>,
    squares: Vec<f64>,
    rate: f64,
    decay: f64,
}

impl AdaGrad {
    fn new(n: usize, config: &FeatureConfig) -> Self {
        Self { values: vec![0.0; n], squares: vec![1e-6; n], rate: config.rate, decay: config.decay }
    }

    fn step(&mut self, at: usize, gradient: f64) {
        let gradient = gradient + self.decay * self.values[at];
        self.squares[at] += gradient * gradient;
        self.values[at] -= self.rate * gradient / self.squares[at].sqrt();
    }
}

impl FeatureCrf {
    /// Trains on sentences; the order of the passes follows from the seed.
    pub fn train(sentences: &[Sentence], config: &FeatureConfig, run_seed: u64) -> Self {
        let labels = LabelSet::of_scheme(sentences, Scheme::Iobes);
        let tags = labels.n_classes() as usize;
        let mut features = HashMap::new();
        let prepared: Vec<(Vec<Vec<usize>>, Vec<usize>)> = sentences
            .iter()
            .map(|sentence| {
                let own = texts(&sentence.words).into_iter().map(|texts| {
                    let id = |text: String| {
                        let next = features.len();
                        *features.entry(text).or_insert(next)
                    };
                    texts.into_iter().map(id).collect()
                });
                let own: Vec<Vec<usize>> = own.collect();
                let classes = labels.encode(&sentence.spans, sentence.words.len());
                let classes = classes.expect("types of these sentences").into_iter();
                (own, classes.map(|class| class as usize).collect())
            })
            .collect();
        let mut weights = AdaGrad::new(features.len() * tags, config);
        let [mut start, mut end] = [0, 1].map(|_| AdaGrad::new(tags, config));
        let mut transitions = AdaGrad::new(tags * tags, config);
        let mut order: Vec<usize> = (0..prepared.len()).collect();
        for epoch in 0..config.epochs {
            order.shuffle(&mut seed::rng(run_seed, "feature-crf", epoch as u64));
            for &row in &order {
                let (own, gold) = &prepared[row];
                let scores =
                    Scores::new(start.values.clone(), end.values.clone(), transitions.values.clone());
                let loss = scores.negative_log_likelihood(&emissions(own, &weights.values, tags), gold);
                for (token, features) in own.iter().enumerate() {
                    let by_tag = &loss.emissions[token * tags..(token + 1) * tags];
                    for feature in features {
                        by_tag.iter().enumerate().for_each(|(j, g)| weights.step(feature * tags + j, *g));
                    }
                }
                for (state, by) in [
                    (&mut start, &loss.scores.start),
                    (&mut end, &loss.scores.end),
                    (&mut transitions, &loss.scores.transitions),
                ] {
                    by.iter().enumerate().for_each(|(at, gradient)| state.step(at, *gradient));
                }
            }
        }
        Self {
            labels,
            features,
            weights: weights.values,
            start: start.values,
            end: end.values,
            transitions: transitions.values,
        }
    }

    /// Entities of sentences, in their order.
    pub fn predict(&self, sentences: &[Sentence]) -> Vec<Vec<Span>> {
        let tags = self.labels.n_classes() as usize;
        let scores = Scores::new(self.start.clone(), self.end.clone(), self.transitions.clone());
        let one = |sentence: &Sentence| {
            let own: Vec<Vec<usize>> = texts(&sentence.words)
                .into_iter()
                .map(|texts| texts.iter().filter_map(|text| self.features.get(text).copied()).collect())
                .collect();
            let best = scores.decode(&emissions(&own, &self.weights, tags));
            self.labels.decode(&best.into_iter().map(|class| class as i64).collect::<Vec<_>>())
        };
        sentences.iter().map(one).collect()
    }

    /// Writes the model into a folder.
    ///
    /// # Errors
    /// [`FileError`]; an older file stays whole.
    pub fn save(&self, folder: &Path) -> Result<(), FileError> {
        files::make_folder(folder)?;
        let json = serde_json::to_vec(self).expect("weights are finite");
        files::write_atomic(&folder.join(DESCRIPTION), &json)
    }

    /// Reads a model from its folder; `None` when the folder holds another kind of model.
    ///
    /// # Errors
    /// An unreadable file.
    pub fn load(folder: &Path) -> Result<Option<Self>, FileError> {
        let path = folder.join(DESCRIPTION);
        if !path.exists() {
            return Ok(None);
        }
        let wrong = |error: serde_json::Error| FileError::content(&path, format!("not a model: {error}"));
        serde_json::from_str(&files::read_text(&path)?).map(Some).map_err(wrong)
    }
}

fn emissions(features: &[Vec<usize>], weights: &[f64], tags: usize) -> Vec<f64> {
    let mut emissions = vec![0.0; features.len() * tags];
    for (own, out) in features.iter().zip(emissions.chunks_mut(tags)) {
        for feature in own {
            let row = &weights[feature * tags..(feature + 1) * tags];
            out.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight);
        }
    }
    emissions
}

/// Features of each word: itself, its shape, beginnings and ends of up to four characters, and the same of its neighbours in short.
fn texts(words: &[String]) -> Vec<Vec<String>> {
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let shapes: Vec<String> = words.iter().map(|word| shape(word)).collect();
    let at = |list: &[String], place: isize| {
        usize::try_from(place).ok().and_then(|place| list.get(place)).map_or("</s>".to_owned(), String::clone)
    };
    let one = |place: usize| {
        let mut own = vec!["bias".to_owned()];
        for offset in -2..=2_isize {
            let there = place as isize + offset;
            own.push(format!("w{offset}={}", at(&lower, there)));
            own.push(format!("s{offset}={}", at(&shapes, there)));
        }
        own.push(format!("w-1w={} {}", at(&lower, place as isize - 1), lower[place]));
        own.push(format!("ww+1={} {}", lower[place], at(&lower, place as isize + 1)));
        let characters: Vec<char> = lower[place].chars().collect();
        for n in 1..=4.min(characters.len()) {
            own.push(format!("p{}", characters[..n].iter().collect::<String>()));
            own.push(format!("e{}", characters[characters.len() - n..].iter().collect::<String>()));
        }
        own
    };
    (0..words.len()).map(one).collect()
}

/// `Xx` for a capital and small letters, `d` for digits, other characters as they are; repetitions once.
fn shape(word: &str) -> String {
    let kind = |c: char| match c {
        _ if c.is_uppercase() => 'X',
        _ if c.is_alphabetic() => 'x',
        _ if c.is_numeric() => 'd',
        _ => c,
    };
    let mut shape = String::new();
    word.chars().map(kind).for_each(|c| {
        if !shape.ends_with(c) {
            shape.push(c);
        }
    });
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_join_repetitions() {
        assert_eq!(shape("McDonald's-42"), "XxXx'x-d");
        assert_eq!(shape(""), "");
    }

    #[test]
    fn it_memorises_and_comes_back_from_a_file() {
        let span = |start, end, label: &str| Span { start, end, label: label.to_owned() };
        let sentence = |text: &str, spans: Vec<Span>| Sentence {
            words: text.split(' ').map(str::to_owned).collect(),
            spans,
            ..Sentence::default()
        };
        let data = [
            sentence("Ann lives in New York", vec![span(0, 1, "PER"), span(3, 5, "LOC")]),
            sentence("it rains", vec![]),
            sentence("Rome is old", vec![span(0, 1, "LOC")]),
        ];
        let model = FeatureCrf::train(&data, &FeatureConfig::usual(), 1);
        let folder = tempfile::tempdir().unwrap();
        model.save(folder.path()).unwrap();
        let loaded = FeatureCrf::load(folder.path()).unwrap().unwrap();
        let gold: Vec<Vec<Span>> = data.iter().map(|s| s.spans.clone()).collect();
        assert_eq!(loaded.predict(&data), gold);
        assert_eq!(loaded.predict(&[Sentence::default()]), [vec![]]);
    }
}
