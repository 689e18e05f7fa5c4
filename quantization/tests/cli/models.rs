//! Small models that the tests write themselves.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use quantization::ggml::GgmlType;
use quantization::safetensors::{Dtype, Writer};

/// Sizes of a small Llama.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) dim: usize,
    pub(crate) ffn: usize,
    pub(crate) layers: usize,
    pub(crate) vocab: usize,
}

pub(crate) const SMALL: Sizes = Sizes { dim: 64, ffn: 96, layers: 2, vocab: 256 };
pub(crate) const WIDE: Sizes = Sizes { dim: 256, ffn: 512, layers: 1, vocab: 256 };

/// About normal numbers with this standard deviation, the same for the same seed.
pub(crate) fn normal(count: usize, seed: u64, deviation: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
    };
    (0..count).map(|_| (0..12).map(|_| uniform()).sum::<f32>() * deviation).collect()
}

/// Name and shape of every tensor.
fn tensors(sizes: Sizes) -> Vec<(String, Vec<usize>)> {
    let Sizes { dim, ffn, layers, vocab } = sizes;
    let mut all = vec![
        ("model.embed_tokens.weight".to_owned(), vec![vocab, dim]),
        ("model.norm.weight".to_owned(), vec![dim]),
    ];
    for layer in 0..layers {
        let parts = [
            ("input_layernorm", vec![dim]),
            ("self_attn.q_proj", vec![dim, dim]),
            ("self_attn.k_proj", vec![dim / 2, dim]),
            ("self_attn.v_proj", vec![dim / 2, dim]),
            ("self_attn.o_proj", vec![dim, dim]),
            ("post_attention_layernorm", vec![dim]),
            ("mlp.gate_proj", vec![ffn, dim]),
            ("mlp.up_proj", vec![ffn, dim]),
            ("mlp.down_proj", vec![dim, ffn]),
        ];
        all.extend(parts.map(|(part, shape)| (format!("model.layers.{layer}.{part}.weight"), shape)));
    }
    all
}

/// Writes a Hugging Face folder; `change` may spoil the weights of a tensor.
pub(crate) fn write(folder: &Path, sizes: Sizes, change: impl Fn(&str, &mut [f32])) {
    fs::create_dir_all(folder).unwrap();
    let listed: Vec<(String, Dtype, Vec<usize>)> =
        tensors(sizes).into_iter().map(|(name, shape)| (name, Dtype::F16, shape)).collect();
    let mut writer = Writer::create(folder.join("model.safetensors"), &BTreeMap::new(), &listed).unwrap();
    for (seed, (name, _, shape)) in listed.iter().enumerate() {
        let count = shape.iter().product();
        let mut weights =
            if shape.len() == 1 { vec![1.0; count] } else { normal(count, seed as u64 + 1, 0.05) };
        change(name, &mut weights);
        let halves = weights.iter().map(|&x| quantization::float::f32_to_f16(x));
        let bytes: Vec<u8> = halves.flat_map(u16::to_le_bytes).collect();
        writer.write_tensor(name, &bytes).unwrap();
    }
    writer.finish().unwrap();
    let config = serde_json::json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": sizes.dim,
        "intermediate_size": sizes.ffn, "num_hidden_layers": sizes.layers, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": sizes.vocab, "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": true, "hidden_act": "silu"
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

/// Text of this many bytes, always the same.
pub(crate) fn prose(bytes: usize) -> String {
    let words = ["the ", "sea ", "was ", "calm ", "and ", "no ", "ship ", "came ", "home ", "again.\n"];
    (0..).map(|i: usize| words[(i * i + i / 3) % words.len()]).flat_map(str::chars).take(bytes).collect()
}

/// All weights of a tensor of a GGUF file, decoded.
pub(crate) fn decoded(file: &quantization::gguf::File, name: &str) -> Vec<f32> {
    let tensor = file.tensor(name).unwrap();
    let mut out = vec![0.0; tensor.weights() as usize];
    quantization::ggml::decode(tensor.kind, &file.read_tensor(name).unwrap(), &mut out).unwrap();
    out
}

/// Type of a tensor of a GGUF file.
pub(crate) fn kind(file: &quantization::gguf::File, name: &str) -> GgmlType {
    file.tensor(name).unwrap().kind
}
