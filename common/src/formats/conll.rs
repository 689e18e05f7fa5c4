//! CoNLL columns: one word per line, blank line between sentences (CoNLL-2002/2003, WNUT, CoNLL-U-like).

use std::io::BufRead;
use std::path::Path;

use super::{Lines, ParseError, Scheme, Sentence, open};

/// Which columns hold what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConllOptions {
    /// Column of the word; negative counts from the end. `None`: 0, or 1 where a running index from 0 or 1 is column 0.
    pub word: Option<isize>,
    /// Column of the tag; negative counts from the end. `None`: the last, or 2 behind a running index.
    pub tag: Option<isize>,
    /// Tag scheme; `None`: the one that explains the whole file.
    pub scheme: Option<Scheme>,
    /// Whether there is a tag column at all.
    pub tagged: bool,
    /// Whether only entities that are well formed in the scheme count; else tags are read leniently.
    pub strict: bool,
}

impl Default for ConllOptions {
    /// Columns and scheme found out from the file, tags expected.
    fn default() -> Self {
        Self { word: None, tag: None, scheme: None, tagged: true, strict: false }
    }
}

/// A file's sentences and what was noticed while reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Corpus {
    /// Sentences in order.
    pub sentences: Vec<Sentence>,
    /// Scheme that was given or found.
    pub scheme: Scheme,
    /// Tags that this scheme would write differently.
    pub repaired_tags: usize,
    /// Whether columns were split at tabs; else at runs of spaces.
    pub tabs: bool,
}

/// Sentences of a column file, plain or gzip.
///
/// # Errors
/// [`ParseError`] with the line: ragged columns, mixed separators, tags that are no tags, an empty file.
pub fn read(path: &Path, options: &ConllOptions) -> Result<Corpus, ParseError> {
    let mut reader = Reader::new(open(path)?, options);
    let (mut sentences, mut tags) = (Vec::new(), Vec::new());
    while let Some((sentence, its_tags)) = reader.next_sentence()? {
        sentences.push(sentence);
        tags.push(its_tags);
    }
    if sentences.is_empty() {
        return Err(ParseError::new(
            path,
            1,
            "no sentence; expected one word per line",
            "is the file empty?",
        ));
    }
    let scheme = options.scheme.unwrap_or_else(|| Scheme::detect(tags.iter().map(Vec::as_slice)));
    let mut repaired_tags = 0;
    for (sentence, tags) in sentences.iter_mut().zip(&tags) {
        let decoded = scheme.decode(tags);
        repaired_tags += decoded.repaired;
        sentence.spans = match options.strict {
            true => {
                scheme.decode_strict(tags).map_err(|error| ParseError::new(path, 0, error.to_string(), ""))?
            }
            false => decoded.spans,
        };
    }
    Ok(Corpus { sentences, scheme, repaired_tags, tabs: reader.tabs == Some(true) })
}

/// One sentence as columns with tags, `word TAB tag` per line and a blank line at the end.
pub fn to_text(words: &[String], tags: &[String]) -> String {
    let lines: String = words.iter().zip(tags).map(|(word, tag)| format!("{word}\t{tag}\n")).collect();
    lines + "\n"
}

/// Sentences of a stream, one by one; the tags are text, since their scheme shows only at the end.
#[derive(Debug)]
pub struct Reader<R> {
    lines: Lines<R>,
    options: ConllOptions,
    tabs: Option<bool>,
    indexed: Option<bool>,
    columns: usize,
}

impl<R: BufRead> Reader<R> {
    /// Reads columns from `lines`.
    pub fn new(lines: Lines<R>, options: &ConllOptions) -> Self {
        Self { lines, options: *options, tabs: None, indexed: None, columns: 0 }
    }

    /// Next sentence (without spans) and its tags; no tags where the options say that there are none.
    ///
    /// # Errors
    /// [`ParseError`] with the line.
    pub fn next_sentence(&mut self) -> Result<Option<(Sentence, Vec<String>)>, ParseError> {
        let (mut sentence, mut tags) = (Sentence::default(), Vec::new());
        let path = self.lines.path().to_owned();
        while let Some((number, line)) = self.lines.next_line()? {
            let fail = |problem: String, hint: &str| Err(ParseError::new(&path, number, problem, hint));
            if line.trim().is_empty() || line.starts_with("-DOCSTART-") {
                if sentence.words.is_empty() {
                    continue;
                }
                return Ok(Some((sentence, tags)));
            }
            if sentence.words.is_empty() && self.indexed != Some(false) && is_comment(line) {
                if let Some(id) = line.strip_prefix("# sent_id = ") {
                    sentence.id = Some(id.to_owned());
                }
                continue;
            }
            let tabs = *self.tabs.get_or_insert(line.contains('\t'));
            let columns: Vec<&str> = split(line, tabs);
            if self.columns == 0 {
                self.columns = columns.len();
                self.indexed = Some(columns.len() > 2 && matches!(columns[0], "0" | "1"));
            }
            if columns.len() != self.columns {
                let separator = if tabs { "tabs" } else { "spaces" };
                let problem = format!("{} columns, expected {} as before", columns.len(), self.columns);
                return fail(problem, &format!("columns are split at {separator}: are separators mixed?"));
            }
            let indexed = self.indexed == Some(true);
            let word_column = self.options.word.unwrap_or(indexed as isize);
            let Some(word) = column(&columns, word_column) else {
                return fail(format!("no word column {word_column} among {} columns", columns.len()), "");
            };
            if self.options.tagged {
                let tag_column = self.options.tag.unwrap_or(if indexed { 2 } else { -1 });
                let Some(tag) = column(&columns, tag_column).filter(|_| columns.len() > 1) else {
                    return fail(
                        format!("no tag column {tag_column} among {} columns", columns.len()),
                        "is the file tagged?",
                    );
                };
                if !is_tag(tag) {
                    let problem = format!("`{tag}` is not a tag; expected `O` or `B-TYPE`, `I-TYPE` …");
                    return fail(problem, "choose another tag column?");
                }
                tags.push(tag.to_owned());
            }
            sentence.words.push(word.to_owned());
        }
        Ok((!sentence.words.is_empty()).then_some((sentence, tags)))
    }
}

/// Comments stand before the first word of CoNLL-U-like files; a tweet's token may be `#`.
fn is_comment(line: &str) -> bool {
    line.starts_with("# ") && (line.contains(" = ") || line.contains("newdoc"))
}

fn split(line: &str, tabs: bool) -> Vec<&str> {
    match tabs {
        true => line.split('\t').collect(),
        false => line.split_ascii_whitespace().collect(),
    }
}

fn column<'a>(columns: &[&'a str], index: isize) -> Option<&'a str> {
    let place = if index < 0 { columns.len().checked_add_signed(index)? } else { index as usize };
    columns.get(place).copied()
}

pub(super) fn is_tag(tag: &str) -> bool {
    let prefixes = b"BIESLU";
    tag == "O" || matches!(tag.as_bytes(), [prefix, b'-', _, ..] if prefixes.contains(prefix))
}
