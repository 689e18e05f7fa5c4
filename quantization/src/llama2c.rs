//! llama2.c's "legacy" checkpoint and its tokenizer file.
//!
//! ```text
//! checkpoint: i32 dim, hidden, layers, heads, kv heads, vocabulary (negative: own output matrix), context | f32 tensors
//! tokenizer:  u32 longest piece | pieces × { f32 score | i32 length | bytes }
//! ```
//! Everything is little-endian. Source: llama2.c, `run.c` and `export.py` (version 0).

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::atomic::{AtomicError, AtomicFile, read_exact_at};

/// Bytes in front of the tensors.
const HEADER: u64 = 28;
/// Ours: larger sizes are taken for damage, and products of smaller ones fit in 64 bits; published models stay below 2¹⁸.
const LARGEST: i32 = 1 << 22;
/// Ours, likewise; published models stay below 2⁷.
const MOST_LAYERS: i32 = 1 << 12;

/// A file of llama2.c that could not be read or written.
#[derive(Debug, Error)]
pub enum Llama2cError {
    /// The file cannot be opened or read.
    #[error("{path}: {problem}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        problem: io::Error,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] AtomicError),
    /// The file is something else or damaged.
    #[error("{path}: {problem}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: FormatError,
    },
}

/// Content that is no checkpoint or tokenizer of llama2.c.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FormatError {
    /// The newer checkpoint format.
    #[error(
        "starts with `ak42`: this is version 1 or 2 of llama2.c's format, expected the legacy version 0; export with `--version 0`"
    )]
    Version,
    /// A number of the header that cannot be.
    #[error("byte {at}: {what} is {found}, expected {expected}: this is not a llama2.c checkpoint")]
    Field {
        /// Where.
        at: usize,
        /// Name of the number.
        what: &'static str,
        /// The number.
        found: i32,
        /// What it should be.
        expected: String,
    },
    /// A file of another length than the header says.
    #[error("has {found} bytes, its header takes {expected}: the file is truncated or of another format")]
    Size {
        /// Bytes of the file.
        found: u64,
        /// Bytes by the header.
        expected: u64,
    },
    /// A tokenizer that ends early or whose piece is too long.
    #[error("byte {at}: piece {piece} {problem}: this is not a llama2.c tokenizer, or it is truncated")]
    Piece {
        /// Where.
        at: usize,
        /// Number of the piece.
        piece: usize,
        /// What is wrong.
        problem: String,
    },
    /// Another number of pieces than the model's vocabulary.
    #[error(
        "has {found} pieces, the model's vocabulary {expected}: take the tokenizer that the model was trained with"
    )]
    Vocabulary {
        /// Pieces in the file.
        found: usize,
        /// Pieces that the model has.
        expected: usize,
    },
    /// Weights of the wrong number.
    #[error("{tensor:?} comes with {found} weights, expected {expected}")]
    Weights {
        /// The tensor.
        tensor: Tensor,
        /// Weights that came.
        found: usize,
        /// Weights by the header.
        expected: usize,
    },
}

/// Sizes of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Width of the residual stream.
    pub dim: usize,
    /// Width inside the feed-forward layers.
    pub hidden_dim: usize,
    /// Number of layers.
    pub layers: usize,
    /// Query heads; `dim` is a multiple.
    pub heads: usize,
    /// Key and value heads; `heads` is a multiple.
    pub kv_heads: usize,
    /// Tokens in the vocabulary.
    pub vocab: usize,
    /// Longest sequence.
    pub context: usize,
    /// Whether the output matrix is the token embedding.
    pub tied: bool,
}

/// A tensor by its role; those of a layer carry its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tensor {
    /// `[vocab, dim]`.
    TokenEmbedding,
    /// `[dim]`.
    AttentionNorm(usize),
    /// `[dim, dim]`, rows are outputs.
    Query(usize),
    /// `[kv width, dim]`.
    Key(usize),
    /// `[kv width, dim]`.
    Value(usize),
    /// `[dim, dim]`.
    AttentionOutput(usize),
    /// `[dim]`.
    FeedForwardNorm(usize),
    /// `w1`, `[hidden, dim]`.
    Gate(usize),
    /// `w2`, `[dim, hidden]`.
    Down(usize),
    /// `w3`, `[hidden, dim]`.
    Up(usize),
    /// `[dim]`.
    FinalNorm,
    /// Unused table of cosines, `[context, head width / 2]`.
    RotaryCosine,
    /// Unused table of sines, `[context, head width / 2]`.
    RotarySine,
    /// `[vocab, dim]`, absent when tied.
    Output,
}

impl Config {
    /// The sizes in the first 28 bytes.
    ///
    /// # Errors
    /// [`FormatError`] for numbers that no model has.
    pub fn from_header(header: &[u8; 28]) -> Result<Self, FormatError> {
        if header.starts_with(b"24ka") {
            return Err(FormatError::Version);
        }
        let number = |at: usize| i32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let within = |at, what, most: i32| {
            let found: i32 = number(at);
            if (1..=most).contains(&found) {
                return Ok(found as usize);
            }
            Err(FormatError::Field { at, what, found, expected: format!("1 to {most}") })
        };
        let positive = |at, what| within(at, what, LARGEST);
        let vocab = number(20);
        if vocab == 0 || vocab.unsigned_abs() > LARGEST as u32 {
            let expected = format!("±1 to ±{LARGEST}");
            return Err(FormatError::Field { at: 20, what: "the vocabulary", found: vocab, expected });
        }
        let config = Self {
            dim: positive(0, "the width")?,
            hidden_dim: positive(4, "the hidden width")?,
            layers: within(8, "the number of layers", MOST_LAYERS)?,
            heads: positive(12, "the number of heads")?,
            kv_heads: positive(16, "the number of key heads")?,
            vocab: vocab.unsigned_abs() as usize,
            context: positive(24, "the context")?,
            tied: vocab > 0,
        };
        config.check_heads()?;
        Ok(config)
    }

    fn check_heads(&self) -> Result<(), FormatError> {
        let field = |at, what, found: usize, expected| {
            Err(FormatError::Field { at, what, found: found as i32, expected })
        };
        if !self.dim.is_multiple_of(2 * self.heads) {
            return field(
                12,
                "the number of heads",
                self.heads,
                format!("a divisor of half the width {}", self.dim),
            );
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return field(
                16,
                "the number of key heads",
                self.kv_heads,
                format!("a divisor of {} heads", self.heads),
            );
        }
        Ok(())
    }

    /// Width of keys and values.
    pub fn kv_dim(&self) -> usize {
        self.dim / self.heads * self.kv_heads
    }

    /// Bytes of a checkpoint with these sizes.
    pub fn file_bytes(&self) -> u64 {
        HEADER + 4 * self.groups().iter().map(|&(_, weights)| weights).sum::<u64>()
    }

    /// Rows and columns of a tensor, rows being outputs; vectors have one row. `None` where the model lacks it.
    pub fn shape(&self, tensor: Tensor) -> Option<[usize; 2]> {
        let (dim, hidden, kv) = (self.dim, self.hidden_dim, self.kv_dim());
        let layer = |at: usize, shape| (at < self.layers).then_some(shape);
        match tensor {
            Tensor::TokenEmbedding => Some([self.vocab, dim]),
            Tensor::AttentionNorm(at) | Tensor::FeedForwardNorm(at) => layer(at, [1, dim]),
            Tensor::Query(at) | Tensor::AttentionOutput(at) => layer(at, [dim, dim]),
            Tensor::Key(at) | Tensor::Value(at) => layer(at, [kv, dim]),
            Tensor::Gate(at) | Tensor::Up(at) => layer(at, [hidden, dim]),
            Tensor::Down(at) => layer(at, [dim, hidden]),
            Tensor::FinalNorm => Some([1, dim]),
            Tensor::RotaryCosine | Tensor::RotarySine => Some([self.context, dim / self.heads / 2]),
            Tensor::Output => (!self.tied).then_some([self.vocab, dim]),
        }
    }

    /// Every tensor in file order.
    pub fn tensors(&self) -> Vec<Tensor> {
        use Tensor::*;
        let mut all = vec![TokenEmbedding];
        for role in [AttentionNorm, Query, Key, Value, AttentionOutput, FeedForwardNorm, Gate, Down, Up]
            as [fn(usize) -> Tensor; 9]
        {
            all.extend((0..self.layers).map(role));
        }
        all.extend([FinalNorm, RotaryCosine, RotarySine]);
        all.extend((!self.tied).then_some(Output));
        all
    }

    /// Bytes of a tensor in the file, `None` where the model lacks it.
    pub fn range(&self, tensor: Tensor) -> Option<Range<u64>> {
        let [rows, columns] = self.shape(tensor)?;
        let (group, layer) = place(tensor);
        let before: u64 = self.groups()[..group].iter().map(|&(_, weights)| weights).sum();
        let weights = rows as u64 * columns as u64;
        let start = HEADER + 4 * (before + layer as u64 * weights);
        Some(start..start + 4 * weights)
    }

    /// Weights of each run of equal roles, all layers together, in file order.
    fn groups(&self) -> Vec<(Tensor, u64)> {
        use Tensor::*;
        let layers = self.layers as u64;
        let size = |tensor| self.shape(tensor).map_or(0, |[rows, columns]| rows as u64 * columns as u64);
        let per_layer = [
            AttentionNorm(0),
            Query(0),
            Key(0),
            Value(0),
            AttentionOutput(0),
            FeedForwardNorm(0),
            Gate(0),
            Down(0),
            Up(0),
        ];
        let mut groups = vec![(TokenEmbedding, size(TokenEmbedding))];
        groups.extend(per_layer.map(|tensor| (tensor, layers * size(tensor))));
        groups.extend([FinalNorm, RotaryCosine, RotarySine, Output].map(|tensor| (tensor, size(tensor))));
        groups
    }

    fn header(&self) -> Vec<u8> {
        let vocab = if self.tied { self.vocab as i32 } else { -(self.vocab as i32) };
        let sizes =
            [self.dim, self.hidden_dim, self.layers, self.heads, self.kv_heads].map(|size| size as i32);
        let all = sizes.into_iter().chain([vocab, self.context as i32]);
        all.flat_map(i32::to_le_bytes).collect()
    }
}

/// Group in file order and layer of a tensor.
fn place(tensor: Tensor) -> (usize, usize) {
    use Tensor::*;
    match tensor {
        TokenEmbedding => (0, 0),
        AttentionNorm(layer) => (1, layer),
        Query(layer) => (2, layer),
        Key(layer) => (3, layer),
        Value(layer) => (4, layer),
        AttentionOutput(layer) => (5, layer),
        FeedForwardNorm(layer) => (6, layer),
        Gate(layer) => (7, layer),
        Down(layer) => (8, layer),
        Up(layer) => (9, layer),
        FinalNorm => (10, 0),
        RotaryCosine => (11, 0),
        RotarySine => (12, 0),
        Output => (13, 0),
    }
}

/// An open checkpoint; weights stay on disk.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    file: File,
    config: Config,
}

impl Checkpoint {
    /// Reads the header and checks the file's length against it, to the byte.
    ///
    /// # Errors
    /// [`Llama2cError`] when the file cannot be read or is no legacy checkpoint.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Llama2cError> {
        let path = path.as_ref().to_owned();
        let io = |problem| Llama2cError::Io { path: path.clone(), problem };
        let content = |problem| Llama2cError::Content { path: path.clone(), problem };
        let file = File::open(&path).map_err(io)?;
        let found = file.metadata().map_err(io)?.len();
        if found < HEADER {
            return Err(content(FormatError::Size { found, expected: HEADER }));
        }
        let mut header = [0; 28];
        read_exact_at(&file, &mut header, 0).map_err(io)?;
        let config = Config::from_header(&header).map_err(content)?;
        let expected = config.file_bytes();
        if found != expected {
            return Err(content(FormatError::Size { found, expected }));
        }
        Ok(Self { path, file, config })
    }

    /// Sizes of the model.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Weights of a tensor, `None` where the model lacks it.
    ///
    /// # Errors
    /// [`Llama2cError::Io`] when reading fails.
    pub fn read(&self, tensor: Tensor) -> Result<Option<Vec<f32>>, Llama2cError> {
        let Some(range) = self.config.range(tensor) else { return Ok(None) };
        let mut bytes = vec![0; (range.end - range.start) as usize];
        read_exact_at(&self.file, &mut bytes, range.start)
            .map_err(|problem| Llama2cError::Io { path: self.path.clone(), problem })?;
        let floats =
            bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four bytes")));
        Ok(Some(floats.collect()))
    }

    /// Writes a checkpoint; `weights` is asked for one tensor after the other in file order.
    ///
    /// # Errors
    /// [`Llama2cError`] when a tensor has the wrong number of weights or the disk refuses; an older file stays.
    pub fn write(
        path: impl AsRef<Path>,
        config: &Config,
        mut weights: impl FnMut(Tensor) -> Vec<f32>,
    ) -> Result<(), Llama2cError> {
        let path = path.as_ref();
        let mut file = AtomicFile::create(path)?;
        file.write(&config.header())?;
        for tensor in config.tensors() {
            let values = weights(tensor);
            let expected = config.shape(tensor).map_or(0, |[rows, columns]| rows * columns);
            if values.len() != expected {
                let problem = FormatError::Weights { tensor, found: values.len(), expected };
                return Err(Llama2cError::Content { path: path.to_owned(), problem });
            }
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            file.write(&bytes)?;
        }
        Ok(file.finish()?)
    }
}

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
