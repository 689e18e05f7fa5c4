//! How hard codes are searched for within a format.

use crate::ggml::{self, EncodeError, GgmlType};

/// How codes and scales are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Search {
    /// As ggml does, byte for byte.
    #[default]
    Ggml,
    /// With the longer search of [`ggml::encode_best`], for the types that have one.
    Best,
}

/// The types that [`Search::Best`] encodes otherwise than ggml.
pub const SEARCHED: [GgmlType; 5] =
    [GgmlType::Q2_K, GgmlType::Q3_K, GgmlType::Q4_K, GgmlType::Q5_K, GgmlType::Q6_K];

impl Search {
    /// Quantizes rows as [`ggml::encode`] does, by this search.
    ///
    /// # Errors
    /// As [`ggml::encode`].
    pub fn encode(
        self,
        kind: GgmlType,
        weights: &[f32],
        row_len: usize,
        importance: Option<&[f32]>,
        out: &mut [u8],
    ) -> Result<(), EncodeError> {
        match self {
            Self::Ggml => ggml::encode(kind, weights, row_len, importance, out),
            Self::Best => ggml::encode_best(kind, weights, row_len, importance, out),
        }
    }
}
