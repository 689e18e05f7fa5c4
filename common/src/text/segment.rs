//! Words of raw text with their places: by character, at spaces, or by Japanese morphological analysis in pure Rust.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Cursor, Write};
use std::path::{Path, PathBuf};

use encoding_rs::EUC_JP;
use thiserror::Error;
use vibrato::{Dictionary, SystemDictionaryBuilder};

use crate::files::{self, FileError};

/// Name of the segmenter that makes a word of each character.
pub const CHARACTERS: &str = "characters";
/// Name of the segmenter that cuts at spaces.
pub const SPACES: &str = "spaces";

/// Longest run of unknown characters that is one word: MeCab's default.
const MAX_GROUPING: usize = 24;
/// Files of a compiled MeCab dictionary that are read.
pub const COMPILED: [&str; 4] = ["sys.dic", "unk.dic", "char.bin", "matrix.bin"];
/// Files of a MeCab source dictionary beside its lexicon.
const SOURCES: [&str; 3] = ["matrix.def", "char.def", "unk.def"];

/// A dictionary that cannot be used.
#[derive(Debug, Error)]
pub enum SegmentError {
    /// Unreadable or unwritable.
    #[error(transparent)]
    File(#[from] FileError),
    /// Neither kind of dictionary.
    #[error(
        "{path}: no dictionary; expected a file made by `dictionary`, or a folder with a compiled MeCab dictionary \
         (sys.dic, unk.dic, char.bin, matrix.bin)",
        path = path.display()
    )]
    None {
        /// File or folder.
        path: PathBuf,
    },
    /// A dictionary that is damaged or of another version.
    #[error("{path}: {problem}", path = path.display())]
    Content {
        /// File or folder.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// A way to cut text into words.
pub enum Segmenter {
    /// One word per character that is not white space.
    Characters,
    /// At white space.
    Spaces,
    /// By morphological analysis with a dictionary of [`build_dictionary`].
    Vibrato(Box<vibrato::Tokenizer>),
    /// By morphological analysis with a compiled MeCab dictionary, such as those of the Python packages `ipadic` and
    /// `unidic-lite`: slower, and equal to MeCab.
    Mecab(Box<awabi::tokenizer::Tokenizer>),
}

impl std::fmt::Debug for Segmenter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Characters => "Characters",
            Self::Spaces => "Spaces",
            Self::Vibrato(_) => "Vibrato",
            Self::Mecab(_) => "Mecab",
        })
    }
}

impl Segmenter {
    /// The segmenter of a name: `characters`, `spaces`, or the path of a dictionary.
    ///
    /// # Errors
    /// [`SegmentError`] when the path holds no dictionary.
    pub fn open(name: &str) -> Result<Self, SegmentError> {
        match name {
            CHARACTERS => Ok(Self::Characters),
            SPACES => Ok(Self::Spaces),
            path if Path::new(path).is_dir() => mecab(Path::new(path)),
            path => vibrato(Path::new(path)),
        }
    }

    /// Code-point offsets of the words of a text, end exclusive, in order. White space belongs to no word.
    ///
    /// ```
    /// use common::text::segment::Segmenter;
    /// assert_eq!(Segmenter::Spaces.words("東京 へ"), [(0, 2), (3, 4)]);
    /// assert_eq!(Segmenter::Characters.words("東京 へ"), [(0, 1), (1, 2), (3, 4)]);
    /// ```
    pub fn words(&self, text: &str) -> Vec<(usize, usize)> {
        let characters = || text.chars().enumerate().filter(|(_, c)| !c.is_whitespace());
        match self {
            Self::Characters => characters().map(|(place, _)| (place, place + 1)).collect(),
            Self::Spaces => {
                let mut words: Vec<(usize, usize)> = Vec::new();
                for (place, _) in characters() {
                    match words.last_mut() {
                        Some((_, end)) if *end == place => *end += 1,
                        _ => words.push((place, place + 1)),
                    }
                }
                words
            }
            Self::Vibrato(tokenizer) => {
                let mut worker = tokenizer.new_worker();
                worker.reset_sentence(text);
                worker.tokenize();
                let range = |i| worker.token(i).range_char();
                (0..worker.num_tokens()).map(range).map(|range| (range.start, range.end)).collect()
            }
            Self::Mecab(tokenizer) => {
                // Its surfaces leave out the spaces before them, so that each is looked for from the end of the last one.
                let characters: Vec<char> = text.chars().collect();
                let mut end = 0;
                let mut place = |surface: String| {
                    let start = (end..characters.len()).find(|&at| !characters[at].is_whitespace())?;
                    end = start + surface.trim().chars().count();
                    (end > start).then_some((start, end))
                };
                tokenizer.tokenize(text).into_iter().filter_map(|(surface, _)| place(surface)).collect()
            }
        }
    }
}

fn content(path: &Path, problem: impl std::fmt::Display) -> SegmentError {
    SegmentError::Content { path: path.to_owned(), problem: problem.to_string() }
}

fn vibrato(path: &Path) -> Result<Segmenter, SegmentError> {
    let file = File::open(path).map_err(|_| SegmentError::None { path: path.to_owned() })?;
    let damaged = "not a dictionary of this version; build it again with `dictionary`";
    let dictionary = Dictionary::read(BufReader::new(file)).map_err(|_| content(path, damaged))?;
    let tokenizer = vibrato::Tokenizer::new(dictionary).ignore_space(true);
    let tokenizer = tokenizer.map_err(|error| content(path, error))?.max_grouping_len(MAX_GROUPING);
    Ok(Segmenter::Vibrato(Box::new(tokenizer)))
}

fn mecab(folder: &Path) -> Result<Segmenter, SegmentError> {
    if COMPILED.iter().any(|name| !folder.join(name).is_file()) {
        return Err(SegmentError::None { path: folder.to_owned() });
    }
    let absolute = fs::canonicalize(folder).map_err(|error| content(folder, error))?;
    if absolute.to_string_lossy().contains(char::is_whitespace) {
        return Err(content(
            &absolute,
            "the path has a space, which the dictionary's reader cannot take; move the folder",
        ));
    }
    // The reader takes the folder from a settings file only.
    let mut settings = tempfile::NamedTempFile::new().map_err(|error| content(folder, error))?;
    writeln!(settings, "dicdir = {}", absolute.display()).map_err(|error| content(folder, error))?;
    let path = settings.path().to_string_lossy().into_owned();
    // It panics on a damaged dictionary.
    let opened = std::panic::catch_unwind(|| awabi::tokenizer::Tokenizer::new(Some(&path)));
    match opened {
        Ok(Ok(tokenizer)) => Ok(Segmenter::Mecab(Box::new(tokenizer))),
        Ok(Err(error)) => Err(content(folder, error)),
        Err(_) => Err(content(folder, "a damaged MeCab dictionary; install it again")),
    }
}

/// Builds a dictionary file from a MeCab source folder (`*.csv`, `matrix.def`, `char.def`, `unk.def`; EUC-JP or UTF-8),
/// such as Debian's `/usr/share/mecab/dic/ipadic` of the package `mecab-ipadic`.
///
/// # Errors
/// [`SegmentError`] naming the file; an older dictionary of that name stays whole.
pub fn build_dictionary(source: &Path, out: &Path) -> Result<(), SegmentError> {
    let entries = fs::read_dir(source).map_err(|error| content(source, error))?;
    let mut lexicons: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "csv"))
        .collect();
    lexicons.sort();
    if lexicons.is_empty() {
        return Err(content(
            source,
            "no `*.csv`; expected a MeCab source dictionary, such as the package `mecab-ipadic` has",
        ));
    }
    let mut lexicon = String::new();
    for path in lexicons {
        lexicon += &decoded(&path)?;
    }
    let [matrix, characters, unknown] = SOURCES.map(|name| decoded(&source.join(name)));
    let dictionary = SystemDictionaryBuilder::from_readers(
        Cursor::new(lexicon),
        Cursor::new(matrix?),
        Cursor::new(characters?),
        Cursor::new(unknown?),
    );
    let dictionary = dictionary.map_err(|error| content(source, error))?;
    files::write_atomic_with(out, |file| {
        let mut writer = BufWriter::new(file);
        dictionary.write(&mut writer).map_err(std::io::Error::other)?;
        writer.flush()
    })?;
    Ok(())
}

/// The characters of EUC-JP for which browsers, whose mapping the decoder has, disagree with MeCab's `iconv`.
const AS_ICONV: [(char, char); 6] = [
    ('\u{ff5e}', '\u{301c}'), // wave dash
    ('\u{2225}', '\u{2016}'), // double vertical line
    ('\u{ff0d}', '\u{2212}'), // minus sign
    ('\u{ffe0}', '\u{a2}'),   // cent sign
    ('\u{ffe1}', '\u{a3}'),   // pound sign
    ('\u{ffe2}', '\u{ac}'),   // not sign
];

/// A text file in UTF-8, or else in EUC-JP.
fn decoded(path: &Path) -> Result<String, SegmentError> {
    let bytes = fs::read(path).map_err(|error| content(path, error))?;
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error.into_bytes(),
    };
    let (text, bad) = EUC_JP.decode_without_bom_handling(&bytes);
    if bad {
        return Err(content(path, "neither UTF-8 nor EUC-JP"));
    }
    let as_iconv = |c| AS_ICONV.iter().find(|(browser, _)| *browser == c).map_or(c, |(_, iconv)| *iconv);
    Ok(text.chars().map(as_iconv).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A MeCab source dictionary of two words; `～` in EUC-JP is the wave dash.
    fn sources(folder: &Path) {
        let lexicon = EUC_JP.encode("東京,0,0,100,名詞\n都,0,0,100,名詞\n～,0,0,100,記号\n").0.into_owned();
        fs::write(folder.join("words.csv"), lexicon).unwrap();
        fs::write(folder.join("matrix.def"), "1 1\n0 0 0\n").unwrap();
        let categories = "DEFAULT 0 1 0\nSPACE 0 1 0\nKANJI 0 0 2\n0x0020 SPACE\n0x4E00..0x9FFF KANJI\n";
        fs::write(folder.join("char.def"), categories).unwrap();
        let unknown = "DEFAULT,0,0,5000,*\nSPACE,0,0,5000,*\nKANJI,0,0,5000,*\n";
        fs::write(folder.join("unk.def"), unknown).unwrap();
    }

    #[test]
    fn a_dictionary_is_built_and_cuts_text_with_offsets() {
        let folder = tempfile::tempdir().unwrap();
        sources(folder.path());
        let out = folder.path().join("words.dic");
        build_dictionary(folder.path(), &out).unwrap();
        let segmenter = Segmenter::open(&out.display().to_string()).unwrap();
        assert_eq!(segmenter.words("東京都〜 東京"), [(0, 2), (2, 3), (3, 4), (5, 7)]);
        assert_eq!(segmenter.words(""), []);
        assert_eq!(segmenter.words("  "), []);
    }

    #[test]
    fn what_is_no_dictionary_is_refused_with_what_is_expected() {
        let folder = tempfile::tempdir().unwrap();
        let error = |name: &str| Segmenter::open(name).unwrap_err().to_string();
        assert!(error("nowhere").starts_with("nowhere: no dictionary; expected a file made by `dictionary`"));
        let path = folder.path().display().to_string();
        assert!(error(&path).contains("expected a file made by `dictionary`"), "{}", error(&path));
        for name in COMPILED {
            fs::write(folder.path().join(name), "no").unwrap();
        }
        assert!(error(&path).ends_with("a damaged MeCab dictionary; install it again"), "{}", error(&path));
        let file = folder.path().join("x.dic");
        fs::write(&file, "no").unwrap();
        let message = error(&file.display().to_string());
        assert!(
            message.ends_with("not a dictionary of this version; build it again with `dictionary`"),
            "{message}"
        );
        let empty = tempfile::tempdir().unwrap();
        let message = build_dictionary(empty.path(), &file).unwrap_err().to_string();
        assert!(message.contains("no `*.csv`; expected a MeCab source dictionary"), "{message}");
    }
}
