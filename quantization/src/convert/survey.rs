//! What types would cost, measured on some of a tensor's rows.

use super::pieces::Squares;
use super::{ConvertError, Search};
use crate::ggml::{self, GgmlType};
use crate::model_file::{ModelFile, RowOrder};

/// Weights of a sample. Ours: enough that the relative error of a type is known to about a percent.
const SAMPLED: usize = 1 << 18;

/// Rows spread evenly over a tensor.
pub(super) struct Sample {
    pub(super) weights: Vec<f32>,
    pub(super) row_len: usize,
}

/// A sample of a tensor; all of it when it is small.
pub(super) fn sample(file: &ModelFile, tensor: usize) -> Result<Sample, ConvertError> {
    let entry = &file.tensors()[tensor];
    let (rows, row_len) = (entry.rows(), entry.row_len());
    let taken = (SAMPLED / row_len.max(1)).clamp(1, rows.max(1));
    let (mut weights, mut bytes, mut row) = (Vec::new(), Vec::new(), Vec::new());
    for place in 0..taken {
        let at = place * rows / taken;
        file.read_weights(tensor, RowOrder::Pairs, at..at + 1, &mut bytes, &mut row)?;
        weights.extend_from_slice(&row);
    }
    Ok(Sample { weights, row_len })
}

impl Sample {
    /// The sample after quantization and back.
    pub(super) fn restored(
        &self,
        kind: GgmlType,
        search: Search,
        importance: Option<&[f32]>,
        name: &str,
    ) -> Result<Vec<f32>, ConvertError> {
        let fail = |problem| ConvertError::Encode { name: name.to_owned(), problem };
        let mut bytes = vec![0; self.weights.len() / kind.block_len() * kind.block_bytes()];
        search.encode(kind, &self.weights, self.row_len, importance, &mut bytes).map_err(fail)?;
        let mut restored = vec![0.0; self.weights.len()];
        ggml::decode(kind, &bytes, &mut restored)
            .map_err(|problem| ConvertError::Request(format!("tensor `{name}`: {problem}")))?;
        Ok(restored)
    }
}

/// What a type would cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// The type.
    pub kind: GgmlType,
    /// Bytes of the tensors that can have it.
    pub bytes: u64,
    /// Weights of these tensors.
    pub weights: u64,
    /// Tensors whose rows fill its blocks.
    pub tensors: usize,
    /// Squares over these tensors, from samples.
    pub squares: Squares,
}

/// What each type would cost for these tensors; types that cannot store their values (half-precision overflow) are left out.
///
/// # Errors
/// [`ConvertError`] when a tensor cannot be read or holds a weight that is not finite.
pub fn costs(file: &ModelFile, tensors: &[usize]) -> Result<Vec<Cost>, ConvertError> {
    use GgmlType::{F64, I8, I16, I32, I64, Q8_1, Q8_K};
    let kinds = GgmlType::all().filter(|kind| !matches!(kind, F64 | I8 | I16 | I32 | I64 | Q8_1 | Q8_K));
    let empty = |kind| Cost { kind, bytes: 0, weights: 0, tensors: 0, squares: Squares::default() };
    let mut all: Vec<Cost> = kinds.map(empty).collect();
    let mut overflowed = vec![false; all.len()];
    for &tensor in tensors {
        let entry = &file.tensors()[tensor];
        let sample = sample(file, tensor)?;
        let share = entry.weights() as f64 / sample.weights.len().max(1) as f64;
        for (cost, overflowed) in all.iter_mut().zip(&mut overflowed) {
            let Some(bytes) = cost.kind.bytes(sample.row_len).and_then(|_| cost.kind.bytes(entry.weights()))
            else {
                continue;
            };
            let restored = match sample.restored(cost.kind, Search::Ggml, None, &entry.name) {
                Err(ConvertError::Encode { problem: ggml::EncodeError::Overflow { .. }, .. }) => {
                    *overflowed = true;
                    continue;
                }
                other => other?,
            };
            let squares = Squares::of(&sample.weights, &restored);
            cost.squares.add(Squares { error: share * squares.error, power: share * squares.power });
            cost.bytes += bytes as u64;
            cost.weights += entry.weights() as u64;
            cost.tensors += 1;
        }
    }
    let mut overflowed = overflowed.into_iter();
    all.retain(|cost| !overflowed.next().unwrap_or(false) && cost.tensors > 0);
    all.sort_by(|a, b| b.kind.bits_per_weight().total_cmp(&a.kind.bits_per_weight()));
    Ok(all)
}
