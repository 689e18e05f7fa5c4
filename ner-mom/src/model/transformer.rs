//! A small pre-norm transformer over word vectors (Vaswani et al. 2017; norm placed as in Xiong et al. 2020).

use common::nn::linear::Linear;
use common::nn::norm::LayerNorm;
use tch::nn::Path;
use tch::{Device, Kind, Tensor};

/// Hidden width of the feed-forward part in multiples of the model width, as in the original transformer.
const FEED_FORWARD: i64 = 4;
const LAYER_NORM_EPSILON: f64 = 1e-5;

/// Projection of the input, sinusoidal positions and pre-norm layers.
#[derive(Debug)]
pub(super) struct Transformer {
    input: Linear,
    layers: Vec<Layer>,
    norm: LayerNorm,
    width: i64,
}

#[derive(Debug)]
struct Layer {
    attention_norm: LayerNorm,
    query_key_value: Linear,
    output: Linear,
    feed_forward_norm: LayerNorm,
    expand: Linear,
    contract: Linear,
    heads: i64,
}

impl Transformer {
    /// New layers at `path`. `width` is a multiple of twice `heads`.
    pub(super) fn new(path: &Path, input_width: i64, width: i64, layers: i64, heads: i64) -> Self {
        Self {
            input: Linear::new(&(path / "input"), input_width, width),
            layers: (0..layers).map(|l| Layer::new(&(path / "layer" / l), width, heads)).collect(),
            norm: LayerNorm::new(&(path / "norm"), width, LAYER_NORM_EPSILON),
            width,
        }
    }

    /// Contextual vectors, `[batch, tokens, width]`, of word vectors `[batch, tokens, input_width]`.
    /// Positions at or after a sentence's length neither attend nor are attended to.
    pub(super) fn forward(&self, words: &Tensor, lengths: &[i64], dropout: f64, train: bool) -> Tensor {
        let tokens = words.size()[1];
        let keep = keep_mask(lengths, tokens, words.device()); // [batch, 1, 1, tokens]
        let positions = sinusoidal_positions(tokens, self.width, words.device()).to_kind(words.kind());
        let mut hidden = (self.input.forward(words) + positions).dropout(dropout, train);
        for layer in &self.layers {
            hidden = layer.forward(&hidden, &keep, dropout, train);
        }
        self.norm.forward(&hidden)
    }
}

impl Layer {
    fn new(path: &Path, width: i64, heads: i64) -> Self {
        let norm = |name: &str| LayerNorm::new(&(path / name), width, LAYER_NORM_EPSILON);
        let linear = |name: &str, from, to| Linear::new(&(path / name), from, to);
        Self {
            attention_norm: norm("attention_norm"),
            query_key_value: linear("query_key_value", width, 3 * width),
            output: linear("output", width, width),
            feed_forward_norm: norm("feed_forward_norm"),
            expand: linear("expand", width, FEED_FORWARD * width),
            contract: linear("contract", FEED_FORWARD * width, width),
            heads,
        }
    }

    fn forward(&self, hidden: &Tensor, keep: &Tensor, dropout: f64, train: bool) -> Tensor {
        let attended = self.attention(&self.attention_norm.forward(hidden), keep).dropout(dropout, train);
        let hidden = hidden + attended;
        let expanded = self.expand.forward(&self.feed_forward_norm.forward(&hidden)).gelu("none");
        hidden + self.contract.forward(&expanded).dropout(dropout, train)
    }

    fn attention(&self, input: &Tensor, keep: &Tensor) -> Tensor {
        let [batch, tokens, width] = [input.size()[0], input.size()[1], input.size()[2]];
        let parts = self
            .query_key_value
            .forward(input)
            .view([batch, tokens, 3, self.heads, width / self.heads])
            .permute([2, 0, 3, 1, 4]); // [3, batch, heads, tokens, head_width]
        let [query, key, value] = [0, 1, 2].map(|i| parts.select(0, i));
        let mixed = Tensor::scaled_dot_product_attention(
            &query,
            &key,
            &value,
            Some(keep),
            0.0,
            false,
            None::<f64>,
            false,
        );
        self.output.forward(&mixed.transpose(1, 2).reshape([batch, tokens, width]))
    }
}

/// `true` at real tokens, `[batch, 1, 1, tokens]`.
fn keep_mask(lengths: &[i64], tokens: i64, device: Device) -> Tensor {
    let lengths = Tensor::from_slice(lengths).to_device(device).view([-1, 1]);
    Tensor::arange(tokens, (Kind::Int64, device)).lt_tensor(&lengths).view([-1, 1, 1, tokens])
}

/// `sin` in the even and `cos` in the odd columns, `[tokens, width]` (Vaswani et al. 2017, section 3.5).
fn sinusoidal_positions(tokens: i64, width: i64, device: Device) -> Tensor {
    let options = (Kind::Float, device);
    let position = Tensor::arange(tokens, options).view([-1, 1]);
    let rate = (Tensor::arange_start_step(0, width, 2, options) * (-(10_000f64.ln()) / width as f64)).exp();
    let angle = position * rate; // [tokens, width / 2]
    Tensor::stack(&[angle.sin(), angle.cos()], -1).view([tokens, width])
}
