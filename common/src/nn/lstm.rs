//! Bidirectional LSTM on padded batches, equal to PyTorch's on packed sequences.

use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

/// Layers of two LSTMs, one reading each sentence forwards, one backwards.
#[derive(Debug)]
pub struct Lstm {
    layers: Vec<[Direction; 2]>,
    hidden: i64,
    dropout: f64,
}

#[derive(Debug)]
struct Direction {
    parameters: [Tensor; 4],
}

impl Lstm {
    /// New layers at `path`, parameters uniform in ±1/√hidden and named as in PyTorch's bidirectional `nn.LSTM`.
    /// `dropout` acts between layers.
    pub fn new(path: &Path, input: i64, hidden: i64, layers: i64, dropout: f64) -> Self {
        let layer = |l: i64| {
            let width = if l == 0 { input } else { 2 * hidden };
            ["", "_reverse"].map(|suffix| Direction::new(path, width, hidden, &format!("l{l}{suffix}")))
        };
        Self { layers: (0..layers).map(layer).collect(), hidden, dropout }
    }

    /// `[batch, tokens, 2 * hidden]`, forward then backward states, of vectors `[batch, tokens, input]`. Rows are
    /// padded on the right; padding changes no state of a real token. The states at padding are unspecified.
    ///
    /// # Panics
    /// When there is not one length per row.
    pub fn forward(&self, input: &Tensor, lengths: &[i64], train: bool) -> Tensor {
        let reversal = Reversal::new(lengths, input);
        let mut states = input.transpose(0, 1).contiguous(); // [tokens, batch, width]
        for (index, [forwards, backwards]) in self.layers.iter().enumerate() {
            if index > 0 {
                states = states.dropout(self.dropout, train);
            }
            let ahead = forwards.run(&states, self.hidden, train);
            let behind = reversal.apply(&backwards.run(&reversal.apply(&states), self.hidden, train));
            states = Tensor::cat(&[ahead, behind], -1);
        }
        states.transpose(0, 1)
    }
}

impl Direction {
    fn new(path: &Path, input: i64, hidden: i64, suffix: &str) -> Self {
        let bound = 1.0 / (hidden as f64).sqrt();
        let uniform = Init::Uniform { lo: -bound, up: bound };
        let var = |name: &str, dims: &[i64]| path.var(&format!("{name}_{suffix}"), dims, uniform);
        Self {
            parameters: [
                var("weight_ih", &[4 * hidden, input]),
                var("weight_hh", &[4 * hidden, hidden]),
                var("bias_ih", &[4 * hidden]),
                var("bias_hh", &[4 * hidden]),
            ],
        }
    }

    /// `[tokens, batch, hidden]`. On padded input libtorch reaches oneDNN's fused kernel; on packed input it does not.
    fn run(&self, input: &Tensor, hidden: i64, train: bool) -> Tensor {
        let start = input.new_zeros([1, input.size()[1], hidden], (input.kind(), input.device()));
        let state = [&start, &start];
        let (output, _, _) =
            input.lstm(&state, &self.parameters.each_ref(), true, 1, 0.0, train, false, false);
        output
    }
}

/// Reverses each row of a batch within its length: an involution, so it also undoes itself.
struct Reversal {
    places: Tensor,
}

impl Reversal {
    fn new(lengths: &[i64], input: &Tensor) -> Self {
        let [batch, tokens] = [input.size()[0], input.size()[1]];
        assert_eq!(batch as usize, lengths.len(), "one length per row");
        let place = |token: i64, row: i64| {
            let length = lengths[row as usize];
            let from = if token < length { length - 1 - token } else { token };
            from * batch + row
        };
        let places: Vec<i64> = (0..tokens).flat_map(|t| (0..batch).map(move |row| place(t, row))).collect();
        Self { places: Tensor::from_slice(&places).to_device(input.device()) }
    }

    /// `[tokens, batch, width]`.
    fn apply(&self, states: &Tensor) -> Tensor {
        debug_assert!(matches!(states.kind(), Kind::Float | Kind::Double | Kind::BFloat16));
        states.flatten(0, 1).index_select(0, &self.places).view_as(states)
    }
}
