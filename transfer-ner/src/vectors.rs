//! Word vectors in the text formats of GloVe, word2vec and fastText, read by memory map; only wanted rows are kept.
//!
//! GloVe has no header; word2vec and fastText begin with `<words> <width>`. A word may contain spaces (some GloVe files), so
//! a line is split from the right. Of equal words the first stays.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use common::files::{self, FileError};
use memmap2::Mmap;
use rayon::prelude::*;
use thiserror::Error;

/// Bytes of a file that one thread parses at a time. Ours.
const PIECE_BYTES: usize = 1 << 22;

/// Words with a vector each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vectors {
    /// Dimensions.
    pub width: usize,
    /// Words in the order of the file.
    pub words: Vec<String>,
    /// One row per word.
    pub rows: Vec<f32>,
}

/// Which rows of a file are kept.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// All of them.
    All,
    /// The first so many, which are the most frequent words in published files.
    First(usize),
    /// These words.
    Words(&'a HashSet<String>),
    /// These words and the first so many.
    WordsAndFirst(&'a HashSet<String>, usize),
}

/// A file of vectors that cannot be read.
#[derive(Debug, Error)]
pub enum VectorsError {
    /// Unreadable.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line that is none.
    #[error("{path}:{line}: {problem}", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What was found and expected.
        problem: String,
    },
}

impl Vectors {
    /// Vectors of a text file, plain or gzip; the header is found out. `width` is what the caller expects, if anything.
    ///
    /// # Errors
    /// [`VectorsError`] with the line: numbers that are none, another number of them than before or than the header says, fewer
    /// rows than the header says, a width other than expected, an empty file.
    pub fn read(path: &Path, wanted: Wanted<'_>, width: Option<usize>) -> Result<Self, VectorsError> {
        let content = Content::open(path)?;
        let fail = |line: usize, problem: String| VectorsError::Line { path: path.to_owned(), line, problem };
        let text = content.bytes();
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let first = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let header = header_of(first);
        let body = if header.is_some() { &text[(first.len() + 1).min(text.len())..] } else { text };
        let skipped = usize::from(header.is_some());
        let next = body.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let found = match header {
            Some((_, width)) => width,
            None => trim(next).split(|&byte| byte == b' ').count().saturating_sub(1),
        };
        if found == 0 {
            let problem = "no vector; expected `word number number …`, after an optional line `words width`";
            return Err(fail(1, problem.to_owned()));
        }
        if let Some(expected) = width.filter(|expected| *expected != found) {
            let problem = format!("vectors of {found} dimensions, expected {expected} as of the other file");
            return Err(fail(1, problem));
        }
        let pieces = pieces(body);
        let parsed: Vec<Result<Piece<'_>, (usize, String)>> =
            pieces.par_iter().map(|piece| parse(piece, found, wanted)).collect();
        let mut vectors = Self { width: found, ..Self::default() };
        let (mut known, mut line) = (HashSet::new(), skipped);
        for piece in parsed {
            let piece = piece.map_err(|(at, problem)| fail(line + at, problem))?;
            for (at, (word, row)) in piece.words.iter().zip(piece.rows.chunks(found)).enumerate() {
                let place = line - skipped + piece.places[at];
                if (wanted.is_first(place) || wanted.is_named(word)) && known.insert(*word) {
                    vectors.words.push((*word).to_owned());
                    vectors.rows.extend(row);
                }
            }
            line += piece.lines;
        }
        let count = line - skipped;
        if let Some((promised, _)) = header.filter(|(promised, _)| *promised != count) {
            let problem = format!("the header says {promised} words, the file has {count}: was it cut off?");
            return Err(fail(1, problem));
        }
        Ok(vectors)
    }

    /// Row of a word by its place.
    pub fn row(&self, place: usize) -> &[f32] {
        &self.rows[place * self.width..(place + 1) * self.width]
    }

    /// Places of words.
    pub fn index(&self) -> HashMap<&str, usize> {
        self.words.iter().enumerate().map(|(place, word)| (&**word, place)).collect()
    }

    /// Writes the vectors in the form of word2vec, with a header.
    ///
    /// # Errors
    /// [`FileError`]; an older file stays whole.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        files::write_atomic_with(path, |file| {
            let mut out = std::io::BufWriter::new(file);
            writeln!(out, "{} {}", self.words.len(), self.width)?;
            for (place, word) in self.words.iter().enumerate() {
                write!(out, "{word}")?;
                for value in self.row(place) {
                    write!(out, " {value}")?;
                }
                writeln!(out)?;
            }
            out.flush()
        })
    }
}

impl Wanted<'_> {
    fn is_first(self, place: usize) -> bool {
        match self {
            Self::All => true,
            Self::First(most) | Self::WordsAndFirst(_, most) => place < most,
            Self::Words(_) => false,
        }
    }

    fn is_named(self, word: &str) -> bool {
        match self {
            Self::Words(words) | Self::WordsAndFirst(words, _) => words.contains(word),
            _ => false,
        }
    }

    /// Whether a row may be kept as far as its word says; its place is known later.
    fn may_be(self, word: &str, place_in_piece: usize) -> bool {
        self.is_first(place_in_piece) || self.is_named(word)
    }
}

/// Bytes of a file: mapped, or unpacked.
enum Content {
    Mapped(Mmap),
    Unpacked(Vec<u8>),
}

impl Content {
    fn open(path: &Path) -> Result<Self, FileError> {
        let fail = |error: std::io::Error| FileError::content(path, format!("cannot be read: {error}"));
        let file = File::open(path).map_err(fail)?;
        if path.extension().is_some_and(|extension| extension == "gz") {
            let mut unpacked = Vec::new();
            flate2::read::MultiGzDecoder::new(file).read_to_end(&mut unpacked).map_err(fail)?;
            return Ok(Self::Unpacked(unpacked));
        }
        if file.metadata().map_err(fail)?.len() == 0 {
            return Ok(Self::Unpacked(Vec::new())); // an empty file cannot be mapped
        }
        #[expect(unsafe_code, reason = "a file can only be mapped so")]
        // SAFETY: the map is read-only and lives no longer than this call's parsing; bytes are checked as they are read, so a
        // file that another program changes meanwhile gives wrong numbers or an error, as with plain reading.
        let map = unsafe { Mmap::map(&file) }.map_err(fail)?;
        Ok(Self::Mapped(map))
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Unpacked(bytes) => bytes,
        }
    }
}

/// What one stretch of whole lines holds of the wanted rows.
#[derive(Default)]
struct Piece<'a> {
    words: Vec<&'a str>,
    /// Line of each within the piece, from 0.
    places: Vec<usize>,
    rows: Vec<f32>,
    lines: usize,
}

fn trim(line: &[u8]) -> &[u8] {
    line.trim_ascii_end()
}

/// `words width` of a header line.
fn header_of(line: &[u8]) -> Option<(usize, usize)> {
    let text = std::str::from_utf8(trim(line)).ok()?;
    let (words, width) = text.split_once(' ')?;
    Some((words.parse().ok()?, width.parse().ok()?)).filter(|(_, width)| *width > 0)
}

/// Whole lines, about [`PIECE_BYTES`] at a time.
fn pieces(mut body: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while !body.is_empty() {
        let end = match body.get(PIECE_BYTES..) {
            None => body.len(),
            Some(rest) => {
                rest.iter().position(|&byte| byte == b'\n').map_or(body.len(), |at| PIECE_BYTES + at + 1)
            }
        };
        let (piece, rest) = body.split_at(end);
        pieces.push(piece);
        body = rest;
    }
    pieces
}

fn parse<'a>(piece: &'a [u8], width: usize, wanted: Wanted<'_>) -> Result<Piece<'a>, (usize, String)> {
    let mut found = Piece::default();
    for line in piece.split_inclusive(|&byte| byte == b'\n') {
        let line = trim(line);
        found.lines += 1;
        if line.is_empty() {
            return Err((found.lines, "an empty line; expected a word and its vector".to_owned()));
        }
        let fail = |problem: String| (found.lines, problem);
        let (word, numbers) = split_from_right(line, width).map_err(fail)?;
        if !wanted.may_be(word, found.lines - 1) {
            continue;
        }
        let before = found.rows.len();
        for text in numbers.split(|&byte| byte == b' ') {
            let value = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f32>().ok());
            match value.filter(|value| value.is_finite()) {
                Some(value) => found.rows.push(value),
                None => {
                    let text = String::from_utf8_lossy(text);
                    return Err((
                        found.lines,
                        format!("`{text}` is not a number; expected one such as -0.25"),
                    ));
                }
            }
        }
        debug_assert_eq!(found.rows.len() - before, width);
        found.words.push(word);
        found.places.push(found.lines - 1);
    }
    Ok(found)
}

/// The word and the text of the last `width` numbers of a line.
fn split_from_right(line: &[u8], width: usize) -> Result<(&str, &[u8]), String> {
    let mut at = line.len();
    for _ in 0..width {
        match line[..at].iter().rposition(|&byte| byte == b' ') {
            Some(space) => at = space,
            None => {
                let found = line.split(|&byte| byte == b' ').count().saturating_sub(1);
                return Err(format!(
                    "{found} numbers, expected {width} as in the lines before; a header `words width` may be missing or wrong"
                ));
            }
        }
    }
    let word = std::str::from_utf8(&line[..at]).map_err(|_| {
        "the word is not UTF-8 text; convert the file, for example with `iconv -t UTF-8`".to_owned()
    })?;
    // A word of several parts is one of the format; a first part that is a number means that the line is too long.
    if let Some((first, rest)) = word.split_once(' ') {
        let extra = rest.split(' ').all(|part| part.parse::<f32>().is_ok());
        if extra {
            let found = width + rest.split(' ').count();
            return Err(format!("{found} numbers after `{first}`, expected {width} as in the lines before"));
        }
    }
    Ok((word, &line[at + 1..]))
}
