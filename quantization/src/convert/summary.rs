//! What was written: types, sizes, errors.

use super::pieces::Squares;
use crate::ggml::GgmlType;

/// A tensor that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorReport {
    /// Name in the file.
    pub name: String,
    /// Sizes, the contiguous dimension first.
    pub dims: Vec<usize>,
    /// Type that it was read in.
    pub from: String,
    /// Type that it was written in.
    pub to: String,
    /// Type that was wanted, where its rows do not fill that type's blocks.
    pub wanted: Option<GgmlType>,
    /// Whether it was to be packed, and was not: its sides are no multiples of 32.
    pub unpacked: bool,
    /// Whether it was quantized, rather than kept or widened.
    pub quantized: bool,
    /// Weights.
    pub weights: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Squares of weights and errors, where they were measured.
    pub squares: Option<Squares>,
}

/// All tensors that were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// In the order of the file.
    pub tensors: Vec<TensorReport>,
    /// Bytes of the whole file.
    pub file_bytes: u64,
}

/// What one type holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// Name of the type.
    pub kind: String,
    /// Tensors of it.
    pub tensors: usize,
    /// Weights in them.
    pub weights: u64,
    /// Bytes of them.
    pub bytes: u64,
}

impl Summary {
    /// Histogram of types, most bytes first.
    pub fn shares(&self) -> Vec<Share> {
        let mut shares: Vec<Share> = Vec::new();
        for tensor in &self.tensors {
            let place = shares.iter().position(|share| share.kind == tensor.to).unwrap_or_else(|| {
                shares.push(Share { kind: tensor.to.clone(), tensors: 0, weights: 0, bytes: 0 });
                shares.len() - 1
            });
            shares[place].tensors += 1;
            shares[place].weights += tensor.weights;
            shares[place].bytes += tensor.bytes;
        }
        shares.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.kind.cmp(&b.kind)));
        shares
    }

    /// Bits per weight of the quantized tensors, scales included; `None` without any.
    pub fn quantized_bits(&self) -> Option<f64> {
        let quantized = self.tensors.iter().filter(|tensor| tensor.quantized);
        let (bytes, weights) =
            quantized.fold((0, 0), |(bytes, weights), t| (bytes + t.bytes, weights + t.weights));
        (weights > 0).then(|| 8.0 * bytes as f64 / weights as f64)
    }

    /// Bits of the whole file per weight, header included; `None` without weights.
    pub fn file_bits(&self) -> Option<f64> {
        let weights: u64 = self.tensors.iter().map(|tensor| tensor.weights).sum();
        (weights > 0).then(|| 8.0 * self.file_bytes as f64 / weights as f64)
    }

    /// Tensors that got another type than wanted, or were left as they are.
    pub fn fall_backs(&self) -> impl Iterator<Item = &TensorReport> {
        self.tensors.iter().filter(|tensor| tensor.wanted.is_some() || tensor.unpacked)
    }
}
