//! Sizes of a model, and where each tensor is in its file.

use std::ops::Range;

use super::FormatError;

/// Bytes in front of the tensors.
pub(super) const HEADER: u64 = 28;
/// Ours: larger sizes are taken for damage, and products of smaller ones fit in 64 bits; published models stay below 2¹⁸.
const LARGEST: i32 = 1 << 22;
/// Ours, likewise; published models stay below 2⁷.
const MOST_LAYERS: i32 = 1 << 12;

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

    pub(super) fn header(&self) -> Vec<u8> {
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
