//! Lines of text files, checked as they come: UTF-8, a byte-order mark, CRLF, gzip, overlong lines.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::ParseError;

/// Longest line that is read, 64 MiB: a longer one is a binary or a mistaken file.
pub const MAX_LINE_BYTES: usize = 1 << 26;

/// Opens a file for reading, through gzip when its name ends in `.gz`.
///
/// # Errors
/// [`ParseError`] at line 0 when it cannot be opened.
pub fn open(path: &Path) -> Result<Lines<Box<dyn BufRead>>, ParseError> {
    let file = File::open(path).map_err(|error| cannot_read(path, 0, &error))?;
    let reader: Box<dyn Read> = match path.extension().is_some_and(|extension| extension == "gz") {
        true => Box::new(MultiGzDecoder::new(BufReader::new(file))),
        false => Box::new(file),
    };
    Ok(Lines::new(path, Box::new(BufReader::with_capacity(1 << 16, reader))))
}

fn cannot_read(path: &Path, line: usize, error: &io::Error) -> ParseError {
    ParseError::new(path, line, format!("cannot be read: {error}"), "")
}

/// The lines of a text, without line ends, with their numbers.
#[derive(Debug)]
pub struct Lines<R> {
    path: PathBuf,
    reader: R,
    number: usize,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Lines of `reader`; `path` is its name in errors.
    pub fn new(path: &Path, reader: R) -> Self {
        Self { path: path.to_owned(), reader, number: 0, buffer: Vec::new() }
    }

    /// Name in errors.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Next line with its number from 1, `None` at the end.
    ///
    /// # Errors
    /// [`ParseError`] for unreadable input, a line over [`MAX_LINE_BYTES`], text that is not UTF-8.
    pub fn next_line(&mut self) -> Result<Option<(usize, &str)>, ParseError> {
        self.buffer.clear();
        self.number += 1;
        let limit = MAX_LINE_BYTES as u64 + 1;
        let read = (&mut self.reader).take(limit).read_until(b'\n', &mut self.buffer);
        if read.map_err(|error| cannot_read(&self.path, self.number, &error))? == 0 {
            return Ok(None);
        }
        if self.buffer.len() as u64 == limit {
            let problem = format!("a line of more than {MAX_LINE_BYTES} bytes; expected text");
            return Err(ParseError::new(&self.path, self.number, problem, "is this a binary file?"));
        }
        let text = std::str::from_utf8(&self.buffer).map_err(|error| ParseError {
            column: Some(error.valid_up_to() + 1),
            ..ParseError::new(
                &self.path,
                self.number,
                "invalid UTF-8; expected UTF-8 text",
                "convert it, for example with `iconv -t UTF-8`",
            )
        })?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let text = if self.number == 1 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
        Ok(Some((self.number, text)))
    }
}
