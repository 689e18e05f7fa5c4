//! Cheap translation (Mayhew et al. 2017): an annotated corpus in another language, word by word, in the order of the source.
//!
//! The longest phrase that the dictionary has is replaced; words it lacks are copied. Tags go along: a phrase lies within one entity or
//! outside all, and a translation of several words is one entity.

use std::collections::HashMap;

use common::formats::{Sentence, Span};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::dictionary::{Dictionary, nfc};

/// Most source words of a phrase. Ours: the paper's phrase table is not known to us.
const MAX_PHRASE: usize = 3;

/// Which of several translations is taken.
#[derive(Debug)]
pub enum Choice<'a> {
    /// The one most frequent in target text, of equals the first of the dictionary.
    Frequent(&'a HashMap<String, u64>),
    /// The first of the dictionary.
    First,
    /// Any: the baseline.
    Random(&'a mut ChaCha8Rng),
}

/// A translated corpus and how much of it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Translated {
    /// Sentences in order.
    pub sentences: Vec<Sentence>,
    /// Source words.
    pub words: usize,
    /// Those of them that were replaced.
    pub replaced: usize,
}

/// How often each word, in lower case, stands in sentences.
pub fn frequencies(sentences: &[Sentence]) -> HashMap<String, u64> {
    let mut counts = HashMap::new();
    for word in sentences.iter().flat_map(|sentence| &sentence.words) {
        *counts.entry(nfc(word).to_lowercase()).or_default() += 1;
    }
    counts
}

/// Translates sentences. Entities of the types `kept` stay as they are, as Xie et al. 2018 keep persons between languages of one script.
pub fn translate(
    sentences: &[Sentence],
    dictionary: &Dictionary,
    mut choice: Choice<'_>,
    kept: &[String],
) -> Translated {
    let mut translated = Translated::default();
    for sentence in sentences {
        let (sentence, replaced) = one(sentence, dictionary, &mut choice, kept);
        translated.replaced += replaced;
        translated.sentences.push(sentence);
    }
    translated.words = sentences.iter().map(|sentence| sentence.words.len()).sum();
    translated
}

fn one(
    sentence: &Sentence,
    dictionary: &Dictionary,
    choice: &mut Choice<'_>,
    kept: &[String],
) -> (Sentence, usize) {
    let lower: Vec<String> = sentence.words.iter().map(|word| nfc(word).to_lowercase()).collect();
    let mut entity: Vec<Option<usize>> = vec![None; lower.len()];
    for (index, span) in sentence.spans.iter().enumerate() {
        entity[span.start..span.end].fill(Some(index));
    }
    let (mut words, mut replaced, mut at) = (Vec::new(), 0, 0);
    // First and last place, end exclusive, of each entity in the translation.
    let mut places: Vec<Option<(usize, usize)>> = vec![None; sentence.spans.len()];
    while at < lower.len() {
        let keep = entity[at].is_some_and(|index| kept.contains(&sentence.spans[index].label));
        let longest = (1..=MAX_PHRASE.min(lower.len() - at))
            .rev()
            .filter(|&n| entity[at..at + n].iter().all(|own| *own == entity[at]))
            .find_map(|n| {
                let translations = dictionary.translations(&lower[at..at + n].join(" "));
                (!translations.is_empty()).then_some((n, translations))
            });
        let before = words.len();
        let n = match longest.filter(|_| !keep) {
            Some((n, translations)) => {
                let chosen = pick(translations, choice);
                words.extend(with_case(chosen, &sentence.words[at]));
                replaced += n;
                n
            }
            None => {
                words.push(sentence.words[at].clone());
                1
            }
        };
        if let Some(index) = entity[at] {
            let start = places[index].map_or(before, |(start, _)| start);
            places[index] = Some((start, words.len()));
        }
        at += n;
    }
    let moved = |(span, place): (&Span, &Option<(usize, usize)>)| {
        place.map(|(start, end)| Span { start, end, label: span.label.clone() })
    };
    let spans = sentence.spans.iter().zip(&places).filter_map(moved).collect();
    (Sentence { words, spans, id: sentence.id.clone(), source: None }, replaced)
}

fn pick<'a>(translations: &'a [String], choice: &mut Choice<'_>) -> &'a str {
    match choice {
        Choice::First => &translations[0],
        Choice::Random(rng) => &translations[rng.random_range(0..translations.len())],
        Choice::Frequent(counts) => {
            // A phrase is at most as frequent as its rarest word.
            let count = |text: &str| {
                text.split_whitespace()
                    .map(|word| counts.get(&word.to_lowercase()).copied().unwrap_or(0))
                    .min()
            };
            let best =
                |best: &'a String, next: &'a String| if count(next) > count(best) { next } else { best };
            translations.iter().reduce(best).expect("a headword has a translation")
        }
    }
}

/// The words of a translation with the case of the source word: all capitals, or a capital first letter.
fn with_case(translation: &str, source: &str) -> Vec<String> {
    let mut letters = source.chars().filter(|c| c.is_alphabetic());
    let first = letters.next().is_some_and(char::is_uppercase);
    let rest: Vec<char> = letters.collect();
    let capitals = first && !rest.is_empty() && rest.iter().all(|c| c.is_uppercase());
    let words = translation.split_whitespace().enumerate();
    words
        .map(|(place, word)| {
            if capitals {
                return word.to_uppercase();
            }
            let mut characters = word.chars();
            match characters.next() {
                Some(letter) if first && place == 0 => letter.to_uppercase().chain(characters).collect(),
                _ => word.to_owned(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dictionary() -> Dictionary {
        let pairs = [
            ("the", "o"),
            ("house", "casa"),
            ("house", "lar"),
            ("united states", "estados unidos"),
            ("states", "afirma"),
            ("rio", "rio de janeiro"),
            ("ann", "ana"),
        ];
        Dictionary::of(pairs.map(|(from, to)| (from.to_owned(), to.to_owned())))
    }

    fn sentence(words: &str, spans: &[(usize, usize, &str)]) -> Sentence {
        let span = |&(start, end, label): &(usize, usize, &str)| Span { start, end, label: label.to_owned() };
        Sentence {
            words: words.split(' ').map(str::to_owned).collect(),
            spans: spans.iter().map(span).collect(),
            ..Sentence::default()
        }
    }

    #[test]
    fn tags_go_along_and_phrases_do_not_cross_entities() {
        let source =
            sentence("Ann left the United States house RIO", &[(0, 1, "PER"), (3, 5, "LOC"), (6, 7, "LOC")]);
        let counts = HashMap::from([("lar".to_owned(), 3), ("casa".to_owned(), 2)]);
        let out = translate(&[source], &dictionary(), Choice::Frequent(&counts), &["PER".to_owned()]);
        let expected = sentence(
            "Ann left o Estados unidos lar RIO DE JANEIRO",
            &[(0, 1, "PER"), (3, 5, "LOC"), (6, 9, "LOC")],
        );
        assert_eq!(out.sentences, [expected]);
        assert_eq!((out.words, out.replaced), (7, 5));
        // One word of the phrase outside: only the entity's own word is looked up.
        let split = sentence("united States", &[(1, 2, "LOC")]);
        let out = translate(&[split], &dictionary(), Choice::First, &[]);
        assert_eq!(out.sentences[0].words, ["united", "Afirma"]);
        assert_eq!(out.sentences[0].spans, [Span { start: 1, end: 2, label: "LOC".to_owned() }]);
    }
}
