//! One residual attention block, over rows of packed sequences.

use tch::Tensor;
use tch::nn::{Init, Path};

use common::nn::gemm;
use common::nn::norm::LayerNorm;

use crate::config::Activation;

/// `x + attention(ln_1(x))`, then `x + c_proj(activation(c_fc(ln_2(x))))` (OpenAI's `ResidualAttentionBlock`).
#[derive(Debug)]
pub(super) struct Block {
    ln_1: LayerNorm,
    in_proj_weight: Tensor,
    in_proj_bias: Tensor,
    out_proj: Dense,
    ln_2: LayerNorm,
    c_fc: Dense,
    c_proj: Dense,
    activation: Activation,
    heads: i64,
}

/// Sizes of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) width: i64,
    pub(super) mlp_width: i64,
    pub(super) heads: i64,
    pub(super) activation: Activation,
    pub(super) epsilon: f64,
}

/// How the weights of a block start.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    /// PyTorch's defaults: the image tower.
    Library,
    /// OpenAI's `initialize_parameters` for a text tower of so many layers.
    Text { layers: i64 },
}

/// Sequences that lie one after another in the rows.
pub(super) struct Sequences<'a> {
    /// `(sequences, tokens of each)`, in the order of the rows.
    pub(super) runs: &'a [(i64, i64)],
    /// Rows behind the last sequence that nobody reads.
    pub(super) unused: i64,
    /// Whether a token sees only those before it, and itself.
    pub(super) causal: bool,
}

/// A linear layer whose start the caller chooses.
#[derive(Debug)]
struct Dense {
    weight: Tensor,
    bias: Tensor,
}

impl Dense {
    fn new(path: &Path<'_>, from: i64, to: i64, weight: Init, bias: Init) -> Self {
        Self { weight: path.var("weight", &[to, from], weight), bias: path.var("bias", &[to], bias) }
    }

    fn forward(&self, input: &Tensor) -> Tensor {
        gemm::linear(input, &self.weight, Some(&self.bias))
    }
}

fn normal(deviation: f64) -> Init {
    Init::Randn { mean: 0.0, stdev: deviation }
}

fn uniform(bound: f64) -> Init {
    Init::Uniform { lo: -bound, up: bound }
}

impl Block {
    pub(super) fn new(path: &Path<'_>, sizes: Sizes, start: Start) -> Self {
        let Sizes { width, mlp_width, heads, activation, epsilon } = sizes;
        let attention = path / "attn";
        let mlp = path / "mlp";
        let w = width as f64;
        let (wide, inner) = (1.0 / w.sqrt(), 1.0 / (mlp_width as f64).sqrt());
        // Weights of in_proj, out_proj, c_fc, c_proj; biases of the last two.
        let (starts, biases) = match start {
            // Xavier's bound for the [3w, w] matrix; `nn.Linear`'s for the others.
            Start::Library => {
                let xavier = (6.0 / (4.0 * w)).sqrt();
                (
                    [uniform(xavier), uniform(wide), uniform(wide), uniform(inner)],
                    [uniform(wide), uniform(inner)],
                )
            }
            Start::Text { layers } => {
                let out = wide / (2.0 * layers as f64).sqrt();
                let fc = 1.0 / (2.0 * w).sqrt();
                ([normal(wide), normal(out), normal(fc), normal(out)], [uniform(wide), uniform(inner)])
            }
        };
        let zero = Init::Const(0.0);
        Self {
            ln_1: LayerNorm::new(&(path / "ln_1"), width, epsilon),
            in_proj_weight: attention.var("in_proj_weight", &[3 * width, width], starts[0]),
            in_proj_bias: attention.var("in_proj_bias", &[3 * width], zero),
            out_proj: Dense::new(&(&attention / "out_proj"), width, width, starts[1], zero),
            ln_2: LayerNorm::new(&(path / "ln_2"), width, epsilon),
            c_fc: Dense::new(&(&mlp / "c_fc"), width, mlp_width, starts[2], biases[0]),
            c_proj: Dense::new(&(&mlp / "c_proj"), mlp_width, width, starts[3], biases[1]),
            activation,
            heads,
        }
    }

    /// `[rows, width]` to `[rows, width]`.
    pub(super) fn forward(&self, input: &Tensor, sequences: &Sequences<'_>) -> Tensor {
        let products =
            gemm::linear(&self.ln_1.forward(input), &self.in_proj_weight, Some(&self.in_proj_bias));
        let context = self.attend(&products, sequences);
        self.feed_forward(&(input + self.out_proj.forward(&context)))
    }

    /// The same for one row of each sequence only, which sees the whole sequence: what the last block has to compute. `rows`
    /// are their places, in the order of the sequences; result `[sequences, width]` in that order.
    pub(super) fn forward_pooled(&self, input: &Tensor, sequences: &Sequences<'_>, rows: &Tensor) -> Tensor {
        let width = input.size()[1];
        let normed = self.ln_1.forward(input);
        let part = |from: i64, count: i64| {
            (self.in_proj_weight.narrow(0, from, count), self.in_proj_bias.narrow(0, from, count))
        };
        let ((query_weight, query_bias), (weight, bias)) = (part(0, width), part(width, 2 * width));
        let query = gemm::linear(&normed.index_select(0, rows), &query_weight, Some(&query_bias));
        let products = gemm::linear(&normed, &weight, Some(&bias)); // [rows, 2 width]
        let context = self.attend_pooled(&query, &products, sequences);
        let pooled = input.index_select(0, rows);
        self.feed_forward(&(pooled + self.out_proj.forward(&context)))
    }

    fn feed_forward(&self, input: &Tensor) -> Tensor {
        let inner = self.c_fc.forward(&self.ln_2.forward(input));
        let inner = match self.activation {
            Activation::QuickGelu => quick_gelu(inner),
            Activation::Gelu => inner.gelu("none"),
        };
        input + self.c_proj.forward(&inner)
    }

    /// `softmax(q kᵀ / √head_width) v` within each sequence; `products` `[rows, 3 width]`, result `[rows, width]`.
    fn attend(&self, products: &Tensor, sequences: &Sequences<'_>) -> Tensor {
        let width = products.size()[1] / 3;
        let run = |part: &Tensor, (count, length): (i64, i64)| {
            // [3, sequences, heads, tokens, head_width]
            let parts = part.view([count, length, 3, self.heads, -1]).permute([2, 0, 3, 1, 4]).unbind(0);
            let [query, key, value] = [&parts[0], &parts[1], &parts[2]].map(gemm::as_factor);
            let context = attention(&query, &key, &value, sequences.causal && length > 1);
            context.to_kind(products.kind()).transpose(1, 2).reshape([count * length, width])
        };
        if let ([only], 0) = (sequences.runs, sequences.unused) {
            return run(products, *only);
        }
        let mut counts: Vec<i64> = sequences.runs.iter().map(|(count, length)| count * length).collect();
        counts.extend((sequences.unused > 0).then_some(sequences.unused));
        let parts = products.split_with_sizes(&counts, 0);
        let mut contexts: Vec<Tensor> =
            sequences.runs.iter().zip(&parts).map(|(sizes, part)| run(part, *sizes)).collect();
        if let Some(unused) = parts.get(sequences.runs.len()) {
            contexts.push(unused.narrow(1, 0, width)); // any finite numbers: nobody reads these rows
        }
        Tensor::cat(&contexts, 0)
    }

    /// The same with one query per sequence: `query` `[sequences, width]`, `products` `[rows, 2 width]`.
    fn attend_pooled(&self, query: &Tensor, products: &Tensor, sequences: &Sequences<'_>) -> Tensor {
        let width = query.size()[1];
        let run = |query: &Tensor, part: &Tensor, (count, length): (i64, i64)| {
            let query = query.view([count, 1, self.heads, -1]).transpose(1, 2);
            let parts = part.view([count, length, 2, self.heads, -1]).permute([2, 0, 3, 1, 4]).unbind(0);
            let [query, key, value] = [&query, &parts[0], &parts[1]].map(gemm::as_factor);
            let context = attention(&query, &key, &value, false);
            context.to_kind(products.kind()).transpose(1, 2).reshape([count, width])
        };
        if let ([only], 0) = (sequences.runs, sequences.unused) {
            return run(query, products, *only);
        }
        let mut counts: Vec<i64> = sequences.runs.iter().map(|(count, length)| count * length).collect();
        counts.extend((sequences.unused > 0).then_some(sequences.unused));
        let queries =
            query.split_with_sizes(sequences.runs.iter().map(|run| run.0).collect::<Vec<_>>().as_slice(), 0);
        let parts = products.split_with_sizes(&counts, 0);
        let contexts: Vec<Tensor> = (sequences.runs.iter().zip(queries.iter().zip(&parts)))
            .map(|(sizes, (query, part))| run(query, part, *sizes))
            .collect();
        Tensor::cat(&contexts, 0)
    }
}

fn attention(query: &Tensor, key: &Tensor, value: &Tensor, causal: bool) -> Tensor {
    Tensor::scaled_dot_product_attention(query, key, value, None::<&Tensor>, 0.0, causal, None::<f64>, false)
}

/// z · sigmoid(1.702 z), in place where nobody needs z again.
fn quick_gelu(input: Tensor) -> Tensor {
    let gate = (&input * 1.702).sigmoid();
    input * gate
}
