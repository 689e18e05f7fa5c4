//! The codec of an index: centroids of 8 bits per component, residuals of 1, 2 or 4.

use common::residual::{Cells, KmeansConfig, cells, kmeans, nearest};
use rayon::prelude::*;

use super::{IndexConfig, IndexError, default_centroids};

/// Vectors held out of k-means to choose the cells: every 20th, as ColBERT's 5 %.
const HELD_OUT: usize = 20;
/// And at most this many; ColBERT.
const HELD_OUT_MOST: usize = 50_000;
/// Largest code of a centroid's component.
const LARGEST: f32 = 127.0;

/// Centroids and cells: a token is its centroid plus the value of one cell per component, divided by its length.
///
/// A centroid is stored as 8-bit codes and a scale; what they decode to is the centroid everywhere, so that the residuals
/// make up for the rounding.
#[derive(Clone, Debug, PartialEq)]
pub struct Codec {
    pub(super) width: usize,
    pub(super) bits: u32,
    /// `[centroids, width]`.
    pub(super) codes: Vec<i8>,
    /// One per centroid.
    pub(super) scales: Vec<f32>,
    pub(super) cutoffs: Vec<f32>,
    pub(super) weights: Vec<f32>,
    /// Decoded, `[centroids, width]`.
    centroids: Vec<f32>,
}

/// Compressed tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compressed {
    /// Centroid of each token.
    pub centroids: Vec<u32>,
    /// Codes of the residuals, [`Codec::row_bytes`] per token, the first component in the lowest bits.
    pub residuals: Vec<u8>,
}

impl Codec {
    /// A codec learned from `sample`, `[rows, width]`, for a collection of `tokens` tokens. The sample is taken, not borrowed,
    /// since it may be most of the memory that a build needs.
    ///
    /// # Errors
    /// [`IndexError`] for an empty or non-finite sample.
    pub fn train(
        mut sample: Vec<f32>,
        width: usize,
        tokens: usize,
        config: &IndexConfig,
    ) -> Result<Self, IndexError> {
        config.check()?;
        let rows = sample.len() / width;
        if rows == 0 {
            return Err(IndexError::NoVectors);
        }
        let step = HELD_OUT.max(rows.div_ceil(HELD_OUT_MOST));
        let held = |row: usize| rows >= HELD_OUT && row % step == step - 1;
        let (mut held_out, mut kept) = (Vec::new(), 0);
        for row in 0..rows {
            let values = row * width..(row + 1) * width;
            if held(row) {
                held_out.extend_from_slice(&sample[values]);
            } else {
                sample.copy_within(values, kept * width);
                kept += 1;
            }
        }
        sample.truncate(kept * width);
        if held_out.is_empty() {
            held_out.clone_from(&sample);
        }
        let wanted = config.centroids.unwrap_or_else(|| default_centroids(tokens));
        let settings = KmeansConfig { centroids: wanted.min(kept), rounds: config.rounds };
        let mut centroids = kmeans(&sample, width, settings, config.seed)?;
        drop(sample);
        centroids.chunks_exact_mut(width).for_each(normalize);
        let (codes, scales) = rounded(&centroids, width);
        let decoded = decoded(&codes, &scales, width);
        let owners = nearest(&held_out, &decoded, width);
        let residuals: Vec<f32> = held_out
            .chunks_exact(width)
            .zip(&owners)
            .flat_map(|(row, &owner)| row.iter().zip(&decoded[owner as usize * width..]).map(|(x, c)| x - c))
            .collect();
        let (cutoffs, weights) = cells(config.cells, &residuals, config.bits);
        Self::from_parts(width, config.bits, codes, scales, cutoffs, weights)
    }

    /// A codec of given centroids, `[centroids, width]` as floats, which are rounded, and cells.
    ///
    /// # Errors
    /// [`IndexError::Setting`] when sizes disagree.
    pub fn from_centroids(
        width: usize,
        bits: u32,
        centroids: &[f32],
        cutoffs: Vec<f32>,
        weights: Vec<f32>,
    ) -> Result<Self, IndexError> {
        if width == 0 || centroids.is_empty() || !centroids.len().is_multiple_of(width) {
            let found = format!("{} numbers", centroids.len());
            return Err(IndexError::Setting { name: "centroids", found, expected: "at least one whole row" });
        }
        let (codes, scales) = rounded(centroids, width);
        Self::from_parts(width, bits, codes, scales, cutoffs, weights)
    }

    pub(super) fn from_parts(
        width: usize,
        bits: u32,
        codes: Vec<i8>,
        scales: Vec<f32>,
        cutoffs: Vec<f32>,
        weights: Vec<f32>,
    ) -> Result<Self, IndexError> {
        let refuse = |name, found: String, expected| Err(IndexError::Setting { name, found, expected });
        if ![1, 2, 4].contains(&bits) {
            return refuse("bits", bits.to_string(), "1, 2 or 4");
        }
        let count = 1_usize << bits;
        if cutoffs.len() + 1 != count || weights.len() != count {
            let found = format!("{} cut-offs and {} weights", cutoffs.len(), weights.len());
            return refuse("cells", found, "2^bits - 1 cut-offs and 2^bits weights");
        }
        let numbers = scales.iter().chain(&cutoffs).chain(&weights);
        if numbers.into_iter().any(|x| !x.is_finite()) {
            return refuse("codec", "a number that is not finite".to_owned(), "finite numbers");
        }
        let centroids = decoded(&codes, &scales, width);
        Ok(Self { width, bits, codes, scales, cutoffs, weights, centroids })
    }

    /// Components per token.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Bits per component.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Number of centroids.
    pub fn len(&self) -> usize {
        self.scales.len()
    }

    /// Whether there is no centroid; never.
    pub fn is_empty(&self) -> bool {
        self.scales.is_empty()
    }

    /// Centroids, `[centroids, width]`.
    pub fn centroids(&self) -> &[f32] {
        &self.centroids
    }

    /// 8-bit codes of the centroids, `[centroids, width]`.
    pub(crate) fn codes(&self) -> &[i8] {
        &self.codes
    }

    /// What a centroid's codes are multiplied with.
    pub(crate) fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// Cut-offs between cells, ascending.
    pub fn cutoffs(&self) -> &[f32] {
        &self.cutoffs
    }

    /// Value of each cell.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Bytes of a token's residual: `⌈width · bits / 8⌉`.
    pub fn row_bytes(&self) -> usize {
        (self.width * self.bits as usize).div_ceil(8)
    }

    /// Compressed form of `rows`, `[tokens, width]`: the centroid of greatest product and the cells of the residual.
    pub fn compress(&self, rows: &[f32]) -> Compressed {
        let centroids = nearest(rows, &self.centroids, self.width);
        let mut residuals = vec![0; centroids.len() * self.row_bytes()];
        residuals
            .par_chunks_exact_mut(self.row_bytes())
            .zip(rows.par_chunks_exact(self.width))
            .zip(&centroids)
            .with_min_len(256)
            .for_each(|((out, row), &centroid)| self.encode(row, centroid, out));
        Compressed { centroids, residuals }
    }

    fn encode(&self, row: &[f32], centroid: u32, out: &mut [u8]) {
        let (per_byte, centroid) = (8 / self.bits as usize, self.centroid(centroid));
        let values = row.chunks(per_byte).zip(centroid.chunks(per_byte));
        for (out, (row, centroid)) in out.iter_mut().zip(values) {
            for (place, (x, c)) in row.iter().zip(centroid).enumerate() {
                let cell = self.cutoffs.iter().map(|&cutoff| u8::from(cutoff < x - c)).sum::<u8>();
                *out |= cell << (self.bits as usize * place);
            }
        }
    }

    /// Tokens of unit length, `[tokens, width]`.
    pub fn decompress(&self, compressed: &Compressed) -> Vec<f32> {
        let mut rows = vec![0.0; compressed.centroids.len() * self.width];
        let packed = compressed.residuals.chunks_exact(self.row_bytes());
        for ((row, packed), &centroid) in
            rows.chunks_exact_mut(self.width).zip(packed).zip(&compressed.centroids)
        {
            self.decode(packed, centroid, row);
        }
        rows
    }

    /// One token into `row`; centroids beyond the last count as the last.
    pub(crate) fn decode(&self, packed: &[u8], centroid: u32, row: &mut [f32]) {
        let (per_byte, mask) = (8 / self.bits as usize, (1_u8 << self.bits) - 1);
        for (component, (x, c)) in row.iter_mut().zip(self.centroid(centroid)).enumerate() {
            let cell = packed[component / per_byte] >> (self.bits as usize * (component % per_byte)) & mask;
            *x = c + self.weights[usize::from(cell)];
        }
        normalize(row);
    }

    fn centroid(&self, id: u32) -> &[f32] {
        let id = (id as usize).min(self.len() - 1);
        &self.centroids[id * self.width..][..self.width]
    }
}

/// 8-bit codes and scales of rows.
fn rounded(rows: &[f32], width: usize) -> (Vec<i8>, Vec<f32>) {
    let scale = |row: &[f32]| row.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / LARGEST;
    let scales: Vec<f32> = rows.chunks_exact(width).map(scale).collect();
    let code = |(row, &scale): (&[f32], &f32)| {
        row.iter().map(|x| (x / scale.max(f32::MIN_POSITIVE)).round() as i8).collect::<Vec<i8>>()
    };
    let codes = rows.chunks_exact(width).zip(&scales).flat_map(code).collect();
    (codes, scales)
}

fn decoded(codes: &[i8], scales: &[f32], width: usize) -> Vec<f32> {
    let rows = codes.chunks_exact(width).zip(scales);
    rows.flat_map(|(row, scale)| row.iter().map(move |&code| f32::from(code) * scale)).collect()
}

/// Divides by the Euclidean length, at least 1e-12 as torch's `normalize` does.
fn normalize(row: &mut [f32]) {
    let length = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt().max(1e-12) as f32;
    row.iter_mut().for_each(|x| *x /= length);
}

/// How cells are chosen, as the manifest names it.
pub(super) fn cells_name(cells: Cells) -> &'static str {
    match cells {
        Cells::Quantile => "quantile",
        Cells::LloydMax => "lloyd-max",
    }
}
