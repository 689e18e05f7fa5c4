//! One tensor in pieces: read, change, encode, measure, hand on.

use std::ops::Range;

use rayon::prelude::*;

use super::{ConvertError, Search};
use crate::ggml::{self, EncodeError, GgmlType};
use crate::model_file::{ModelFile, RowOrder};

/// Weights of a piece. Ours: a quarter of a megabyte of floats stays in the cache, and is work enough for a thread.
const PIECE: usize = 1 << 16;
/// Pieces per thread that are made together while the ones before are written.
const AHEAD: usize = 4;

/// A tensor to be encoded.
pub(super) struct Work<'a> {
    pub(super) file: &'a ModelFile,
    pub(super) tensor: usize,
    pub(super) order: RowOrder,
    pub(super) kind: GgmlType,
    pub(super) importance: Option<&'a [f32]>,
    pub(super) search: Search,
    /// Absmean scale γ: weights become γ·{−1, 0, 1} first.
    pub(super) ternary: Option<f32>,
    /// Whether the error is measured.
    pub(super) measure: bool,
}

/// Squares of weights and errors.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Squares {
    /// `Σ (x − x̂)²`.
    pub error: f64,
    /// `Σ x²`.
    pub power: f64,
}

impl Squares {
    /// `‖x − x̂‖ / ‖x‖`, `None` for all-zero weights.
    pub fn relative_rmse(&self) -> Option<f64> {
        (self.power > 0.0).then(|| (self.error / self.power).sqrt())
    }

    /// Squares of some weights and what became of them.
    pub fn of(weights: &[f32], restored: &[f32]) -> Self {
        let mut squares = Self::default();
        for (&x, &y) in weights.iter().zip(restored) {
            squares.error += (f64::from(x) - f64::from(y)).powi(2);
            squares.power += f64::from(x).powi(2);
        }
        squares
    }

    /// Adds the squares of other weights.
    pub fn add(&mut self, other: Self) {
        self.error += other.error;
        self.power += other.power;
    }
}

/// What a thread needs again and again.
#[derive(Default)]
struct Room {
    bytes: Vec<u8>,
    weights: Vec<f32>,
    changed: Vec<f32>,
    restored: Vec<f32>,
}

/// Rows of a tensor in pieces of about [`PIECE`] weights.
pub(super) fn pieces(rows: usize, row_len: usize) -> Vec<Range<usize>> {
    let each = (PIECE / row_len.max(1)).max(1);
    (0..rows).step_by(each).map(|start| start..(start + each).min(rows)).collect()
}

impl Work<'_> {
    /// Hands the encoded bytes on in order, and returns the squares where they are measured.
    pub(super) fn run(
        &self,
        sink: &mut (dyn FnMut(&[u8]) -> Result<(), ConvertError> + Send),
    ) -> Result<Squares, ConvertError> {
        let entry = &self.file.tensors()[self.tensor];
        let pieces = pieces(entry.rows(), entry.row_len());
        let mut squares = Squares::default();
        let mut ready: Vec<(Vec<u8>, Squares)> = Vec::new();
        let mut write = |ready: &[(Vec<u8>, Squares)]| ready.iter().try_for_each(|(bytes, _)| sink(bytes));
        for batch in pieces.chunks(AHEAD * rayon::current_num_threads()) {
            let make = || -> Result<Vec<_>, ConvertError> {
                let made =
                    batch.par_iter().map_init(Room::default, |room, rows| self.piece(rows.clone(), room));
                made.collect()
            };
            let (written, made) = rayon::join(|| write(&ready), make);
            written?;
            ready = made?;
            ready.iter().for_each(|(_, part)| squares.add(*part));
        }
        write(&ready)?;
        Ok(squares)
    }

    fn piece(&self, rows: Range<usize>, room: &mut Room) -> Result<(Vec<u8>, Squares), ConvertError> {
        let entry = &self.file.tensors()[self.tensor];
        if entry.kind == self.kind && self.ternary.is_none() {
            let mut bytes = Vec::new();
            self.file.read_rows(self.tensor, self.order, rows, &mut bytes)?;
            return Ok((bytes, Squares::default()));
        }
        let first = rows.start;
        self.file.read_weights(self.tensor, self.order, rows, &mut room.bytes, &mut room.weights)?;
        let weights = match self.ternary {
            None => &room.weights,
            Some(scale) => {
                room.changed.clear();
                room.changed.extend(room.weights.iter().map(|&x| absmean(x, scale)));
                &room.changed
            }
        };
        let row_len = entry.row_len();
        let mut bytes = vec![0; weights.len() / self.kind.block_len() * self.kind.block_bytes()];
        self.search.encode(self.kind, weights, row_len, self.importance, &mut bytes).map_err(|problem| {
            ConvertError::Encode { name: entry.name.clone(), problem: moved(problem, first) }
        })?;
        let mut squares = Squares::default();
        if self.measure {
            room.restored.resize(weights.len(), 0.0);
            if ggml::decode(self.kind, &bytes, &mut room.restored).is_ok() {
                squares = Squares::of(&room.weights, &room.restored);
            }
        }
        Ok((bytes, squares))
    }
}

/// `γ · RoundClip(x / γ, −1, 1)`.
pub(super) fn absmean(x: f32, scale: f32) -> f32 {
    (x / scale).round_ties_even().clamp(-1.0, 1.0) * scale
}

/// `γ = mean |x|`, at least 10⁻⁵, of a whole tensor (BitNet b1.58, reference code).
pub(super) fn absmean_scale(file: &ModelFile, tensor: usize) -> Result<f32, ConvertError> {
    let entry = &file.tensors()[tensor];
    let part = |room: &mut Room, rows: &Range<usize>| -> Result<f64, ConvertError> {
        let stored = RowOrder::Pairs;
        file.read_weights(tensor, stored, rows.clone(), &mut room.bytes, &mut room.weights)?;
        Ok(room.weights.iter().map(|x| f64::from(x.abs())).sum())
    };
    let sums = pieces(entry.rows(), entry.row_len());
    let sums: Result<Vec<f64>, _> = sums.par_iter().map_init(Room::default, part).collect();
    let mean = sums?.iter().sum::<f64>() / entry.weights() as f64;
    Ok((mean as f32).max(1e-5))
}

/// The error with its row counted from the start of the tensor.
fn moved(problem: EncodeError, first: usize) -> EncodeError {
    match problem {
        EncodeError::NonFinite { row, column, value } => {
            EncodeError::NonFinite { row: row + first, column, value }
        }
        EncodeError::Overflow { kind, row, column } => {
            EncodeError::Overflow { kind, row: row + first, column }
        }
        other => other,
    }
}
