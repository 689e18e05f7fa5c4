//! KNP text (KWDLC, Wikipedia Annotated Corpus): morphemes with named entities on their tags.

use std::path::Path;

use super::{ParseError, Sentence, Span, open};

/// Where entities are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `<NE:TYPE:single|head|middle|tail>` on morphemes (Wikipedia Annotated Corpus).
    Morphemes,
    /// `<NE:TYPE:string>` on the basic phrase that holds the last morpheme (both corpora).
    Phrases,
}

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnpOptions {
    /// Where entities are read from.
    pub tags: Tags,
    /// Whether OPTIONAL entities are kept; IREX scoring leaves them out.
    pub optional: bool,
}

/// A file's sentences and what was noticed while reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corpus {
    /// Sentences in order, one per `EOS`.
    pub sentences: Vec<Sentence>,
    /// Phrase entities whose string is not in their sentence (the annotation has them, rarely); left out.
    pub unplaced: usize,
}

/// Sentences of a KNP file, plain or gzip.
///
/// # Errors
/// [`ParseError`] with the line: a morpheme without fields, a file without `EOS`.
pub fn read(path: &Path, options: &KnpOptions) -> Result<Corpus, ParseError> {
    let mut lines = open(path)?;
    let (mut sentences, mut unplaced) = (Vec::new(), 0);
    let mut unit = Unit::default();
    while let Some((number, line)) = lines.next_line()? {
        if let Some(header) = line.strip_prefix("# S-ID:") {
            unit.id = header.split(' ').next().map(str::to_owned);
        } else if line == "EOS" {
            sentences.push(std::mem::take(&mut unit).finish(options, &mut unplaced));
        } else if is_structure(line) {
            if line.starts_with('+') {
                unit.phrase_start = unit.words.len();
                unit.phrase_entities(line);
            }
        } else {
            unit.morpheme(path, number, line)?;
        }
    }
    if sentences.is_empty() {
        return Err(ParseError::new(path, 1, "no `EOS` line; expected KNP text", "is this another format?"));
    }
    Ok(Corpus { sentences, unplaced })
}

/// Bunsetsu (`*`) and basic-phrase (`+`) lines; a surface may be `*` or `+` too.
fn is_structure(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("* ").or_else(|| line.strip_prefix("+ ")) else { return false };
    let digits = rest.strip_prefix('-').unwrap_or(rest);
    let after = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    after.len() < digits.len() && after.starts_with(['D', 'P', 'I', 'A'])
}

#[derive(Default)]
struct Unit {
    id: Option<String>,
    words: Vec<String>,
    phrase_start: usize,
    /// First morpheme of the phrase, type, string.
    phrases: Vec<(usize, String, String)>,
    morphemes: Vec<Span>,
}

impl Unit {
    fn morpheme(&mut self, path: &Path, number: usize, line: &str) -> Result<(), ParseError> {
        let Some((surface, fields)) = line.split_once(' ') else {
            let problem =
                format!("`{line}` has one field; expected a morpheme with its reading and parts of speech");
            return Err(ParseError::new(path, number, problem, ""));
        };
        let place = self.words.len();
        for entity in fields.split("<NE:").skip(1) {
            let Some((label, position)) = entity.split('>').next().and_then(|body| body.split_once(':'))
            else {
                continue;
            };
            match position {
                "single" | "head" => {
                    self.morphemes.push(Span { start: place, end: place + 1, label: label.to_owned() });
                }
                "middle" | "tail" => {
                    if let Some(span) =
                        self.morphemes.last_mut().filter(|s| s.end == place && s.label == label)
                    {
                        span.end += 1;
                    }
                }
                _ => {}
            }
        }
        self.words.push(surface.to_owned());
        Ok(())
    }

    /// `<NE:TYPE:string>` of newer releases, `<NE type="TYPE" target="string" …>` of old ones.
    fn phrase_entities(&mut self, line: &str) {
        let new = line.split("<NE:").skip(1).filter_map(|rest| {
            let (label, string) = rest.split_once(':')?;
            Some((label, string.split_once('>')?.0))
        });
        let old = line
            .split("<NE ")
            .skip(1)
            .filter_map(|rest| Some((attribute(rest, "type")?, attribute(rest, "target")?)));
        for (label, string) in new.chain(old) {
            self.phrases.push((self.phrase_start, label.to_owned(), string.to_owned()));
        }
    }

    fn finish(mut self, options: &KnpOptions, unplaced: &mut usize) -> Sentence {
        let mut spans = match options.tags {
            Tags::Morphemes => std::mem::take(&mut self.morphemes),
            Tags::Phrases => self.phrases.iter().filter_map(|phrase| self.place(phrase)).collect(),
        };
        if options.tags == Tags::Phrases {
            *unplaced += self.phrases.len() - spans.len();
        }
        spans.retain(|span| options.optional || span.label != "OPTIONAL");
        spans.sort();
        spans.dedup_by(|next, kept| next.start < kept.end);
        Sentence { words: self.words, spans, id: self.id, source: None }
    }

    /// Morphemes of a phrase entity. For the ends after the phrase's first morpheme, nearest first, walk back until
    /// the surfaces are as long as the string, and take the first that are equal to it; where none is, the entity
    /// ends inside a morpheme: take the fewest morphemes that hold it.
    fn place(&self, (first, label, string): &(usize, String, String)) -> Option<Span> {
        let ends = || first + 1..=self.words.len();
        let exact = |end: usize| {
            let mut length = 0;
            let start = (0..end).rev().find(|&start| {
                length += self.words[start].len();
                length >= string.len()
            })?;
            (self.words[start..end].concat() == *string).then_some((start, end))
        };
        let around = |end: usize| {
            let start =
                (0..end).rev().find(|&start| self.words[start..end].concat().contains(string.as_str()))?;
            Some((start, end))
        };
        let (start, end) = ends().find_map(exact).or_else(|| ends().find_map(around))?;
        Some(Span { start, end, label: label.clone() })
    }
}

fn attribute<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split_once(&format!("{name}=\""))?.1.split('"').next()
}
