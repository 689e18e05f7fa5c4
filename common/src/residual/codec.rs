//! The codec: centroid id and packed residual codes.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Cells, KmeansConfig, ResidualError, cells, kmeans, nearest, rows};

/// Settings of [`Codec::train`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodecConfig {
    /// Bits per dimension: 1 (ColBERT's default), 2 (its usual setting) or 4.
    pub bits: u32,
    /// Centroids and rounds of k-means.
    pub kmeans: KmeansConfig,
    /// Share of the vectors held out of k-means to choose the cells; ColBERT: 0.05.
    pub held_out: f64,
    /// How the cells are chosen.
    pub cells: Cells,
}

/// Compressed vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compressed {
    /// Centroid of each vector.
    pub centroids: Vec<u32>,
    /// Packed codes, `dim · bits / 8` bytes per vector.
    pub residuals: Vec<u8>,
}

/// Centroids, cells and the decoding table of 256 entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Codec {
    dim: usize,
    bits: u32,
    centroids: Vec<f32>,
    cutoffs: Vec<f32>,
    weights: Vec<f32>,
    /// A byte with the bits inside each field of `bits` reversed.
    reversed: [u8; 256],
}

impl Codec {
    /// A codec learned from `vectors` `[rows, dim]` of unit length: every `1 / held_out`-th row chooses the cells, the
    /// others the centroids, which are normalised as in ColBERT.
    ///
    /// # Errors
    /// [`ResidualError`] for unusable settings, ragged, non-finite or too few vectors.
    pub fn train(
        vectors: &[f32],
        dim: usize,
        config: &CodecConfig,
        run_seed: u64,
    ) -> Result<Self, ResidualError> {
        let count = rows("vectors", vectors, dim)?;
        let every = (1.0 / config.held_out.clamp(1e-6, 0.5)).round() as usize;
        let held = |row: usize| row % every == every - 1 || row + 1 == count;
        let part = |keep: bool| -> Vec<f32> {
            let kept = vectors.chunks_exact(dim).enumerate().filter(|(row, _)| held(*row) == keep);
            kept.flat_map(|(_, vector)| vector.iter().copied()).collect()
        };
        let expected = config.kmeans.centroids + 1;
        let (sample, held_out) = (part(false), part(true));
        if sample.len() < config.kmeans.centroids * dim || held_out.is_empty() {
            return Err(ResidualError::TooFew { found: count, expected });
        }
        let mut centroids = kmeans(&sample, dim, config.kmeans, run_seed)?;
        centroids.chunks_exact_mut(dim).for_each(normalize);
        let owners = nearest(&held_out, &centroids, dim);
        let residuals = residuals(&held_out, &centroids, dim, &owners);
        let (cutoffs, weights) = cells(config.cells, &residuals, config.bits);
        Self::from_parts(dim, config.bits, centroids, cutoffs, weights)
    }

    /// A codec of given centroids `[centroids, dim]`, `2^bits − 1` ascending cut-offs and `2^bits` weights.
    ///
    /// # Errors
    /// [`ResidualError`] when they do not fit.
    pub fn from_parts(
        dim: usize,
        bits: u32,
        centroids: Vec<f32>,
        cutoffs: Vec<f32>,
        weights: Vec<f32>,
    ) -> Result<Self, ResidualError> {
        if ![1, 2, 4].contains(&bits) {
            return Err(ResidualError::Bits(bits));
        }
        if dim == 0 || !dim.is_multiple_of(8 * bits as usize) {
            return Err(ResidualError::Dim { dim, bits });
        }
        rows("centroids", &centroids, dim)?;
        let count = 1 << bits;
        for (name, found, expected) in
            [("cut-offs", cutoffs.len(), count - 1), ("weights", weights.len(), count)]
        {
            if found != expected {
                return Err(ResidualError::Cells { name, found, expected, bits });
            }
        }
        Ok(Self { dim, bits, centroids, cutoffs, weights, reversed: reversal_table(bits) })
    }

    /// Components per vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Bits per component.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Centroids, `[centroids, dim]`.
    pub fn centroids(&self) -> &[f32] {
        &self.centroids
    }

    /// Cut-offs between codes, ascending.
    pub fn cutoffs(&self) -> &[f32] {
        &self.cutoffs
    }

    /// Value of each code.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Bytes per vector: 4 of the centroid's id and `dim · bits / 8` of codes; 36 for 128 dimensions at 2 bits.
    pub fn vector_bytes(&self) -> usize {
        4 + self.packed_bytes()
    }

    fn packed_bytes(&self) -> usize {
        self.dim * self.bits as usize / 8
    }

    /// Compressed form of `vectors` `[rows, dim]`: the centroid of greatest dot product, and the number of cut-offs below
    /// each component of the rest. The bits of a code are written from the least significant, bytes filled from the most
    /// significant.
    ///
    /// # Errors
    /// [`ResidualError`] for ragged or non-finite vectors.
    pub fn compress(&self, vectors: &[f32]) -> Result<Compressed, ResidualError> {
        rows("vectors", vectors, self.dim)?;
        let centroids = nearest(vectors, &self.centroids, self.dim);
        let residuals = residuals(vectors, &self.centroids, self.dim, &centroids);
        let per_byte = 8 / self.bits as usize;
        let pack = |values: &[f32]| {
            let codes = values.iter().fold(0, |byte, &value| byte << self.bits | self.code(value));
            self.reversed[codes as usize]
        };
        let residuals = residuals.par_chunks(per_byte).map(pack).collect();
        Ok(Compressed { centroids, residuals })
    }

    fn code(&self, value: f32) -> u32 {
        self.cutoffs.iter().filter(|&&cutoff| cutoff < value).count() as u32
    }

    /// Vectors `[rows, dim]` of unit length: centroid plus the value of each code, normalised.
    ///
    /// # Errors
    /// [`ResidualError`] when the codes do not belong to this codec.
    pub fn decompress(&self, compressed: &Compressed) -> Result<Vec<f32>, ResidualError> {
        let bytes = self.packed_bytes();
        if compressed.residuals.len() != bytes * compressed.centroids.len() {
            return Err(ResidualError::Rows {
                name: "residuals",
                found: compressed.residuals.len(),
                dim: bytes,
            });
        }
        let count = self.centroids.len() / self.dim;
        if let Some(row) = compressed.centroids.iter().position(|&id| id as usize >= count) {
            return Err(ResidualError::Centroid { row, found: compressed.centroids[row], centroids: count });
        }
        let mut vectors = vec![0.0; self.dim * compressed.centroids.len()];
        vectors
            .par_chunks_mut(self.dim)
            .zip(compressed.residuals.par_chunks(bytes))
            .zip(&compressed.centroids)
            .for_each(|((vector, packed), &id)| self.decode(vector, packed, id));
        Ok(vectors)
    }

    fn decode(&self, vector: &mut [f32], packed: &[u8], id: u32) {
        let per_byte = 8 / self.bits as usize;
        let centroid = &self.centroids[id as usize * self.dim..][..self.dim];
        for ((out, centroid), &byte) in
            vector.chunks_exact_mut(per_byte).zip(centroid.chunks_exact(per_byte)).zip(packed)
        {
            let fields = self.reversed[byte as usize];
            for (place, (out, centroid)) in out.iter_mut().zip(centroid).enumerate() {
                let shift = 8 - self.bits * (place as u32 + 1);
                let code = fields >> shift & ((1_u16 << self.bits) - 1) as u8;
                *out = centroid + self.weights[code as usize];
            }
        }
        normalize(vector);
    }
}

/// Every byte with the bits inside each field of `bits` reversed; its own inverse.
fn reversal_table(bits: u32) -> [u8; 256] {
    std::array::from_fn(|byte| {
        let mut reversed = 0_u8;
        for bit in 0..8_u32 {
            let field = bit / bits * bits;
            let target = field + (bits - 1 - (bit - field));
            reversed |= ((byte >> bit & 1) as u8) << target;
        }
        reversed
    })
}

fn residuals(vectors: &[f32], centroids: &[f32], dim: usize, owners: &[u32]) -> Vec<f32> {
    let minus = |(vector, &owner): (&[f32], &u32)| {
        let centroid = &centroids[owner as usize * dim..][..dim];
        vector.iter().zip(centroid).map(|(x, c)| x - c).collect::<Vec<f32>>()
    };
    vectors.chunks_exact(dim).zip(owners).flat_map(minus).collect()
}

/// Divides by the Euclidean length, at least 1e-12 as `torch.nn.functional.normalize` does.
fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt().max(1e-12) as f32;
    vector.iter_mut().for_each(|x| *x /= length);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec(bits: u32) -> Codec {
        let count = 1_usize << bits;
        let weights: Vec<f32> = (0..count).map(|i| i as f32 / count as f32 - 0.5).collect();
        let cutoffs = weights.windows(2).map(|pair| 0.5 * (pair[0] + pair[1])).collect();
        let dim = 8 * bits as usize;
        Codec::from_parts(dim, bits, vec![1.0; dim], cutoffs, weights).unwrap()
    }

    #[test]
    fn low_bits_come_first_and_bytes_fill_from_the_top() {
        // Codes 1, 2, 3, 0 are the bits 10 01 11 00, read as one byte.
        let codec = codec(2);
        let mut vector = vec![1.0 - 0.5; 16];
        for (component, code) in vector.iter_mut().zip([1_u8, 2, 3, 0]) {
            *component = 1.0 + codec.weights()[code as usize];
        }
        let compressed = codec.compress(&vector).unwrap();
        assert_eq!(compressed.residuals, [0b1001_1100, 0, 0, 0]);
    }

    #[test]
    fn reversing_twice_changes_nothing_and_one_bit_is_its_own_reverse() {
        for bits in [1, 2, 4] {
            let table = reversal_table(bits);
            assert!((0..=255).all(|byte| table[table[byte as usize] as usize] == byte));
            assert_eq!(bits == 1, table[0b1000_0000] == 0b1000_0000);
        }
    }

    #[test]
    fn a_component_on_a_cut_off_falls_into_the_lower_cell() {
        let codec = codec(1);
        assert_eq!((codec.code(codec.cutoffs[0]), codec.code(f32::MAX)), (0, 1));
    }

    #[test]
    fn every_value_of_the_cells_returns_for_all_bits() {
        for bits in [1, 2, 4] {
            let codec = codec(bits);
            let vector: Vec<f32> =
                (0..codec.dim()).map(|i| 1.0 + codec.weights()[i * 7 % (1 << bits)]).collect();
            let decoded = codec.decompress(&codec.compress(&vector).unwrap()).unwrap();
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            let worst = decoded.iter().zip(&vector).map(|(d, v)| (d - v / length).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-6, "{bits} bits: {worst}");
        }
    }

    #[test]
    fn foreign_codes_and_unusable_settings_are_named() {
        let codec = codec(2);
        let foreign = Compressed { centroids: vec![1], residuals: vec![0; 4] };
        let messages = [
            codec.decompress(&foreign).unwrap_err().to_string(),
            Codec::from_parts(16, 3, vec![], vec![], vec![]).unwrap_err().to_string(),
            Codec::from_parts(20, 2, vec![], vec![], vec![]).unwrap_err().to_string(),
            codec.compress(&[f32::NAN; 16]).unwrap_err().to_string(),
        ];
        let expected = [
            "vector 0 names centroid 1 of 1; the codes belong to another codec",
            "`bits` is 3, expected 1, 2 or 4, so that whole codes fill a byte",
            "`dim` is 20, expected a positive multiple of 16: codes of 2 bits fill whole bytes then",
            "vectors: number 0 is not finite; remove such vectors first",
        ];
        assert_eq!(messages, expected);
    }
}
