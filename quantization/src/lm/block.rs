//! One layer: attention and feed-forward layer, each added to the residual stream.

use tch::nn::Path;
use tch::{Kind, Tensor};

use super::config::{LmConfig, NormPosition};
use super::model::Mode;
use super::projection::Projection;
use super::site::Site;

/// RMSNorm with a gain, `x / √(mean x² + ε) · weight`.
#[derive(Debug)]
pub(super) struct RmsNorm {
    weight: Tensor,
    epsilon: f64,
}

impl RmsNorm {
    pub(super) fn new(path: &Path, width: i64, epsilon: f64) -> Self {
        Self { weight: path.ones("weight", &[width]), epsilon }
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        x.rms_norm(self.weight.size(), Some(&self.weight), self.epsilon)
    }
}

fn normalised(norm: Option<&RmsNorm>, x: &Tensor) -> Tensor {
    norm.map_or_else(|| x.shallow_clone(), |norm| norm.forward(x))
}

/// Rotations `cos mθ + i sin mθ` `[1, context, 1, head_width / 2]` of positions m, θ = base^(−2i/head_width).
pub(super) fn rotations(config: &LmConfig, kind: Kind) -> Tensor {
    let half = config.head_width() / 2;
    let options = (Kind::Double, tch::Device::Cpu);
    let exponent = Tensor::arange(half, options) * (-2.0 / config.head_width() as f64);
    let angle = Tensor::arange(config.context, options).outer(&(exponent * config.rope_base.ln()).exp());
    let (cos, sin) = (angle.cos().to_kind(kind), angle.sin().to_kind(kind));
    Tensor::stack(&[cos, sin], -1).view_as_complex().view([1, config.context, 1, half])
}

/// Turns each adjacent pair of components of `x` `[batch, tokens, heads, head_width]` by its position's angle.
fn rotate(x: &Tensor, rotations: &Tensor) -> Tensor {
    let [batch, tokens, heads, width] = x.size()[..] else { unreachable!("four dimensions by construction") };
    let pairs = x.reshape([batch, tokens, heads, width / 2, 2]).view_as_complex();
    (pairs * rotations.narrow(1, 0, tokens)).view_as_real().flatten(3, 4)
}

/// One layer of the model.
#[derive(Debug)]
pub(super) struct Block {
    config: LmConfig,
    attention_norm: Option<RmsNorm>,
    attention_site: Site,
    query_key_value: [Projection; 3],
    output_norm: Option<RmsNorm>,
    output_site: Site,
    output: Projection,
    ffn_norm: Option<RmsNorm>,
    ffn_site: Site,
    gate_up: [Projection; 2],
    down_norm: Option<RmsNorm>,
    down_site: Site,
    down: Projection,
}

impl Block {
    pub(super) fn new(path: &Path, config: &LmConfig) -> Self {
        let LmConfig { width, ffn_width, rms_epsilon, projection, .. } = *config;
        let before = matches!(config.norm_position, NormPosition::Block | NormPosition::SubNorms);
        let inside = config.norm_position == NormPosition::SubNorms;
        let norm = |path: Path, width, wanted: bool| wanted.then(|| RmsNorm::new(&path, width, rms_epsilon));
        let (attention, mlp) = (path / "self_attn", path / "mlp");
        let linear =
            |path: &Path, name: &str, from, to| Projection::new(&(path / name), from, to, projection);
        let kv_width = config.kv_heads * config.head_width();
        Self {
            config: *config,
            attention_norm: norm(path / "input_layernorm", width, before),
            attention_site: Site::new(&attention, config, "input", &["q_proj", "k_proj", "v_proj"], width),
            query_key_value: [("q_proj", width), ("k_proj", kv_width), ("v_proj", kv_width)]
                .map(|(name, to)| linear(&attention, name, width, to)),
            output_norm: norm(&attention / "attn_sub_norm", width, inside),
            output_site: Site::new(&attention, config, "output", &["o_proj"], width),
            output: linear(&attention, "o_proj", width, width),
            ffn_norm: norm(path / "post_attention_layernorm", width, before),
            ffn_site: Site::new(&mlp, config, "input", &["gate_proj", "up_proj"], width),
            gate_up: ["gate_proj", "up_proj"].map(|name| linear(&mlp, name, width, ffn_width)),
            down_norm: norm(&mlp / "ffn_sub_norm", ffn_width, inside),
            down_site: Site::new(&mlp, config, "output", &["down_proj"], ffn_width),
            down: linear(&mlp, "down_proj", ffn_width, width),
        }
    }

    /// `[batch, tokens, width]` to the same shape.
    pub(super) fn forward(&self, x: &Tensor, rotations: &Tensor, mode: Mode<'_>) -> Tensor {
        let attended = self.attention(&normalised(self.attention_norm.as_ref(), x), rotations, mode);
        let x = x + mode.dropout(attended, self.config.dropout);
        let fed = self.feed_forward(&normalised(self.ffn_norm.as_ref(), &x), mode);
        x + mode.dropout(fed, self.config.dropout)
    }

    fn attention(&self, x: &Tensor, rotations: &Tensor, mode: Mode<'_>) -> Tensor {
        let [batch, tokens, width] = x.size()[..] else { unreachable!("three dimensions by construction") };
        let inputs = self.attention_site.inputs(x, mode);
        let heads = |index: usize, heads| {
            let projected = self.query_key_value[index].forward(&inputs[index], mode);
            projected.view([batch, tokens, heads, self.config.head_width()])
        };
        let kv_heads = self.config.kv_heads;
        let query = rotate(&heads(0, self.config.heads), rotations).transpose(1, 2);
        let key = self.repeated(rotate(&heads(1, kv_heads), rotations).transpose(1, 2));
        let value = self.repeated(heads(2, kv_heads).transpose(1, 2));
        let mixed = Tensor::scaled_dot_product_attention(
            &query,
            &key,
            &value,
            None::<&Tensor>,
            0.0,
            true,
            None,
            false,
        );
        let mixed = mixed.transpose(1, 2).reshape([batch, tokens, width]);
        let mixed = normalised(self.output_norm.as_ref(), &mixed);
        self.output.forward(&self.output_site.inputs(&mixed, mode)[0], mode)
    }

    /// Key or value heads `[batch, kv_heads, tokens, head_width]`, each as often as query heads share it.
    fn repeated(&self, heads: Tensor) -> Tensor {
        match self.config.heads / self.config.kv_heads {
            1 => heads,
            times => heads.repeat_interleave_self_int(times, 1, None),
        }
    }

    fn feed_forward(&self, x: &Tensor, mode: Mode<'_>) -> Tensor {
        let inputs = self.ffn_site.inputs(x, mode);
        let gate = self.gate_up[0].forward(&inputs[0], mode).silu();
        let hidden = gate * self.gate_up[1].forward(&inputs[1], mode);
        let hidden = normalised(self.down_norm.as_ref(), &hidden);
        self.down.forward(&self.down_site.inputs(&hidden, mode)[0], mode)
    }

    /// The seven projections with their Hugging Face names inside the layer.
    pub(super) fn projections(&self) -> [(&'static str, &Projection); 7] {
        let [query, key, value] = &self.query_key_value;
        let [gate, up] = &self.gate_up;
        [
            ("self_attn.q_proj", query),
            ("self_attn.k_proj", key),
            ("self_attn.v_proj", value),
            ("self_attn.o_proj", &self.output),
            ("mlp.gate_proj", gate),
            ("mlp.up_proj", up),
            ("mlp.down_proj", &self.down),
        ]
    }
}
