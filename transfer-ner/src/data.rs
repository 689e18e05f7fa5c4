//! A user's sentences on their way to a method: types mapped, Unicode normalised, words cut into characters, words as entities.

use std::collections::HashMap;
use std::path::Path;

use common::formats::{self, ParseError, Sentence, Span};
use common::seed;
use rand::seq::SliceRandom;

use crate::dictionary::nfc;

/// Type of a word in a corpus of word segmentation, see [`as_segmentation`].
pub const WORD: &str = "WORD";

/// Which entity type of the source is which of the target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeMap(HashMap<String, Option<String>>);

impl TypeMap {
    /// Reads `SOURCE_TYPE TARGET_TYPE` per line, split at spaces or tabs; the target type `O` drops the entities.
    ///
    /// # Errors
    /// [`ParseError`] with the line: not two parts, a source type that comes twice.
    pub fn read(path: &Path) -> Result<Self, ParseError> {
        let mut lines = formats::open(path)?;
        let mut map = HashMap::new();
        while let Some((number, line)) = lines.next_line()? {
            let parts: Vec<&str> = line.split_whitespace().collect();
            match parts[..] {
                [] => {}
                [from, to] => {
                    let to = (to != "O").then(|| to.to_owned());
                    if map.insert(from.to_owned(), to).is_some() {
                        let problem = format!("`{from}` is mapped twice; expected one line per source type");
                        return Err(ParseError::new(path, number, problem, ""));
                    }
                }
                _ => {
                    let problem = format!("`{line}` maps no type; expected `SOURCE_TYPE TARGET_TYPE`");
                    return Err(ParseError::new(path, number, problem, "`O` as target type drops a type"));
                }
            }
        }
        Ok(Self(map))
    }

    /// Renames the entities of sentences; types that the map lacks stay.
    pub fn apply(&self, sentences: &mut [Sentence]) {
        for sentence in sentences {
            sentence.spans.retain_mut(|span| match self.0.get(&span.label) {
                None => true,
                Some(None) => false,
                Some(Some(label)) => {
                    span.label.clone_from(label);
                    true
                }
            });
        }
    }
}

/// Brings words to Unicode's form NFC; returns how many were in another form.
pub fn normalise(sentences: &mut [Sentence]) -> usize {
    let mut changed = 0;
    for word in sentences.iter_mut().flat_map(|sentence| &mut sentence.words) {
        let form = nfc(word);
        if form != *word {
            *word = form;
            changed += 1;
        }
    }
    changed
}

/// Sentences with one word per character, entities as they are: the reading for scripts without spaces.
pub fn as_characters(sentences: &[Sentence]) -> Vec<Sentence> {
    sentences.iter().map(|sentence| characters(sentence, &sentence.spans)).collect()
}

/// Sentences with one word per character and one entity of type [`WORD`] per word: in the scheme IOBES these are the classes B, M, E and S
/// of word segmentation (Cao et al. 2018).
pub fn as_segmentation(sentences: &[Sentence]) -> Vec<Sentence> {
    let word = |start| Span { start, end: start + 1, label: WORD.to_owned() };
    let of = |sentence: &Sentence| {
        let words: Vec<Span> =
            (0..sentence.words.len()).filter(|&at| !sentence.words[at].is_empty()).map(word).collect();
        characters(sentence, &words)
    };
    sentences.iter().map(of).collect()
}

fn characters(sentence: &Sentence, spans: &[Span]) -> Sentence {
    let mut starts = vec![0];
    for word in &sentence.words {
        starts.push(starts[starts.len() - 1] + word.chars().count());
    }
    let moved =
        |span: &Span| Span { start: starts[span.start], end: starts[span.end], label: span.label.clone() };
    Sentence {
        words: sentence.words.iter().flat_map(|word| word.chars()).map(String::from).collect(),
        spans: spans.iter().map(moved).filter(|span| span.start < span.end).collect(),
        id: sentence.id.clone(),
        source: None,
    }
}

/// `n` sentences drawn without replacement; a larger sample of the same number contains a smaller one, so that a curve over sizes is one
/// of growing sets. All when there are fewer.
pub fn nested_sample(sentences: &[Sentence], n: usize, sample: u64) -> Vec<Sentence> {
    let mut order: Vec<usize> = (0..sentences.len()).collect();
    order.shuffle(&mut seed::rng(sample, "target-sample", 0));
    let mut rows: Vec<usize> = order.into_iter().take(n).collect();
    rows.sort_unstable();
    rows.into_iter().map(|row| sentences[row].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence() -> Sentence {
        let span = Span { start: 1, end: 2, label: "LOC".to_owned() };
        let words = ["へ", "東京", "cafe\u{301}"].map(str::to_owned).into();
        Sentence { words, spans: vec![span], ..Sentence::default() }
    }

    #[test]
    fn words_become_characters_and_entities_of_segmentation() {
        let cut = &as_characters(&[sentence()])[0];
        assert_eq!(cut.words[..3], ["へ", "東", "京"]);
        assert_eq!(cut.spans, [Span { start: 1, end: 3, label: "LOC".to_owned() }]);
        let words = &as_segmentation(&[sentence()])[0];
        let ends: Vec<(usize, usize)> = words.spans.iter().map(|span| (span.start, span.end)).collect();
        assert_eq!(ends, [(0, 1), (1, 3), (3, 8)]);
    }

    #[test]
    fn other_unicode_forms_are_counted_and_mended() {
        let mut sentences = [sentence()];
        assert_eq!(normalise(&mut sentences), 1);
        assert_eq!(sentences[0].words[2], "caf\u{e9}");
    }

    #[test]
    fn types_are_renamed_or_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.txt");
        std::fs::write(&path, "LOC location\nMISC\tO\n").unwrap();
        let mut sentences = [sentence()];
        sentences[0].spans.push(Span { start: 2, end: 3, label: "MISC".to_owned() });
        TypeMap::read(&path).unwrap().apply(&mut sentences);
        assert_eq!(sentences[0].spans.len(), 1);
        assert_eq!(sentences[0].spans[0].label, "location");
        std::fs::write(&path, "LOC\n").unwrap();
        let error = TypeMap::read(&path).unwrap_err().to_string();
        assert!(error.ends_with("map.txt:1: `LOC` maps no type; expected `SOURCE_TYPE TARGET_TYPE` (`O` as target type drops a type)"), "{error}");
    }

    #[test]
    fn larger_samples_contain_smaller_ones() {
        let all: Vec<Sentence> =
            (0..50).map(|at| Sentence { id: Some(at.to_string()), ..Sentence::default() }).collect();
        let (small, large) = (nested_sample(&all, 5, 3), nested_sample(&all, 20, 3));
        assert!(small.iter().all(|sentence| large.contains(sentence)));
        assert_ne!(small, nested_sample(&all, 5, 4));
        assert_eq!(nested_sample(&all, 99, 3), all);
    }
}
