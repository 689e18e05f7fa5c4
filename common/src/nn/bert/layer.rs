//! One layer of the encoder: self-attention and a two-layer network, each with a residual path and LayerNorm behind it.

use tch::nn::Path;
use tch::{Device, Tensor};

use super::config::{Activation, Config};
use super::packed::{Group, Packed};
use crate::nn::gemm;
use crate::nn::linear::Linear;
use crate::nn::norm::LayerNorm;

/// One layer; names below its path as in Hugging Face checkpoints.
#[derive(Debug)]
pub(super) struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
    activation: Activation,
    n_heads: i64,
    dropout: f64,
    attention_dropout: f64,
}

impl Layer {
    pub(super) fn new(path: &Path<'_>, config: &Config) -> Self {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let dense = |path: &Path<'_>, from, to| Linear::normal(path, from, to, config.initializer_range);
        let attention = path / "attention";
        let square = |name: &str| dense(&(&attention / "self" / name), width, width);
        let norm = |path: Path<'_>| LayerNorm::new(&(path / "LayerNorm"), width, config.layer_norm_eps);
        Self {
            query: square("query"),
            key: square("key"),
            value: square("value"),
            attention_output: dense(&(&attention / "output" / "dense"), width, width),
            attention_norm: norm(&attention / "output"),
            intermediate: dense(&(path / "intermediate" / "dense"), width, inner),
            output: dense(&(path / "output" / "dense"), inner, width),
            output_norm: norm(path / "output"),
            activation: config.hidden_act,
            n_heads: config.num_attention_heads,
            dropout: config.hidden_dropout_prob,
            attention_dropout: config.attention_probs_dropout_prob,
        }
    }

    /// `[rows, width]` to `[rows, width]`.
    pub(super) fn forward(&self, input: &Tensor, batch: &Packed, train: bool) -> Tensor {
        let attended = self.attention_output.forward(&self.attend(input, batch, train));
        let input = self.attention_norm.forward(&(attended.dropout(self.dropout, train) + input));
        let inner = self.activation.apply(&self.intermediate.forward(&input));
        let output = self.output.forward(&inner).dropout(self.dropout, train);
        self.output_norm.forward(&(output + input))
    }

    /// Multi-head attention within each sentence, before the output map. Splitting and concatenating, unlike slices,
    /// cost their own size in the backward pass and not that of all rows.
    fn attend(&self, input: &Tensor, batch: &Packed, train: bool) -> Tensor {
        let sizes = batch.row_counts();
        let split = |map: &Linear| map.forward(input).split_with_sizes(&sizes, 0);
        let (queries, keys, values) = (split(&self.query), split(&self.key), split(&self.value));
        let mut parts: Vec<Tensor> = (batch.groups.iter().enumerate())
            .map(|(i, group)| self.attend_group([&queries[i], &keys[i], &values[i]], group, train))
            .collect();
        if let Some(unused) = values.get(batch.groups.len()) {
            parts.push(unused.shallow_clone()); // any finite numbers: nobody reads these rows
        }
        match parts.len() {
            0 => input.shallow_clone(), // only empty sentences: no rows
            1 => parts.swap_remove(0),
            _ => Tensor::cat(&parts, 0),
        }
    }

    /// `softmax(q kᵀ / √head_width) v`; inputs and result `[n_sentences · length, width]`.
    fn attend_group(&self, inputs: [&Tensor; 3], group: &Group, train: bool) -> Tensor {
        let shape = [group.n_sentences, group.length, self.n_heads, -1];
        let heads = |rows: &Tensor| rows.view(shape).transpose(1, 2); // [n_sentences, heads, length, head_width]
        let kind = inputs[0].kind();
        let [query, key, value] = inputs.map(|rows| gemm::as_factor(&heads(rows)));
        let dropout = if train { self.attention_dropout } else { 0.0 };
        let hidden = group.hidden.as_ref().map(|mask| mask.to_kind(query.kind()));
        // The fused kernel of the CPU has no dropout.
        let context = if dropout > 0.0 && query.device() == Device::Cpu {
            let scores = (&query / (query.size()[3] as f64).sqrt()).matmul(&key.transpose(2, 3));
            let scores = hidden.map_or(scores.shallow_clone(), |mask| scores + mask);
            scores.softmax(-1, query.kind()).dropout(dropout, true).matmul(&value)
        } else {
            Tensor::scaled_dot_product_attention(&query, &key, &value, hidden, dropout, false, None, false)
        };
        context.to_kind(kind).transpose(1, 2).reshape([group.n_sentences * group.length, -1])
    }
}
