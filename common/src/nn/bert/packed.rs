//! Sentences of different lengths without padding.

use tch::{Device, Tensor};

/// Rows are filled up to a multiple of this, so that the matrix library meets few different sizes: it
/// compiles a kernel for each (0.2 ms forward, 0.7 ms backward; a few dozen rows cost less).
const ROW_MULTIPLE: i64 = 64;
/// Below this many rows the library that compiles is not used.
const FEW_ROWS: i64 = 128;

/// A batch as one row per token. Inside, sentences are sorted by length, so that those of one length attend
/// together without a mask.
///
/// ```
/// use common::nn::bert::Packed;
/// let batch = Packed::new(&[vec![2, 8, 3], vec![2, 3], vec![2, 9, 3]], tch::Device::Cpu);
/// assert_eq!((batch.n_tokens(), batch.longest()), (8, 3));
/// let rows = tch::Tensor::arange(8, (tch::Kind::Float, tch::Device::Cpu)).view([8, 1]);
/// let padded = batch.unpack(&rows); // [batch, tokens, width]
/// assert_eq!(Vec::<f32>::try_from(padded.flatten(0, -1)).unwrap(), [0., 1., 2., 3., 4., 0., 5., 6., 7.]);
/// ```
#[derive(Debug)]
pub struct Packed {
    /// `[rows]`: sorted by length, filled up with id 0.
    pub(super) ids: Tensor,
    /// `[rows]`
    pub(super) positions: Tensor,
    /// `[rows]`
    pub(super) token_types: Tensor,
    /// `[n_tokens]`: the row of each token in the order given.
    pub(super) original_order: Tensor,
    /// Sentences of one length each, as the rows are sorted.
    pub(super) groups: Vec<Group>,
    lengths: Vec<i64>,
}

/// Rows that attend within sentences of one length: `n_sentences` of `length` tokens, one after the other.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) n_sentences: i64,
    pub(super) length: i64,
    /// `[n_sentences, 1, 1, length]`: 0 at tokens that are attended to, `-inf` at others; absent when all
    /// are.
    pub(super) hidden: Option<Tensor>,
}

impl Packed {
    /// The batch of these sentences' ids, all of segment 0. Empty sentences are allowed.
    pub fn new(sentences: &[Vec<i64>], device: Device) -> Self {
        Self::build(sentences, |_, _| 0, None, device)
    }

    /// The same, but of sentence `i` only the first `visible[i]` tokens are attended to. The others have
    /// hidden states of their own, which see the visible tokens and no other: the `[MASK]` tokens of a
    /// ColBERT query.
    ///
    /// # Panics
    /// When `visible` has another number of sentences, or a sentence with tokens has none that is visible.
    pub fn with_visible(sentences: &[Vec<i64>], visible: &[usize], device: Device) -> Self {
        assert_eq!(sentences.len(), visible.len(), "one number of visible tokens per sentence");
        let seen = |(ids, &n): (&Vec<i64>, &usize)| ids.is_empty() || n > 0;
        assert!(sentences.iter().zip(visible).all(seen), "a sentence needs a visible token");
        Self::build(sentences, |_, _| 0, Some(visible), device)
    }

    /// The same with the segment of each token.
    ///
    /// # Panics
    /// When `token_types` has another number of sentences or of tokens.
    pub fn with_token_types(sentences: &[Vec<i64>], token_types: &[Vec<i64>], device: Device) -> Self {
        let lengths = |list: &[Vec<i64>]| list.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(sentences), lengths(token_types), "one token type per token");
        Self::build(sentences, |sentence, token| token_types[sentence][token], None, device)
    }

    fn build(
        sentences: &[Vec<i64>],
        token_type: impl Fn(usize, usize) -> i64,
        visible: Option<&[usize]>,
        device: Device,
    ) -> Self {
        let mut order: Vec<usize> = (0..sentences.len()).collect();
        order.sort_by_key(|&sentence| sentences[sentence].len());
        let n_tokens: usize = sentences.iter().map(Vec::len).sum();
        let n_rows = filled_up(n_tokens as i64) as usize;
        let (mut ids, mut positions, mut types) = (vec![0; n_rows], vec![0; n_rows], vec![0; n_rows]);
        let mut starts = vec![0; sentences.len()];
        let mut row = 0;
        for &sentence in &order {
            starts[sentence] = row as i64;
            for (token, &id) in sentences[sentence].iter().enumerate() {
                (ids[row], positions[row], types[row]) = (id, token as i64, token_type(sentence, token));
                row += 1;
            }
        }
        let lengths: Vec<i64> = sentences.iter().map(|ids| ids.len() as i64).collect();
        let rows = starts.iter().zip(&lengths).flat_map(|(&start, &length)| start..start + length);
        let tensor = |values: &[i64]| Tensor::from_slice(values).to_device(device);
        Self {
            original_order: tensor(&rows.collect::<Vec<_>>()),
            groups: equal_lengths(&order, &lengths, visible, device),
            ids: tensor(&ids),
            positions: tensor(&positions),
            token_types: tensor(&types),
            lengths,
        }
    }

    /// The number of tokens, which is the number of rows of the hidden states.
    pub fn n_tokens(&self) -> i64 {
        self.lengths.iter().sum()
    }

    /// Tokens of each sentence, in the order given.
    pub fn lengths(&self) -> &[i64] {
        &self.lengths
    }

    /// Tokens of the longest sentence, 0 for an empty batch.
    pub fn longest(&self) -> i64 {
        self.lengths.iter().copied().max().unwrap_or(0)
    }

    /// `[n_tokens, width]` as `[batch, tokens, width]` with zeros behind each shorter sentence.
    ///
    /// # Panics
    /// When `rows` has another number of rows.
    pub fn unpack(&self, rows: &Tensor) -> Tensor {
        let longest = self.longest();
        let places = (0i64..).zip(&self.lengths).flat_map(|(i, &length)| i * longest..i * longest + length);
        let places = Tensor::from_slice(&places.collect::<Vec<_>>()).to_device(rows.device());
        let width = rows.size()[1];
        let n_sentences = self.lengths.len() as i64;
        let empty = Tensor::zeros([n_sentences * longest, width], (rows.kind(), rows.device()));
        empty.index_copy(0, &places, rows).view([n_sentences, longest, width])
    }

    /// `[rows]`, i64: the ids, of shorter sentences first, filled up with id 0.
    pub fn ids(&self) -> &Tensor {
        &self.ids
    }

    /// `[rows]`, i64: the place of each row's token in its sentence, from 0.
    pub fn positions(&self) -> &Tensor {
        &self.positions
    }

    /// `(sentences, tokens of each)` as they lie in the rows, shorter ones first, without the empty.
    pub fn runs(&self) -> Vec<(i64, i64)> {
        self.groups.iter().map(|group| (group.n_sentences, group.length)).collect()
    }

    /// Rows behind the last sentence, which only fill up the batch.
    pub fn n_unused(&self) -> i64 {
        self.ids.size()[0] - self.n_tokens()
    }

    /// Sentences as [`Self::runs`] have them: the place of each in the order given. Equal lengths keep their order.
    pub fn sorted(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.lengths.len()).collect();
        order.sort_by_key(|&sentence| self.lengths[sentence]);
        order
    }

    /// Rows of each group, then those that only fill up the batch.
    pub(super) fn row_counts(&self) -> Vec<i64> {
        let n_rows = self.ids.size()[0];
        let counts = self.groups.iter().map(|group| group.n_sentences * group.length);
        let unused = n_rows - self.n_tokens();
        counts.chain((unused > 0).then_some(unused)).collect()
    }
}

fn filled_up(n_tokens: i64) -> i64 {
    if n_tokens < FEW_ROWS { n_tokens } else { (n_tokens + ROW_MULTIPLE - 1) / ROW_MULTIPLE * ROW_MULTIPLE }
}

/// Runs of one length in the sorted order, without the empty sentences.
fn equal_lengths(order: &[usize], lengths: &[i64], visible: Option<&[usize]>, device: Device) -> Vec<Group> {
    let runs = order.chunk_by(|&left, &right| lengths[left] == lengths[right]);
    let group = |run: &[usize]| {
        let length = lengths[run[0]];
        let hidden = visible.and_then(|visible| hidden(run, length, visible, device));
        Group { n_sentences: run.len() as i64, length, hidden }
    };
    runs.map(group).filter(|group| group.length > 0).collect()
}

/// The additive mask of sentences of one length, unless all their tokens are visible.
fn hidden(run: &[usize], length: i64, visible: &[usize], device: Device) -> Option<Tensor> {
    if run.iter().all(|&sentence| visible[sentence] as i64 >= length) {
        return None;
    }
    let row = |&sentence: &usize| (0..length).map(move |token| token < visible[sentence] as i64);
    let values: Vec<f32> =
        run.iter().flat_map(row).map(|seen| if seen { 0.0 } else { f32::NEG_INFINITY }).collect();
    let mask = Tensor::from_slice(&values).to_device(device);
    Some(mask.view([run.len() as i64, 1, 1, length]))
}
