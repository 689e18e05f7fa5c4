//! A Llama-architecture model of random weights for the peer cases: Hugging Face folder and F16 GGUF file, made once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use quantization::convert::{self, GgufOptions, Recipe, Search};
use quantization::ggml::{GgmlType, encode};
use quantization::model_file::ModelFile;
use quantization::safetensors::{Dtype, Writer};
use rand::RngCore;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::json;

const LAYERS: usize = 6;
const WIDTH: usize = 2048;
const FEED_FORWARD: usize = 5632;
const HEADS: usize = 32;
const KEY_HEADS: usize = 8;
const HEAD_WIDTH: usize = WIDTH / HEADS;
/// Tokens that the model knows.
pub(crate) const VOCABULARY: usize = 16_384;

/// Folder with the model's `model.safetensors`, `config.json` and `model-F16.gguf`: 340 million weights.
///
/// # Errors
/// A disk that refuses.
pub(crate) fn folder(work: &Path) -> Result<PathBuf> {
    let folder = work.join("random-model");
    if !folder.join("model-F16.gguf").exists() {
        std::fs::create_dir_all(&folder)?;
        write_hugging_face(&folder)?;
        write_gguf(&folder, &folder.join("model-F16.gguf"), "F16", 2)?;
    }
    Ok(folder)
}

/// Writes the model in `source` as GGUF of this file type.
///
/// # Errors
/// A file that cannot be read or written.
pub(crate) fn write_gguf(source: &Path, out: &Path, file_type: &str, threads: usize) -> Result<()> {
    let file = ModelFile::open(source)?;
    let recipe =
        Recipe { file_type: file_type.parse()?, rules: Vec::new(), imatrix: None, search: Search::Ggml };
    let plan = convert::plan(&file, &recipe)?;
    let write = || convert::write_gguf(&file, &plan, &GgufOptions::default(), out, &|_, _| true);
    convert::pool(threads)?.install(write)?;
    Ok(())
}

fn write_hugging_face(folder: &Path) -> Result<()> {
    let config = json!({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH,
        "intermediate_size": FEED_FORWARD, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_HEADS, "head_dim": HEAD_WIDTH, "vocab_size": VOCABULARY,
        "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": false, "attention_bias": false, "mlp_bias": false, "torch_dtype": "float16"});
    std::fs::write(folder.join("config.json"), format!("{config:#}\n"))?;
    let listed: Vec<_> = tensors().into_iter().map(|(name, shape)| (name, Dtype::F16, shape)).collect();
    let mut writer = Writer::create(folder.join("model.safetensors"), &BTreeMap::new(), &listed)?;
    let order: Vec<_> = writer.tensors().iter().map(|info| (info.name.clone(), info.shape.clone())).collect();
    for (number, (name, shape)) in order.iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(number as u64);
        let count = shape.iter().product();
        let weights = match shape[..] {
            [_, columns] => normal(count, 1.0 / (columns as f32).sqrt(), &mut rng),
            _ => normal(count, 0.1, &mut rng).iter().map(|x| 1.0 + x).collect(),
        };
        let mut bytes = vec![0; 2 * count];
        encode(
            GgmlType::F16,
            &weights,
            *shape.last().context("no tensor is a single number")?,
            None,
            &mut bytes,
        )?;
        writer.write_tensor(name, &bytes)?;
    }
    Ok(writer.finish()?)
}

fn tensors() -> Vec<(String, Vec<usize>)> {
    let mut tensors = vec![
        ("model.embed_tokens.weight".to_owned(), vec![VOCABULARY, WIDTH]),
        ("model.norm.weight".to_owned(), vec![WIDTH]),
        ("lm_head.weight".to_owned(), vec![VOCABULARY, WIDTH]),
    ];
    let key_width = KEY_HEADS * HEAD_WIDTH;
    for layer in 0..LAYERS {
        for (name, shape) in [
            ("input_layernorm", vec![WIDTH]),
            ("post_attention_layernorm", vec![WIDTH]),
            ("self_attn.q_proj", vec![WIDTH, WIDTH]),
            ("self_attn.k_proj", vec![key_width, WIDTH]),
            ("self_attn.v_proj", vec![key_width, WIDTH]),
            ("self_attn.o_proj", vec![WIDTH, WIDTH]),
            ("mlp.gate_proj", vec![FEED_FORWARD, WIDTH]),
            ("mlp.up_proj", vec![FEED_FORWARD, WIDTH]),
            ("mlp.down_proj", vec![WIDTH, FEED_FORWARD]),
        ] {
            tensors.push((format!("model.layers.{layer}.{name}.weight"), shape));
        }
    }
    tensors
}

/// Sums of four uniform numbers, nearly normal, with this standard deviation.
fn normal(count: usize, deviation: f32, rng: &mut ChaCha8Rng) -> Vec<f32> {
    // Four uniform 16-bit numbers: mean 2·65535, variance (65536² − 1)/3.
    let scale = deviation / (65_536.0 / 3f32.sqrt());
    let one = |bits: u64| {
        let sum: u32 = (0..4).map(|part| (bits >> (16 * part)) as u32 & 0xffff).sum();
        scale * (sum as f32 - 131_070.0)
    };
    (0..count).map(|_| one(rng.next_u64())).collect()
}
