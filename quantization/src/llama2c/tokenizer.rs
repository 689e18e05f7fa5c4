//! Reading and writing the vocabulary.

use std::path::Path;

use super::{FormatError, Llama2cError};
use common::files::AtomicFile;

/// A piece of the vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Score by which merges are chosen, larger first.
    pub score: f32,
    /// Its bytes, ordinary spaces, not always UTF-8.
    pub bytes: Vec<u8>,
}

/// A vocabulary in llama2.c's tokenizer file.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokenizer {
    /// Bytes of the longest piece, as the file says.
    pub longest: u32,
    /// Pieces by token id.
    pub pieces: Vec<Piece>,
}

impl Tokenizer {
    /// Reads a tokenizer file; `vocab` is the number of pieces that the model has, if known.
    ///
    /// # Errors
    /// [`Llama2cError`] when the file cannot be read, is something else or has another number of pieces.
    pub fn read(path: impl AsRef<Path>, vocab: Option<usize>) -> Result<Self, Llama2cError> {
        let path = path.as_ref().to_owned();
        let bytes = std::fs::read(&path);
        let bytes = bytes.map_err(|problem| Llama2cError::Io { path: path.clone(), problem })?;
        let content = |problem| Llama2cError::Content { path: path.clone(), problem };
        let tokenizer = Self::decode(&bytes).map_err(content)?;
        match vocab {
            Some(expected) if expected != tokenizer.pieces.len() => {
                Err(content(FormatError::Vocabulary { found: tokenizer.pieces.len(), expected }))
            }
            _ => Ok(tokenizer),
        }
    }

    /// The tokenizer in these bytes.
    ///
    /// # Errors
    /// [`FormatError::Piece`] when they end early or a length cannot be.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let short = |at, piece| FormatError::Piece { at, piece, problem: "is incomplete".to_owned() };
        let (longest, mut rest) = bytes.split_first_chunk::<4>().ok_or_else(|| short(0, 0))?;
        let longest = u32::from_le_bytes(*longest);
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (at, piece) = (bytes.len() - rest.len(), pieces.len());
            let (score, tail) = rest.split_first_chunk::<4>().ok_or_else(|| short(at, piece))?;
            let (len, tail) = tail.split_first_chunk::<4>().ok_or_else(|| short(at, piece))?;
            let len = u32::from_le_bytes(*len);
            if len > longest {
                let problem = format!("has {len} bytes, expected at most the {longest} of the longest");
                return Err(FormatError::Piece { at, piece, problem });
            }
            let (text, tail) = tail.split_at_checked(len as usize).ok_or_else(|| short(at, piece))?;
            pieces.push(Piece { score: f32::from_le_bytes(*score), bytes: text.to_vec() });
            rest = tail;
        }
        Ok(Self { longest, pieces })
    }

    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.longest.to_le_bytes().to_vec();
        for piece in &self.pieces {
            out.extend(piece.score.to_le_bytes());
            out.extend((piece.bytes.len() as u32).to_le_bytes());
            out.extend(&piece.bytes);
        }
        out
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`Llama2cError::Write`] when the disk refuses; an older file stays.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), Llama2cError> {
        let mut file = AtomicFile::create(path.as_ref())?;
        file.write(&self.encode())?;
        Ok(file.finish()?)
    }
}
